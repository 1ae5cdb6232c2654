"""Analysis: spectra at the input instants of the output frames, and the table by which phase spreads over them.

Output frame m stands at output sample m H and looks at input instant t_m. Two spectra are taken per frame and channel,
X_m at t_m and P_m at t_m - H, one *synthesis* hop earlier, so the phase advance over exactly one output hop is
measured and never unwrapped from another hop.

The table follows the magnitude-ordered phase integration of Prusa and Holighaus, "Phase Vocoder Done Right" (EUSIPCO
2017): phase travels from frame to frame along a bin or from bin to bin within a frame, loudest first. They keep a heap.
Here every bin of a frame has at most three edges (from itself one frame before, from its two neighbours), so the
order the heap finds is a widest-path tree on a line, and two sweeps over the bins find the same tree without a heap.
"""

from __future__ import annotations

import numpy as np

from tsmgan.core.attacks import frame_attacks
from tsmgan.core.compiled import fft
from tsmgan.core.compiled.kernels import helper, kernel
from tsmgan.core.frames import Frames
from tsmgan.core.geometry import Geometry

RELATIVE_FLOOR = 1e-10
"""Bins weaker than this share of the frame's strongest (in power) keep to themselves: their phase is noise."""

ARCTAN = (
    0.9999999864,
    -0.3333309394,
    0.1999305384,
    -0.142071315,
    0.1065466877,
    -0.07533657395,
    0.0430391445,
    -0.01628286906,
    0.002903517465,
)
"""Coefficients of the polynomial in `arctan2`."""


class Analyser:
    """Spectra and tables of consecutive runs of frames of one signal; keeps the last frame between calls."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        self._geometry = geometry
        self._window = geometry.window()
        self._channels = channels
        self._last = np.zeros((channels, 1, geometry.bins), np.complex64)
        self._last_instant: int | None = None

    def __call__(self, signal: np.ndarray, origin: int, positions: np.ndarray, rates: np.ndarray) -> Frames:
        """Analyse the next run of frames.

        A frame whose attack would sound before its place looks at an earlier instant, where the attack has not begun yet. So what stood
        before the attack goes on sounding until the attack's own time comes.

        Args:
            signal: (channels, samples), float32 or float64; silence is assumed outside of it. Frames look at half a window to either
                side, attacks at 80 ms before the first instant and `attacks.LOOKAHEAD_SECONDS` more behind the last.
            origin: position of the signal's first sample in the whole recording.
            positions, rates: t_m and local rate of each frame, as `TimeMap.instants` gives them.
        """
        g, count = self._geometry, len(positions)
        instants, delay, share = frame_attacks(signal, origin, positions, rates, g)
        # An instant that serves twice is transformed once. It saves time at rates near 1, and it is what makes rate 1 exact:
        # there P_m *is* X_{m-1}, so no rotation arises.
        places, index = np.unique(np.concatenate([instants, instants - g.hop]), return_inverse=True)
        blocks = cut_frames(signal, places - origin - g.window_length // 2, self._window)
        spectra = fft.rfft(blocks)
        if self._last_instant is not None:
            spectra[:, places == self._last_instant] = self._last
        x, p = spectra.take(index[:count], axis=1), spectra.take(index[count:], axis=1)
        power, source, horizontal, vertical = propagation_table(x, p, self._last)
        if self._last_instant is None:  # the first frame keeps its own phases
            horizontal[0], vertical[0], source[0] = 0.0, 0.0, np.arange(g.bins)
        self._last, self._last_instant = x[:, -1:].copy(), int(instants[-1])
        return Frames(instants, rates, x, p, power, source, horizontal, vertical, delay, share)


def cut_frames(signal: np.ndarray, starts: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Windowed frames (channels, frames, N), float32, of a signal (channels, samples) from the given first samples on."""
    (channels, samples), length = signal.shape, len(window)
    out = np.zeros((channels, len(starts), length), np.float32)
    for m, start in enumerate(starts.tolist()):
        first, last = max(0, -start), min(length, samples - start)
        if first < last:
            np.multiply(
                signal[:, start + first : start + last],
                window[first:last],
                out=out[:, m, first:last],
                dtype=np.float32,
                casting="same_kind",
            )
    return out


def propagation_table(x: np.ndarray, p: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Power and propagation table of frames x with their earlier spectra p; last is the frame before the first.

    Widest path: s(g), the level at which bin g is reached, is the largest of h(g), how much is known of it from the frame before, and
    min(s(f), c(f)) for both neighbours f, c being the present power. A sweep upwards finds the best way from below, a
    sweep downwards the best from above, and no best way turns round.

    h(g) is the size of the product that the advance is the angle of, |sum_c X_{m-1} conj(P_m)|, where Prusa and Holighaus have the
    magnitude of frame m - 1 alone: the advance is as good as both its ends, and where the frame before was loud and P_m is not, or the
    other way round (at an attack), the neighbours know better.

    Args:
        x, p: (channels, frames, bins), complex64.
        last: (channels, 1, bins), complex64.

    Returns:
        power, source, horizontal and vertical as in Frames.
    """
    _, frames, bins = x.shape
    power, horizontal, vertical = (np.zeros((frames, bins), np.float32) for _ in range(3))
    source = np.empty((frames, bins), np.int32)
    _propagation_table(x, p, last, power, source, horizontal, vertical, np.zeros((5, bins), np.float32))
    return power, source, horizontal, vertical


@helper(error_model="numpy")
def arctan2(y, x):
    """Angle of x + iy in radians to 2e-7, float32; exactly 0 on the positive real axis. Unlike libm's it runs in vector registers.

    The polynomial is a minimax fit of arctan(t) / t in t^2 on [0, 1].
    """
    ax, ay = abs(x), abs(y)
    t = min(ax, ay) / max(max(ax, ay), np.float32(1e-37))
    u = t * t
    r = np.float32(ARCTAN[8])
    r = r * u + np.float32(ARCTAN[7])
    r = r * u + np.float32(ARCTAN[6])
    r = r * u + np.float32(ARCTAN[5])
    r = r * u + np.float32(ARCTAN[4])
    r = r * u + np.float32(ARCTAN[3])
    r = r * u + np.float32(ARCTAN[2])
    r = r * u + np.float32(ARCTAN[1])
    r = (r * u + np.float32(ARCTAN[0])) * t
    r = np.float32(np.pi / 2) - r if ay > ax else r
    r = np.float32(np.pi) - r if x < 0 else r
    return -r if y < 0 else r


@kernel()
def _propagation_table(x, p, last, power, source, horizontal, vertical, scratch):
    channels, frames, bins = x.shape
    known, below, above, re, im = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    for m in range(frames):
        now = power[m]
        for f in range(bins):
            re[f], im[f] = np.float32(0.0), np.float32(0.0)
        for c in range(channels):
            for f in range(bins):
                now[f] += x[c, m, f].real ** 2 + x[c, m, f].imag ** 2
                a = x[c, m - 1, f] if m > 0 else last[c, 0, f]
                b = p[c, m, f]
                re[f] += a.real * b.real + a.imag * b.imag
                im[f] += a.imag * b.real - a.real * b.imag
        loudest = np.float32(0.0)
        for f in range(bins):
            loudest = max(loudest, now[f])
            source[m, f] = f
            horizontal[m, f] = arctan2(im[f], re[f])
            known[f] = np.sqrt(re[f] * re[f] + im[f] * im[f])
        floor = np.float32(RELATIVE_FLOOR) * loudest
        # Weak bins pass nothing on and take nothing from their neighbours.
        level = np.float32(-1.0)
        for f in range(bins):
            below[f] = max(known[f], level)
            level = min(below[f], now[f]) if now[f] > floor else np.float32(-1.0)
        level = np.float32(-1.0)
        for f in range(bins - 1, -1, -1):
            above[f] = max(known[f], level)
            level = min(above[f], now[f]) if now[f] > floor else np.float32(-1.0)
        for f in range(1, bins):
            if now[f] > floor and below[f] > known[f] and below[f] >= above[f]:
                source[m, f], horizontal[m, f] = source[m, f - 1], horizontal[m, f - 1]
                vertical[m, f] = vertical[m, f - 1] + phase_step(x, m, f - 1, f)
        for f in range(bins - 2, -1, -1):
            if now[f] > floor and above[f] > known[f] and above[f] > below[f]:
                source[m, f], horizontal[m, f] = source[m, f + 1], horizontal[m, f + 1]
                vertical[m, f] = vertical[m, f + 1] + phase_step(x, m, f + 1, f)


@helper()
def phase_step(x, m, f, g):
    """Phase difference in radians from bin f to its neighbour g, from the products of all channels, phase zero at the centre."""
    re, im = np.float32(0.0), np.float32(0.0)
    for c in range(x.shape[0]):
        a, b = x[c, m, g], x[c, m, f]
        re += a.real * b.real + a.imag * b.imag
        im += a.imag * b.real - a.real * b.imag
    return arctan2(-im, -re)  # minus: the transform starts at the frame's edge, (-1)^bin moves phase zero to its centre
