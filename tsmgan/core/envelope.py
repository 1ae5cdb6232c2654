"""Envelope: the pitch of a frame, and its spectral envelope.

The envelope is found as CheapTrick finds it (Morise, "CheapTrick, a spectral envelope estimator for high-quality speech synthesis", 2015),
with the steps that follow the pitch F0 carried out along the frequency axis, where they are running sums:

- below F0, the power at F0 - f is added to that at f, as if a harmonic stood at 0: the fundamental of a lowered voice needs a level there;
- power is averaged over 2/3 F0, which fills the valleys between the harmonics;
- its logarithm is averaged over F0. In the cepstrum this is a sinc with its zeros at the periods of the harmonics, so none is left;
- what the average has blurred is sharpened: 1.18 L(f) - 0.09 (L(f + F0) + L(f - F0)).

Where a frame has no pitch, F0 is taken to be 500 Hz, so that noise keeps its own texture.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tsmgan.core.compiled.elementary import log
from tsmgan.core.compiled.kernels import helper
from tsmgan.core.geometry import Geometry
from tsmgan.core.vocoder import SMALLEST_POWER

LOWEST_F0, HIGHEST_F0 = 60.0, 500.0
"""Pitches in Hz that are looked for."""
PITCH_BAND_HZ = 3000.0
"""The harmonics below this tell the pitch."""
PITCH_LAGS = 128
VOICED_CORRELATION = 0.35
"""From this correlation of a frame with itself a period earlier on, it has a pitch."""
FIRST_PEAK = 0.8
"""The shortest period whose correlation comes this near to the best one's is taken: multiples of a period correlate as well."""
UNVOICED_F0 = 500.0
SHARPENED, NEIGHBOURS = 1.18, -0.09
"""Of the liftered log spectrum and of its neighbours F0 above and below; Morise's q0 and q1 for his spectral recovery."""
RELATIVE_FLOOR = 1e-9
"""Power, as a share of the frame's strongest bin, below which an envelope is not followed."""


@lru_cache(maxsize=16)
def pitch_table(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Periods in seconds, (lags,) float32, evenly spaced in their logarithm; and cosines (bins below 3 kHz, lags), float32, by which
    amplitudes become correlations. A steady harmonic sound gives 1 at its period."""
    hz = geometry.frequencies()
    hz = hz[hz < PITCH_BAND_HZ]
    lags = np.geomspace(1 / HIGHEST_F0, 1 / LOWEST_F0, PITCH_LAGS)
    window = geometry.window().astype(np.float64)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 4 * len(window))))
    own = np.interp(lags * geometry.samplerate, np.arange(len(window)), own[: len(window)] / own[0])
    cosines = np.cos(2 * np.pi * np.outer(hz, lags)) / np.maximum(own, 0.2)
    return lags.astype(np.float32), np.ascontiguousarray(cosines, np.float32)


@helper()
def pitch_of(power, lags, cosines, correlation):
    """F0 of a frame in Hz, from its power (bins,); UNVOICED_F0 where it has none. correlation (lags,) is scratch."""
    total = np.float32(1e-30)
    for lag in range(len(lags)):
        correlation[lag] = np.float32(0.0)
    for f in range(1, len(cosines)):
        amplitude = np.sqrt(power[f])
        total += amplitude
        for lag in range(len(lags)):
            correlation[lag] += amplitude * cosines[f, lag]
    best = np.float32(0.0)
    for lag in range(1, len(lags) - 1):
        best = max(best, correlation[lag])
    if best < VOICED_CORRELATION * total:
        return np.float32(UNVOICED_F0)
    for lag in range(1, len(lags) - 1):
        mid = correlation[lag]
        left, right = correlation[lag - 1], correlation[lag + 1]
        if mid >= FIRST_PEAK * best and mid >= left and mid > right:
            offset = np.float32(0.5) * (left - right) / (left - 2 * mid + right)
            step = lags[lag + 1] / lags[lag]
            return np.float32(1.0) / (lags[lag] * step**offset)
    return np.float32(UNVOICED_F0)


@helper()
def mirrored(f, top):
    """A place in range(top) for a place up to top - 1 beyond either end."""
    f = abs(f)
    return f if f < top else 2 * top - 2 - f


@helper()
def running_mean(values, top, pad, width, sums, out):
    """Fills out (top,) with means of values (top,) over `width` places around each, fractional, at most 2 pad; the ends are mirrored."""
    sums[0] = 0.0
    for k in range(top + 2 * pad):
        sums[k + 1] = sums[k] + values[mirrored(k - pad, top)]
    for f in range(top):
        low, high = f + pad + 0.5 - 0.5 * width, f + pad + 0.5 + 0.5 * width
        i, j = int(low), int(high)
        first = sums[i] + (low - i) * (sums[i + 1] - sums[i])
        last = sums[j] + (high - j) * (sums[j + 1] - sums[j])
        out[f] = (last - first) / width


@helper()
def fill_envelope(power, top, f0_bins, voiced, blurred, sums, out):
    """Fills out (top,) with the natural logarithm of the envelope of power (bins,), as far as the bins below `top` tell it.

    f0_bins is F0 in bins, and the frame is `voiced` where it has one. blurred (top,) and sums (3 top,) are scratch.
    """
    pad = min(top - 1, int(f0_bins) + 1)
    width = max(min(f0_bins, np.float32(pad)), np.float32(1.0))
    loudest = np.float32(0.0)
    for f in range(top):
        loudest = max(loudest, power[f])
    floor = np.float32(RELATIVE_FLOOR) * loudest + np.float32(SMALLEST_POWER)
    for f in range(top):
        blurred[f] = power[f]
    if voiced:
        for f in range(min(int(f0_bins) + 1, top - 1)):
            below = min(int(f0_bins - f), top - 2)
            blurred[f] += power[below] + (f0_bins - f - below) * (power[below + 1] - power[below])
    running_mean(blurred, top, pad, max(np.float32(2 / 3) * width, np.float32(1.0)), sums, out)
    for f in range(top):
        out[f] = log(max(out[f], np.float32(0.0)) + floor)
    running_mean(out, top, pad, width, sums, blurred)
    step = int(width + np.float32(0.5))
    for f in range(top):
        around = blurred[mirrored(f + step, top)] + blurred[mirrored(f - step, top)]
        out[f] = np.float32(SHARPENED) * blurred[f] + np.float32(NEIGHBOURS) * around
