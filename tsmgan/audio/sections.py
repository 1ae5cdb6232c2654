"""A section of a recording, without decoding all that comes before it where the format allows that."""

from __future__ import annotations

import os

import numpy as np

from tsmgan.audio.files import native_name
from tsmgan.audio.opening import open_reader

SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"})
"""libsndfile's names of the containers in which it finds a sample at once and exactly. Decoders of lossy formats do not."""


def read_section(path: str | os.PathLike[str], start: int, frames: int) -> np.ndarray:
    """Samples `start` to `start + frames` of a recording.

    Args:
        start: the first sample, counted from 0.
        frames: samples per channel, at least 1.

    Returns:
        (channels, samples), float32 or float64 as `Reader.blocks` gives them; fewer samples where the recording ends before.

    Raises:
        AudioError: the recording cannot be opened or is damaged within the section, or, where all of it is decoded, before the section.
    """
    with open_reader(path) as reader:
        if reader.info.format in SEEKABLE and start > 0:
            found = _seek(path, start, frames, "float64" if reader.info.is_double else "float32")
            if found is not None:
                return found
        blocks, position = [], 0
        for block in reader.blocks():
            first, position = position, position + block.shape[1]
            blocks.append(block[:, max(0, start - first) : max(0, start + frames - first)])
            if position >= start + frames:
                break
        return np.concatenate(blocks, axis=1)


def _seek(path: str | os.PathLike[str], start: int, frames: int, dtype: str) -> np.ndarray | None:
    """The section as libsndfile finds it; None where it cannot, or where a sample is not finite: then the reader says what is wrong."""
    import soundfile

    try:
        samples, _ = soundfile.read(native_name(path), frames, start, dtype=dtype, always_2d=True)
    except (soundfile.LibsndfileError, OSError):
        return None
    return np.ascontiguousarray(samples.T) if len(samples) and np.isfinite(samples).all() else None
