"""Noise: z as a sound. White noise at the output's own sample rate, whose short-time spectra the vocoder stage shapes and mixes in.

Because it is one waveform, neighbouring frames of it fit together: overlap-added, they are that noise again, filtered, at its level (noise
morphing, after Moliner, Fierro, Wright, Hamalainen and Valimaki, "Noise Morphing for Audio Time Stretching", 2024). A sample depends on the
seed and its position alone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tsmgan.core.compiled import fft
from tsmgan.core.frames import RUN
from tsmgan.core.geometry import HOPS_PER_WINDOW, Geometry

BURST_SECONDS = 0.0007
"""Length of the random responses of breath, the whole of a Hann window. Longer ones dull the pulses and are no nearer to nature. Shorter
ones are rough: critics do not mind, and predictors of opinion do."""
BURST_POWER = 1.36
"""Of each bin of a burst. Neighbouring frames have bursts of their own, which do not add up where the frames overlap: with the synthesis
windows of slow voices, 1.34 dB would be missing."""
STREAM = 1 << 63
"""Keeps the keys of this noise apart from those of the network's."""


def burst_window(geometry: Geometry) -> np.ndarray:
    """The Hann window of a burst, of an even number of samples, float32; the sum of its squares is
    BURST_POWER."""
    length = 2 * max(1, round(BURST_SECONDS * geometry.samplerate / 2))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)
    return (window * np.sqrt(BURST_POWER / (window**2).sum())).astype(np.float32)


class NoiseFrames:
    """Short-time spectra of white noise, frame by frame.

    Args:
        geometry: lengths of window and hop.
        seed: of the noise, 0 or higher.
    """

    def __init__(self, geometry: Geometry, seed: int) -> None:
        self._geometry, self._seed = geometry, seed
        window = geometry.window()
        self._window = window / np.sqrt(np.float32((window**2).sum()))
        self._burst = burst_window(geometry)
        # Noise and bursts of a run look at the same samples, which lie in two blocks at most.
        self._block = lru_cache(maxsize=2)(self._draw)

    def __call__(self, first: int, frames: np.ndarray) -> np.ndarray:
        """Spectra of some frames behind frame `first`.

        Args:
            first: number of a frame.
            frames: which frames are wanted, relative to it, ascending, (n,) int.

        Returns:
            (n, bins), complex64; each bin's power is 1 in the mean.
        """
        return fft.rfft(self._cut(first, frames) * self._window)

    def bursts(self, first: int, frames: np.ndarray) -> np.ndarray:
        """Spectra of what lies at the middle of some frames for BURST_SECONDS, with the middle as time 0. As `__call__` otherwise.

        Each bin's power is BURST_POWER in the mean. A frame's spectrum times this is the frame filtered by a short random response.
        """
        half = len(self._burst) // 2
        middle = self._geometry.window_length // 2
        response = np.zeros((len(frames), self._geometry.window_length), np.float32)
        short = self._cut(first, frames)[:, middle - half : middle + half] * self._burst
        response[:, :half], response[:, -half:] = short[:, half:], short[:, :half]
        return fft.rfft(response)

    def _cut(self, first: int, frames: np.ndarray) -> np.ndarray:
        """The samples of some frames, (n, N) float32."""
        g = self._geometry
        samples = self.samples(first, int(frames[-1]) + HOPS_PER_WINDOW)
        return np.lib.stride_tricks.sliding_window_view(samples, g.window_length)[frames * g.hop]

    def samples(self, first: int, hops: int) -> np.ndarray:
        """White noise of variance 1 for as many hops as frames begin at, from frame `first` on: (hops * H,) float32."""
        blocks = range(first // RUN, (first + hops - 1) // RUN + 1)
        start = (first - blocks[0] * RUN) * self._geometry.hop
        return np.concatenate([self._block(number) for number in blocks])[start : start + hops * self._geometry.hop]

    def _draw(self, number: int) -> np.ndarray:
        """The samples of RUN hops: a function of the seed and the block alone."""
        bits = np.random.Philox(key=np.array([self._seed % 2**64, STREAM + number], np.uint64))
        return np.random.Generator(bits).standard_normal(RUN * self._geometry.hop, dtype=np.float32)
