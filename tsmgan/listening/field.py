"""Stretches a recording and keeps the field that the generator chose for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsmgan.api import Stretcher
from tsmgan.core.field import BAND_CENTRES_HZ, Field
from tsmgan.core.geometry import geometry


def stretch_and_watch(y: np.ndarray, samplerate: int, rate: float | None = None, **options: Any) -> tuple[np.ndarray, Field]:
    """Stretch as `tsmgan.stretch` does, and return the field as well.

    Args:
        y: (channels, samples), float32, full scale 1.0.
        samplerate: in Hz.
        rate: speed, 0.05 to 20; None with a time map.
        options: time_map, model, coherence, seed, pitch, formants, as of `Stretcher`.

    Returns:
        The output, (channels, samples); and the field, arrays (frames, bands) with a row for
        each frame of the output, `frame_seconds` apart.

    Raises:
        As `tsmgan.stretch`.
    """
    fields: list[Field] = []
    stretcher = Stretcher(samplerate, y.shape[0], rate=rate, observer=lambda _, field: fields.append(field), **options)
    output = np.concatenate([stretcher.process(y), stretcher.flush()], axis=1)
    return output, Field(*(np.concatenate(values) for values in zip(*fields)))


def frame_seconds(samplerate: int) -> float:
    """Seconds from one frame of a field to the next."""
    return 1 / geometry(samplerate).frame_rate


def bands_below(samplerate: int) -> int:
    """How many of the field's bands have their centre below half the sample rate; the others control nothing."""
    return int(np.searchsorted(BAND_CENTRES_HZ, samplerate / 2))
