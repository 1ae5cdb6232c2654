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

    X (sqrt(1 - nu) (sqrt(1 - beta) + sqrt(beta) B) g exp(i theta) + sqrt(nu S / |X|^2) N exp(-i R))

beta is the share of breath, and B the spectrum of a short burst of white noise: X B is the frame filtered by a response that is random and
much shorter than a period, so breath comes with the pulses, where noise fills the gaps between them.

A bin with more than TONE_RATIO times the power of S loses only what one with so much would. The factor is the same for all channels. With
one channel, the second term is sqrt(nu S) N: noise that owes its phases to N alone.

W is the amplitude below 6 kHz, not the power: the upper harmonics then have a say in where a pulse goes. The penalty keeps
frames from jumping between shifts that explain them almost equally well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

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
SMALLEST_POWER = 1e-20
"""Added to powers before their logarithm is taken."""


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
        self._spread = band_spread(geometry)
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
        noise, noise_rows = self._where_there_is(field.noise_share, self._noise)
        bursts, burst_rows = self._where_there_is(field.breath, self._noise.bursts)
        self._first += len(theta)
        rotate(
            frames.spectra, frames.power, theta, field.log_gain, field.texture, field.noise_share, noise, noise_rows, field.breath, bursts,
            burst_rows, frames.attack_share, *self._spread, np.empty((3, self._geometry.bins), np.float32), spectra, unmoved,
        )  # fmt: skip
        windows = (field.window.mean(1) - SHORTEST_WINDOW) * (WINDOW_STEPS / (LONGEST_WINDOW - SHORTEST_WINDOW))
        return Turned(spectra, np.rint(delays * self._geometry.samplerate).astype(np.int64), windows.astype(np.float32), unmoved)

    def _where_there_is(self, share: np.ndarray, make: Callable[[int, np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Spectra of the frames that take some of them, (.., bins) complex64, and which row is each frame's, (frames,); -1 is none."""
        frames = np.flatnonzero(share.max(1) >= LEAST_NOISE)
        rows = np.full(len(share), -1, np.int64)
        rows[frames] = np.arange(len(frames))
        return make(self._first, frames) if len(frames) else np.zeros((1, self._geometry.bins), np.complex64), rows

    def _rotations(self, frames: Frames, field: Field) -> tuple[np.ndarray, np.ndarray]:
        """theta, (frames, bins) float32, radians; and each frame's delay, (frames,) float32, seconds."""
        theta, (taus, delays) = np.empty(frames.power.shape, np.float32), np.zeros((2, len(frames.power)), np.float32)
        stretch = (1.0 / frames.rates - 1.0).astype(np.float32)
        scratch = np.empty((3, max(self._cosines.shape[1], 2 * len(self._cosines))), np.float32)
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


@helper()
def frame_shift(power, theta, cosines, sines, scratch):
    """tau of one frame in seconds, from its power and rotation (bins,), and the sum of the weights W; scratch is (3, ..) float32."""
    c, s, scores = scratch[0], scratch[1], scratch[2]
    total = np.float32(0.0)
    for f in range(cosines.shape[1]):
        amplitude = np.sqrt(power[f])
        total += amplitude
        c[f], s[f] = amplitude * np.cos(theta[f]), amplitude * np.sin(theta[f])
    return best_shift(c, s, total, cosines, sines, scores) * np.float32(SHIFT_STEP_SECONDS), total


@kernel()
def propagate(
    power, source, horizontal, vertical, attack_delays, attack_share, coherence, alpha_mix, stretch,
    lower, weight, cosines, sines, omega, start, theta, taus, delays, scratch,
):  # fmt: skip
    """The recursion over frames, from the rotation `start` (bins,) of the frame before.

    Fills theta (frames, bins), and, where a frame has any coherence, taus (frames,) in seconds. Fills delays (frames,) in seconds: tau
    times the mean coherence below 6 kHz, and, for the share of the frame's amplitude that an attack moves, the attack's.
    """
    frames, bins = power.shape
    low = cosines.shape[1]
    previous = start
    for m in range(frames):
        now = theta[m]
        bands_alpha, bands_coherence, most = alpha_mix[m], coherence[m], np.float32(0.0)
        for b in range(len(bands_coherence)):
            most = max(most, bands_coherence[b])
        for f in range(bins):
            b, w = lower[f], weight[f]
            mix = bands_alpha[b] + w * (bands_alpha[b + 1] - bands_alpha[b])
            now[f] = wrap(previous[source[m, f]] + horizontal[m, f] + stretch[m] * mix * vertical[m, f])
        if most > 0:
            tau, total = frame_shift(power[m], now, cosines, sines, scratch)
            shared = np.float32(0.0)
            for f in range(bins):
                b, w = lower[f], weight[f]
                share = bands_coherence[b] + w * (bands_coherence[b + 1] - bands_coherence[b])
                now[f] -= share * wrap(now[f] + omega[f] * tau)
                if f < low:
                    shared += share * np.sqrt(power[m, f])
            taus[m], delays[m] = tau, tau * shared / max(total, np.float32(1e-30))
        delay = attack_delays[m]
        if delay == delay:  # not NaN
            moved, total = np.float32(0.0), np.float32(1e-30)
            for f in range(bins):
                b, w = lower[f], weight[f]
                share = attack_share[m, f] * (bands_alpha[b] + w * (bands_alpha[b + 1] - bands_alpha[b]))
                now[f] -= share * wrap(now[f] + omega[f] * delay)
                amplitude = np.sqrt(power[m, f])
                moved += share * amplitude
                total += amplitude
            delays[m] += (delay - delays[m]) * moved / total
        previous = now


@helper()
def counted(share):
    """How much a share of noise or breath counts: it begins along a straight line, and one that is a rounding error is none."""
    return share * share / (share + np.float32(SOFT_NOISE)) if share >= np.float32(LEAST_NOISE) else np.float32(0.0)


@kernel()
def rotate(
    spectra, power, theta, log_gain, texture, nu, noise, noise_rows, beta, bursts, burst_rows, attack_share,
    lower, weight, scratch, out, unmoved,
):  # fmt: skip
    """out (channels, frames, bins): spectra times gain and exp(i theta), breath and noise; unmoved (frames,): whether that left them alone.

    noise and bursts are (.., bins) complex64; noise_rows and burst_rows (frames,) say which row of them a frame takes, and -1 is none.
    scratch is (3, bins) float32.
    """
    channels, frames, bins = spectra.shape
    gains, smooth = scratch[0], scratch[2]
    for m in range(frames):
        fill_gains(power[m], log_gain[m], texture[m], lower, weight, scratch[1], gains)
        if noise_rows[m] >= 0:
            fill_levels(power[m], scratch[1], smooth)
        for f in range(bins):
            gain, angle = gains[f], theta[m, f]
            b, w = lower[f], weight[f]
            share, breath = np.float32(0.0), np.float32(0.0)
            if noise_rows[m] >= 0:
                share = counted((nu[m, b] + w * (nu[m, b + 1] - nu[m, b])) * (1 - attack_share[m, f]))
            if burst_rows[m] >= 0:
                breath = counted((beta[m, b] + w * (beta[m, b + 1] - beta[m, b])) * (1 - attack_share[m, f]))
            if angle != 0 or gain != 1 or share != 0 or breath != 0:
                unmoved[m] = False
            lost, level = np.float32(0.0), np.float32(0.0)
            if share > 0:
                around = smooth[f] * smooth[f] / (power[m, f] + np.float32(SMALLEST_POWER))
                lost, level = share * min(np.float32(1.0), np.float32(TONE_RATIO) * around), np.sqrt(share * around)
            # What is kept of the recording is divided between its own waveform and breath.
            kept = np.sqrt((1 - lost) * (1 - breath))
            re, im = gain * np.cos(angle), gain * np.sin(angle)
            if breath > 0:
                z = bursts[burst_rows[m], f]
                breathed = np.sqrt((1 - lost) * breath)
                x, y = kept + breathed * z.real, breathed * z.imag
                re, im = re * x - im * y, re * y + im * x
            else:
                re, im = re * kept, im * kept
            if share > 0:
                x, y = common_phase(spectra, m, f)
                z = noise[noise_rows[m], f]
                re += level * (z.real * x + z.imag * y)
                im += level * (z.imag * x - z.real * y)
            for ch in range(channels):
                z = spectra[ch, m, f]
                out[ch, m, f] = np.complex64(complex(z.real * re - z.imag * im, z.real * im + z.imag * re))


@helper()
def common_phase(spectra, m, f):
    """Cosine and sine of the phase of the channels' sum in bin f of frame m, each channel weighted by its amplitude."""
    x, y = np.float32(0.0), np.float32(0.0)
    for ch in range(spectra.shape[0]):
        z = spectra[ch, m, f]
        size = np.sqrt(z.real * z.real + z.imag * z.imag)
        x += z.real * size
        y += z.imag * size
    size = np.sqrt(x * x + y * y)
    if size > 0:
        return x / size, y / size
    return np.float32(1.0), np.float32(0.0)


@helper()
def fill_levels(power, logarithms, out):
    """Fills out (bins,): the amplitude that noise takes on. logarithms (bins,) is scratch.

    It is the mean in logarithms, so that a tone beside the noise has next to no say; exponentially distributed powers have one that
    is lower than the logarithm of their mean by LOG_BIAS.
    """
    for f in range(len(power)):
        logarithms[f] = np.log(power[f] + np.float32(SMALLEST_POWER))
    average(logarithms, SMOOTH_BINS, out)
    for f in range(len(power)):
        out[f] = np.exp(np.float32(0.5) * (out[f] + np.float32(LOG_BIAS)))


@helper()
def average(power, width, out):
    """Mean of power (bins,) over `width` bins on either side, as far as they are there."""
    bins = len(power)
    total = 0.0
    for f in range(min(width, bins)):
        total += power[f]
    for f in range(bins):
        if f + width < bins:
            total += power[f + width]
        if f > width:
            total -= power[f - width - 1]
        out[f] = total / (min(f + width, bins - 1) - max(f - width, 0) + 1)


@helper()
def fill_gains(power, log_gain, texture, lower, weight, unevenness, gains):
    """Fills gains (bins,): the gain of each bin in amplitude that log_gain and texture (bands,) ask for.

    Texture alone changes the frame's power as it changes that of noise, up to TEXTURE_MARGIN either way. unevenness (bins,) is scratch.
    """
    bins = len(power)
    textured = False
    for b in range(len(texture)):
        textured = textured or texture[b] != 0
    if textured:
        measure_unevenness(power, unevenness)
    expected, found = 0.0, 0.0
    for f in range(bins):
        b, w = lower[f], weight[f]
        level = log_gain[b] + w * (log_gain[b + 1] - log_gain[b])
        if textured:
            gamma = texture[b] + w * (texture[b + 1] - texture[b])
            before = power[f] * np.exp(2 * level)
            level += unevenness[f] * gamma
            expected += before * (1 + gamma * (np.float32(TEXTURE_LINEAR) + np.float32(TEXTURE_SQUARE) * gamma))
            found += power[f] * np.exp(2 * level)
        gains[f] = np.exp(level) if level != 0 else np.float32(1.0)
    if textured and found > 0:
        change = np.float32(1.0)
        if found > TEXTURE_MARGIN * expected:
            change = np.float32(np.sqrt(TEXTURE_MARGIN * expected / found))
        elif TEXTURE_MARGIN * found < expected:
            change = np.float32(np.sqrt(expected / (TEXTURE_MARGIN * found)))
        if change != 1:
            for f in range(bins):
                gains[f] *= change


@helper()
def measure_unevenness(power, out):
    """Logarithm of each bin's amplitude relative to the root mean square of its neighbourhood; power and out (bins,)."""
    average(power, TEXTURE_BINS, out)
    for f in range(len(power)):
        out[f] = 0.5 * np.log((power[f] + SMALLEST_POWER) / (max(out[f], np.float32(0.0)) + SMALLEST_POWER))
