"""What is known of a recording before its samples are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsmgan.core.timemap import TimeMap

Data = bytes
"""Another name for `bytes`, which the property `AudioInfo.bytes` hides inside the class."""


@dataclass(frozen=True)
class Chapter:
    """A named part of a recording."""

    start: float
    """Seconds from the beginning."""
    end: float | None
    """Seconds; None where the next chapter, or the end of the recording, ends it."""
    title: str


@dataclass(frozen=True)
class Picture:
    """An image that a recording carries, for example its cover."""

    data: bytes
    mime: str
    """Its media type, for example image/png."""
    kind: int = 3
    """What it shows, as ID3 and FLAC number it: 3 is the front cover."""
    description: str = ""


@dataclass(frozen=True)
class Track:
    """A track of a film besides the one that is read: pictures, subtitles, or further sound."""

    kind: str
    """video, audio, subtitle, attachment or data."""
    codec: str
    """FFmpeg's name of the code; empty where it is unknown."""
    number: int
    """Among the tracks of its kind, counted from 1."""
    language: str = ""
    """As the file states it, mostly in three letters."""

    def __str__(self) -> str:
        name = {"video": "picture track", "audio": "audio track", "subtitle": "subtitle track"}.get(self.kind, self.kind)
        facts = ", ".join(each for each in (self.codec, self.language) if each)
        return f"{name} {self.number}" + (f" ({facts})" if facts else "")


@dataclass(frozen=True)
class AudioInfo:
    """Facts about one recording, as its container states them and `tsmgan.audio` has checked them."""

    name: str
    """What messages call it: the path as the user gave it, or "standard input"."""
    path: str | None
    """Where the recording is; None for a pipe."""
    format: str
    """libsndfile's name of the container (WAV, FLAC, OGG ...), RAW, or PyAV's in lower case (mov, matroska ...)."""
    subtype: str
    """libsndfile's name of the sample type (PCM_16, FLOAT, VORBIS ...), or PyAV's codec in lower case (aac ...)."""
    samplerate: int
    """Sample rate in Hz."""
    channels: int
    frames: int | None
    """Samples per channel; None where only reading to the end would tell."""
    seconds: float | None
    """Duration; where frames is None it is what the container claims, or None."""
    tags: dict[str, str] = field(default_factory=dict)
    """Text tags under the names of Vorbis comments in lower case: title, artist, albumartist, composer, date, comment ...
    Several values of one tag are separated by NUL, as in ID3v2.4."""
    bytes: int | None = None
    """Size of the file in bytes."""
    notes: tuple[str, ...] = ()
    """Oddities that a user should know, each a sentence."""
    chapters: tuple[Chapter, ...] = ()
    """In order of their start."""
    pictures: tuple[Picture, ...] = ()
    broadcast: Data = field(default=b"", repr=False)
    """The `bext` chunk of a Broadcast Wave file, in the layout of libsndfile's SF_BROADCAST_INFO."""
    unread_tags: tuple[str, ...] = ()
    """Names of tags that the file holds and that have no place here, so they will not be carried."""
    codec: str = ""
    """FFmpeg's name of the codec; empty where libsndfile decodes."""
    layout: str = ""
    """FFmpeg's name of the channel layout; empty where libsndfile decodes."""
    sound_bitrate: float | None = None
    """kbit/s of the sound alone, where it lies in a media file that states it."""
    tracks: tuple[Track, ...] = ()
    """What else a media file holds: pictures, subtitles and further sound. Covers are in `pictures`."""
    atoms: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The tags of an MP4 file as mutagen gives them. An MP4 output takes those that are still true as they are."""

    def section(self, start: float, end: float | None) -> AudioInfo:
        """This recording with only the chapters between two instants in seconds, counted from the first. None is the recording's end."""

        def inside(second: float) -> float:
            return max(0.0, (second if end is None else min(second, end)) - start)

        ends = [each.end for each in self.chapters]
        following = [each.start for each in self.chapters[1:]] + [None]
        kept = [
            replace(chapter, start=inside(chapter.start), end=None if stop is None else inside(stop))
            for chapter, stop, after in zip(self.chapters, ends, following)
            if (end is None or chapter.start < end) and not any(last is not None and last <= start for last in (stop, after))
        ]
        return replace(self, chapters=tuple(kept))

    def moved(self, time_map: TimeMap) -> AudioInfo:
        """This recording with its chapters moved to where a time map puts them."""

        def second(before: float) -> float:
            return float(time_map.output_at(before * self.samplerate)) / self.samplerate

        moved = [
            replace(each, start=max(0.0, second(each.start)), end=None if each.end is None else second(each.end)) for each in self.chapters
        ]
        return replace(self._with_tempo_of(time_map), chapters=tuple(moved))

    def _with_tempo_of(self, time_map: TimeMap) -> AudioInfo:
        """This recording with the tempo that one rate gives it. Of a map with several rates, no tempo is true."""
        beats = self.tags.get("bpm")
        if beats is None or time_map.is_identity:
            return self
        x, y = time_map.knots
        rates = (x[1:] - x[:-1]) / (y[1:] - y[:-1])
        others = {name: text for name, text in self.tags.items() if name != "bpm"}
        try:
            tempo = float(beats.replace(",", ".")) * rates[0]
        except ValueError:
            return self
        if rates.max() - rates.min() > 1e-6 * rates[0] or not 0 < tempo < 10000:
            return replace(self, tags=others, unread_tags=(*self.unread_tags, "bpm"))
        return replace(self, tags={**others, "bpm": f"{tempo:.2f}".rstrip("0").rstrip(".")})

    @property
    def is_double(self) -> bool:
        """Whether single precision would lose bits, so that blocks are float64."""
        return self.subtype in {"PCM_32", "DOUBLE"}

    @property
    def is_lossy(self) -> bool:
        """Whether the subtype is a lossy code with a bit rate. Companded and ADPCM subtypes are not."""
        return self.subtype in {"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"} or self.subtype.islower()

    @property
    def bitrate(self) -> float | None:
        """Mean rate in kbit/s: of the sound where that is known, else of the whole file."""
        if self.sound_bitrate is not None:
            return self.sound_bitrate
        return self.bytes * 8e-3 / self.seconds if self.bytes and self.seconds else None
