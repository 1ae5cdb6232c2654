"""Containers that libsndfile does not read (m4a, mp4, webm, mkv, aac ...), decoded by FFmpeg's libraries through PyAV.

Some formats are lists that name other files, and FFmpeg would open those. So it gets an open file instead of a name, only formats
that hold their own sound, and no way to open anything else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np

from tsmgan.audio.info import AudioInfo, Chapter, Picture
from tsmgan.audio.reader import Reader, cut_short
from tsmgan.errors import AudioError

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


def _open(file: BinaryIO) -> Any:
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
    tags = {}
    for source in sources:
        for key, text in source.items():
            name = key.lower()
            # The names of lyrics, and of Matroska's statistics, end in a language.
            name = "lyrics" if name.startswith("lyrics-") else name.removesuffix("-eng")
            if name not in TECHNICAL_TAGS and not name.startswith("_statistics") and text.strip():
                tags[RENAMED_TAGS.get(name, name)] = text
    return tags


def _chapters(container: Any) -> tuple[Chapter, ...]:
    found = []
    for chapter in container.chapters():
        start, end = (float(chapter[key] * chapter["time_base"]) for key in ("start", "end"))
        title = next((text for key, text in chapter["metadata"].items() if key.lower() == "title"), "")
        found.append(Chapter(max(0.0, start), end if end > start else None, title))
    return tuple(sorted(found, key=lambda chapter: chapter.start))


def _pictures(container: Any, file: BinaryIO) -> tuple[Picture, ...]:
    """Cover pictures. FFmpeg presents them as video streams of one frame, so the file is opened a second time to read them."""
    numbers = [each.index for each in container.streams.video if each.disposition & av.stream.Disposition.attached_pic]
    found: list[Picture] = []
    with contextlib.suppress(av.error.FFmpegError, ValueError, StopIteration):
        for number in numbers:
            with _open(file) as again:
                stream = again.streams[number]
                packet = next(each for each in again.demux(stream) if each.size)
                mime = IMAGE_CODECS.get(stream.codec_context.name, "image/" + stream.codec_context.name)
                found.append(Picture(bytes(packet), mime, 0 if found else 3, stream.metadata.get("title", "")))
    return tuple(found)


class MediaReader(Reader):
    """The first audio stream of a file that FFmpeg can read."""

    def __init__(self, path: str, name: str, size: int, *, salvage: bool = False) -> None:
        with contextlib.ExitStack() as opened:
            self._container = self._open_container(path, name, opened)
            info, stream = self._describe(path, name, size)
            # Only the sample type is converted. Sample rate and layout stay the stream's own.
            self._resampler = av.AudioResampler("dbl" if info.is_double else "flt", stream.layout, stream.rate)
            self._opened = opened.pop_all()
        super().__init__(info, salvage=salvage)
        self._dtype = np.float64 if info.is_double else np.float32
        self._pieces = self._decode(stream)
        self._rest = np.zeros((0, info.channels), self._dtype)

    def _open_container(self, path: str, name: str, opened: contextlib.ExitStack) -> Any:
        file = opened.enter_context(open(path, "rb"))
        try:
            container = opened.enter_context(_open(file))
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

    def _describe(self, path: str, name: str, size: int) -> tuple[AudioInfo, av.AudioStream]:
        container = self._container
        if not container.streams.audio:
            raise AudioError(f"{name} holds no sound.")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError(f"{name} holds sound in a code that is unknown here. Convert it first, or fetch it again if it is damaged.")
        seconds = None
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            seconds = container.duration / av.time_base
        if not stream.rate or not stream.channels:
            raise AudioError(f"{name} does not state its sample rate or channels: it is damaged.")
        info = AudioInfo(
            name,
            path,
            container.format.name.split(",")[0],
            _subtype(stream),
            stream.rate,
            stream.channels,
            None,
            seconds,
            _tags(container.metadata, stream.metadata),
            size,
            chapters=_chapters(container),
            pictures=self._found_pictures,
        )
        return info, stream

    def _decode(self, stream: av.AudioStream) -> Iterator[np.ndarray]:
        found, is_cut = 0, False
        try:
            for packet in self._container.demux(stream):
                # FFmpeg logs this for a packet whose end is missing, and decodes the rest.
                is_cut = is_cut or packet.is_corrupt
                for frame in packet.decode():
                    for piece in self._resampler.resample(frame):
                        found += piece.samples
                        yield piece.to_ndarray().reshape(-1, self.info.channels)
            for piece in self._resampler.resample(None):
                found += piece.samples
                yield piece.to_ndarray().reshape(-1, self.info.channels)
        except (av.error.FFmpegError, ValueError, _OtherFile) as error:
            self._complain(
                f"is damaged or cut short at second {found / self.info.samplerate:.2f} ({_reason(error)})",
                "fetch it again, or use what comes before with --salvage",
            )
            return
        if is_cut:
            what = f"is damaged or cut short at second {found / self.info.samplerate:.2f}"
            self._complain(what, "fetch it again, or use what is there with --salvage")
            return
        claimed = self.info.seconds or 0.0 if self.info.format in STATES_LENGTH else 0.0
        if found and found / self.info.samplerate < claimed - SLACK_SECONDS - 0.001 * claimed:
            self._complain(*cut_short(claimed, found / self.info.samplerate))

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
