"""Means with their uncertainty: a difference in a table is a difference only when its interval leaves out zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, the ends of its 95 % interval (NaN where one item alone was measured), and how many values it was made of."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of zero."""
        return self.low > 0 or self.high < 0


def bootstrap_mean(values: Sequence[float], items: Sequence[str], *, seed: int = 0) -> Estimate:
    """Mean of values and its 95 % percentile interval, resampling whole items.

    Values of one item (a recording at several rates) stand or fall together, so items are drawn, not values. With fewer than about ten
    items the interval is too narrow rather than too wide.

    Args:
        values: at least one figure.
        items: which item each value belongs to, of the same length.
        seed: of the resampling; one seed gives one answer.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    names, index = np.unique(np.asarray(items), return_inverse=True)
    sums, counts = np.bincount(index, weights=np.asarray(values, np.float64)), np.bincount(index)
    mean = float(sums.sum() / counts.sum())
    if len(names) < 2:
        return Estimate(mean, float("nan"), float("nan"), len(values))
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(mean, float(low), float(high), len(values))
