"""Files that libsndfile decodes: wav, flac, ogg, mp3, aiff and many more."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tsmgan.audio.containers import payload
from tsmgan.audio.flac import TOTAL_AT, FlacLength, flac_length
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.mpeg import MpegLength, id3_length, mpeg_length
from tsmgan.audio.ogg import ChainReader, Section, read_pages
from tsmgan.audio.quiet import without_decoder_messages
from tsmgan.audio.reader import Reader, complain, cut_short, require_sane, states_nothing
from tsmgan.audio.samples import WIDTHS
from tsmgan.audio.stated import Payload
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
STORED_WIDTHS = WIDTHS | {"ULAW": 1, "ALAW": 1, "DPCM_8": 1, "DPCM_16": 2}
"""Bytes per sample of the types that are stored one by one in files."""
BLOCKS = {"IMA_ADPCM": 64, "MS_ADPCM": 0, "GSM610": 320, "G721_32": 120, "G723_24": 120, "G723_40": 120}
STATES_NOTHING = frozenset({"IRCAM", "PAF", "PVF", "SD2", "XI"})
"""Containers whose header holds no length that libsndfile would compare with the file's."""
BLOCKS |= {"NMS_ADPCM_16": 160, "NMS_ADPCM_24": 160, "NMS_ADPCM_32": 160}
"""Samples per channel of a coded block, where the header states no other number. The last block of a file is padded."""


@lru_cache(maxsize=1)
def stream_class() -> type[soundfile.SoundFile]:
    """SoundFile without three habits. It seeks after each block, which takes time and causes a glitch in some codecs. It waits for the
    disk whenever a file is closed, even after reading; our writer does so once, itself. It lets decoders write to standard error."""
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
    """A file's name as soundfile takes it. On POSIX systems a name need not be text, so names are passed as bytes there."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


class SoundFileReader(Reader):
    """A file that libsndfile decodes."""

    def __init__(
        self, file: soundfile.SoundFile, info: AudioInfo, *, salvage: bool = False, limit: int | None = None, section: Section | None = None
    ) -> None:
        super().__init__(replace(info, frames=None) if salvage else info, salvage=salvage)
        self._file = file
        self._dtype = "float64" if info.is_double else "float32"
        self._left = limit
        self._section = section

    def _read(self, frames: int) -> np.ndarray:
        import soundfile

        # Some decoders continue beyond the sound and decode the tags that follow it.
        frames = frames if self._left is None else min(frames, self._left)
        # After an error libsndfile does not say how many samples it gave. The samples that it did not write are still NaN.
        samples = np.full((frames, self.info.channels), np.nan, self._dtype)
        if frames == 0:
            return samples
        try:
            samples = self._file.read(out=samples)
        except soundfile.LibsndfileError as error:
            samples = samples[: int(np.isfinite(samples).any(axis=1).sum())]
            second = (self.frames_read + len(samples)) / self.info.samplerate
            self._complain(
                f"is damaged or cut short at second {second:.2f} ({libsndfile_reason(error)})",
                "fetch it again, or use what comes before with --salvage",
            )
            self._left = len(samples)
        if self._left is not None:
            self._left -= len(samples)
        return samples

    def close(self) -> None:
        self._file.close()
        if self._section is not None:
            self._section.close()


def libsndfile_reason(error: soundfile.LibsndfileError) -> str:
    text = LIBSNDFILE_REASONS.get(error.code) or error.error_string.strip().rstrip(".")
    text = text.removeprefix("Error : ").removeprefix("Error: ")
    return text[:1].lower() + text[1:]


def _open_through_pipe(path: str, start: int, head: bytes = b"") -> soundfile.SoundFile:
    """Decode a file from `start` to its very end, whatever it says of its length: behind a pipe libsndfile cannot stop before.

    Args:
        head: what is read in the place of the first bytes.
    """
    reading, writing = os.pipe()

    def feed() -> None:
        try:
            with open(path, "rb") as file, open(writing, "wb", buffering=0) as pipe:
                file.seek(start + len(head))
                chunk = head or file.read(1 << 16)
                while chunk:
                    pipe.write(chunk)
                    chunk = file.read(1 << 16)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):
                raise

    threading.Thread(target=feed, daemon=True, name="pipe-feed").start()
    return stream_class()(reading, closefd=True)


def _open_mp3(path: str, name: str, size: int, salvage: bool, length: MpegLength) -> Reader | None:
    """Open an MP3 file with the length that its frames add up to. None where libsndfile takes the file for another format."""
    seconds = length.samples_per_frame / length.samplerate
    file = stream_class()(native_name(path))
    if file.format != "MP3":
        file.close()
        return None
    frames = file.frames if length.is_as_declared else length.frames * length.samples_per_frame
    info = _info(path, name, size, file, frames, frames / file.samplerate)
    if length.declared is not None and length.declared > length.frames + 1:
        file.close()
        info = complain(info, *cut_short(length.declared * seconds, length.frames * seconds), salvage=salvage)
    if not length.is_as_declared:
        file.close()
        file = _open_through_pipe(path, length.audio_start)
    if length.is_partial:
        info = _noted(info, f"{name} ends within a frame, which is not read. The file may be cut short.")
    return SoundFileReader(file, info, salvage=salvage, limit=frames if length.is_as_declared else None)


def _open_flac(path: str, name: str, size: int, salvage: bool, length: FlacLength) -> Reader:
    """Open a FLAC file with the length that its frames add up to."""
    file = stream_class()(native_name(path))
    try:
        frames = length.stated or None
        info = _info(path, name, size, file, frames, None if frames is None else frames / file.samplerate)
        if length.has_another:
            info = complain(info, *_another(info.seconds), salvage=salvage)
        elif frames is not None and length.found is not None and length.found > frames:
            held = length.found / info.samplerate
            what = f"has a header that lies about its length: it states {info.seconds:.2f} s and holds {held:.2f} s"
            remedy = f"repair it with `ffmpeg -i {name} new.flac`, or use all that is there with --salvage"
            info = complain(info, what, remedy, salvage=salvage)
            file.close()
            frames = None
            file = _open_through_pipe(path, length.start, _without_length(path, length.start))
        return SoundFileReader(file, info, salvage=salvage, limit=frames)
    except BaseException:
        file.close()
        raise


def _without_length(path: str, start: int) -> bytes:
    """The first bytes of a FLAC stream, changed so that they state no length."""
    with open(path, "rb") as file:
        file.seek(start)
        head = bytearray(file.read(TOTAL_AT + 8))
    head[TOTAL_AT + 3] &= 0xF0
    head[TOTAL_AT + 4 :] = bytes(4)
    return bytes(head)


def _another(seconds: float | None) -> tuple[str, str]:
    """Fault and remedy of a file in which one recording follows another, for `complain`."""
    return (
        f"holds more sound after its stated end: only the first {seconds or 0:.2f} s, which its header states, can be read",
        "split it into its recordings, or use the first with --salvage",
    )


def _open_ogg(path: str, name: str, size: int, salvage: bool) -> Reader | None:
    """Open an Ogg file with all its links. None when it holds no page."""
    pages = read_pages(path)
    if pages is None:
        return None

    def open_link(link: tuple[int, int]) -> SoundFileReader:
        section = Section(path, *link) if len(pages.links) > 1 else None
        try:
            file = stream_class()(native_name(path) if section is None else section)
        except BaseException:
            if section is not None:
                section.close()
            raise
        frames = file.frames if 0 <= file.frames < 2**60 else None
        if frames == 0 and not pages.is_complete:
            raise AudioError(f"{name} is cut short: it ends before its first sample; fetch it again.")
        info = _info(path, name, size, file, frames, None if frames is None else frames / file.samplerate)
        return SoundFileReader(file, info, section=section)

    first = open_link(pages.links[0])
    try:
        info, total, links = first.info, first.info.frames, []
        for number, link in enumerate(pages.links[1:], 2):
            with open_link(link) as other:
                if (other.info.samplerate, other.info.channels) != (info.samplerate, info.channels):
                    what = f"is a chain of recordings, and number {number} differs from the first in sample rate or channels"
                    info = complain(info, what, "split it, or use what comes before with --salvage", salvage=salvage)
                    break
                total = None if total is None or other.info.frames is None else total + other.info.frames
                links.append(link)
        seconds = (total or 0) / info.samplerate
        if pages.missing:
            what = f"is damaged: {pages.missing} of its pages {'is' if pages.missing == 1 else 'are'} missing"
            info = complain(info, what, "fetch it again, or use what is there with --salvage", salvage=salvage)
        if not pages.is_complete:
            what = f"is cut short: its last page is missing and {seconds:.2f} s are there"
            info = complain(info, what, "fetch it again, or use what is there with --salvage", salvage=salvage)
        first.info = info
        return ChainReader(first, [partial(open_link, link) for link in links], total, salvage=salvage)
    except BaseException:
        first.close()
        raise


def _info(path: str, name: str, size: int, file: soundfile.SoundFile, frames: int | None, seconds: float | None) -> AudioInfo:
    info = AudioInfo(name, path, file.format, file.subtype, file.samplerate, file.channels, frames, seconds, bytes=size)
    require_sane(info)
    return with_tags(info, file, path)


def open_sound_file(path: str, name: str, size: int, salvage: bool) -> Reader | None:
    """Open a file of `size` bytes. None when libsndfile would read it wrongly or take very long.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
        AudioError: its header cannot be right, or promises more or less than the file holds.
    """
    with open(path, "rb") as opened:
        start = id3_length(opened)
        opened.seek(start)
        head = opened.read(4)
    reader: Reader | None = None
    if head == b"OggS":
        reader = _open_ogg(path, name, size, salvage)
    elif head == b"fLaC" and (flac := flac_length(path)) is not None:
        return _open_flac(path, name, size, salvage, flac)
    elif start or (len(head) == 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        mpeg = mpeg_length(path)
        if mpeg is not None:
            reader = _open_mp3(path, name, size, salvage, mpeg)
        elif head[:1] == b"\xff":
            # libsndfile and FFmpeg would search the whole file for a frame. Only AAC begins in the same way, without a layer.
            if head[1] & 0x06 == 0:
                return None
            why = "it begins like MP3 and holds no frame of it in its first megabyte"
            raise AudioError(f"{name} is not a recording of a known kind ({why}); fetch it again.")
    return reader or _open_chunked(path, name, size, salvage)


def _open_chunked(path: str, name: str, size: int, salvage: bool) -> Reader | None:
    """Open a file whose container states the length of its sound in bytes, or states nothing."""
    found = payload(path)
    if found is not None and found.is_scattered:
        return None
    file = stream_class()(native_name(path))
    try:
        # Where a header leaves the length open, libsndfile gives the largest number it has.
        frames = file.frames if 0 <= file.frames < 2**60 else None
        if file.subtype.startswith("MPEG"):
            # libsndfile counts the encoder's padding at both ends in the length, but does not return it.
            frames = None
        info = _info(path, name, size, file, frames, file.frames / max(1, file.samplerate) if file.frames < 2**60 else None)
        if found is not None:
            info = _compare(info, found, salvage)
        elif info.format in STATES_NOTHING:
            info = _noted(info, states_nothing(name))
        return SoundFileReader(file, info, salvage=salvage, limit=info.frames)
    except BaseException:
        file.close()
        raise


def _compare(info: AudioInfo, found: Payload, salvage: bool) -> AudioInfo:
    """Compare the length that libsndfile gives with what the container states and holds."""
    per_frame = found.bytes_per_frame or STORED_WIDTHS.get(info.subtype, 0) * info.channels
    seconds = info.seconds or 0.0
    if per_frame:
        promised, present = int(found.declared / per_frame), int(found.present / per_frame)
        is_cut = present < promised
        if info.frames is None or info.frames > present:
            info = replace(info, frames=present, seconds=present / info.samplerate)
        whole, there = promised / info.samplerate, present / info.samplerate
    else:
        is_cut = found.declared - found.present > 1
        fraction = found.present / max(1, found.declared)
        # These formats state their length in the header. The length of others follows from the number of bytes.
        is_stated = info.subtype.startswith("ALAC") or (info.format == "AIFF" and info.subtype == "GSM610")
        whole, there = (seconds, seconds * fraction) if is_stated else (seconds / max(fraction, 1e-9), seconds)
    info = _without_padding(info, found)
    if is_cut:
        return complain(info, *cut_short(whole, there), salvage=salvage)
    per_frame = per_frame or found.declared / max(1, info.frames or 1)
    if found.has_another:
        return complain(info, *_another(info.seconds), salvage=salvage)
    if found.behind > max(4096, min(65536, per_frame * info.samplerate)):
        what = (
            f"has a header that lies about its length: it states {info.seconds or 0:.2f} s, and sound of about "
            f"{found.behind / per_frame / info.samplerate:.2f} s more may follow"
        )
        remedy = f"repair it with `ffmpeg -i {info.name} new.wav`, or use what the header states with --salvage"
        return complain(info, what, remedy, salvage=salvage)
    if found.behind:
        return _noted(info, f"{info.name} has {found.behind} bytes of an unknown kind after its sound, which are not read.")
    return info


def _without_padding(info: AudioInfo, found: Payload) -> AudioInfo:
    """The length without the padding of the last block, where the container states it. Elsewhere a note says how much may be padding."""
    block = found.block_frames if info.subtype in ("IMA_ADPCM", "MS_ADPCM") and found.block_frames else BLOCKS.get(info.subtype, 0)
    if not block or info.frames is None or (info.format == "AIFF" and info.subtype == "GSM610"):
        return info
    if found.frames is not None and 0 <= info.frames - found.frames < block:
        return replace(info, frames=found.frames, seconds=found.frames / info.samplerate)
    what = f"{info.name} is coded in blocks of {block} samples and states no exact length"
    return _noted(info, f"{what}: up to {block - 1} samples at its end may be padding.")


def _noted(info: AudioInfo, sentence: str) -> AudioInfo:
    return replace(info, notes=(*info.notes, sentence))
