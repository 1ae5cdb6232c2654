"""WAV and raw samples through pipes, which cannot seek. Nothing is stored on the way."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import numpy as np

from tsmgan.audio.formats import RawFormat
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.reader import Reader
from tsmgan.audio.samples import WIDTHS, decode
from tsmgan.audio.wav import read_wav_header


class PipeReader(Reader):
    """Samples from a stream of bytes."""

    def __init__(self, stream: BinaryIO, info: AudioInfo, *, salvage: bool = False) -> None:
        super().__init__(info, salvage=salvage)
        self._stream = stream
        self._width = info.channels * WIDTHS[info.subtype]

    def _read(self, frames: int) -> np.ndarray:
        if self.info.frames is not None:
            frames = min(frames, self.info.frames - self.frames_read)
        data = self._stream.read(frames * self._width) if frames > 0 else b""
        if frames <= 0:
            # Whatever follows the samples (tags) is read and dropped, so that the program before us does not get a broken pipe.
            while self._stream.read(1 << 16):
                pass
        return decode(data[: len(data) // self._width * self._width], self.info.subtype, self.info.channels)

    def close(self) -> None:
        if self._stream is not sys.stdin.buffer:
            self._stream.close()


def open_pipe_reader(name: str, *, raw: RawFormat | None, salvage: bool = False, path: str | None = None) -> PipeReader:
    """Read standard input (path None) or a path that cannot seek, as WAV or as raw samples."""
    stream = sys.stdin.buffer if path is None else open(path, "rb")
    if raw is not None:
        size = os.path.getsize(path) if path is not None and os.path.isfile(path) else None
        frames = None if size is None else size // (raw.channels * WIDTHS[raw.subtype])
        seconds = None if frames is None else frames / raw.samplerate
        info = AudioInfo(name, path, "RAW", raw.subtype, raw.samplerate, raw.channels, frames, seconds, bytes=size)
    else:
        header = read_wav_header(stream, name)
        seconds = None if header.frames is None or not header.samplerate else header.frames / header.samplerate
        info = AudioInfo(name, path, "WAV", header.subtype, header.samplerate, header.channels, header.frames, seconds, header.tags)
    return PipeReader(stream, info, salvage=salvage)
