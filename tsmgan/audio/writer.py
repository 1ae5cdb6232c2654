"""Opens outputs: chooses the writer of a file, a URL or a pipe. Pipes are written here."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tsmgan.audio.file_writer import FileWriter, UrlWriter, Writer
from tsmgan.audio.film import Film, Stretching
from tsmgan.audio.formats import OutputFormat, output_format
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.samples import WIDTHS, encode
from tsmgan.audio.tags import missing_tags
from tsmgan.audio.wav import INFO_TAGS, wav_header
from tsmgan.errors import AudioError, UsageError
from tsmgan.storage.atomic import require_free, taken, write_error
from tsmgan.storage.names import is_url, plain, suffix

if TYPE_CHECKING:
    from tsmgan.core.timemap import TimeMap


class PipeWriter(Writer):
    """WAV or raw samples written to a stream that cannot seek."""

    def __init__(self, stream: BinaryIO, name: str, info: AudioInfo, output: OutputFormat, *, frames: int | None) -> None:
        super().__init__(name, info, output)
        self._stream = stream
        if output.format != "RAW":
            kept = {name: text.replace("\0", "; ") for name, text in info.tags.items() if name in INFO_TAGS.values()}
            self._send(wav_header(info.samplerate, info.channels, output.subtype, frames, kept))
            self._note_missing(missing_tags(replace(info, tags=info.tags | kept), AudioInfo("", None, "WAV", "", 0, 0, 0, 0, kept)))

    def _send(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise write_error(self.name, error) from None

    def _write(self, samples: np.ndarray) -> None:
        self._send(encode(samples, self.output.subtype))

    def complete(self) -> None:
        self._require_samples()
        size = self.frames_written * self._info.channels * WIDTHS[self.output.subtype]
        if self.output.format != "RAW" and size % 2:
            self._send(b"\0")
        try:
            self._stream.flush()
            if self._stream is not sys.stdout.buffer:
                self._stream.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise write_error(self.name, error) from None

    def abort(self) -> None:
        if self._stream is not sys.stdout.buffer:
            with contextlib.suppress(OSError):
                self._stream.close()


def _is_input(path: str, info: AudioInfo) -> bool:
    """Whether the output is the input, under any name, even where the input is a redirected standard input."""
    try:
        existing = os.stat(path)
        return os.path.samestat(existing, os.stat(info.path) if info.path is not None else os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError):
        return False


def _is_stream(path: str) -> bool:
    """Whether the path is a device or a named pipe, which can be neither replaced nor renamed."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_writer(
    path: str | os.PathLike[str],
    info: AudioInfo,
    *,
    frames: int | None = None,
    subtype: str | None = None,
    bitrate: float | None = None,
    raw: bool = False,
    force: bool = False,
    time_map: TimeMap | None = None,
    film: Film | None = None,
    stretching: Stretching | None = None,
) -> Writer:
    """Open an output that keeps what the input is: sample rate, channels, subtype and tags, as far as its format can.

    Args:
        path: file name or URL, whose ending chooses the format, or "-" for standard output (WAV, or raw samples).
        info: the input.
        frames: samples per channel that will be written, None if unknown.
        subtype: libsndfile's name of the sample type, or FFmpeg's raw name (s16le ...); None keeps the input's.
        bitrate: kbit/s of mp3, ogg and opus; None for near the input's, or the format's usual rate.
        raw: pipes carry samples without a header.
        force: whether an existing file is replaced. The input never is.
        time_map: how the output is stretched, in samples, so that chapters begin where their sound does; None leaves them where they are.
        film: what lies beside the sound in the input, and is carried along the map where the output has room for it.
        stretching: makes the stretcher of a further audio track, from what is known of the track; None leaves such tracks out.

    Raises:
        UsageError: the format or subtype is unknown, or the output is the input.
        AudioError: the output exists, cannot be created, or its format cannot hold the recording.
    """
    path = plain(os.fspath(path))
    if "\0" in path:
        raise UsageError(f"{path!r} holds a NUL byte, which no file name has; give another name with -o.")
    if time_map is not None:
        info = info.moved(time_map)
    media = _Media(time_map, film, stretching, subtype, bitrate)
    if is_url(path):
        return _open_url_writer(path, info, frames, subtype, bitrate, force, media)
    is_stream = path == "-" or _is_stream(path)
    if is_stream:
        ending = ".raw" if raw else ".wav"
    else:
        if _is_input(path, info):
            raise UsageError(f"{path} is the input itself, which is never overwritten; give another name with -o.")
        if os.path.isdir(path):
            raise UsageError(f"{path} is a folder; give the name of a file in it with -o.")
        ending = Path(path).suffix
    output = output_format(ending, info, subtype=subtype, bitrate=bitrate, frames=None if is_stream else frames)
    if is_stream:
        if output.subtype not in WIDTHS:
            raise UsageError(f"Pipes cannot carry the subtype {output.subtype}; choose one of {', '.join(WIDTHS)}.")
        name = "standard output" if path == "-" else path
        stream = sys.stdout.buffer if path == "-" else open(path, "wb")
        writer: Writer = PipeWriter(stream, name, info, output, frames=frames)
    else:
        require_free(path, force=force)
        writer = _open_file(path, path, info, output, frames, force, media)
    _note_film(writer, film)
    return writer


def _note_film(writer: Writer, film: Film | None) -> None:
    """Say in one line what of a film an output of sound leaves out."""
    if film is not None and film.tracks and not writer.output.holds_film:
        left = ", ".join(map(str, film.tracks))
        writer.notes.append(f"An output of this kind holds one track of sound. Not carried: {left}.")


@dataclass(frozen=True)
class _Media:
    """What only the writer of media files needs."""

    time_map: TimeMap | None
    film: Film | None
    stretching: Stretching | None
    subtype: str | None
    bitrate: float | None


def _open_file(path: str, name: str, info: AudioInfo, output: OutputFormat, frames: int | None, force: bool, media: _Media) -> FileWriter:
    """The writer of a file, or of the local copy of what will be uploaded to the URL `name`."""
    is_remote = is_url(name)
    if not output.is_media:
        return (UrlWriter if is_remote else FileWriter)(path, info, output, frames=frames, force=force, name=name)
    try:
        from tsmgan.audio.media_writer import MediaWriter, UrlMediaWriter
    except ImportError:
        kind = output.suffix[1:]
        raise AudioError(f'{name}: {kind} files are written through PyAV; install it with `pip install "tsmgan[media]"`.') from None
    return (UrlMediaWriter if is_remote else MediaWriter)(path, info, output, frames=frames, force=force, name=name, **vars(media))


def _open_url_writer(
    url: str, info: AudioInfo, frames: int | None, subtype: str | None, bitrate: float | None, force: bool, media: _Media
) -> Writer:
    from tsmgan.storage import remote

    remote.require_writable(url)
    if url == info.path:
        raise UsageError(f"{url} is the input itself, which is never overwritten; give another name with -o.")
    if url.endswith("/"):
        raise UsageError(f"{url} is a folder; give the name of a file in it with -o.")
    output = output_format(suffix(url), info, subtype=subtype, bitrate=bitrate, frames=frames)
    if not force and remote.exists(url):
        raise taken(url)
    writer = _open_file(os.fspath(remote.local_target(url)), url, info, output, frames, force, media)
    _note_film(writer, media.film)
    return writer
