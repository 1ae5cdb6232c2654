"""Features: what the generator sees of each frame. One definition, used by the stretcher and by training alike.

Everything is measured on sums over channels, in the band below 12 kHz, and on scales that do not know the sample rate:
amplitudes are relative to full scale, bands and lags are in Hz and seconds.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from tsmgan.core.compiled.kernels import kernel
from tsmgan.core.frames import Frames
from tsmgan.core.geometry import NETWORK_HZ, Geometry, between_bands

NARROW_HZ = np.concatenate([np.arange(1, 41) * 23.4375, 960 * (11700 / 960) ** (np.arange(40) / 39)])
"""Centres of the log-power bands: single bins where partials lie apart, a constant ratio above."""
WIDE_HZ = np.array([150.0, 350, 650, 1050, 1600, 2400, 3500, 5000, 7000, 9800])
"""Centres of the bands that tonality, concentration and rise are measured in."""
PERIODICITY_EDGES_HZ = (60.0, 1000.0, 3000.0, 6000.0)
"""Edges of the bands that are searched for a common period."""
PERIODICITY_LAGS_SECONDS = np.arange(20, 108) / 8000
"""Periods that are tried: 75 to 400 Hz."""
MODULATION_EDGES_HZ = (60.0, 1000.0, 3000.0, 6000.0, 11500.0)
"""Edges of the bands whose envelope is searched for pulses."""
MODULATION_HZ = (75.0, 400.0)
"""Pulse rates that are tried: the pitch of voices."""
COLUMNS = {
    "log power": slice(0, 80),
    "tonality": slice(80, 90),
    "concentration": slice(90, 100),
    "position": slice(100, 110),
    "rise": slice(110, 120),
    "periodicity": slice(120, 124),
    "period": slice(124, 125),
    "modulation": slice(125, 129),
    "loudness": slice(129, 130),
}
"""Which columns of the features hold what."""
FEATURES = 130
FLOOR = 1e-9
"""Power, relative to a full-scale sine, that counts as silence (-90 dB)."""
RELATIVE_FLOOR, SMALLEST_POWER = 1e-9, 1e-20
"""Ratios are taken of powers above this share of the frame's own and above this much: what a frame is does not depend on its level."""


def band_weights(frequencies: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Triangular bands, (len(centres), len(frequencies)) float32: each frequency is shared linearly by the two nearest centres."""
    return np.stack([np.interp(frequencies, centres, row) for row in np.eye(len(centres))]).astype(np.float32)


def _in_bands(values: np.ndarray, shares: tuple[np.ndarray, np.ndarray, int]) -> np.ndarray:
    """Sums of values (..., bins) over bands, (..., bands) float32."""
    lower, upper_share, bands = shares
    out = np.zeros((*values.shape[:-1], bands), np.float32)
    band_sums(values.reshape(-1, values.shape[-1]), lower, upper_share, out.reshape(-1, bands))
    return out


@lru_cache(maxsize=16)
def _tables(geometry: Geometry) -> tuple[Any, Any, np.ndarray, list[np.ndarray]]:
    hz = geometry.frequencies()
    hz = hz[hz < NETWORK_HZ]
    narrow, wide = ((*between_bands(hz, centres), len(centres)) for centres in (NARROW_HZ, WIDE_HZ))
    # The autocorrelation of a windowed frame falls with the window's own; dividing by that makes a periodic frame give 1.
    window = geometry.window().astype(np.float64)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * len(window))) ** 2)
    own = np.interp(PERIODICITY_LAGS_SECONDS * geometry.samplerate, np.arange(len(window)), own[: len(window)] / own[0])
    cosines = np.cos(2 * np.pi * np.outer(hz, PERIODICITY_LAGS_SECONDS)) / own
    edges = np.searchsorted(hz, PERIODICITY_EDGES_HZ)
    periodicity = [np.ascontiguousarray(cosines[low:high], np.float32) for low, high in pairwise(edges)]
    return narrow, wide, edges, periodicity


def frame_features(frames: Frames, geometry: Geometry) -> np.ndarray:
    """Features of a run of frames, (frames, FEATURES) float32, finite for any finite input.

    Columns (see COLUMNS):

    - log power in 80 narrow bands, roughly -2 to 2;
    - tonality in 10 wide bands, 0 to 1: how well a single advance of phase explains three neighbouring bins (1: a steady partial);
    - concentration, 0 to 1, and position, -1 to 1, in the same bands: length and sine of the mean of exp(i 2 pi t / N) over the
      band's energy, t from the frame's centre. 2/3 and 0 for a steady sound, near 1 for a single attack, which stands in the
      frame's later half when position is positive (a centre of gravity, as in Robel, DAFx 2003);
    - rise, -1 to 1: growth of amplitude over one hop;
    - periodicity of three bands and of their sum, about 0 to 1: the highest normalised autocorrelation at lags of 2.5 to 13.4 ms;
    - the period found in their sum, in units of 10 ms;
    - modulation of four bands, 0 to 1: the strongest component of the band's squared envelope at 75 to 400 Hz, relative to its
      mean. Pulses of a voice give much, tones and noise little;
    - loudness: log power of the whole band.
    """
    narrow, wide, edges, periodicity = _tables(geometry)
    bins = len(narrow[0])
    scale = np.float32((2.0 / geometry.window_length) ** 2)
    power = frames.power[:, :bins] * scale
    floor = np.float32(RELATIVE_FLOOR) * power.sum(1) + np.float32(SMALLEST_POWER)
    out = np.empty((len(power), FEATURES), np.float32)
    out[:, COLUMNS["log power"]] = (np.log(_in_bands(power, narrow) + np.float32(FLOOR)) + 12) / 5
    out[:, COLUMNS["loudness"]] = (np.log(power.sum(1, keepdims=True) + np.float32(FLOOR)) + 8) / 5
    measures, totals = np.zeros((4, len(power), bins), np.float32), np.zeros((3, len(power), bins), np.float32)
    modulation = out[:, COLUMNS["modulation"]]
    scratch = np.zeros((4 + 2 * len(frames.spectra), bins), np.float32)
    local_measures(frames.spectra, frames.before, scale, *_pulse_bins(geometry), floor, measures, totals, modulation, scratch)
    shares = _in_bands(measures, wide)
    totals = _in_bands(totals, wide) + np.stack([floor, floor, np.sqrt(floor)])[..., None]
    out[:, COLUMNS["tonality"]] = shares[0] / totals[0]
    out[:, COLUMNS["concentration"]] = np.sqrt(shares[1] ** 2 + shares[2] ** 2) / totals[1]
    out[:, COLUMNS["position"]] = shares[2] / totals[1]
    out[:, COLUMNS["rise"]] = shares[3] / totals[2]
    correlation = np.zeros((len(periodicity), len(power), len(PERIODICITY_LAGS_SECONDS)), np.float32)
    for low, table, sums in zip(edges.tolist(), periodicity, correlation):
        lag_sums(power, low, table, sums)
    energy = np.stack([power[:, low:high].sum(1) for low, high in pairwise(edges)])
    whole, total = correlation.sum(0), energy.sum(0)
    periods = out[:, COLUMNS["periodicity"]]
    periods[:, :3] = (correlation.max(2) / (energy + floor)).T
    periods[:, 3] = whole.max(1) / (total + floor)
    out[:, COLUMNS["period"]] = (PERIODICITY_LAGS_SECONDS[whole.argmax(1)] * 100)[:, None]
    return out


def silence(frames: int) -> np.ndarray:
    """Features of silent frames, (frames, FEATURES) float32: what stands before and behind every recording."""
    out = np.zeros((frames, FEATURES), np.float32)
    out[:, COLUMNS["log power"]] = (np.log(FLOOR) + 12) / 5
    out[:, COLUMNS["loudness"]] = (np.log(FLOOR) + 8) / 5
    out[:, COLUMNS["period"]] = PERIODICITY_LAGS_SECONDS[0] * 100
    return out


@lru_cache(maxsize=16)
def _pulse_bins(geometry: Geometry) -> tuple[np.ndarray, int, int]:
    hz = geometry.frequencies()
    edges = np.searchsorted(hz[hz < NETWORK_HZ], MODULATION_EDGES_HZ)
    lowest, highest = (round(rate / geometry.bin_hz) for rate in MODULATION_HZ)
    return edges, lowest, highest


# Sums by kernels, not by matrix products: a library that multiplies matrices gives other last bits on other numbers of cores, and outputs
# would differ with them.


@kernel()
def band_sums(values, lower, upper_share, out):
    """Adds values (rows, bins) to out (rows, bands): each bin is shared by band `lower` and the next."""
    for m in range(len(values)):
        for f in range(len(lower)):
            value, b = values[m, f], lower[f]
            part = upper_share[f] * value
            out[m, b] += value - part
            out[m, b + 1] += part


@kernel()
def lag_sums(power, low, table, out):
    """Adds to out (frames, lags) the products of power (frames, bins), from bin `low` on, with table (some bins, lags)."""
    for m in range(len(power)):
        for f in range(len(table)):
            value = power[m, low + f]
            for lag in range(out.shape[1]):
                out[m, lag] += value * table[f, lag]


@kernel(fastmath={"reassoc", "nsz"})  # no contraction: a fused sum over channels depends on their order
def local_measures(x, p, scale, edges, lowest, highest, floor, measures, totals, modulation, scratch):
    """Sums over channels, per frame and bin, from which the band measures are made.

    Fills measures (4, frames, bins), all zero before: size of the product X conj(P) over three neighbouring bins; real and imaginary part
    of the product of neighbouring bins; growth of amplitude. totals (3, frames, bins): what each of them would be at most. modulation
    (frames, bands): the largest of |sum_f X(f + k) conj X(f)| over k = lowest..highest, relative to the band's power, to which floor
    (frames,) is added.
    """
    channels, frames, _ = x.shape
    bins = measures.shape[2]
    now, then, re, im = scratch[0], scratch[1], scratch[2], scratch[3]
    real, imag = scratch[4 : 4 + channels], scratch[4 + channels :]
    for m in range(frames):
        for f in range(bins):
            now[f], then[f], re[f], im[f] = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for c in range(channels):
            for f in range(bins):
                a, b = x[c, m, f], p[c, m, f]
                real[c, f], imag[c, f] = a.real, a.imag
                now[f] += scale * (a.real * a.real + a.imag * a.imag)
                then[f] += scale * (b.real * b.real + b.imag * b.imag)
                re[f] += scale * (a.real * b.real + a.imag * b.imag)
                im[f] += scale * (a.imag * b.real - a.real * b.imag)
            for f in range(1, bins):  # minus: the transform's phase zero is the frame's edge, this one's is its centre
                measures[1, m, f] -= scale * (real[c, f] * real[c, f - 1] + imag[c, f] * imag[c, f - 1])
                measures[2, m, f] += scale * (imag[c, f] * real[c, f - 1] - real[c, f] * imag[c, f - 1])
        for f in range(1, bins - 1):
            r, i = re[f - 1] + re[f] + re[f + 1], im[f - 1] + im[f] + im[f + 1]
            measures[0, m, f] = np.sqrt(r * r + i * i)
            totals[0, m, f] = np.sqrt((now[f - 1] + now[f] + now[f + 1]) * (then[f - 1] + then[f] + then[f + 1]))
        for f in range(bins):
            totals[1, m, f] = now[f]
            louder, quieter = np.sqrt(now[f]), np.sqrt(then[f])
            measures[3, m, f] = louder - quieter
            totals[2, m, f] = louder + quieter
        for band in range(len(edges) - 1):
            low, high = edges[band], edges[band + 1]
            total = floor[m]
            for f in range(low, high):
                total += now[f]
            strongest = np.float32(0.0)
            for k in range(lowest, highest + 1):
                r, i = np.float32(0.0), np.float32(0.0)
                for c in range(channels):  # each channel's sum by itself, so that left and right may be exchanged
                    rc, ic = np.float32(0.0), np.float32(0.0)
                    for f in range(low, high - k):
                        rc += real[c, f + k] * real[c, f] + imag[c, f + k] * imag[c, f]
                        ic += imag[c, f + k] * real[c, f] - real[c, f + k] * imag[c, f]
                    r += rc
                    i += ic
                strongest = max(strongest, r * r + i * i)
            modulation[m, band] = scale * np.sqrt(strongest) / total
