"""Reads part of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsmgan.audio import open_reader
from tsmgan.errors import AudioError


def read_excerpt(path: str | Path, *, start: float = 0.0, length: float | None = None) -> tuple[np.ndarray, int, bool]:
    """Part of a recording of any format that `tsmgan stretch` reads.

    Args:
        path: the file, or "-" for a WAV pipe.
        start: where the part begins, seconds.
        length: how long it is at most, seconds; None for everything up to the end.

    Returns:
        y, (channels, samples), float32; the sample rate in Hz; and whether the recording goes on after it.

    Raises:
        AudioError: the file cannot be read, or ends before `start`.
    """
    blocks, position = [], 0
    with open_reader(path) as reader:
        samplerate, name = reader.info.samplerate, reader.info.name
        first = round(start * samplerate)
        behind = None if length is None else first + max(1, round(length * samplerate))
        goes_on = False
        for block in reader.blocks():
            begin = max(0, first - position)
            end = block.shape[1] if behind is None else max(0, min(block.shape[1], behind - position))
            if begin < end:
                blocks.append(block[:, begin:end].astype(np.float32))
            position += block.shape[1]
            if behind is not None and position > behind:
                goes_on = True
                break
    if not blocks:
        raise AudioError(f"{name} is {position / samplerate:.2f} s long, so there is nothing from {start:g} s on.")
    return np.concatenate(blocks, axis=1), samplerate, goes_on
