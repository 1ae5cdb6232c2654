"""Frame geometry: the one place where the lengths of windows, hops and shifts are decided, in seconds and Hz.

Nothing is resampled but for a shift of the pitch. Every width is the same length of *time* at each sample rate, so bins are about
25 Hz apart everywhere and the generator never learns what the sample rate was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tsmgan.errors import UsageError

WINDOW_SECONDS = 0.040
"""Length of the analysis window. Longer ones are better for chords (up to 53 ms were tried), shorter ones for fast speech."""
HOPS_PER_WINDOW = 6
"""The synthesis hop is a sixth of the window. With a quarter, which sums to a constant as well, PESQ is 0.05 lower and voices rougher."""
SYNTHESIS_SHARE = 0.65
"""Usual length of the synthesis window, as a share of the analysis window's. The output takes from each frame what it knows best, its
middle: attacks smear less, and log-mel distances fall by a tenth against 1."""
SHORTEST_WINDOW, LONGEST_WINDOW = 0.35, 1.0
"""Bounds of that share. The shortest is as long as two hops, so that every sample is reached."""
WINDOW_STEPS = 26
"""Steps between the bounds, of which each has a window; those between two steps are mixed from both."""
MAX_SHIFT_SECONDS = 0.010
"""Longest shift of a frame's waveform that coherence may choose: one period of a voice of 100 Hz either way."""
NETWORK_HZ = 12000.0
"""The generator sees and corrects the band below this; bins above follow the vocoder stage alone."""
LOWEST_SAMPLERATE, HIGHEST_SAMPLERATE = 1000, 768000


def _hann(n: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)


def between_bands(frequencies: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower of the two neighbouring bands that share each frequency, int32, and the upper one's share, float32, linear in Hz.

    Frequencies outside of the centres (ascending, Hz) belong to the outermost band alone.
    """
    position = np.interp(frequencies, centres, np.arange(len(centres)))
    lower = np.minimum(position.astype(np.int32), len(centres) - 2).astype(np.int32)
    return lower, (position - lower).astype(np.float32)


def _fast_length(length: float) -> int:
    """The integer nearest to length whose prime factors are all in 2, 3, 5 and 7: transforms of such lengths are fast."""

    def is_smooth(n: int) -> bool:
        for prime in (2, 3, 5, 7):
            while n % prime == 0:
                n //= prime
        return n == 1

    return min(filter(is_smooth, range(max(1, int(0.9 * length)), int(1.1 * length) + 2)), key=lambda n: abs(n - length))


@dataclass(frozen=True)
class Geometry:
    """Lengths in samples at one sample rate."""

    samplerate: int
    hop: int
    """H: samples from one synthesis frame to the next."""

    @property
    def window_length(self) -> int:
        """N: samples in a frame, and the transform's length."""
        return HOPS_PER_WINDOW * self.hop

    @property
    def bins(self) -> int:
        """N / 2 + 1."""
        return self.window_length // 2 + 1

    @property
    def bin_hz(self) -> float:
        """Distance of two bins in Hz."""
        return self.samplerate / self.window_length

    @property
    def frame_rate(self) -> float:
        """Output frames per second."""
        return self.samplerate / self.hop

    def window(self) -> np.ndarray:
        """Analysis window: periodic Hann, shape (N,), float32."""
        return _hann(self.window_length)

    def synthesis_windows(self) -> np.ndarray:
        """Synthesis windows: shorter periodic Hann windows in the middle of N samples, zero outside; (WINDOW_STEPS + 1, N), float32."""
        n = self.window_length
        out = np.zeros((WINDOW_STEPS + 1, n), np.float32)
        for row, share in zip(out, np.linspace(SHORTEST_WINDOW, LONGEST_WINDOW, WINDOW_STEPS + 1)):
            length = 2 * round(share * n / 2)
            row[n // 2 - length // 2 : n // 2 + length // 2] = _hann(length)
        return out

    def frequencies(self) -> np.ndarray:
        """Centre frequency of each bin in Hz, shape (bins,), float64."""
        return np.arange(self.bins) * self.bin_hz

    def frames_for(self, output_length: int) -> int:
        """Frames that cover output_length samples: the last one stands at or behind the end."""
        return -(-output_length // self.hop) + 1 if output_length > 0 else 0


@lru_cache(maxsize=64)
def geometry(samplerate: int) -> Geometry:
    """Geometry for a sample rate in Hz.

    The window is the fast transform length (6 times a product of 2, 3, 5 and 7) nearest to 40 ms: 1920 samples at
    48 kHz, 1764 at 44.1 kHz, 960 at 24 kHz.

    Raises:
        UsageError: the sample rate is not an integer within 1 kHz to 768 kHz.
    """
    if not LOWEST_SAMPLERATE <= samplerate <= HIGHEST_SAMPLERATE or int(samplerate) != samplerate:
        raise UsageError(f"The sample rate is {samplerate} Hz; {LOWEST_SAMPLERATE} to {HIGHEST_SAMPLERATE} Hz can be stretched.")
    return Geometry(int(samplerate), _fast_length(samplerate * WINDOW_SECONDS / HOPS_PER_WINDOW))
