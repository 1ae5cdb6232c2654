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

STREAM = 1 << 63
"""Keeps the keys of this noise apart from those of the network's."""


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
        # The samples of a run lie in two blocks at most.
        self._block = lru_cache(maxsize=2)(self._draw)

    def __call__(self, first: int, frames: np.ndarray) -> np.ndarray:
        """Spectra of some frames behind frame `first`.

        Args:
            first: number of a frame.
            frames: which frames are wanted, relative to it, ascending, (n,) int.

        Returns:
            (n, bins), complex64; each bin's power is 1 in the mean.
        """
        g = self._geometry
        samples = self.samples(first, int(frames[-1]) + HOPS_PER_WINDOW)
        return fft.rfft(np.lib.stride_tricks.sliding_window_view(samples, g.window_length)[frames * g.hop] * self._window)

    def samples(self, first: int, hops: int) -> np.ndarray:
        """White noise of variance 1 for as many hops as frames begin at, from frame `first` on: (hops * H,) float32."""
        blocks = range(first // RUN, (first + hops - 1) // RUN + 1)
        start = (first - blocks[0] * RUN) * self._geometry.hop
        return np.concatenate([self._block(number) for number in blocks])[start : start + hops * self._geometry.hop]

    def _draw(self, number: int) -> np.ndarray:
        """The samples of RUN hops: a function of the seed and the block alone."""
        bits = np.random.Philox(key=np.array([self._seed % 2**64, STREAM + number], np.uint64))
        return np.random.Generator(bits).standard_normal(RUN * self._geometry.hop, dtype=np.float32)
