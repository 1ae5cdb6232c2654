"""Means with their uncertainty. A difference in a table says something only if its interval leaves out zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, the ends of its 95 % interval (NaN if only one item was measured), and the number of values it was taken of."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of zero."""
        return self.low > 0 or self.high < 0


def bootstrap_mean(values: Sequence[float], items: Sequence[str], *, seed: int = 0) -> Estimate:
    """Mean of values and its 95 % percentile interval, by resampling whole items.

    The values of one item (a recording at several rates) are not independent, so items are drawn, not values. With fewer than about ten
    items, the interval is rather too narrow than too wide.

    Args:
        values: at least one figure.
        items: the item that each value belongs to, of the same length.
        seed: makes the resampling repeatable.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    names, index = np.unique(np.asarray(items), return_inverse=True)
    sums, counts = np.bincount(index, weights=np.asarray(values, np.float64)), np.bincount(index)
    mean = float(sums.sum() / counts.sum())
    if len(names) < 2:
        return Estimate(mean, float("nan"), float("nan"), len(values))
    interval = bootstrap(
        (sums, counts),
        lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(values))
