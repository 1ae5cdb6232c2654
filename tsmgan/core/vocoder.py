"""Vocoder stage: turn the spectra so that each frame continues the one before, and give their bins the field's gain, texture and noise.

The rotation theta is shared by all channels, so every level and phase difference between channels survives. For each
frame, with the table of `tsmgan.core.analysis`,

    theta_m(f) = theta_{m-1}(source) + horizontal + (alpha - 1) vertical

Then tau, |tau| <= 10 ms, is the shift that best explains theta as a plain delay, the argmax of
sum_f W(f) cos(theta(f) + omega tau), less a small penalty for long shifts; e = wrap(theta + omega tau) is what is left,
and the coherence lambda takes its share of it away: theta <- theta - lambda e. lambda = 0 is a phase vocoder;
lambda = 1 is the recording's own waveform, moved so that it continues what is already there.

Where the frame holds an attack that belongs d later than it stands in the frame, the bins that began with it are moved there:

    theta <- theta - mu share wrap(theta + omega d)

mu is the alpha mix: where alpha = 1, as on voices, attacks are stretched with the rest.

Of each bin the share nu of its power is noise: with g the gain, S the power averaged (in logarithms) over SMOOTH_BINS on
either side, N the spectrum of white noise, and R the channels' common phase, X becomes

    X (sqrt(1 - nu) g exp(i theta) + sqrt(nu S / |X|^2) N exp(-i R))

A bin with more than TONE_RATIO times the power of S loses only what one with so much would. The factor is the same for all channels. With
one channel, the second term is sqrt(nu S) N: noise that owes its phases to N alone.

W is the amplitude below 6 kHz, not the power: the upper harmonics then have a say in where a pulse goes. The penalty keeps
frames from jumping between shifts that explain them almost equally well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tsmgan.core.compiled.elementary import cos_sin, exp, log
from tsmgan.core.compiled.kernels import helper, kernel
from tsmgan.core.field import LEAST_NOISE, SOFT_NOISE, Field, band_spread
from tsmgan.core.frames import Frames
from tsmgan.core.geometry import LONGEST_WINDOW, MAX_SHIFT_SECONDS, SHORTEST_WINDOW, WINDOW_STEPS, Geometry
from tsmgan.core.noise import NoiseFrames

SHIFT_HZ = 6000.0
"""Bins below this choose the shift tau."""
SHIFT_STEP_SECONDS = 1 / 16000
"""Distance of the shifts that are tried; the best is refined by a parabola through its neighbours."""
SHIFT_PENALTY = np.float32(0.2)
"""What the longest shift must gain over none, as a share of the sum of W."""
CLIMB_STEPS = 8
"""Steps of the grid by which the penalty may have moved a maximum; enough for sounds of 32 Hz."""
SMOOTH_BINS = 6
"""Bins on either side (150 Hz) over which the power is averaged that noise takes on."""
TONE_RATIO = 4.0
"""A bin loses no more power to noise than so many times that of its neighbourhood: a tone that stands out of the noise keeps its own."""
LOG_BIAS = 0.48
"""By how much the mean logarithm of exponentially distributed powers is too low: Euler's constant, 0.58, less half the variance
of a mean over 2 SMOOTH_BINS + 1 bins of a Hann window."""
TEXTURE_BINS = 12
"""Bins on either side (300 Hz) that count as a bin's neighbourhood."""
TEXTURE_LINEAR, TEXTURE_SQUARE = 0.42, 0.5
"""Texture gamma changes the power of white noise, whose bins are exponentially distributed, by Gamma(2 + gamma). A parabola with these
coefficients comes within 3 % of it for |gamma| < 0.75."""
TEXTURE_MARGIN = 1.15
"""Texture may change the power of a frame by this factor more, or less, than it changes that of noise: a tone that is taken for noise
neither explodes nor sinks."""
LEAST_TEXTURE = 1e-6
"""A frame whose textures are all smaller has none: rounding errors are not worth the work."""
SMALLEST_POWER = 1e-20
"""Added to powers before their logarithm is taken."""


@lru_cache(maxsize=4)
def shift_grid(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of omega_f tau_k, k = 0.., (shifts, bins below 6 kHz) float32: two matrix products then try all shifts."""
    shifts = np.arange(int(MAX_SHIFT_SECONDS / SHIFT_STEP_SECONDS + 0.5) + 1) * SHIFT_STEP_SECONDS
    omega = 2 * np.pi * geometry.frequencies()
    phase = np.outer(shifts, omega[omega < 2 * np.pi * SHIFT_HZ])
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


class Turned(NamedTuple):
    """Frames that are ready to be overlap-added."""

    spectra: np.ndarray
    """(channels, frames, bins), complex64."""
    delays: np.ndarray
    """By how many samples coherence and attacks moved each frame as a whole, (frames,), int64."""
    windows: np.ndarray
    """Place of each frame's synthesis window among `Geometry.synthesis_windows`, (frames,), float32; between two, it is a mixture."""
    unmoved: np.ndarray
    """Which frames were left as they are: no rotation, no gain; (frames,), bool."""


class Vocoder:
    """Turns consecutive runs of frames of one signal; keeps the rotation of the last frame between calls.

    Args:
        geometry: lengths of window and hop.
        seed: of the noise that is mixed in.
    """

    def __init__(self, geometry: Geometry, seed: int = 0) -> None:
        self._geometry = geometry
        spread = band_spread(geometry)
        self._spread = spread.starts, spread.weight
        self._cosines, self._sines = shift_grid(geometry)
        self._omega = (2 * np.pi * geometry.frequencies()).astype(np.float32)
        self._theta = np.zeros(geometry.bins, np.float32)
        self._noise = NoiseFrames(geometry, seed)
        self._first = 0

    def __call__(self, frames: Frames, field: Field) -> Turned:
        """Turn the next run of frames as the field says. Whatever a model decided, the field is bounded first."""
        field = field.bounded()
        theta, delays = self._rotations(frames, field)
        spectra, unmoved = np.empty_like(frames.spectra), np.ones(len(theta), np.bool_)
        noise, noise_rows = self._noise_of(field.noise_share)
        self._first += len(theta)
        rotate(
            frames.spectra, frames.power, theta, field.log_gain, field.texture, field.noise_share, noise, noise_rows,
            frames.attack_share, *self._spread, np.empty((6, self._geometry.bins), np.float32), spectra, unmoved,
        )  # fmt: skip
        windows = (field.window.mean(1) - SHORTEST_WINDOW) * (WINDOW_STEPS / (LONGEST_WINDOW - SHORTEST_WINDOW))
        return Turned(spectra, np.rint(delays * self._geometry.samplerate).astype(np.int64), windows.astype(np.float32), unmoved)

    def _noise_of(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spectra of the noise of the frames that take some, (.., bins) complex64, and which row is each frame's, (frames,); -1 is none."""
        frames = np.flatnonzero(share.max(1) > LEAST_NOISE)
        rows = np.full(len(share), -1, np.int64)
        rows[frames] = np.arange(len(frames))
        noise = self._noise(self._first, frames) if len(frames) else np.zeros((1, self._geometry.bins), np.complex64)
        return noise, rows

    def _rotations(self, frames: Frames, field: Field) -> tuple[np.ndarray, np.ndarray]:
        """theta, (frames, bins) float32, radians; and each frame's delay, (frames,) float32, seconds."""
        theta, (taus, delays) = np.empty(frames.power.shape, np.float32), np.zeros((2, len(frames.power)), np.float32)
        stretch = (1.0 / frames.rates - 1.0).astype(np.float32)
        scratch = np.empty((6, max(self._geometry.bins, 2 * len(self._cosines))), np.float32)
        propagate(
            frames.power, frames.source, frames.horizontal, frames.vertical, frames.attack_delay, frames.attack_share,
            field.coherence, field.alpha_mix, stretch,
            *self._spread, self._cosines, self._sines, self._omega, self._theta, theta, taus, delays, scratch,
        )  # fmt: skip
        self._theta = theta[-1].copy()
        return theta, delays


@helper()
def wrap(phase):
    """Phase in radians moved into [-pi, pi]."""
    return phase - np.float32(2 * np.pi) * np.rint(phase * np.float32(1 / (2 * np.pi)))


@helper(fastmath={"reassoc", "contract", "nsz"})
def best_shift(c, s, total, cosines, sines, scores):
    """The shift tau in steps of the grid, fractional, that maximises sum_f c(f) cos(omega tau) - s(f) sin(omega tau).

    The penalty, a share of total, decides between maxima; it does not move the one that is chosen.
    """
    shifts, bins = cosines.shape
    for k in range(shifts):
        even, odd = np.float32(0.0), np.float32(0.0)
        for f in range(bins):
            even += c[f] * cosines[k, f]
            odd += s[f] * sines[k, f]
        scores[shifts - 1 + k] = even - odd
        scores[shifts - 1 - k] = even + odd
    last = 2 * shifts - 2
    slope = SHIFT_PENALTY * total / np.float32(shifts - 1)
    best = shifts - 1  # no shift, unless another is better
    highest = scores[best]
    for k in range(last + 1):
        score = scores[k] - slope * np.float32(abs(k - (shifts - 1)))
        if score > highest:
            best, highest = k, score
    for _ in range(CLIMB_STEPS):
        if best > 0 and scores[best - 1] > scores[best]:
            best -= 1
        elif best < last and scores[best + 1] > scores[best]:
            best += 1
    tau = np.float32(best - (shifts - 1))
    if 0 < best < last:
        left, mid, right = scores[best - 1], scores[best], scores[best + 1]
        curvature = left - 2 * mid + right
        if curvature < 0:
            tau += np.float32(0.5) * (left - right) / curvature
    return tau


@kernel(error_model="numpy")
def propagate(
    power, source, horizontal, vertical, attack_delays, attack_share, coherence, alpha_mix, stretch,
    starts, weight, cosines, sines, omega, start, theta, taus, delays, scratch,
):  # fmt: skip
    """The recursion over frames, from the rotation `start` (bins,) of the frame before.

    Fills theta (frames, bins), and, where a frame has any coherence, taus (frames,) in seconds. Fills delays (frames,) in seconds: tau
    times the mean coherence below 6 kHz, and, for the share of the frame's amplitude that an attack moves, the attack's.

    coherence and alpha_mix are (frames, bands), which starts and weight spread over the bins, or (frames, bins). scratch is (6, ..)
    float32, of rows as long as the bins and as the shifts either way.
    """
    # Most loops are over a few rows, and do one thing: those run in vector registers.
    frames, bins = power.shape
    low = cosines.shape[1]
    mix, share, amplitude = scratch[0, :bins], scratch[1, :bins], scratch[2, :bins]
    previous = start
    for m in range(frames):
        now, sources, onward, across = theta[m], source[m], horizontal[m], vertical[m]
        spread(alpha_mix[m], starts, weight, mix)
        for f in range(bins):
            now[f] = previous[sources[f]]
        for f in range(bins):
            now[f] = wrap(now[f] + onward[f] + stretch[m] * mix[f] * across[f])
        for f in range(bins):
            amplitude[f] = np.sqrt(power[m, f])
        most = np.float32(0.0)
        for value in coherence[m]:
            most = max(most, value)
        if most > 0:
            spread(coherence[m], starts, weight, share)
            total = sum_of(amplitude[:low])
            tau = frame_shift(amplitude[:low], now, total, cosines, sines, scratch[3:])
            for f in range(bins):
                now[f] -= share[f] * wrap(now[f] + omega[f] * tau)
            taus[m], delays[m] = tau, tau * product_of(share[:low], amplitude) / max(total, np.float32(1e-30))
        delay = attack_delays[m]
        if delay == delay:  # not NaN
            for f in range(bins):
                share[f] = attack_share[m, f] * mix[f]
            for f in range(bins):
                now[f] -= share[f] * wrap(now[f] + omega[f] * delay)
            delays[m] += (delay - delays[m]) * product_of(share, amplitude) / (sum_of(amplitude) + np.float32(1e-30))
        previous = now


@helper()
def frame_shift(amplitude, theta, total, cosines, sines, scratch):
    """tau of one frame in seconds, from its amplitude and rotation (bins below 6 kHz,); total is the sum of W, scratch (3, ..) float32."""
    c, s = scratch[0], scratch[1]
    for f in range(len(amplitude)):
        c[f], s[f] = cos_sin(theta[f])
    for f in range(len(amplitude)):
        c[f] *= amplitude[f]
        s[f] *= amplitude[f]
    return best_shift(c, s, total, cosines, sines, scratch[2]) * np.float32(SHIFT_STEP_SECONDS)


@helper(fastmath={"reassoc", "nsz"})
def sum_of(values):
    """Sum of values (n,)."""
    total = np.float32(0.0)
    for value in values:
        total += value
    return total


@helper(fastmath={"reassoc", "nsz"})
def product_of(values, weights):
    """Sum of values (n,) times weights (n or more,)."""
    total = np.float32(0.0)
    for f in range(len(values)):
        total += values[f] * weights[f]
    return total


@kernel(error_model="numpy")
def rotate(
    spectra, power, theta, log_gain, texture, nu, noise, noise_rows, attack_share, starts, weight, scratch, out, unmoved,
):  # fmt: skip
    """out (channels, frames, bins): spectra times gain and exp(i theta), and noise; unmoved (frames,): whether that left them alone.

    noise is (.., bins) complex64; noise_rows (frames,) says which row of it a frame takes, and -1 is none. scratch is (6, bins) float32.
    """
    # As in `propagate`: loops that do one thing.
    channels, frames, bins = spectra.shape
    re, im, share, lost, gain, around = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    level = gain  # once the gain has been taken
    for m in range(frames):
        angle = theta[m]
        fill_gains(power[m], log_gain[m], texture[m], starts, weight, scratch[:4], gain)
        for f in range(bins):
            re[f], im[f] = cos_sin(angle[f])
        for f in range(bins):
            re[f] *= gain[f]
            im[f] *= gain[f]
        moved = 0
        for f in range(bins):
            moved |= np.int32((angle[f] != 0) | (gain[f] != 1))
        for f in range(bins):
            share[f], lost[f] = np.float32(0.0), np.float32(0.0)
        if noise_rows[m] >= 0:
            fill_counted(nu[m], attack_share[m], starts, weight, share)
            fill_levels(power[m], lost, around)
            for f in range(bins):
                around[f] = around[f] * around[f] / (power[m, f] + np.float32(SMALLEST_POWER))
            for f in range(bins):
                lost[f] = share[f] * min(np.float32(1.0), np.float32(TONE_RATIO) * around[f])
            for f in range(bins):
                moved |= np.int32(share[f] != 0)
            for f in range(bins):
                level[f] = np.sqrt(share[f] * around[f])
            for f in range(bins):
                kept = np.sqrt(1 - lost[f])
                re[f] *= kept
                im[f] *= kept
            x, y, row = share, around, noise[noise_rows[m]]
            fill_common_phase(spectra, m, lost, x, y)
            for f in range(bins):
                re[f] += level[f] * (row[f].real * x[f] + row[f].imag * y[f])
                im[f] += level[f] * (row[f].imag * x[f] - row[f].real * y[f])
        for c in range(channels):
            before, after = spectra[c, m], out[c, m]
            for f in range(bins):
                z = before[f]
                after[f] = np.complex64(complex(z.real * re[f] - z.imag * im[f], z.real * im[f] + z.imag * re[f]))
        unmoved[m] = moved == 0


@helper()
def spread(values, starts, weight, out):
    """Fills out (bins,) with values of the bands, as `BandSpread` says, or of the bins themselves."""
    if len(values) == len(out):
        for f in range(len(out)):
            out[f] = values[f]
        return
    for b in range(len(values) - 1):
        lower, step = values[b], values[b + 1] - values[b]
        for f in range(starts[b], starts[b + 1]):
            out[f] = lower + weight[f] * step


@helper(error_model="numpy")
def fill_counted(values, attack_share, starts, weight, out):
    """Fills out (bins,) with what a share of noise or grains (bands,) counts for: it begins along a straight line."""
    spread(values, starts, weight, out)
    for f in range(len(out)):
        share = max(out[f] * (1 - attack_share[f]) - np.float32(LEAST_NOISE), np.float32(0.0))
        out[f] = share * share / (share + np.float32(SOFT_NOISE))


@helper(error_model="numpy")
def fill_common_phase(spectra, m, size, x, y):
    """Fills x and y (bins,): cosine and sine of the phase of the channels' sum in frame m, each weighted by its amplitude."""
    for f in range(len(x)):
        x[f], y[f] = np.float32(0.0), np.float32(0.0)
    for c in range(spectra.shape[0]):
        row = spectra[c, m]
        for f in range(len(x)):
            size[f] = np.sqrt(row[f].real * row[f].real + row[f].imag * row[f].imag)
        for f in range(len(x)):
            x[f] += row[f].real * size[f]
            y[f] += row[f].imag * size[f]
    for f in range(len(x)):
        size[f] = np.sqrt(x[f] * x[f] + y[f] * y[f])
    for f in range(len(x)):
        x[f] = x[f] / size[f] if size[f] > 0 else np.float32(1.0)
        y[f] = y[f] / size[f] if size[f] > 0 else np.float32(0.0)


@helper()
def fill_levels(power, logarithms, out):
    """Fills out (bins,): the amplitude that noise takes on. logarithms (bins,) is scratch.

    It is the mean in logarithms, so that a tone beside the noise has next to no say; exponentially distributed powers have one that
    is lower than the logarithm of their mean by LOG_BIAS.
    """
    for f in range(len(power)):
        logarithms[f] = log(power[f] + np.float32(SMALLEST_POWER))
    average(logarithms, SMOOTH_BINS, out)
    for f in range(len(power)):
        out[f] = exp(np.float32(0.5) * (out[f] + np.float32(LOG_BIAS)))


@helper(error_model="numpy")
def average(power, width, out):
    """Mean of power (bins,) over `width` bins on either side, as far as they are there."""
    bins = len(power)
    for f in range(bins):
        out[f] = power[f]
    for d in range(1, min(width, bins - 1) + 1):
        later, neighbours = out[d:], power[d:]
        for f in range(bins - d):
            out[f] += neighbours[f]
        for f in range(bins - d):
            later[f] += power[f]
    for f in range(bins):
        out[f] /= np.float32(min(f + width, bins - 1) - max(f - width, 0) + 1)


@helper(error_model="numpy")
def fill_gains(power, log_gain, texture, starts, weight, scratch, gains):
    """Fills gains (bins,): the gain of each bin in amplitude that log_gain and texture (bands,) ask for. scratch is (4, bins) float32.

    Texture alone changes the frame's power as it changes that of noise, up to TEXTURE_MARGIN either way.
    """
    bins = len(power)
    textured, changed = False, False
    for b in range(len(texture)):
        textured = textured or abs(texture[b]) > np.float32(LEAST_TEXTURE)
        changed = changed or log_gain[b] != 0
    if not textured and not changed:
        for f in range(bins):
            gains[f] = np.float32(1.0)
        return
    spread(log_gain, starts, weight, gains)
    if not textured:
        for f in range(bins):
            gains[f] = exp(gains[f])
        return
    unevenness, gamma, expected, found = scratch[0], scratch[1], scratch[2], scratch[3]
    measure_unevenness(power, unevenness)
    spread(texture, starts, weight, gamma)
    for f in range(bins):
        expected[f] = power[f] * exp(2 * gains[f]) * (1 + gamma[f] * (np.float32(TEXTURE_LINEAR) + np.float32(TEXTURE_SQUARE) * gamma[f]))
    for f in range(bins):
        gains[f] = exp(gains[f] + unevenness[f] * gamma[f])
    for f in range(bins):
        found[f] = power[f] * gains[f] * gains[f]
    wanted, made = sum_of(expected), sum_of(found)
    if made > 0:
        change = np.float32(1.0)
        if made > TEXTURE_MARGIN * wanted:
            change = np.float32(np.sqrt(TEXTURE_MARGIN * wanted / made))
        elif TEXTURE_MARGIN * made < wanted:
            change = np.float32(np.sqrt(wanted / (TEXTURE_MARGIN * made)))
        for f in range(bins):
            gains[f] *= change


@helper(error_model="numpy")
def measure_unevenness(power, out):
    """Logarithm of each bin's amplitude relative to the root mean square of its neighbourhood; power and out (bins,)."""
    average(power, TEXTURE_BINS, out)
    for f in range(len(power)):
        out[f] = np.float32(0.5) * log((power[f] + np.float32(SMALLEST_POWER)) / (out[f] + np.float32(SMALLEST_POWER)))
