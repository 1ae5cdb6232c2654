"""Moments: the short pieces that a critic hears, at unit level, of sounds' loud parts alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsmgan.evaluation.signals import SPEECH_RATE

LOUD_DB = 20.0
"""How far below a sound's loud parts (the 95th percentile of its moments' levels) a moment may lie: what is softer is hardly heard, and
says more of the room than of the stretcher."""
LOUD_PERCENTILE = 95
GRID_SECONDS = 0.01
"""Between moments whose level is looked at."""


class Moments:
    """The loud moments of several sounds."""

    def __init__(self, sounds: Sequence[np.ndarray], seconds: float) -> None:
        """
        Args:
            sounds: each float32 (samples,) at 16 kHz.
            seconds: how long a moment is.
        """
        self.length = round(seconds * SPEECH_RATE)
        found = [(sound, _loud_starts(sound, self.length)) for sound in sounds]
        found = [(sound, starts) for sound, starts in found if len(starts)]
        offsets = np.cumsum([0, *(len(sound) for sound, _ in found)])
        self._samples = np.concatenate([sound for sound, _ in found]) if found else np.zeros(0, np.float32)
        self._starts = [starts + offset for (_, starts), offset in zip(found, offsets)]

    def __len__(self) -> int:
        """How many sounds have a loud moment."""
        return len(self._starts)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """So many moments at random, evenly over sounds: (count, samples)."""
        sounds = generator.integers(0, len(self._starts), count)
        return self._cut(np.array([self._starts[k][generator.integers(len(self._starts[k]))] for k in sounds]))

    def spread(self, each: int) -> np.ndarray:
        """At most `each` moments of each sound, evenly over its loud part: (moments, samples)."""
        return self._cut(
            np.concatenate([starts[np.linspace(0, len(starts) - 1, min(each, len(starts))).astype(int)] for starts in self._starts])
        )

    def _cut(self, starts: np.ndarray) -> np.ndarray:
        return unit_level(self._samples[starts[:, np.newaxis] + np.arange(self.length)])


def _loud_starts(y: np.ndarray, length: int) -> np.ndarray:
    """First samples of the moments that are loud enough."""
    if len(y) < length or not np.any(y):
        return np.zeros(0, np.int64)
    energy = np.concatenate([[0.0], np.cumsum(np.square(y, dtype=np.float64))])
    starts = np.arange(0, len(y) - length + 1, round(GRID_SECONDS * SPEECH_RATE))
    energies = energy[starts + length] - energy[starts]
    return starts[energies > 10 ** (-LOUD_DB / 10) * np.percentile(energies, LOUD_PERCENTILE)]


def unit_level(moments: np.ndarray) -> np.ndarray:
    """Moments (count, samples) without their means, at an RMS of 1."""
    moments = moments - moments.mean(axis=1, keepdims=True)
    return moments / (np.sqrt(np.square(moments).mean(axis=1, keepdims=True)) + 1e-8)
