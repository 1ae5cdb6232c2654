"""Is the stereo image kept? Each compares an output with its reference: signals (channels, samples), at least two channels."""

from __future__ import annotations

import itertools

import numpy as np


def _correlations(y: np.ndarray) -> np.ndarray:
    """Normalised correlation of each pair of channels at lag 0, shape (pairs,); 0 where a channel is silent."""
    power = np.sqrt((y.astype(np.float64) ** 2).sum(axis=1)) + 1e-12
    return np.array([np.dot(y[a].astype(np.float64), y[b]) / (power[a] * power[b]) for a, b in itertools.combinations(range(len(y)), 2)])


def channel_correlation_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute difference of the inter-channel correlations (lag 0). Range 0 (image kept) to 2. `samplerate` is not used."""
    return float(np.abs(_correlations(reference) - _correlations(output)).mean())


def channel_level_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute change of the level differences between channels, in dB. Range 0 (image kept) and up; a floor of -100 dB is added to
    each level, so that a silent channel stays comparable. `samplerate` is not used."""
    levels = [10 * np.log10((y.astype(np.float64) ** 2).mean(axis=1) + 1e-10) for y in (reference, output)]
    changes = [(a[i] - a[j]) - (b[i] - b[j]) for a, b in [levels] for i, j in itertools.combinations(range(len(reference)), 2)]
    return float(np.abs(changes).mean())
