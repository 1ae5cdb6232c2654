"""True peak: how high the waveform goes between its samples, as a converter or a lossy coder will find it."""

from __future__ import annotations

import functools

import numpy as np

OVERSAMPLING = 4
"""As in ITU-R BS.1770-4, Annex 2."""
REACH = 16
"""Samples on either side from which the waveform between two samples is computed."""
PIECE_FRAMES = 4096
"""Samples per channel that are processed together."""


class TruePeakMeter:
    """Finds the largest magnitude of a signal that comes in blocks. The result does not depend on the blocks.

    Args:
        channels: number of channels.
    """

    def __init__(self, channels: int) -> None:
        self.sample_peak = 0.0
        """The largest magnitude of the samples themselves."""
        self._between = 0.0
        self._tail = np.zeros((channels, 2 * REACH), np.float32)

    def update(self, block: np.ndarray) -> None:
        """Look at the next samples, shape (channels, samples)."""
        for start in range(0, block.shape[1], PIECE_FRAMES):
            piece = block[:, start : start + PIECE_FRAMES]
            self.sample_peak = max(self.sample_peak, float(np.abs(piece).max(initial=0)))
            self._interpolate(np.concatenate([self._tail, piece], axis=1, dtype=np.float32))

    def true_peak(self) -> float:
        """The largest magnitude at the samples and between them, with silence before the first and after the last. Full scale is 1."""
        self._interpolate(np.concatenate([self._tail, np.zeros_like(self._tail)], axis=1))
        return max(self.sample_peak, self._between)

    def _interpolate(self, samples: np.ndarray) -> None:
        from scipy.signal import upfirdn

        self._tail = samples[:, -2 * REACH :]
        taps, highest_gain = _filter()
        # Nothing needs to be computed where even the worst waveform would stay below the peak that was found already.
        if samples.shape[1] <= 2 * REACH or float(np.abs(samples).max()) * highest_gain <= self._between:
            return
        between = upfirdn(taps, samples, up=OVERSAMPLING, axis=1)[:, len(taps) - 1 : OVERSAMPLING * (samples.shape[1] - 1) + 1]
        self._between = max(self._between, float(np.abs(between).max(initial=0)))


@functools.lru_cache(maxsize=1)
def _filter() -> tuple[np.ndarray, float]:
    """An interpolating low-pass filter, and the largest magnitude that it can give for samples of magnitude 1."""
    from scipy.signal import firwin

    taps = OVERSAMPLING * firwin(2 * REACH * OVERSAMPLING + 1, 1 / OVERSAMPLING, window=("kaiser", 6.0))
    return taps.astype(np.float32), 1.01 * max(float(np.abs(taps[phase::OVERSAMPLING]).sum()) for phase in range(OVERSAMPLING))
