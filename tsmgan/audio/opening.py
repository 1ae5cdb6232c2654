"""Opens a recording: chooses its reader, or says why none can read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsmgan.audio.containers import payload
from tsmgan.audio.files import LIBSNDFILE_REASONS, libsndfile_reason, open_sound_file
from tsmgan.audio.formats import SUFFIXES, RawFormat
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.ogg import read_pages
from tsmgan.audio.pipes import open_pipe_reader
from tsmgan.audio.reader import BLOCK_FRAMES, Reader, complain, require_sane
from tsmgan.errors import AudioError, UsageError
from tsmgan.storage.names import is_url, plain, suffix

if TYPE_CHECKING:
    from tsmgan.storage.remote import Copy


def require_readable(path: str, name: str) -> int:
    """Size of the file in bytes, 0 for a pipe or device. AudioError when it is missing, a folder, unreadable or empty."""
    if "\0" in path:
        raise AudioError(f"{name!r} holds a NUL byte, which no file name has; check the name.")
    if not path:
        raise AudioError("The name of the recording is empty; give the name of a file.")
    try:
        if os.path.isdir(path):
            raise AudioError(f"{name} is a folder; give the name of a recording.")
        if os.path.exists(path) and not os.path.isfile(path):
            return 0
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise AudioError(f"{name} does not exist; check the name.") from None
    except PermissionError:
        raise AudioError(f"{name} cannot be read, because you have no permission; change its permissions.") from None
    except AudioError:
        raise
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror or error}.") from None
    if size == 0:
        raise AudioError(f"{name} is empty (0 bytes); fetch or record it again.")
    return size


def _looks_like_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4
    return True


KNOWN_MAGIC = (
    (b"RIFF", "WAV"),
    (b"RIFX", "WAV"),
    (b"RF64", "RF64"),
    (b"BW64", "RF64"),
    (b"FORM", "AIFF"),
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b"caff", "CAF"),
    (b".snd", "AU"),
    (b"ID3", "MP3"),
    (b"riff", "W64"),
)
MEDIA_MAGIC = ((4, b"ftyp"), (4, b"moov"), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x30\x26\xb2\x75"), (0, b"FLV"), (0, b"ADIF"), (8, b"AVI "))
"""Offsets and bytes by which MP4, M4A, QuickTime, Matroska, WebM, WMA, FLV, AAC and AVI are recognised."""
MEDIA_SUFFIXES = frozenset(".m4a .mp4 .m4b .m4v .mov .webm .mkv .mka .aac .wma .ac3 .ape .wv .3gp .amr .tta".split())
"""File name endings that only FFmpeg's libraries read."""
READABLE_SUFFIXES = (SUFFIXES.keys() | MEDIA_SUFFIXES) - {".raw", ".pcm", ".mat"}
"""File name endings, in lower case, of what is taken from a folder. Raw samples have no header, and most .mat files hold no sound.
Recordings that are named one by one may have any ending."""


def _is_media(head: bytes, path: str) -> bool:
    is_aac = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    return is_aac or any(head[at : at + len(magic)] == magic for at, magic in MEDIA_MAGIC) or Path(path).suffix.lower() in MEDIA_SUFFIXES


PLAYLIST_MAGIC = (b"#extm3u", b"ffconcat", b"[playlist]", b"<asx", b"<mpd", b"<smil", b"rtsptext", b"v=0\r\no=", b"v=0\no=")
"""First bytes, in lower case, of files that name other files: M3U and HLS, concat scripts, PLS, ASX, DASH, SMIL, RTSP and SDP."""


def _is_playlist(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml"):
        text = text.partition(b"?>")[2].lstrip()
    return text.startswith(PLAYLIST_MAGIC)


def _unrecognised(name: str, path: str, head: bytes, reason: str) -> AudioError:
    if _is_playlist(head):
        return AudioError(f"{name} is a list that names other files, not a recording; give the recordings themselves.")
    if _looks_like_text(head):
        return AudioError(f"{name} is a text file, not a recording; give a sound file.")
    container = next((known for magic, known in KNOWN_MAGIC if head.startswith(magic)), None)
    if container is not None:
        return AudioError(f"{name} begins like {container} but cannot be read ({reason}): it is damaged, cut short or of a rare kind.")
    return AudioError(f"{name} is not a recording of a known kind ({reason}); convert it first, for example `ffmpeg -i {name} new.wav`.")


def open_reader(
    path: str | os.PathLike[str],
    *,
    raw: RawFormat | None = None,
    salvage: bool = False,
    track: int | None = None,
) -> Reader:
    """Open a recording.

    Args:
        path: a file, a URL, or "-" for standard input (WAV, or raw samples when `raw` is given).
        raw: how the samples of "-", of a .raw or of a .pcm file are stored.
        salvage: use what is there of a file that is cut short or damaged at its end; its length is then unknown (frames is None).
        track: which audio track of a media file is read, counted from 1; None for the first.

    Raises:
        AudioError: it is missing, empty, no recording, damaged, cut short, or its header cannot be right.
        UsageError: a raw file without `raw`, or a track that is not there.
    """
    path = plain(os.fspath(path))
    if path == "-":
        reader: Reader = open_pipe_reader("standard input", raw=raw, salvage=salvage)
        require_sane(reader.info)
        return reader
    if SUFFIXES.get(suffix(path).lower()) == "RAW" and raw is None:
        if not is_url(path):
            require_readable(path, path)
        raise UsageError(f"{path} has no header; describe its samples with --raw-rate, --raw-channels and --raw-format.")
    if is_url(path):
        from tsmgan.storage.remote import fetch

        copy = fetch(path)
        try:
            return FetchedReader(_open_file(copy.path, path, raw, salvage, track), path, copy)
        except BaseException:
            copy.close()
            raise
    return _open_file(path, path, raw, salvage, track)


class FetchedReader(Reader):
    """A recording behind a URL, read from a local copy."""

    def __init__(self, reader: Reader, url: str, copy: Copy) -> None:
        super().__init__(replace(reader.info, path=url))
        self.stamp, self.film = copy.stamp, reader.film
        self._reader, self._copy = reader, copy

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[np.ndarray]:
        for block in self._reader.blocks(frames):
            self.frames_read = self._reader.frames_read
            yield block

    def close(self) -> None:
        self._reader.close()
        self._copy.close()


def _open_file(path: str, name: str, raw: RawFormat | None, salvage: bool, track: int | None) -> Reader:
    """Open a path that messages call `name`."""
    size = require_readable(path, name)
    # A named pipe or a device has no size and cannot seek, so it is read like standard input.
    if raw is not None or not os.path.isfile(path):
        reader: Reader = open_pipe_reader(name, raw=raw, salvage=salvage, path=path)
        require_sane(reader.info)
        return reader
    with open(path, "rb") as file:
        head = file.read(4096)
    import soundfile

    reason = "nothing in it can be decoded"
    try:
        opened = open_sound_file(path, name, size, salvage)
        if opened is not None:
            if track is not None and track > 1:
                opened.close()
                raise UsageError(f"{name} has one audio track; there is no --track {track}.")
            return opened
        failed = _unrecognised(name, path, head, reason)
    except soundfile.LibsndfileError as error:
        reason = libsndfile_reason(error)
        failed = _unrecognised(name, path, head, reason)
    if _looks_like_text(head) or _is_playlist(head) or error_is_certain(reason):
        raise failed
    return _open_with_pyav(path, name, size, salvage, track, head, failed)


def error_is_certain(reason: str) -> bool:
    """Whether libsndfile knew the container well enough that no other library should be asked."""
    return reason in LIBSNDFILE_REASONS.values()


def _open_with_pyav(path: str, name: str, size: int, salvage: bool, track: int | None, head: bytes, failed: AudioError) -> Reader:
    try:
        from tsmgan.audio.media import MediaReader
    except ImportError:
        if _is_media(head, path):
            kind = Path(path).suffix[1:] or "media"
            raise AudioError(f'{name}: {kind} files are read through PyAV; install it with `pip install "tsmgan[media]"`.') from None
        raise failed from None
    try:
        reader = MediaReader(path, name, size, salvage=salvage, track=track)
    except AudioError as error:
        raise error if _is_media(head, path) else failed from None
    try:
        reader.info = _compare(reader.info, path, salvage)
    except BaseException:
        reader.close()
        raise
    # FFmpeg reads damaged files to their end without a warning. Where it states no length either, nobody would notice.
    if not salvage and not _is_media(head, path) and reader.info.seconds is None:
        reader.close()
        raise failed
    require_sane(reader.info)
    return reader


def _compare(info: AudioInfo, path: str, salvage: bool) -> AudioInfo:
    """Compare what the container states with what the file holds. FFmpeg reads what is there without a warning."""
    found = payload(path)
    if found is not None and found.is_cut:
        # The whole duration is not known, because FFmpeg computes some durations from the bytes that are there.
        what = f"is cut short: its header promises {found.declared} bytes and {found.present} are there"
        return complain(info, what, "fetch it again, or use what is there with --salvage", salvage=salvage)
    if found is not None and found.has_another:
        remedy = "split it into its recordings, or use the first with --salvage"
        return complain(info, "holds another recording behind its end, which is not read", remedy, salvage=salvage)
    pages = read_pages(path) if info.format == "ogg" else None
    if pages is not None and not pages.is_complete:
        remedy = "fetch it again, or use what is there with --salvage"
        return complain(info, "is cut short: its last page is missing", remedy, salvage=salvage)
    return info


def count_frames(path: str | os.PathLike[str], *, salvage: bool = False) -> int:
    """Samples per channel of a file whose container does not say, found by decoding it once."""
    with open_reader(path, salvage=salvage) as reader:
        return sum(block.shape[1] for block in reader.blocks())
