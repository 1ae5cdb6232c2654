"""The stereo image: whether channels stay as alike, and as loud beside each other, as they were.

Signals: (channels, samples), at least two channels, of any lengths.
"""

from __future__ import annotations

import itertools

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure


def _correlations(y: np.ndarray) -> np.ndarray:
    """Normalised correlation of each pair of channels at lag 0, shape (pairs,); 0 where a channel is silent."""
    power = np.sqrt((y.astype(np.float64) ** 2).sum(axis=1)) + 1e-12
    return np.array([np.dot(y[a].astype(np.float64), y[b]) / (power[a] * power[b]) for a, b in itertools.combinations(range(len(y)), 2)])


def channel_correlation_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute difference of the inter-channel correlations (lag 0). Range 0 (image kept) to 2. `samplerate` is not used."""
    return float(np.abs(_correlations(reference) - _correlations(output)).mean())


def channel_level_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute change of the level differences between channels, in dB. Range 0 (image kept) and up.

    A floor of -100 dB is added to each level, so that a silent channel stays comparable. `samplerate` is not used.
    """
    levels = [10 * np.log10((y.astype(np.float64) ** 2).mean(axis=1) + 1e-10) for y in (reference, output)]
    changes = [(a[i] - a[j]) - (b[i] - b[j]) for a, b in [levels] for i, j in itertools.combinations(range(len(reference)), 2)]
    return float(np.abs(changes).mean())


CHANNEL_CORRELATION = PairMeasure(
    name="channel_correlation",
    title="Stereo image",
    ideal=0.0,
    explanation="How much the likeness of the channels has changed. 0 means that everything stays in its place between the loudspeakers; "
    "at 0.1 the image becomes wider, narrower or blurred.",
    function=channel_correlation_error,
    joint=True,
    channels=2,
    aligned=False,
)
CHANNEL_LEVEL = PairMeasure(
    name="channel_level",
    title="Stereo balance",
    unit="dB",
    digits=2,
    ideal=0.0,
    explanation="How much the balance of the channels has moved. 0 is none; above 1 dB things move sideways.",
    function=channel_level_error,
    joint=True,
    channels=2,
    aligned=False,
)
