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

from functools import partial

import numpy as np

from tsmgan.core.attacks import frame_attacks
from tsmgan.core.compiled import fft
from tsmgan.core.compiled.elementary import arctan2, bits, of_bits
from tsmgan.core.compiled.kernels import helper, kernel
from tsmgan.core.frames import GRAIN_BLOCK, Frames
from tsmgan.core.geometry import Geometry

RELATIVE_FLOOR = 1e-10
"""Bins weaker than this share of the frame's strongest (in power) keep to themselves: their phase is noise."""
GRAIN_LENGTHS, GRAIN_RATES = (3, 4, 6), (0.4, 0.62)
"""Frames of a grain (20, 27 and 40 ms), and the mean rates of a GRAIN_BLOCK from which on the second and the third count. The longer a
grain is, the less critics hear of repetitions; but the further its ends are from where the time map wants them (4 or 5 ms with these), and
the softer pulses get."""


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
        g = self._geometry
        signal = np.ascontiguousarray(signal, np.float32)
        instants, delay, share = frame_attacks(signal, origin, positions, rates, g)
        x, p = self._transforms(signal, origin, instants)
        power, source, horizontal, vertical = propagation_table(x, p, self._last)
        if self._last_instant is None:  # the first frame keeps its own phases
            horizontal[0], vertical[0], source[0] = 0.0, 0.0, np.arange(g.bins)
        self._last, self._last_instant = x[:, -1:].copy(), int(instants[-1])
        starts = grain_starts(rates)
        grains = partial(self._grains, signal, grain_instants(instants, positions, starts, g) - origin)
        return Frames(instants, rates, x, p, power, source, horizontal, vertical, delay, share, starts, grains)

    def _grains(self, signal: np.ndarray, places: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Spectra of some frames as their grains have them; the middles of all frames' stand at these places of the signal."""
        return fft.rfft(cut_frames(signal, places[frames] - self._geometry.window_length // 2, self._window))

    def _transforms(self, signal: np.ndarray, origin: int, instants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X and P of frames at some instants, as in `Frames`."""
        g, channels, count = self._geometry, len(signal), len(instants)
        both, edge = np.stack([instants, instants - g.hop]), origin + g.window_length // 2
        # An instant that serves twice is transformed once. It saves time at rates near 1, and it is what makes rate 1 exact:
        # there P_m *is* X_{m-1}, so no rotation arises.
        places, index = np.unique(both, return_inverse=True)
        if len(places) < both.size:
            spectra = fft.rfft(cut_frames(signal, places - edge, self._window))
            x, p = (spectra.take(each, axis=1) for each in index.reshape(2, count))
        else:
            blocks = np.empty((2, channels, count, g.window_length), np.float32)
            for each, part in zip(both, blocks):
                cut(signal, each - edge, self._window, part)
            x, p = fft.rfft(blocks)
        if self._last_instant is not None:
            x[:, both[0] == self._last_instant] = p[:, both[1] == self._last_instant] = self._last
        return x, p


def grain_starts(rates: np.ndarray) -> np.ndarray:
    """The first frame of each frame's grain, (frames,) int64, for their local rates; the first of them is the first of a GRAIN_BLOCK."""
    numbers = np.arange(len(rates))
    mean = np.add.reduceat(rates, numbers[::GRAIN_BLOCK]) / np.bincount(numbers // GRAIN_BLOCK)
    lengths = np.take(GRAIN_LENGTHS, np.searchsorted(GRAIN_RATES, mean))[numbers // GRAIN_BLOCK]
    return numbers - numbers % GRAIN_BLOCK % lengths


def grain_instants(instants: np.ndarray, positions: np.ndarray, starts: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Input samples that the frames' grains look at, (frames,) int64: one hop apart, around the middle of the places of a grain's frames.

    A frame that looks at another instant than its place, because an attack is near, is its own grain. So is one at a jump of the time map
    that is far from the others.

    Args:
        instants: what the frames look at themselves. positions: what the time map says, samples. starts: as `grain_starts` gives them.
    """
    firsts, index, counts = np.unique(starts, return_inverse=True, return_counts=True)
    middles = np.rint(np.add.reduceat(positions, firsts) / counts)[index]
    steps = np.arange(len(starts)) - starts - (counts[index] - 1) / 2
    paced = (middles + np.floor(steps * geometry.hop)).astype(np.int64)
    places = np.rint(positions).astype(np.int64)
    return np.where((instants != places) | (np.abs(paced - places) > max(GRAIN_LENGTHS) * geometry.hop), instants, paced)


def cut_frames(signal: np.ndarray, starts: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Windowed frames (channels, frames, N), float32, of a signal (channels, samples) from the given first samples on."""
    out = np.empty((len(signal), len(starts), len(window)), np.float32)
    cut(np.ascontiguousarray(signal, np.float32), starts, window, out)
    return out


@kernel()
def cut(signal, starts, window, out):
    """Fills out (channels, frames, N) with windowed frames of signal (channels, samples), float32, which is 0 beyond its ends."""
    channels, samples = signal.shape
    length = len(window)
    for c in range(channels):
        for m in range(len(starts)):
            row, start = out[c, m], starts[m]
            first = min(max(0, -start), length)
            last = max(first, min(length, samples - start))
            row[:first] = 0
            row[last:] = 0
            if first < last:
                frame, heard, shape = row[first:last], signal[c, start + first : start + last], window[first:last]
                for i in range(last - first):
                    frame[i] = heard[i] * shape[i]


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
    power, horizontal, vertical = np.zeros((3, frames, bins), np.float32)
    source = np.empty((frames, bins), np.int32)
    scratch = np.empty((7, bins), np.float32), np.empty(bins), np.empty((2, bins), np.int32)
    _propagation_table(x, p, last, power, source, horizontal, vertical, *scratch)
    return power, source, horizontal, vertical


@kernel()
def _propagation_table(x, p, last, power, source, horizontal, vertical, rows, sums, ways):
    channels, frames, bins = x.shape
    known, below, above, re, im, passed, step = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]
    for m in range(frames):
        now = power[m]
        fill_phase_steps(x, m, re, im, step)
        for f in range(bins):
            re[f], im[f] = np.float32(0.0), np.float32(0.0)
        for c in range(channels):
            here, earlier = x[c, m], p[c, m]
            before = x[c, m - 1] if m > 0 else last[c, 0]
            for f in range(bins):
                now[f] += here[f].real ** 2 + here[f].imag ** 2
            for f in range(bins):
                a, b = before[f], earlier[f]
                re[f] += a.real * b.real + a.imag * b.imag
                im[f] += a.imag * b.real - a.real * b.imag
        for f in range(bins):
            known[f] = np.sqrt(re[f] * re[f] + im[f] * im[f])
        # Weak bins pass nothing on and take nothing from their neighbours.
        floor = np.float32(RELATIVE_FLOOR) * largest(now)
        for f in range(bins):
            passed[f] = now[f] if now[f] > floor else np.float32(-1.0)
        sweep(known, passed, step, below, above, sums, ways)
        angle = step
        for f in range(bins):
            angle[f] = arctan2(im[f], re[f])
        for f in range(bins):
            origin = ways[0, f] if ways[0, f] != f else ways[1, f]
            source[m, f] = origin
            horizontal[m, f] = angle[origin]
            vertical[m, f] = np.float32(sums[f] - sums[origin])


@helper()
def sweep(known, passed, step, below, above, sums, ways):
    """Fills ways (2, bins), int32, with the bin from which each bin is reached from below, and from above: itself where it is not.

    known, passed, step (bins,) are h, c (negative where nothing passes), and phase differences, of which sums is filled with the running
    sums; below and above are scratch. Each loop's next turn waits for the last. So both ways go at once, numbers that are not negative are
    compared by their bits, which takes a third of the time, and masks choose instead of jumps.
    """
    bins = len(known)
    from_below, from_above, total = bits(-1.0), bits(-1.0), 0.0
    for f in range(bins):
        g = bins - 1 - f
        here, there, here_passed, there_passed = bits(known[f]), bits(known[g]), bits(passed[f]), bits(passed[g])
        here, there = here if here > from_below else from_below, there if there > from_above else from_above
        below[f], above[g] = of_bits(here), of_bits(there)
        from_below, from_above = here if here < here_passed else here_passed, there if there < there_passed else there_passed
        total += step[f]
        sums[f] = total
    up, down = ways[0], ways[1]
    for f in range(bins):
        up[f] = np.int32((passed[f] > 0) & (below[f] > known[f]) & (below[f] >= above[f])) - 1
    for f in range(bins):
        down[f] = np.int32((passed[f] > 0) & (above[f] > known[f]) & (above[f] > below[f])) - 1
    # Nowhere is a bin reached from a neighbour that is itself reached from the other side.
    first, last = np.int32(0), np.int32(bins - 1)
    for f in range(bins):
        g = bins - 1 - f
        first = np.int32((first & ~up[f]) | (f & up[f]))
        last = np.int32((last & ~down[g]) | (g & down[g]))
        up[f], down[g] = first, last


@helper(fastmath={"nnan", "nsz"})
def largest(values):
    """The largest of values (n,), or 0."""
    found = np.float32(0.0)
    for value in values:
        found = max(found, value)
    return found


@helper()
def fill_phase_steps(x, m, re, im, step):
    """Fills step (bins,) with the phase difference in radians of each bin of frame m from the one below it; the first's is 0.

    It is that of the products of all channels, phase zero at the centre. re and im (bins,) are scratch.
    """
    for f in range(len(step)):
        re[f], im[f] = np.float32(0.0), np.float32(0.0)
    for c in range(x.shape[0]):
        row = x[c, m]
        for f in range(1, len(step)):
            a, b = row[f], row[f - 1]
            re[f] += a.real * b.real + a.imag * b.imag
            im[f] += a.imag * b.real - a.real * b.imag
    for f in range(len(step)):
        step[f] = arctan2(-im[f], -re[f])  # minus: the transform starts at the frame's edge, (-1)^bin moves phase zero to its centre
