"""WORLD pairs from anyone's voice recordings: an exact reference at any rate and any pitch.

A recording is taken apart into pitch, spectral envelope and aperiodicity; the same parameters are synthesised at the original speed (the
input) and, read faster or slower, at others (the references). What a stretcher makes of the input can then be compared with the reference.

Source: Morise, Yokomori and Ozawa, "WORLD: A Vocoder-Based High-Quality Speech Synthesis System" (2016), package `pyworld`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from tsmgan.errors import AudioError, UsageError

FRAME_PERIOD_MS = 5.0


def _between(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rows of values (frames, ...) at fractional positions, linear between frames, the last one held."""
    below = np.minimum(np.floor(positions).astype(int), len(values) - 1)
    above = np.minimum(below + 1, len(values) - 1)
    weight = (positions - np.floor(positions)).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - weight) * values[below] + weight * values[above]


def world_renderings(y: np.ndarray, samplerate: int, rates: Sequence[float], pitches: Sequence[float] | None = None) -> list[np.ndarray]:
    """WORLD's synthesis of a voice y (samples,) at each rate: float32, round(n / rate) samples, n being what rate 1 has, len(y).

    pitches, as many as rates, are semitones by which F0 is raised; envelope and aperiodicity stay the recording's. Unvoiced and voiced stay
    as they are; pitch is interpolated between frames that are both voiced, the rest between any two.

    Raises:
        UsageError: pyworld is not installed.
        AudioError: no voice is found in y.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own use of pkg_resources
            import pyworld
    except ImportError:
        raise UsageError("WORLD pairs need the package pyworld; install it with `pip install pyworld`.") from None
    y = np.ascontiguousarray(y, dtype=np.float64)
    f0, instants = pyworld.harvest(y, samplerate, frame_period=FRAME_PERIOD_MS)
    if not np.any(f0 > 0):
        raise AudioError("no voice was found")
    envelope = pyworld.cheaptrick(y, f0, instants, samplerate)
    aperiodicity = pyworld.d4c(y, f0, instants, samplerate)
    renderings = []
    for rate, semitones in zip(rates, pitches or [0.0] * len(rates)):
        length = round(len(y) / rate)
        frames = int(np.ceil(1000 * length / samplerate / FRAME_PERIOD_MS)) + 1
        positions = np.minimum(np.arange(frames) * rate, len(f0) - 1)
        nearest = f0[np.round(positions).astype(int)]
        both = (f0[np.floor(positions).astype(int)] > 0) & (f0[np.minimum(np.floor(positions).astype(int) + 1, len(f0) - 1)] > 0)
        pitch = np.where(both, _between(f0, positions), nearest)
        out = pyworld.synthesize(
            pitch * 2 ** (semitones / 12),
            np.ascontiguousarray(np.exp(_between(np.log(envelope), positions))),
            np.ascontiguousarray(_between(aperiodicity, positions)),
            samplerate,
            FRAME_PERIOD_MS,
        )
        renderings.append(np.pad(out, (0, max(0, length - len(out))))[:length].astype(np.float32))
    return renderings
