"""Limiter: no piece of the output is much louder than every frame that it was made of.

A frame's gain is meant for noise, which overlapping frames partly cancel; where a frame was taken for noise and is none, nothing cancels. A
click that several frames show may sound once for each of them, and where an attack is moved and a tone under it is not, one sum of windows
cannot be right for both. Each of these is rare, and together they come to 4 dB at rates near 0.05. So what comes out is measured.

At rate 1 the bound cannot be reached, because a recording is nowhere louder than the loudest of the frames that cover it.
"""

from __future__ import annotations

import numpy as np

from tsmgan.core.geometry import HOPS_PER_WINDOW, Geometry

PIECE_HOPS = 8
"""Hops (53 ms) whose power is compared with that of the frames."""
MOST_POWER = 1.8
"""By which the power of a piece may exceed that of its loudest frame: 2.6 dB. Any 50 ms then stay within 3 dB. It must be above
(PIECE_HOPS + HOPS_PER_WINDOW - 1) / PIECE_HOPS, the most that a piece of an unchanged recording can have."""
SMALLEST_POWER = 1e-20
"""Added to powers before they are divided by."""


def frame_levels(power: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Mean square of the sound in frames, summed over channels and weighted by the square of the analysis window.

    Args:
        power: (frames, bins), as in `Frames`.

    Returns:
        (frames,), float64.
    """
    both_sides = 2 * power.sum(1, dtype=np.float64) - power[:, 0] - power[:, -1]
    return both_sides / (geometry.window_length * np.square(geometry.window(), dtype=np.float64).sum())


class Limiter:
    """Turns down pieces of a signal that are too loud, all channels alike. It passes on everything else as it is, PIECE_HOPS later."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        self._hop = geometry.hop
        self._held = np.zeros((channels, self.delay), np.float32)
        self._powers = np.zeros(2 * PIECE_HOPS)
        self._levels = np.zeros(2 * PIECE_HOPS + HOPS_PER_WINDOW - 1)

    @property
    def delay(self) -> int:
        """Samples of silence that come out before the first of the signal."""
        return PIECE_HOPS * self._hop

    def __call__(self, samples: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """The next samples, as many as are given.

        Args:
            samples: (channels, frames * H), float32 or float64, of which each hop of H samples is reached by the frame of its own number
                and the HOPS_PER_WINDOW - 1 before it.
            levels: of these frames, (frames,), as `frame_levels` gives them.
        """
        hops, joined = samples.shape[1] // self._hop, np.concatenate([self._held.astype(samples.dtype, copy=False), samples], axis=1)
        parts = samples.reshape(len(samples), hops, self._hop)
        power = np.einsum("chi,chi->h", parts, parts) / self._hop
        powers, levels = np.concatenate([self._powers, power]), np.concatenate([self._levels, levels])
        pieces, loudest = _windows(powers, PIECE_HOPS).mean(1), _windows(levels, PIECE_HOPS + HOPS_PER_WINDOW - 1).max(1)
        # A hop is turned down for the worst of all pieces that it belongs to.
        excess = _windows(pieces / (MOST_POWER * loudest + SMALLEST_POWER), PIECE_HOPS).max(1)
        gain = 1 / np.sqrt(np.maximum(excess, 1))
        between = np.minimum(gain[:-1], gain[1:])
        self._held, self._powers, self._levels = joined[:, samples.shape[1] :], powers[hops:], levels[hops:]
        out = joined[:, : samples.shape[1]]
        if (between < 1).any():
            ramp = between[:-1, None] + np.diff(between)[:, None] * (np.arange(self._hop) / self._hop)
            out = out * ramp.ravel().astype(out.dtype)
        return out

    def tail(self, samples: np.ndarray) -> np.ndarray:
        """The rest: what was held back and the last samples, (channels, hops * H), which no further frame reaches."""
        hops = samples.shape[1] // self._hop + PIECE_HOPS
        return self(np.pad(samples, [(0, 0), (0, self.delay)]), np.zeros(hops))


def _windows(values: np.ndarray, length: int) -> np.ndarray:
    """All runs of so many values, (n - length + 1, length)."""
    return np.lib.stride_tricks.sliding_window_view(values, length)
