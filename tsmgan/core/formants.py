"""Formants: the spectral envelope of each frame, taken before a shift of the pitch and given back after it. `envelope` finds it.

A bin at frequency f will sound at p f, where the envelope is wanted that stood at p f / q. q = 1 keeps the formants, and q = p lets them
follow. So its gain is sqrt(p / q) E(f p / q) / E(f). The root keeps the power of a sound as it was when its harmonics come to lie wider
apart, or closer together, under the same envelope.

A vocal tract that has these resonances also has their phases, and a pulse is as sharp as the phases of its harmonics agree. So each gain
has the phase of the filter of minimum phase that the gains belong to.

A voice's breath stays in its band when its pitch moves, as its resonances do. A shift would take it along: a lowered voice would get breath
where its harmonics should be heard, and a raised one harmonics where there was breath. So what lies between the pulses of a lowered voice
is made softer, and of a raised one louder: the frame is multiplied by 1 + 2 a cos(2 pi D (t - t0) / N). D is the bins from harmonic to
harmonic, and t0 the instant of a pulse. In the spectrum Z, less its envelope, this is Z(f) + a (u Z(f - D) + u* Z(f + D)). u is the phase
of the sum of Z(f + D) Z*(f), the component at D of the sound's squared envelope, so it knows the instant of the pulses.

A lowered recording does not fill the band. What is missing, as far as the wanted envelope reaches, is copied from the band below: Z(f - c)
times the phase of the sum of Z(f + c) Z*(f). With the c for which that sum is largest, the copies' pulses are the voice's own.

All channels share gains, phases and pulses, so the stereo image stays. Bins that began with an attack keep their own share of the sound.
"""

from __future__ import annotations

import numpy as np

from tsmgan.core.compiled import fft
from tsmgan.core.compiled.elementary import cos_sin, exp
from tsmgan.core.compiled.kernels import helper, kernel
from tsmgan.core.envelope import PITCH_LAGS, UNVOICED_F0, fill_envelope, pitch_of, pitch_table
from tsmgan.core.field import Field, band_spread
from tsmgan.core.frames import Frames
from tsmgan.core.geometry import NETWORK_HZ, Geometry
from tsmgan.core.vocoder import Turned

VOICE_FROM, VOICE_TO = 0.83, 0.95
"""1 - alpha mix of a band from which it begins to count as a voice's, and from which it is one."""
LARGEST_LOG_GAIN = 3.5
"""Natural logarithm of the largest gain in amplitude, either way (30 dB)."""
CONTENT = 0.91
"""Share of a resampled recording's band that the resampler passes whole."""
FEWEST_BINS = 8
"""A recording that fills fewer bins has no envelope."""
SHARED_SECONDS = 0.006
"""Frames whose instants lie no further apart share one envelope. Mouths are slower."""
COPY_STEP = 6
"""Without a pitch, bands are copied by multiples of so many bins: a bin's phase then advances as before by whole turns a hop."""
FARTHEST_COPY = 0.6
"""Bands are copied by no more than this share of the band that there is: the rest of it tells how."""
SHARPENING, MOST_SHARPENING = 0.3, 0.25
"""What a voice's pulses get, a, for each unit of -log p, and at most, either way."""
SHARPENED_HZ = (1500.0, 2500.0)
"""Where that begins, and where it is whole. It goes up to NETWORK_HZ."""


class Formants:
    """Gives consecutive runs of turned frames the envelopes that they are to have.

    Args:
        geometry: of the frames.
        raised: p / q, by how much the envelope would be raised if nothing were done.
        shifted: p, the ratio of the frequencies after and before.
        resampled: by how much the recording was resampled: above 1, it does not fill the frames' band.
        by_voice: whether only voices are changed, as far as the field takes a band for one; otherwise everything is.
    """

    def __init__(self, geometry: Geometry, raised: float, *, shifted: float = 1.0, resampled: float = 1.0, by_voice: bool = False) -> None:
        self._geometry, self._raised, self._by_voice = geometry, np.float32(raised), by_voice
        self._top = int(geometry.bins * min(1.0, 1 / resampled) * (CONTENT if resampled != 1 else 1.0))
        # Bins from `top` to `last` are copies of those `copied` bins below, or a little more.
        self._last = geometry.bins if resampled > 1 else self._top
        self._copied = -(-max(min(self._last - self._top, int(FARTHEST_COPY * self._top)), 0) // COPY_STEP) * COPY_STEP
        hz = geometry.frequencies()[: self._top]
        sharpening = np.clip(-SHARPENING * np.log(shifted), -MOST_SHARPENING, MOST_SHARPENING)
        self._sharpening = (sharpening * np.interp(hz[hz <= NETWORK_HZ], SHARPENED_HZ, (0, 1))).astype(np.float32)
        self._lags, self._cosines = pitch_table(geometry)
        self._lower, self._upper_share, _ = band_spread(geometry)

    def __call__(self, turned: Turned, frames: Frames, field: Field) -> Turned:
        """The same frames with other envelopes. Their spectra are changed in place."""
        if self._top < FEWEST_BINS:
            return turned
        of_voice = _voice_share(field.bounded().alpha_mix).astype(np.float32, order="C")
        changed_share = of_voice if self._by_voice else np.ones_like(of_voice)
        of_frame, rows = self._filters(frames, changed_share.max(1) > 0)
        if not len(rows):
            return turned
        bins = self._geometry.bins
        scratch = np.empty((3 + 2 * len(turned.spectra), max(bins, PITCH_LAGS)), np.float32)
        log_gains, log_flattening = np.zeros((2, len(rows), bins), np.float32)
        spacing = np.zeros(len(rows), np.int64)
        envelope_gains(
            frames.power, frames.attack_share, changed_share, rows, self._lower, self._upper_share, self._lags, self._cosines, self._raised,
            np.float32(self._geometry.bin_hz), self._top, self._last, scratch, np.empty(3 * bins), log_gains, log_flattening, spacing,
        )  # fmt: skip
        changed, flattening = np.abs(log_gains[:, : self._top]).max(1) > 0, np.exp(log_flattening)
        if self._sharpening.any():
            sharpen(
                turned.spectra, frames.attack_share, of_voice, of_frame, changed, self._lower, self._upper_share, flattening, spacing,
                self._sharpening, self._top, scratch,
            )  # fmt: skip
        if self._last > self._top:
            phases = self._phases(log_flattening)
            copy(turned.spectra, of_frame, changed, flattening, phases, spacing, self._top, self._last, self._copied, scratch)
        apply_gains(turned.spectra, of_frame, changed, log_gains, self._phases(log_gains), max(self._top, self._last), scratch)
        return turned._replace(unmoved=turned.unmoved & ((of_frame < 0) | ~changed[of_frame]))

    def _filters(self, frames: Frames, voiced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which filter each frame gets, (frames,) int64, -1 for none; and the frames that the filters are made from, (filters,) int64.

        A frame takes the filter of the frame before it where that one's was made from an instant nearby, and neither holds an attack.
        """
        of_frame, rows = np.full(len(voiced), -1, np.int64), list[int]()
        attacked = np.isfinite(frames.attack_delay)
        near = SHARED_SECONDS * self._geometry.samplerate
        for m in np.flatnonzero(voiced).tolist():
            if m == 0 or of_frame[m - 1] < 0 or attacked[m - 1 : m + 1].any() or frames.instants[m] - frames.instants[rows[-1]] > near:
                rows.append(m)
            of_frame[m] = len(rows) - 1
        return of_frame, np.array(rows, np.int64)

    def _phases(self, log_gains: np.ndarray) -> np.ndarray:
        """Phases in radians of filters of minimum phase with these gains, (filters, bins) float32: the Hilbert transform of the gains."""
        length = self._geometry.window_length
        gains = log_gains.astype(np.complex64)
        gains[:, self._top :] = gains[:, self._top - 1, None]
        cepstra = fft.irfft(gains, length)
        cepstra[:, [0, length // 2]] = 0
        cepstra[:, length // 2 + 1 :] *= -1
        return np.ascontiguousarray(fft.rfft(cepstra).imag)


def _voice_share(alpha_mix: np.ndarray) -> np.ndarray:
    """How far each frame and band (frames, bands) counts as a voice's, 0 to 1. The field stretches a voice's attacks, so its alpha mix is
    near 0. Steady chords may come halfway."""
    return ((1 - alpha_mix - VOICE_FROM) / (VOICE_TO - VOICE_FROM)).clip(0, 1)


@helper()
def log_level(envelope, place, raised):
    """Logarithm of the amplitude that the envelope (top,) asks for at a fractional place."""
    below = min(int(place), len(envelope) - 2)
    share = min(place - below, np.float32(1.0))
    return np.float32(0.5) * (np.log(raised) + envelope[below] + share * (envelope[below + 1] - envelope[below]))


@kernel()
def envelope_gains(
    power, attack_share, voice, rows, lower, upper_share, lags, cosines, raised, bin_hz, top, last, scratch, sums,
    log_gains, log_flattening, spacing,
):  # fmt: skip
    """Fills log_gains (filters, bins) below `top`: natural logarithms of the gains in amplitude that change the envelopes of power. From
    `top` to `last`: of the amplitudes that are wanted there. Fills log_flattening (filters, bins) below `top`: that of 1 / the envelope's
    amplitude. And spacing (filters,): bins from one harmonic to the next, 0 where there is no pitch.

    rows (filters,) are the frames that the filters are made from, voice (frames, bands) says how far each band is changed, and raised is
    p / q.
    """
    envelope = scratch[0][:top]
    for k in range(len(rows)):
        m = rows[k]
        f0 = pitch_of(power[m], lags, cosines, scratch[2])
        voiced = f0 < np.float32(UNVOICED_F0)
        fill_envelope(power[m], top, f0 / bin_hz, voiced, scratch[1], sums, envelope)
        spacing[k] = int(f0 / bin_hz + np.float32(0.5)) if voiced else 0
        for f in range(max(top, last)):
            b, w = lower[f], upper_share[f]
            share = voice[m, b] + w * (voice[m, b + 1] - voice[m, b])
            wanted = log_level(envelope, np.float32(f) * raised, raised)
            if f < top:
                gain = wanted - np.float32(0.5) * envelope[f]
                gain = min(max(gain, np.float32(-LARGEST_LOG_GAIN)), np.float32(LARGEST_LOG_GAIN))
                log_gains[k, f] = share * (1 - attack_share[m, f]) * gain
                log_flattening[k, f] = np.float32(-0.5) * envelope[f]
            else:
                log_gains[k, f] = wanted + np.log(share + np.float32(1e-6))


@helper()
def common(re, im, step, low, high, total):
    """Fills total[:2] with the real and imaginary part of the sum of Z(f + step) Z*(f) over channels and over bins from low, as far as
    both stand below high; re and im are (channels, bins)."""
    x, y = np.float32(0.0), np.float32(0.0)
    for c in range(len(re)):
        for f in range(low, high - step):
            x += re[c, f + step] * re[c, f] + im[c, f + step] * im[c, f]
            y += im[c, f + step] * re[c, f] - re[c, f + step] * im[c, f]
    total[0], total[1] = x, y


@kernel()
def sharpen(
    spectra, attack_share, voice, of_frame, changed, lower, upper_share, flattening, spacing, sharpening, top, scratch
):  # fmt: skip
    """Sharpens the pulses of the frames of spectra (channels, frames, bins).

    of_frame (frames,) says which filter each frame gets, -1 for none; changed, spacing (filters,) and flattening (filters, bins) are the
    filters'. sharpening (bins that it reaches,) is a; voice (frames, bands) is multiplied with it. scratch is (2 channels + 3, bins)
    float32.
    """
    channels, frames, _ = spectra.shape
    re, im, sums = scratch[3 : 3 + channels], scratch[3 + channels :], scratch[0]
    reach = len(sharpening)
    low = 0
    while low < reach and sharpening[low] == 0:
        low += 1
    for m in range(frames):
        k = of_frame[m]
        if k < 0 or not changed[k]:
            continue
        step = spacing[k]
        if step > 0 and low + 2 * step < reach:
            for c in range(channels):
                for f in range(max(low - step, 0), min(reach + step, top)):
                    z = spectra[c, m, f]
                    re[c, f], im[c, f] = z.real * flattening[k, f], z.imag * flattening[k, f]
            # What the factor does to the power follows from the squared envelope's components at 0, D and 2 D.
            common(re, im, 0, low, reach, sums)
            power = max(sums[0], np.float32(1e-20))
            common(re, im, 2 * step, low, reach, sums)
            x2, y2 = sums[0], sums[1]
            common(re, im, step, low, reach, sums)
            size = np.sqrt(sums[0] * sums[0] + sums[1] * sums[1]) + np.float32(1e-20)
            ux, uy = sums[0] / size, sums[1] / size
            first, second = size / power, ((ux * ux - uy * uy) * x2 + 2 * ux * uy * y2) / power
            for f in range(low, min(reach, top - step)):
                b, w = lower[f], upper_share[f]
                a = sharpening[f] * (voice[m, b] + w * (voice[m, b + 1] - voice[m, b])) * (1 - attack_share[m, f])
                level = 1 / np.sqrt(max(1 + 4 * a * first + 2 * a * a * (1 + second), np.float32(0.25)))
                back = level / flattening[k, f]
                for c in range(channels):
                    x, y = re[c, f] + a * (ux * re[c, f - step] - uy * im[c, f - step]), im[c, f]
                    y += a * (uy * re[c, f - step] + ux * im[c, f - step])
                    x += a * (ux * re[c, f + step] + uy * im[c, f + step])
                    y += a * (ux * im[c, f + step] - uy * re[c, f + step])
                    spectra[c, m, f] = np.complex64(complex(back * x, back * y))


@kernel()
def copy(spectra, of_frame, changed, flattening, phases, spacing, top, last, copied, scratch):
    """Copies bins of the frames of spectra (channels, frames, bins), less their envelopes, to those from `top` to `last`.

    flattening (filters, bins) and phases in radians are those of the filters of minimum phase that take the envelopes; the other arguments
    are as `sharpen` has them. Copies come from `copied` bins below, or, where there is a pitch, up to a harmonic's distance farther.
    """
    channels, frames, _ = spectra.shape
    re, im, sums = scratch[3 : 3 + channels], scratch[3 + channels :], scratch[2]
    inverse_re, inverse_im, made = scratch[0], scratch[1], -1
    for m in range(frames):
        k = of_frame[m]
        if k < 0 or not changed[k]:
            continue
        if k != made:
            made = k
            angles, levels = phases[k], flattening[k]
            for f in range(last):
                inverse_re[f], inverse_im[f] = cos_sin(angles[f])
            for f in range(last):
                inverse_re[f] *= levels[f]
                inverse_im[f] *= levels[f]
        for c in range(channels):
            for f in range(top):
                z = spectra[c, m, f]
                re[c, f] = z.real * inverse_re[f] - z.imag * inverse_im[f]
                im[c, f] = z.real * inverse_im[f] + z.imag * inverse_re[f]
        farther, ux, uy, largest = copied, np.float32(1.0), np.float32(0.0), np.float32(0.0)
        for distance in range(copied, min(copied + spacing[k], top)):
            common(re, im, distance, 0, top, sums)
            size = np.sqrt(sums[0] * sums[0] + sums[1] * sums[1]) / (top - distance)
            if size > largest:
                largest, farther = size, distance
                length = size * (top - distance)
                ux, uy = sums[0] / length, sums[1] / length
        for f in range(top, last):
            source, x, y = f - farther, ux, uy
            while source >= top:
                source -= farther
                x, y = x * ux - y * uy, x * uy + y * ux
            for c in range(channels):
                p, q = re[c, source], im[c, source]
                p, q = p * x - q * y, p * y + q * x
                there = complex(p * inverse_re[f] + q * inverse_im[f], q * inverse_re[f] - p * inverse_im[f])
                spectra[c, m, f] = np.complex64(there)


@kernel()
def apply_gains(spectra, of_frame, changed, log_gains, phases, last, scratch):
    """Multiplies the bins below `last` of the frames of spectra (channels, frames, bins) by their filters exp(log_gains + i phases), both
    (filters, bins).

    of_frame (frames,) says which filter each frame gets, -1 for none, and changed (filters,) which filters do anything. scratch is
    (3 or more, bins) float32.
    """
    channels, frames, _ = spectra.shape
    re, im, made = scratch[0], scratch[1], -1
    for m in range(frames):
        k = of_frame[m]
        if k < 0 or not changed[k]:
            continue
        if k != made:
            made = k
            levels, angles, gain = log_gains[k], phases[k], scratch[2]
            for f in range(last):
                gain[f] = exp(levels[f])
            for f in range(last):
                re[f], im[f] = cos_sin(angles[f])
            for f in range(last):
                re[f] *= gain[f]
                im[f] *= gain[f]
        for c in range(channels):
            row = spectra[c, m]
            for f in range(last):
                z = row[f]
                row[f] = np.complex64(complex(z.real * re[f] - z.imag * im[f], z.real * im[f] + z.imag * re[f]))
