"""Vocoder stage: rotate the spectra so that they continue each other, overlap-add them into a waveform of exact length.

The rotation theta is shared by all channels, so every level and phase difference between channels survives. For each
frame, with the table of `tsmgan.core.analysis`,

    theta_m(f) = theta_{m-1}(source) + horizontal + (alpha - 1) vertical

Then tau, |tau| <= 10 ms, is the shift that best explains theta as a plain delay, the argmax of
sum_f W(f) cos(theta(f) + omega tau), less a small penalty for long shifts; e = wrap(theta + omega tau) is what is left,
and the coherence lambda takes its share of it away: theta <- theta - lambda e. lambda = 0 is a phase vocoder;
lambda = 1 is the recording's own waveform, moved so that it continues what is already there.

Where the frame holds an attack, at t_m + u, it belongs (1/rate - 1) u later than it would stand. The bins that began with it are
moved there:

    theta <- theta - mu share wrap(theta + omega (1/rate - 1) u)

mu is the alpha mix: where alpha = 1, as on voices, attacks are stretched with the rest.

W is the amplitude below 6 kHz, not the power: the upper harmonics then have a say in where a pulse goes. The penalty keeps
frames from jumping between shifts that explain them almost equally well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tsmgan.core.analysis import Frames
from tsmgan.core.compiled import fft
from tsmgan.core.compiled.kernels import helper, kernel
from tsmgan.core.geometry import MAX_SHIFT_SECONDS, Geometry, between_bands

SHIFT_HZ = 6000.0
"""Bins below this choose the shift tau."""
SHIFT_STEP_SECONDS = 1 / 16000
"""Distance of the shifts that are tried; the best is refined by a parabola through its neighbours."""
SHIFT_PENALTY = np.float32(0.2)
"""What the longest shift must gain over none, as a share of the sum of W."""
BAND_CENTRES_HZ = tuple(float(c) for c in 700 * (10 ** np.linspace(np.log10(1 + 80 / 700), np.log10(1 + 11500 / 700), 20) - 1))
"""Centres of the bands that the generator controls, evenly spaced in mel (O'Shaughnessy's formula)."""
BANDS = len(BAND_CENTRES_HZ)
CLIMB_STEPS = 8
"""Steps of the grid by which the penalty may have moved a maximum; enough for sounds of 32 Hz."""
ATTACK_REACH = 0.6
"""An attack that belongs further from its frame's middle than this share of the window is none of that frame's business."""
TEXTURE_BINS = 12
"""Bins on either side (300 Hz) that count as a bin's neighbourhood."""
LARGEST_LOG_GAIN = 0.35
"""The gain of a band in amplitude stays within this natural logarithm either way (3 dB), whatever a model decides."""
LARGEST_TEXTURE = 0.75
"""The texture stays within this either way. At -1 and below, the weak bins of a frame would become its strong ones."""
TEXTURE_LINEAR, TEXTURE_SQUARE = 0.42, 0.5
"""Texture gamma changes the power of white noise, whose bins are exponentially distributed, by Gamma(2 + gamma). A parabola with these
coefficients comes within 3 % of it for |gamma| < 0.75."""
TEXTURE_MARGIN = 1.15
"""Texture may change the power of a frame by this factor more, or less, than it changes that of noise: a tone that is taken for noise
neither explodes nor sinks."""
SMALLEST_POWER = 1e-20
"""Added to powers before their logarithm is taken."""
SMALLEST_NORM = np.float32(1e-3)
"""The sum of squared windows is taken to be at least this, at the very ends of a recording."""
LEAST_INSIDE = np.float32(0.5)
"""Share of the sum of windows that counts at least where frames reach beyond the recording: half of each lies inside at its very end."""


class Field(NamedTuple):
    """What the generator decides for each frame and band; all (frames, BANDS), float32.

    Arrays here, tensors with a batch axis in training.
    """

    coherence: Any
    """lambda in [0, 1]."""
    alpha_mix: Any
    """mu in [0, 1]. 0: alpha = 1, attacks are stretched (voices); 1: alpha = 1 / rate, attacks keep their shape."""
    log_gain: Any
    """Natural logarithm of the gain in amplitude."""
    rotation: Any
    """Small extra rotation in radians that the next frame does not inherit."""
    texture: Any
    """gamma: amplitudes are raised to the power 1 + gamma, relative to their neighbourhood's. Noise that is slowed down repeats itself
    from frame to frame and comes out uneven, noise that is sped up comes out too even; gamma < 0 and > 0 put that right."""

    def bounded(self) -> Field:
        """The field with every value in the range that the vocoder stage allows; arrays only."""
        return Field(
            np.clip(self.coherence, 0, 1),
            np.clip(self.alpha_mix, 0, 1),
            np.clip(self.log_gain, -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN),
            np.clip(self.rotation, -np.pi, np.pi),
            np.clip(self.texture, -LARGEST_TEXTURE, LARGEST_TEXTURE),
        )


class BandSpread(NamedTuple):
    """Linear interpolation from bands to bins: bin f takes (1 - weight) band[lower] + weight band[lower + 1]."""

    lower: np.ndarray
    weight: np.ndarray


def band_spread(geometry: Geometry) -> BandSpread:
    """How the values of the bands spread over the bins at a sample rate; the outermost bands hold to either end."""
    return BandSpread(*between_bands(geometry.frequencies(), np.asarray(BAND_CENTRES_HZ)))


def shift_grid(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of omega_f tau_k, k = 0.., (shifts, bins below 6 kHz) float32: two matrix products then try all shifts."""
    shifts = np.arange(int(MAX_SHIFT_SECONDS / SHIFT_STEP_SECONDS + 0.5) + 1) * SHIFT_STEP_SECONDS
    omega = 2 * np.pi * geometry.frequencies()
    phase = np.outer(shifts, omega[omega < 2 * np.pi * SHIFT_HZ])
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


class Vocoder:
    """Rotations and overlap-add of consecutive runs of frames of one signal; keeps the rotation and the tail between calls."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        self._geometry = geometry
        self._analysis_window, self._window = geometry.window(), geometry.synthesis_window()
        self._spread = band_spread(geometry)
        self._cosines, self._sines = shift_grid(geometry)
        self._omega = (2 * np.pi * geometry.frequencies()).astype(np.float32)
        self._theta = np.zeros(geometry.bins, np.float32)
        n = geometry.window_length
        self._tail = np.zeros((channels, n), np.float32)
        self._tail_norms = np.zeros((2, n), np.float32)

    def rotations(self, frames: Frames, field: Field, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotation of each frame, and how far it moves the frame as a whole.

        Args:
            frames: the next run of frames.
            field: the generator's decisions for them.
            rates: local rate of each frame, (frames,).

        Returns:
            theta, (frames, bins), float32, radians, without the field's own rotation; and the delay that coherence and attacks gave
            each frame, (frames,), int64, samples.
        """
        field = field.bounded()
        theta = np.empty(frames.power.shape, np.float32)
        stretch = (1.0 / rates - 1.0).astype(np.float32)
        scratch = np.empty((3, max(self._cosines.shape[1], 2 * len(self._cosines))), np.float32)
        delays = np.zeros(len(theta), np.float32)
        propagate(
            frames.power, frames.source, frames.horizontal, frames.vertical, self._attack_delays(frames, rates), frames.attack_share,
            field.coherence, field.alpha_mix, stretch,
            self._spread.lower, self._spread.weight, self._cosines, self._sines, self._omega, self._theta, theta, delays, scratch,
        )  # fmt: skip
        self._theta = theta[-1].copy()
        return theta, np.rint(delays * self._geometry.samplerate).astype(np.int64)

    def _attack_delays(self, frames: Frames, rates: np.ndarray) -> np.ndarray:
        """By how much later each frame's attack belongs, (frames,) float32, seconds; NaN where there is nothing to be moved."""
        moved = frames.attack_share.any(1) & (np.abs(self._attack_places(frames, rates)) <= ATTACK_REACH)
        return np.where(moved, (1 / rates - 1) * frames.attack_offset, np.nan).astype(np.float32)

    def _attack_places(self, frames: Frames, rates: np.ndarray) -> np.ndarray:
        """Where each frame's attack belongs in the output, relative to the frame's middle, in windows."""
        return frames.attack_offset / rates * (self._geometry.samplerate / self._geometry.window_length)

    def synthesise(
        self, frames: Frames, field: Field, rates: np.ndarray, theta: np.ndarray, delays: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Overlap-add the next run of frames, turned by theta and moved by delays (both as from `rotations`).

        An attack that belongs behind the frame's end is left out of the frame; it would sound too early.

        Returns:
            (channels, frames * H) float32: the samples that are complete, the first of them N/2 before the run's first
            frame; and (frames,) bool: which frames were left as they are (no rotation, no gain).
        """
        g, field = self._geometry, field.bounded()
        channels, count, _ = frames.spectra.shape
        spectra, unmoved = np.empty_like(frames.spectra), np.ones(count, np.bool_)
        early = self._attack_places(frames, rates) > ATTACK_REACH
        rotate(
            frames.spectra, frames.power, theta, field.log_gain, field.rotation, field.texture, early, frames.attack_share,
            field.alpha_mix, *self._spread, np.empty((2, g.bins), np.float32), spectra, unmoved,
        )  # fmt: skip
        blocks = fft.irfft(spectra, g.window_length)
        out = np.empty((channels, count * g.hop), np.float32)
        overlap_add(blocks, delays, frames.inside, self._analysis_window, self._window, g.hop, self._tail, self._tail_norms, out)
        return out, unmoved

    def tail(self, hops: int) -> np.ndarray:
        """The next hops of H samples behind the last frame's run, (channels, hops * H) float32, when no frame follows."""
        count = hops * self._geometry.hop
        whole, inside = self._tail_norms[:, :count]
        return self._tail[:, :count] / np.maximum(np.maximum(inside, LEAST_INSIDE * whole), SMALLEST_NORM)


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
    lower, weight, cosines, sines, omega, start, theta, delays, scratch,
):  # fmt: skip
    """The recursion over frames, from the rotation `start` (bins,) of the frame before.

    Fills theta (frames, bins), and delays (frames,) in seconds: tau times the mean coherence below 6 kHz, and, for the share of the
    frame's amplitude that an attack moves, the attack's.
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
            delays[m] = tau * shared / max(total, np.float32(1e-30))
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


@kernel()
def rotate(
    spectra, power, theta, log_gain, rotation, texture, early, attack_share, alpha_mix, lower, weight, scratch, out, unmoved
):  # fmt: skip
    """out (channels, frames, bins): spectra times gain and exp(i (theta + rotation)); unmoved (frames,): whether that left them alone.

    scratch is (2, bins) float32.
    """
    channels, frames, bins = spectra.shape
    gains = scratch[0]
    for m in range(frames):
        fill_gains(power[m], log_gain[m], texture[m], lower, weight, scratch[1], gains)
        for f in range(bins):
            b, w = lower[f], weight[f]
            gain = gains[f]
            if early[m]:
                gain *= 1 - attack_share[m, f] * (alpha_mix[m, b] + w * (alpha_mix[m, b + 1] - alpha_mix[m, b]))
            angle = theta[m, f] + rotation[m, b] + w * (rotation[m, b + 1] - rotation[m, b])
            if angle != 0 or gain != 1:
                unmoved[m] = False
            re, im = gain * np.cos(angle), gain * np.sin(angle)
            for ch in range(channels):
                z = spectra[ch, m, f]
                out[ch, m, f] = np.complex64(complex(z.real * re - z.imag * im, z.real * im + z.imag * re))


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
    bins = len(power)
    total = 0.0
    for f in range(min(TEXTURE_BINS, bins)):
        total += power[f]
    for f in range(bins):
        if f + TEXTURE_BINS < bins:
            total += power[f + TEXTURE_BINS]
        if f > TEXTURE_BINS:
            total -= power[f - TEXTURE_BINS - 1]
        count = min(f + TEXTURE_BINS, bins - 1) - max(f - TEXTURE_BINS, 0) + 1
        mean = max(total, 0.0) / count
        out[f] = 0.5 * np.log((power[f] + SMALLEST_POWER) / (mean + SMALLEST_POWER))


@kernel()
def overlap_add(blocks, delays, inside, analysis_window, window, hop, tail, tail_norms, out):
    """Windowed overlap-add into out (channels, frames * hop), normalised by the sum of what the windows let through.

    That is the product of analysis and synthesis window. Where the frame was delayed, the analysis window is delayed with it, and the
    product is another. Left out, a tone of 110 Hz loses 0.2 dB, and a voice a different share in each frame.
    Samples outside of the recording, which inside (frames, 2) leaves out, let nothing through, so a slowed tone begins at its full
    level. Rotations spread a little sound to there as well; LEAST_INSIDE keeps it from being made loud.
    What the later samples have gathered so far carries over in tail (channels, N) and tail_norms (2, N): the sum over whole frames, and
    over what lies inside.
    """
    channels, frames, length = blocks.shape
    whole, known = tail_norms[0], tail_norms[1]
    for m in range(frames):
        first, last = inside[m, 0], inside[m, 1]
        for i in range(length):
            place = (i - delays[m]) % length
            product = window[i] * analysis_window[place]
            whole[i] += product
            if first <= place < last:
                known[i] += product
        for c in range(channels):
            for i in range(length):
                tail[c, i] += window[i] * blocks[c, m, i]
            for i in range(hop):
                out[c, m * hop + i] = tail[c, i] / max(known[i], LEAST_INSIDE * whole[i], SMALLEST_NORM)
            for i in range(length - hop):
                tail[c, i] = tail[c, i + hop]
            for i in range(length - hop, length):
                tail[c, i] = np.float32(0.0)
        for i in range(length - hop):
            whole[i], known[i] = whole[i + hop], known[i + hop]
        for i in range(length - hop, length):
            whole[i], known[i] = np.float32(0.0), np.float32(0.0)
