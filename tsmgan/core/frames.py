"""Frames: the contract between analysis and everything that follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RUN = 96
"""Frames that are processed together, and the most that a decision may depend on to either side of them. Runs start at multiples of this
whatever the caller's blocks are, so the output does not depend on them."""
GRAIN_BLOCK = 12
"""Frames within which the length of grains is the same; a divisor of RUN, and a multiple of the lengths of grains."""


class Frames(NamedTuple):
    """What is known of the input at consecutive output frames, before anything is decided for them."""

    instants: np.ndarray
    """t_m: input sample that each frame looks at, (frames,), int64."""
    rates: np.ndarray
    """Local rate at each frame, (frames,), float64."""
    spectra: np.ndarray
    """X, (channels, frames, bins), complex64; phase zero at the frame's centre up to the factor (-1)^bin."""
    before: np.ndarray
    """P, like spectra: one synthesis hop earlier in the input."""
    power: np.ndarray
    """|X|^2 summed over channels, (frames, bins), float32."""
    source: np.ndarray
    """Bin of the frame before from which each bin's rotation comes, (frames, bins), int32."""
    horizontal: np.ndarray
    """Rotation gained on the step from the frame before, (frames, bins), float32, radians."""
    vertical: np.ndarray
    """Sum of the phase differences between neighbouring bins along the way, (frames, bins), float32, radians."""
    attack_delay: np.ndarray
    """By how much later the frame's attack belongs than it stands in the frame, (frames,), float32, seconds; NaN where there is none."""
    attack_share: np.ndarray
    """How much of each bin began with that attack, 0 to 1, (frames, bins), float32; 0 where there is none."""
    grain_starts: np.ndarray
    """The first frame of the grain that each frame belongs to, (frames,), int64. See `tsmgan.core.grains`."""
    grains: Callable[[np.ndarray], np.ndarray]
    """Makes spectra of some frames (n,) as their grains have them: (channels, n, bins), complex64."""
