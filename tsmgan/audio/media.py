"""Containers that libsndfile does not read (m4a, mp4, webm, mkv, aac ...), decoded by FFmpeg's libraries through PyAV.

Some formats are lists that name other files, and FFmpeg would open those. So it gets an open file instead of a name, only formats
that hold their own sound, and no way to open anything else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np

from tsmgan.audio.film import Film
from tsmgan.audio.flac import holds_picture
from tsmgan.audio.info import AudioInfo, Chapter, Picture, Track
from tsmgan.audio.reader import BLOCK_FRAMES, Reader, cut_short, states_nothing
from tsmgan.errors import AudioError, UsageError

FORMATS = (
    "aac ac3 ac4 aea aiff amr amrnb amrwb ape asf ast au avi avr caf dsf dts dtshd eac3 flac flv gsm iff ircam latm loas matroska mlp mov "
    "mp3 mpc mpc8 mpeg mpegts mxf nistsphere nut oga ogg oma paf pvf qoa rm shn smk sox tak truehd tta voc vqf w64 wav wavarc wtv wv xwma"
).split()
"""FFmpeg's names of containers that hold their own sound. None of them is a playlist or a description of files elsewhere."""
OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    # No protocol has this name, so FFmpeg opens nothing by name.
    "protocol_whitelist": "none",
    # MP4 and QuickTime can refer to sound in other files. `_refuse` is called for those; otherwise FFmpeg would read at their offsets here.
    "enable_drefs": "1",
    "use_absolute_path": "1",
}
RENAMED_TAGS = {"album_artist": "albumartist", "track": "tracknumber", "disc": "discnumber", "encoded_by": "encodedby"}
"""FFmpeg's names of tags, and the names of Vorbis comments that they correspond to."""
TECHNICAL_TAGS = frozenset(
    "encoder major_brand minor_version compatible_brands creation_time handler_name vendor_id language duration bps number_of_frames "
    "number_of_bytes itunsmpb itunnorm itunpgap iscommercial gapless_playback media_type timecode".split()
)
"""Facts about the container and its encoder, which FFmpeg lists among the tags. They would be false of the output."""
IMAGE_CODECS = {"mjpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "bmp": "image/bmp", "webp": "image/webp"}
STATES_LENGTH = {"mov", "matroska", "flac", "ogg", "wav", "aiff", "caf", "asf", "flv", "rso", "tta", "wv"}
"""Containers whose header states the duration. For others (aac, ac3 ...) FFmpeg guesses it from the bit rate."""
STATES_NOTHING = {"ac3", "eac3", "mpeg"}
"""Streams without any length. Decoders pass over a last packet that is cut."""
HAS_CLOCK = {"mov", "matroska", "flv", "mpegts", "mpeg", "asf", "nut", "mxf"}
"""Containers that give every packet its time, so that a gap in the sound shows."""
GAP_SECONDS = 0.05
"""A gap that is longer than this is filled with silence. Time stamps are rounded, and jitter in live recordings."""
CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d*)?)")
BITRATE_PACKETS = 500
"""Packets whose sizes tell the bit rate of a track that does not state it."""
SLACK_SECONDS = 0.5
"""A whole file may hold this much less than its container states, because the stated length is rounded and counts encoder padding."""


class _OtherFile(Exception):
    """A container referred to another file."""


class _Nameless:
    """An open file without a name, so that FFmpeg neither judges it by its ending nor looks for files beside it."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise _OtherFile(url)


def open_container(file: BinaryIO) -> Any:
    """A media file as PyAV reads it, which opens nothing but this file."""
    file.seek(0)
    return av.open(_Nameless(file), options=OPTIONS, io_open=_refuse, metadata_errors="replace")


def _subtype(stream: av.AudioStream) -> str:
    """libsndfile's name of a lossless codec, or the lower-case name of any other codec."""
    codec = stream.codec_context.name
    if codec in {"alac", "flac", "tta", "wavpack", "ape"} or codec.startswith("pcm_"):
        sample = stream.format.name.rstrip("p")
        # Lossless codecs carry 24 bits in 32. Real 32-bit recordings are rare.
        if sample == "s32" and codec != "pcm_s32le" and codec != "pcm_s32be":
            return "PCM_24"
        return {"u8": "PCM_U8", "s16": "PCM_16", "s32": "PCM_32", "flt": "FLOAT", "dbl": "DOUBLE"}.get(sample, codec)
    return codec


def _tags(*sources: dict[str, str]) -> dict[str, str]:
    """Text tags by their names here. A later source tells what an earlier one does not."""
    tags: dict[str, str] = {}
    for source in sources:
        for key, text in source.items():
            name = key.lower()
            # The names of lyrics, and of Matroska's statistics, end in a language.
            name = "lyrics" if name.startswith("lyrics-") else name.removesuffix("-eng")
            if name not in TECHNICAL_TAGS and not name.startswith("_statistics") and text.strip():
                tags.setdefault(RENAMED_TAGS.get(name, name), text)
    return tags


def _chapters(container: Any, origin: float) -> tuple[Chapter, ...]:
    """Chapters, in seconds from the first sample, which stands at `origin` on the container's clock."""
    found = []
    for chapter in container.chapters():
        start, end = (float(chapter[key] * chapter["time_base"]) - origin for key in ("start", "end"))
        title = next((text for key, text in chapter["metadata"].items() if key.lower() == "title"), "")
        found.append(Chapter(max(0.0, start), end if end > start else None, title))
    return tuple(sorted(found, key=lambda chapter: chapter.start))


def _pictures(container: Any, file: BinaryIO) -> tuple[Picture, ...]:
    """Cover pictures. FFmpeg presents them as video streams of one frame, so the file is opened a second time to read them."""
    numbers = [each.index for each in container.streams.video if each.disposition & av.stream.Disposition.attached_pic]
    found: list[Picture] = []
    with contextlib.suppress(av.error.FFmpegError, ValueError, StopIteration):
        for number in numbers:
            with open_container(file) as again:
                stream = again.streams[number]
                packet = next(each for each in again.demux(stream) if each.size)
                mime = IMAGE_CODECS.get(stream.codec_context.name, "image/" + stream.codec_context.name)
                found.append(Picture(bytes(packet), mime, 0 if found else 3, stream.metadata.get("title", "")))
    return tuple(found)


def _tracks(container: Any, chosen: Any) -> tuple[Track, ...]:
    """All streams but the chosen one and covers."""
    found: list[Track] = []
    counts: dict[str, int] = {}
    for stream in container.streams:
        counts[stream.type] = counts.get(stream.type, 0) + 1
        if stream.index != chosen.index and not is_cover(stream):
            context = getattr(stream, "codec_context", None)
            codec = (stream.name or "") if context is None else context.name
            if codec == "bin_data" and container.chapters():
                # QuickTime keeps the titles of chapters in a track.
                continue
            found.append(Track(stream.type, codec, counts[stream.type], stream.metadata.get("language", "").replace("und", "")))
    return tuple(found)


def is_cover(stream: Any) -> bool:
    """Whether a video stream is a single picture that goes with the recording."""
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


def _bitrate(file: BinaryIO, stream: Any) -> float | None:
    """kbit/s of a stream: as it states, or of its first packets."""
    named = [text for key, text in stream.metadata.items() if key.upper().startswith("BPS")]
    stated = stream.bit_rate or next((int(text) for text in named if text.isdigit()), 0)
    if stated:
        return stated / 1000
    size, seconds = 0, 0.0
    with contextlib.suppress(av.error.FFmpegError, ValueError), open_container(file) as again:
        for packet in islice(again.demux(again.streams[stream.index]), BITRATE_PACKETS):
            size += packet.size
            seconds += float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
    return size * 8e-3 / seconds if seconds > 0.5 else None


class MediaReader(Reader):
    """One audio stream of a file that FFmpeg can read.

    Args:
        path, name, size: of the file; messages call it by its name.
        salvage: see `open_reader`.
        track: which audio stream, counted from 1; None for the first.
    """

    def __init__(self, path: str, name: str, size: int, *, salvage: bool = False, track: int | None = None) -> None:
        self._salvage = salvage
        with contextlib.ExitStack() as opened:
            self._container = self._open_container(path, name, opened)
            self._stream = self._choose(name, track)
            for other in self._container.streams:
                if other.index != self._stream.index:
                    other.discard = av.stream.Discard.all
            self._frames = self._decoded()
            self._found, self._states_length = 0, True
            self._priming: int = 0
            self._left: int | None = None
            self._problem: tuple[str, ...] | None = None
            self._held = self._next_frame()
            self.origin = 0.0 if self._held is None or self._held.pts is None else float(self._held.pts * self._held.time_base)
            """Where the first sample stands on the container's clock, in seconds."""
            info, stream = self._describe(path, name, size), self._stream
            # Only the sample type is converted. Sample rate and layout stay the stream's own.
            self._resampler = av.AudioResampler("dbl" if info.is_double else "flt", stream.layout, stream.rate)
            self._opened = opened.pop_all()
        super().__init__(info, salvage=salvage)
        if info.tracks:
            further = () if track is not None else tuple(each.number for each in info.tracks if each.kind == "audio")
            left = tuple(each for each in info.tracks if each.kind != "audio" or track is None)
            language = stream.metadata.get("language", "")
            self.film = Film(path, stream.index, further, left, self.origin, language, salvage=salvage)
        self._dtype = np.float64 if info.is_double else np.float32
        self._pieces = self._decode()
        self._rest = np.zeros((0, info.channels), self._dtype)

    def _open_container(self, path: str, name: str, opened: contextlib.ExitStack) -> Any:
        file = opened.enter_context(open(path, "rb"))
        try:
            container = opened.enter_context(open_container(file))
            if container.streams.video:
                with open(path, "rb") as second:
                    self._found_pictures = _pictures(container, second)
            else:
                self._found_pictures = ()
            return container
        except _OtherFile:
            raise AudioError(f"{name} keeps its sound in another file, which is not opened; give the file with the sound.") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise AudioError(f"{name} cannot be read ({_reason(error)}): it is damaged, cut short or of an unknown kind.") from None

    def _choose(self, name: str, track: int | None) -> Any:
        """The audio stream with a number, counted from 1."""
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{name} holds no sound.")
        if track is not None and track > len(streams):
            tracks = "one audio track" if len(streams) == 1 else f"{len(streams)} audio tracks"
            raise UsageError(f"{name} has {tracks}; there is no --track {track}.")
        stream = streams[(track or 1) - 1]
        if stream.codec_context is None:
            raise AudioError(f"{name} holds sound in a code that is unknown here. Convert it first, or fetch it again if it is damaged.")
        if not stream.rate or not stream.channels:
            raise AudioError(f"{name} does not state its sample rate or channels: it is damaged.")
        return stream

    def _describe(self, path: str, name: str, size: int) -> AudioInfo:
        container, stream = self._container, self._stream
        seconds = self._stated_seconds()
        kind, metadata = container.format.name.split(",")[0], dict(stream.metadata)
        if kind in ("mov", "matroska", "mpegts"):
            # There the tags of a track tell about the track alone.
            metadata = {}
        info = AudioInfo(
            name,
            path,
            kind,
            _subtype(stream),
            stream.rate,
            stream.channels,
            None,
            seconds,
            _tags(container.metadata, metadata),
            size,
            chapters=_chapters(container, self.origin),
            pictures=self._found_pictures,
            codec=stream.codec_context.name,
            layout=stream.layout.name,
            tracks=_tracks(container, stream),
        )
        if kind in STATES_NOTHING:
            info = replace(info, notes=(states_nothing(name),))
        with open(path, "rb") as file:
            if info.is_lossy or info.tracks:
                info = replace(info, sound_bitrate=_bitrate(file, stream))
            if kind == "flac" and not info.pictures and holds_picture(file):
                info = replace(info, notes=(*info.notes, "Its cover is damaged and was not read."))
            return self._with_mp4_tags(info, file) if kind == "mov" else info

    def _stated_seconds(self) -> float | None:
        """Length of the sound as the container states it; where it states only its own, and other tracks may be longer, about that."""
        container, stream = self._container, self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        # Matroska states the end of each track in a tag.
        stated = next((CLOCK.fullmatch(text) for key, text in stream.metadata.items() if key.upper().startswith("DURATION")), None)
        if stated is not None:
            return max(0.0, int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3]) - self.origin)
        self._states_length = len(container.streams.audio) + len(container.streams.video) == 1
        return None if container.duration is None else max(0.0, container.duration / av.time_base - max(0.0, self.origin))

    def _with_mp4_tags(self, info: AudioInfo, file: BinaryIO) -> AudioInfo:
        from tsmgan.audio.mp4_tags import read_mp4

        file.seek(0)
        try:
            return replace(info, **read_mp4(file))
        except Exception:
            # mutagen raises many kinds of errors for damaged tags, and FFmpeg has read what it could.
            return info

    def _decoded(self) -> Iterator[Any]:
        """Frames as they come from the decoder."""
        is_first = True
        for packet in self._container.demux(self._stream):
            if is_first:
                self._note_priming(packet)
                is_first = False
            # FFmpeg logs this for a packet whose end is missing, and decodes the rest.
            if packet.is_corrupt:
                self._problem = "is damaged or cut short", "fetch it again, or use what is there with --salvage"
            yield from packet.decode()

    def _next_frame(self) -> Any:
        """The next frame; None at the end, or where nothing more can be decoded."""
        try:
            return next(self._frames, None)
        except (av.error.FFmpegError, ValueError, _OtherFile) as error:
            self._problem = "is damaged or cut short", "fetch it again, or use what comes before with --salvage", _reason(error)
            return None

    def _decode(self) -> Iterator[np.ndarray]:
        frame, rate, start, filled = self._held, self.info.samplerate, self.origin, 0.0
        while frame is not None:
            following = self._next_frame()
            if self.info.format in HAS_CLOCK and frame.pts is not None:
                gap = round((float(frame.pts * frame.time_base) - start) * rate) - self._found
                if gap > GAP_SECONDS * rate and self._found + gap <= (self.info.seconds or 0) * rate:
                    filled += gap / rate
                    self._found += gap
                    yield from self._silence(gap)
            samples = self._converted(frame)
            if following is None:
                samples = samples[: self._samples_of_last(frame)]
            samples = self._without_priming(samples)
            self._found += len(samples)
            yield samples
            frame = following
        if filled:
            note = f"Gaps of {filled:.2f} s in all in the sound were filled with silence, so that it keeps its time."
            self.info = replace(self.info, notes=(*self.info.notes, note))
        self._judge()

    def _converted(self, frame: Any) -> np.ndarray:
        """The samples of a frame, shape (samples, channels); none where the stream changes its sample rate or channels."""
        try:
            pieces = [piece.to_ndarray().reshape(-1, self.info.channels) for piece in self._resampler.resample(frame)]
        except (av.error.FFmpegError, ValueError) as error:
            self._problem = "is damaged or cut short", "fetch it again, or use what comes before with --salvage", _reason(error)
            self._frames = iter(())
            pieces = []
        return np.concatenate(pieces) if pieces else np.zeros((0, self.info.channels), self._dtype)

    def _silence(self, frames: int) -> Iterator[np.ndarray]:
        while frames > 0:
            yield np.zeros((min(frames, BLOCK_FRAMES), self.info.channels), self._dtype)
            frames -= BLOCK_FRAMES

    def _note_priming(self, packet: Any) -> None:
        """Take note of what iTunes says about the encoder's padding. FFmpeg skips it only where an edit list says so as well."""
        text = next((text for key, text in self._container.metadata.items() if key.lower() == "itunsmpb"), "")
        numbers = text.split()
        if packet.pts == 0 and not packet.has_sidedata("skip_samples") and len(numbers) > 3 and not self._container.streams.video:
            with contextlib.suppress(ValueError):
                priming, total = int(numbers[1], 16), int(numbers[3], 16)
                self._priming, self._left = priming, total or None

    def _without_priming(self, samples: np.ndarray) -> np.ndarray:
        skipped = min(self._priming, len(samples))
        self._priming -= skipped
        samples = samples[skipped:] if self._left is None else samples[skipped : skipped + self._left]
        if self._left is not None:
            self._left -= len(samples)
        return samples

    def _samples_of_last(self, frame: Any) -> int:
        """Samples of the last frame that are sound. Where the container counts in samples, its duration leaves the padding out."""
        if self.info.format == "mov" and frame.duration and frame.time_base and frame.time_base * self.info.samplerate == 1:
            return min(frame.samples, frame.duration)
        return frame.samples

    def _judge(self) -> None:
        """Compare what was decoded with what the container states."""
        found = self._found / self.info.samplerate
        if self._problem is not None:
            what, remedy, *reason = self._problem
            self._complain(f"{what} at second {found:.2f}" + (f" ({reason[0]})" if reason else ""), remedy)
            return
        claimed = self.info.seconds or 0.0 if self.info.format in STATES_LENGTH and self._states_length else 0.0
        if found and found < claimed - SLACK_SECONDS - 0.001 * claimed:
            self._complain(*cut_short(claimed, found))

    def _read(self, frames: int) -> np.ndarray:
        pieces, held = [self._rest], len(self._rest)
        while held < frames and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece.astype(self._dtype, copy=False))
            held += len(piece)
        joined = np.concatenate(pieces)
        self._rest = joined[frames:]
        return joined[:frames]

    def close(self) -> None:
        self._opened.close()


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
