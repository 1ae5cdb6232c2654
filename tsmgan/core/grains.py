"""Grains: slowed voices whose highs come in pieces that go at the recording's own pace.

Where sound is slowed, each frame looks at an instant a little behind the one that its neighbour would go on to. Periods of a voice are
then played twice, and the frames that overlap hold different periods: what was irregular in them becomes regular by the repetition, or is
averaged away. The ear forgives that least in the highs, where a voice is half noise.

So the highs may be taken from grains (the term of granular synthesis). The frames of a grain, three to six, look at instants one
synthesis hop apart, around the one that their middle would look at: what they hold is one piece of the recording. With Y the spectrum
that the vocoder stage gives, and G that of the frame in its grain, a share b of each bin becomes

    ((1 - b) Y + b H) / sqrt((1 - b)^2 + b^2 + 2 b (1 - b) rho),  H = g G exp(-i omega tau)

rho is the correlation of Y and H in a bin's neighbourhood, so that no level is lost where they have nothing in common. tau is the shift
that best explains the phases of Y conj(G) below 6 kHz, so that the grain's pulses come with those of the lows. First it is sought for the
grain as a whole, |tau| <= 10 ms; then each frame may be NEAR_SECONDS off, because the grain's pitch changes faster than that of the slowed
voice. The gain g gives the smoothed power that the frame has at its own instant, so energy stays where the time map wants it; it also gives
back what the analysis window takes from a frame that is shifted further than the one it is mixed with. Where the power would need more than
LARGEST_GAIN, as at an attack that the grain does not hold, b is lowered instead.
"""

from __future__ import annotations

import numpy as np

from tsmgan.core.compiled.elementary import cos_sin
from tsmgan.core.compiled.kernels import helper, kernel
from tsmgan.core.field import LEAST_NOISE, Field, band_spread
from tsmgan.core.frames import GRAIN_BLOCK, Frames
from tsmgan.core.geometry import MAX_SHIFT_SECONDS, WINDOW_SECONDS, Geometry
from tsmgan.core.vocoder import SHIFT_STEP_SECONDS, SMALLEST_POWER, TEXTURE_BINS, Turned, average, best_shift, fill_counted, shift_grid

NEAR_SECONDS = 0.0004
"""How far a frame's shift may be from that of its grain."""
NEAR_STEPS = int(NEAR_SECONDS / SHIFT_STEP_SECONDS)
"""The same in steps of the grid of shifts."""
LARGEST_GAIN = 2.0
"""Largest gain in amplitude (6 dB) of a grain."""
HIGHEST_HZ = 16000.0
"""Grains go no higher. Few ears do, and the work grows with the bins."""


class Grains:
    """Mixes grains into turned frames; keeps nothing between calls.

    Args:
        geometry: lengths of window and hop.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        spread = band_spread(geometry)
        self._spread = spread.starts, spread.weight
        self._cosines, self._sines = shift_grid(geometry)
        hz = geometry.frequencies()
        self._omega = (2 * np.pi * hz[hz <= HIGHEST_HZ]).astype(np.float32)

    def __call__(self, turned: Turned, frames: Frames, field: Field) -> Turned:
        """The turned frames with the field's share of grains, in place."""
        share = field.grain.clip(0, 1)
        there = share.max(1) > LEAST_NOISE
        if not there.any():
            return turned
        rows = np.full(len(there), -1, np.int64)
        rows[there] = np.arange(there.sum())
        low, shifts = self._cosines.shape[1], 2 * len(self._cosines) - 1
        scratch = [np.empty(shape, np.float32) for shape in ((6, self._geometry.bins), (2, GRAIN_BLOCK + 1, low), (shifts,))]
        grains = frames.grains(np.flatnonzero(there))
        mix(
            turned.spectra, turned.delays / self._geometry.samplerate, grains, rows, frames.grain_starts, frames.power,
            share, frames.attack_share, *self._spread, self._cosines, self._sines, self._omega, *scratch,
        )  # fmt: skip
        return turned._replace(unmoved=turned.unmoved & ~there)


@kernel(error_model="numpy")
def mix(
    spectra, delays, grains, rows, grain_starts, power, shares, attack_share,
    starts, weight, cosines, sines, omega, scratch, agreement, scores,
):  # fmt: skip
    """Mixes grains (channels, n, bins) into spectra (channels, frames, bins), both complex64.

    rows (frames,) says which is each frame's; -1 is none. power is that of the frames before they were turned, (frames, bins), and delays
    (frames,) are by how many seconds they were. omega holds the bins that grains may have. scratch is (6, bins), agreement (2, GRAIN_BLOCK
    + 1, bins below 6 kHz) and scores (shifts,) float32.
    """
    # As in `vocoder`: loops that do one thing.
    channels, frames, bins = len(spectra), spectra.shape[1], len(omega)
    low = cosines.shape[1]
    share, gain, around, re, im, own = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    last = 0
    while last < frames:
        first = last
        while last < frames and grain_starts[last] == first:
            last += 1
        c, s, total, any_there = agreement[0, GRAIN_BLOCK], agreement[1, GRAIN_BLOCK], np.float32(0.0), False
        for f in range(low):
            c[f], s[f] = np.float32(0.0), np.float32(0.0)
        for m in range(first, last):
            if rows[m] >= 0:
                any_there = True
                x, y = agreement[0, m - first], agreement[1, m - first]
                total += fill_agreement(spectra, grains, m, rows[m], x, y)
                for f in range(low):
                    c[f] += x[f]
                    s[f] += y[f]
        if not any_there:
            continue
        middle = best_shift(c, s, total, cosines, sines, scores)
        for m in range(first, last):
            if rows[m] < 0:
                continue
            tau = near_shift(agreement[0, m - first], agreement[1, m - first], cosines, sines, middle, scores)
            fill_counted(shares[m], attack_share[m], starts, weight, share)
            for f in range(bins):
                own[f] = np.float32(0.0)
            for k in range(channels):
                row = grains[k, rows[m]]
                for f in range(bins):
                    own[f] += row[f].real * row[f].real + row[f].imag * row[f].imag
            average(power[m, :bins], TEXTURE_BINS, gain[:bins])
            average(own[:bins], TEXTURE_BINS, around[:bins])
            for f in range(bins):
                gain[f] = np.sqrt((gain[f] + np.float32(SMALLEST_POWER)) / (around[f] + np.float32(SMALLEST_POWER)))
            for f in range(bins):
                bounded = min(gain[f], np.float32(LARGEST_GAIN))
                share[f] *= (bounded / gain[f]) * (bounded / gain[f])
                gain[f] = bounded
            for f in range(bins):
                re[f], im[f] = cos_sin(-omega[f] * tau)
            lost = window_at(delays[m]) / window_at(tau)
            for f in range(bins):
                re[f] *= gain[f] * lost
                im[f] *= gain[f] * lost
                around[f] *= gain[f] * gain[f] * lost
            common, likeness = own, gain
            for f in range(bins):
                common[f] = np.float32(0.0)
            for k in range(channels):
                out, row = spectra[k, m], grains[k, rows[m]]
                for f in range(bins):
                    y, z = out[f], row[f]
                    common[f] += y.real * (z.real * re[f] - z.imag * im[f]) + y.imag * (z.real * im[f] + z.imag * re[f])
            average(common[:bins], TEXTURE_BINS, likeness[:bins])
            for f in range(bins):
                b, rho = share[f], min(max(likeness[f] / (around[f] + np.float32(SMALLEST_POWER)), np.float32(0.0)), np.float32(1.0))
                scale = np.float32(1.0) / np.sqrt((1 - b) * (1 - b) + b * b + 2 * b * (1 - b) * rho)
                re[f] *= b * scale
                im[f] *= b * scale
                share[f] = (1 - b) * scale
            kept = share
            for k in range(channels):
                out, row = spectra[k, m], grains[k, rows[m]]
                for f in range(bins):
                    y, z = out[f], row[f]
                    out[f] = np.complex64(
                        complex(
                            kept[f] * y.real + z.real * re[f] - z.imag * im[f],
                            kept[f] * y.imag + z.real * im[f] + z.imag * re[f],
                        )
                    )


@helper()
def window_at(seconds):
    """The analysis window so far from its middle, which is not further than its half."""
    return np.float32(0.5 + 0.5 * np.cos(2 * np.pi / WINDOW_SECONDS * min(abs(seconds), MAX_SHIFT_SECONDS)))


@helper(error_model="numpy")
def fill_agreement(spectra, grains, m, row, c, s):
    """Fills c and s (bins below 6 kHz,) with real and imaginary part of frame m's Y conj(G), summed over channels, each to the root of its
    amplitude; returns the sum of these."""
    for f in range(len(c)):
        c[f], s[f] = np.float32(0.0), np.float32(0.0)
    for k in range(spectra.shape[0]):
        here, there = spectra[k, m], grains[k, row]
        for f in range(len(c)):
            a, b = here[f], there[f]
            c[f] += a.real * b.real + a.imag * b.imag
            s[f] += a.imag * b.real - a.real * b.imag
    total = np.float32(0.0)
    for f in range(len(c)):
        root = np.sqrt(np.sqrt(c[f] * c[f] + s[f] * s[f]))
        total += root
        scale = np.float32(1.0) / root if root > 0 else np.float32(0.0)
        c[f] *= scale
        s[f] *= scale
    return total


@helper(fastmath={"reassoc", "contract", "nsz"})
def near_shift(c, s, cosines, sines, middle, scores):
    """The shift tau in seconds that suits a frame best, at most NEAR_STEPS steps of the grid from the middle (in steps)."""
    shifts = cosines.shape[0]
    centre = int(np.rint(middle))
    start = max(centre - NEAR_STEPS, 1 - shifts)
    count = min(centre + NEAR_STEPS, shifts - 1) - start + 1
    best = 0
    for k in range(count):
        step = abs(start + k)
        sign = np.float32(1.0) if start + k >= 0 else np.float32(-1.0)
        score = np.float32(0.0)
        for f in range(len(c)):
            score += c[f] * cosines[step, f] - sign * s[f] * sines[step, f]
        scores[k] = score
        if score > scores[best]:
            best = k
    tau = np.float32(start + best)
    if 0 < best < count - 1:
        left, mid, right = scores[best - 1], scores[best], scores[best + 1]
        curvature = left - 2 * mid + right
        if curvature < 0:
            tau += np.float32(0.5) * (left - right) / curvature
    return tau * np.float32(SHIFT_STEP_SECONDS)
