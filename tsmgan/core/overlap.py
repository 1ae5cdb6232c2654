"""Overlap-add: from turned spectra to samples, and the input's own samples where nothing was turned."""

from __future__ import annotations

import numpy as np

from tsmgan.core.compiled import fft
from tsmgan.core.compiled.kernels import kernel
from tsmgan.core.frames import Frames
from tsmgan.core.geometry import HOPS_PER_WINDOW, Geometry
from tsmgan.core.vocoder import Turned

SMALLEST_NORM = np.float32(1e-3)
"""The sum of squared windows is taken to be at least this, at the very ends of a recording."""
LEAST_NORM_SHARE = np.float32(0.4)
"""The sum of the delayed windows is taken to be at least this share of the sum of windows that nothing delayed. Where all frames are
delayed by nearly half a window, as an attack delays them at slow rates, little of them is meant to sound, and it would be made loud."""
_MOVED = np.iinfo(np.int64).min


class OverlapAdd:
    """Samples of consecutive runs of frames of one signal; keeps what the frames to come will add to."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        self._geometry = geometry
        self._analysis_window, self._windows = geometry.window(), geometry.synthesis_windows()
        self._tail = np.zeros((channels, geometry.window_length), np.float32)
        self._tail_norms = np.zeros((2, geometry.window_length), np.float32)

    def __call__(self, turned: Turned, frames: Frames) -> np.ndarray:
        """The samples that the next run completes, (channels, frames * H) float32. The first stands N/2 before the run's first frame."""
        g = self._geometry
        channels, count, _ = turned.spectra.shape
        blocks = fft.irfft(turned.spectra, g.window_length)
        ready, length = count * g.hop, g.window_length
        sums, norms = np.zeros((channels, ready + length), np.float32), np.zeros((2, ready + length), np.float32)
        sums[:, :length], norms[:, :length] = self._tail, self._tail_norms
        window = np.empty(length, np.float32)
        overlap_add(blocks, turned.delays, turned.windows, self._analysis_window, self._windows, window, g.hop, sums, norms)
        self._tail, self._tail_norms = sums[:, ready:].copy(), norms[:, ready:].copy()
        return sums[:, :ready] / _norm(norms[:, :ready])

    def tail(self, hops: int) -> np.ndarray:
        """The next hops of H samples after the last run, (channels, hops * H) float32, when no frame follows."""
        count = hops * self._geometry.hop
        return self._tail[:, :count] / _norm(self._tail_norms[:, :count])


def _norm(sums: np.ndarray) -> np.ndarray:
    """What a sum of blocks is divided by, from the two sums of what the windows let through, (2, samples)."""
    delayed, plain = sums
    return np.maximum(np.maximum(delayed, LEAST_NORM_SHARE * plain), SMALLEST_NORM)


class ExactPieces:
    """Puts the input's own samples where every frame that reaches them was left as it is.

    A transform and its inverse give samples back but for the last bit or two. With this, a recording at rate 1, or a piece of one, comes
    out bit for bit.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._hop = geometry.hop
        self._frame = 0
        self._offsets: np.ndarray | None = None
        """Input position less output position of the last frames, _MOVED where a frame was turned."""
        self.position = -geometry.window_length // 2
        """Output sample at which the next samples begin. The first half window stands before the recording."""

    def restore(self, out: np.ndarray, turned: Turned, frames: Frames, signal: np.ndarray, origin: int) -> np.ndarray:
        """The next samples of output, of the input's dtype.

        Args:
            out: (channels, frames * H), as OverlapAdd gives it for the turned frames.
            signal: (channels, samples) of input, of which the first stands at position `origin` of the recording.
        """
        positions = (self._frame + np.arange(len(turned.unmoved))) * self._hop
        self._frame += len(positions)
        return self._restore(out, np.where(turned.unmoved, frames.instants - positions, _MOVED), signal, origin)

    def restore_tail(self, out: np.ndarray, signal: np.ndarray, origin: int) -> np.ndarray:
        """The same for OverlapAdd's tail, which goes on as the last frame went."""
        assert self._offsets is not None
        return self._restore(out, np.full(out.shape[1] // self._hop, self._offsets[-1]), signal, origin)

    def _restore(self, out: np.ndarray, offsets: np.ndarray, signal: np.ndarray, origin: int) -> np.ndarray:
        before = HOPS_PER_WINDOW - 1
        # No frames stand before the first, so it alone decides there.
        offsets = np.concatenate([np.full(before, offsets[0]) if self._offsets is None else self._offsets, offsets])
        out = out.astype(signal.dtype, copy=False)
        windows = np.lib.stride_tricks.sliding_window_view(offsets, HOPS_PER_WINDOW)
        for k in map(int, np.flatnonzero((windows == windows[:, :1]).all(axis=1) & (windows[:, 0] != _MOVED))):
            start = self.position + k * self._hop + int(windows[k, 0]) - origin
            first, last = max(start, 0), min(start + self._hop, signal.shape[1])
            if last > first:
                out[:, k * self._hop + first - start : k * self._hop + last - start] = signal[:, first:last]
        self._offsets = offsets[len(offsets) - before :]
        self.position += out.shape[1]
        return out


@kernel()
def overlap_add(blocks, delays, choices, analysis_window, windows, window, hop, sums, norms):
    """Adds windowed blocks (channels, frames, N) to sums (channels, frames * hop + N), and what the windows let through to norms.

    choices (frames,) says where among the windows (.., N) each frame's own lies; window (N,) is scratch. What they let through is the
    product of analysis and synthesis window. Where the frame was delayed, the analysis window is delayed with it, and the product is
    another. Left out, a tone of 110 Hz loses 0.2 dB, and a voice a different share in each frame. So norms (2, frames * hop + N) are the
    sum of the products as the frames were delayed, and as they would be without delays.
    """
    channels, frames, length = blocks.shape
    for m in range(frames):
        lower = min(int(choices[m]), len(windows) - 2)
        share = choices[m] - np.float32(lower)
        below, above = windows[lower], windows[lower + 1]
        for i in range(length):
            window[i] = below[i] + share * (above[i] - below[i])
        first = 0
        while window[first] == 0 and first < length // 2:
            first += 1
        start, last = m * hop, length - first + 1 if first else length
        shape = window[first:last]
        plain = norms[1, start + first : start + last]
        for i in range(last - first):
            plain[i] += shape[i] * analysis_window[first + i]
        # The delayed window comes round: its end, and then its beginning.
        turned = (first - delays[m]) % length
        until = min(last - first, length - turned)
        delayed, its_end = norms[0, start + first : start + last], analysis_window[turned:]
        for i in range(until):
            delayed[i] += shape[i] * its_end[i]
        for i in range(until, last - first):
            delayed[i] += shape[i] * analysis_window[i - until]
        for c in range(channels):
            out, block = sums[c, start + first : start + last], blocks[c, m, first:last]
            for i in range(last - first):
                out[i] += shape[i] * block[i]
