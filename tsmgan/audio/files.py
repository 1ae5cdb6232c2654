"""Files that libsndfile decodes: wav, flac, ogg, mp3, aiff and many more."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tsmgan.audio.containers import MpegLength, mpeg_length, ogg_is_complete, payload
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.quiet import without_decoder_messages
from tsmgan.audio.reader import Reader, cut_short, require_sane
from tsmgan.audio.samples import WIDTHS
from tsmgan.audio.tags import with_tags
from tsmgan.errors import AudioError

if TYPE_CHECKING:
    import soundfile

LIBSNDFILE_REASONS = {
    24: "its header states an impossible sample rate",
    32: "its header states no channels",
    33: "its header states too many channels",
}
"""Plainer words for some of libsndfile's error codes."""


@lru_cache(maxsize=1)
def stream_class() -> type[soundfile.SoundFile]:
    """SoundFile without three habits: seeking after each block, which costs time and, in some codecs, a glitch, waiting for the
    disk whenever a file is closed, even one that was only read (the writer does that itself, once), and writing to standard error."""
    import soundfile

    class StreamedSoundFile(soundfile.SoundFile):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            with without_decoder_messages():
                super().__init__(*arguments, **options)

        def read(self, *arguments: Any, **options: Any) -> np.ndarray:
            with without_decoder_messages() if self.format == "MP3" else nullcontext():
                return super().read(*arguments, **options)

        def seek(self, *arguments: Any, **options: Any) -> int:
            with without_decoder_messages() if self.format == "MP3" else nullcontext():
                return super().seek(*arguments, **options)

        def seekable(self) -> bool:
            return False

        def flush(self) -> None:
            pass

    return StreamedSoundFile


def native_name(path: str | os.PathLike[str]) -> str | bytes:
    """A file's name as soundfile takes it. Names that are no text exist on POSIX systems, and are bytes there."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


class SoundFileReader(Reader):
    """A file that libsndfile decodes."""

    def __init__(self, file: soundfile.SoundFile, info: AudioInfo, *, salvage: bool = False) -> None:
        super().__init__(info, salvage=salvage)
        self._file = file
        self._dtype = "float64" if info.is_double else "float32"

    def _read(self, frames: int) -> np.ndarray:
        import soundfile

        try:
            return self._file.read(frames, dtype=self._dtype, always_2d=True)
        except soundfile.LibsndfileError as error:
            if self._salvage:
                return np.zeros((0, self.info.channels), self._dtype)
            second = self.frames_read / self.info.samplerate
            raise AudioError(
                f"{self.info.name} is damaged or cut short at second {second:.2f} ({libsndfile_reason(error)}); "
                "fetch it again, or use what comes before with --salvage."
            ) from None

    def close(self) -> None:
        self._file.close()


def libsndfile_reason(error: soundfile.LibsndfileError) -> str:
    text = LIBSNDFILE_REASONS.get(error.code) or error.error_string.strip().rstrip(".")
    text = text.removeprefix("Error : ").removeprefix("Error: ")
    return text[:1].lower() + text[1:]


def _open_whole_mp3(path: str, length: MpegLength) -> soundfile.SoundFile:
    """Decode an MP3 without its length header, to its very end: behind a pipe libsndfile cannot guess at a length and stop there."""
    reading, writing = os.pipe()

    def feed() -> None:
        try:
            with open(path, "rb") as file, open(writing, "wb", buffering=0) as pipe:
                file.seek(length.audio_start)
                while chunk := file.read(1 << 16):
                    pipe.write(chunk)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):
                raise

    threading.Thread(target=feed, daemon=True, name="mp3-feed").start()
    return stream_class()(reading, closefd=True)


def _open_mp3(path: str, name: str, size: int, salvage: bool) -> Reader | None:
    """An MP3 with the length that its frames add up to; None for other files."""
    with open(path, "rb") as file:
        head = file.read(3)
    if head != b"ID3" and not (len(head) == 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return None
    length = mpeg_length(path)
    if length is None:
        return None
    seconds = length.samples_per_frame / length.samplerate
    if length.declared is not None and length.declared > length.frames + 1 and not salvage:
        raise cut_short(name, length.declared * seconds, length.frames * seconds)
    file = stream_class()(native_name(path))
    if file.format != "MP3":
        file.close()
        return None
    frames = file.frames if length.is_as_declared else length.frames * length.samples_per_frame
    info = _info(path, name, size, file, None if salvage else frames, frames / file.samplerate)
    if not length.is_as_declared:
        file.close()
        file = _open_whole_mp3(path, length)
    return SoundFileReader(file, info, salvage=salvage)


def _info(path: str, name: str, size: int, file: soundfile.SoundFile, frames: int | None, seconds: float | None) -> AudioInfo:
    info = AudioInfo(name, path, file.format, file.subtype, file.samplerate, file.channels, frames, seconds, bytes=size)
    require_sane(info)
    return with_tags(info, file, path)


def open_sound_file(path: str, name: str, size: int, salvage: bool) -> Reader:
    """Open a file of `size` bytes.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
        AudioError: its header cannot be right, or promises more than the file holds.
    """
    mp3 = _open_mp3(path, name, size, salvage)
    if mp3 is not None:
        return mp3
    file = stream_class()(native_name(path))
    try:
        # libsndfile states the largest number it knows where the header of a stream leaves the length open.
        frames = file.frames if 0 <= file.frames < 2**60 else None
        info = _info(path, name, size, file, frames, None if frames is None else frames / max(1, file.samplerate))
        seconds = info.seconds
        found = payload(path)
        width = WIDTHS.get(info.subtype, 0) * info.channels
        if found is not None and not salvage:
            if found.declared - found.present > max(1, width):
                fraction = found.declared / max(1, found.present)
                raise cut_short(name, (seconds or 0) * fraction, seconds or 0)
            if width and found.behind > max(65536, width * info.samplerate):
                raise AudioError(
                    f"{name} has a header that lies about its length: it states {seconds or 0:.2f} s, and sound of about "
                    f"{found.behind / width / info.samplerate:.2f} s more may follow; repair it with `ffmpeg -i {name} new.wav`, "
                    "or use what the header states with --salvage."
                )
        if info.format == "OGG" and not salvage and not ogg_is_complete(path):
            raise AudioError(
                f"{name} is cut short: its last page is missing and {seconds or 0:.2f} s are there; "
                "fetch it again, or use what is there with --salvage."
            )
        return SoundFileReader(file, replace(info, frames=None) if salvage else info, salvage=salvage)
    except BaseException:
        file.close()
        raise
