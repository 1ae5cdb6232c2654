"""Features: what the generator sees of each frame. One definition, used by the stretcher and by training alike.

Everything is measured on sums over channels, in the band below 12 kHz, and on scales that do not know the sample rate:
amplitudes are relative to full scale, bands and lags are in Hz and seconds.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from tsmgan.core.compiled.kernels import helper, kernel
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


def _in_bands(values: np.ndarray, starts: np.ndarray, upper_share: np.ndarray) -> np.ndarray:
    """Sums of values (rows, bins) over bands, (rows, bands) float32."""
    out = np.zeros((len(values), len(starts)), np.float32)
    band_sums(values, starts, upper_share, out)
    return out


def _shares(hz: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first bin of each lower band, (bands,) int64, the last one's behind the last bin; and each bin's share of the upper band."""
    lower, upper_share = between_bands(hz, centres)
    return np.searchsorted(lower, np.arange(len(centres))), upper_share


@lru_cache(maxsize=16)
def _tables(geometry: Geometry) -> tuple[Any, Any, np.ndarray, list[np.ndarray]]:
    hz = geometry.frequencies()
    hz = hz[hz < NETWORK_HZ]
    narrow, wide = (_shares(hz, centres) for centres in (NARROW_HZ, WIDE_HZ))
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
    bins = len(narrow[1])
    scale = np.float32((2.0 / geometry.window_length) ** 2)
    power = frames.power[:, :bins] * scale
    floor = np.float32(RELATIVE_FLOOR) * power.sum(1) + np.float32(SMALLEST_POWER)
    out = np.empty((len(power), FEATURES), np.float32)
    out[:, COLUMNS["log power"]] = (np.log(_in_bands(power, *narrow) + np.float32(FLOOR)) + 12) / 5
    out[:, COLUMNS["loudness"]] = (np.log(power.sum(1, keepdims=True) + np.float32(FLOOR)) + 8) / 5
    shares, totals = np.zeros((2, 4, len(power), len(WIDE_HZ)), np.float32)
    modulation = out[:, COLUMNS["modulation"]]
    scratch = np.empty((6 + 2 * len(frames.spectra), bins), np.float32)
    local_measures(frames.spectra, frames.before, scale, *_pulse_bins(geometry), floor, *wide, shares, totals, modulation, scratch)
    totals = totals[:3] + np.stack([floor, floor, np.sqrt(floor)])[..., None]
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
def band_sums(values, starts, upper_share, out):
    """Adds values (rows, bins) to out (rows, bands), see `add_to_bands`."""
    for m in range(len(values)):
        add_to_bands(values[m], starts, upper_share, out[m])


@helper(fastmath={"reassoc", "nsz"})
def add_to_bands(values, starts, upper_share, out):
    """Adds values (bins,) to out (bands,). The bins from starts[b] to starts[b + 1] are shared by band b and the next."""
    for b in range(len(out) - 1):
        lower, upper = np.float32(0.0), np.float32(0.0)
        for f in range(starts[b], starts[b + 1]):
            part = upper_share[f] * values[f]
            lower += values[f] - part
            upper += part
        out[b] += lower
        out[b + 1] += upper


@kernel()
def lag_sums(power, low, table, out):
    """Adds to out (frames, lags) the products of power (frames, bins), from bin `low` on, with table (some bins, lags)."""
    for m in range(len(power)):
        for f in range(len(table)):
            value, row, products = power[m, low + f], out[m], table[f]
            for lag in range(len(row)):
                row[lag] += value * products[lag]


@helper(fastmath={"reassoc", "nsz"})
def add_neighbours(values, out):
    """Fills out (bins,) with the sums of values (bins,) over three neighbouring bins. The outermost two lack a neighbour."""
    for f in range(len(values)):
        out[f] = values[f]
    above, below = values[1:], out[1:]
    for f in range(len(above)):
        out[f] += above[f]
    for f in range(len(above)):
        below[f] += values[f]


@kernel(fastmath={"reassoc", "nsz"})  # no contraction: a fused sum over channels depends on their order
def local_measures(x, p, scale, edges, lowest, highest, floor, starts, upper_share, measures, totals, modulation, scratch):
    """Sums over channels, per frame and band, from which the band measures are made.

    Adds to measures (4, frames, bands): size of the product X conj(P) over three neighbouring bins; real and imaginary part of the product
    of neighbouring bins; growth of amplitude. To totals (3 or more, frames, bands): what the first, the next two and the last would be at
    most. modulation (frames, bands): the largest of |sum_f X(f + k) conj X(f)| over k = lowest..highest, relative to the band's power, to
    which floor (frames,) is added.
    """
    # Loops over a few rows each, and over views where bins are shifted, run in vector registers.
    channels, frames, _ = x.shape
    bins = scratch.shape[1]
    now, then, re, im, cosine, sine = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    real, imag = scratch[6 : 6 + channels], scratch[6 + channels :]
    for m in range(frames):
        scratch[:6] = 0
        for c in range(channels):
            here, earlier, a_re, a_im = x[c, m], p[c, m], real[c], imag[c]
            for f in range(bins):
                a_re[f], a_im[f] = here[f].real, here[f].imag
            for f in range(bins):
                now[f] += scale * (a_re[f] * a_re[f] + a_im[f] * a_im[f])
            for f in range(bins):
                then[f] += scale * (earlier[f].real * earlier[f].real + earlier[f].imag * earlier[f].imag)
            for f in range(bins):
                re[f] += scale * (a_re[f] * earlier[f].real + a_im[f] * earlier[f].imag)
            for f in range(bins):
                im[f] += scale * (a_im[f] * earlier[f].real - a_re[f] * earlier[f].imag)
            b_re, b_im, along, across = a_re[1:], a_im[1:], cosine[1:], sine[1:]
            for f in range(bins - 1):  # minus: the transform's phase zero is the frame's edge, this one's is its centre
                along[f] -= scale * (b_re[f] * a_re[f] + b_im[f] * a_im[f])
            for f in range(bins - 1):
                across[f] += scale * (b_im[f] * a_re[f] - b_re[f] * a_im[f])
        add_to_bands(cosine, starts, upper_share, measures[1, m])
        add_to_bands(sine, starts, upper_share, measures[2, m])
        add_to_bands(now, starts, upper_share, totals[1, m])
        size, most = cosine, sine
        add_neighbours(re, size)
        add_neighbours(im, most)
        for f in range(bins):
            size[f] = np.sqrt(size[f] * size[f] + most[f] * most[f])
        add_neighbours(now, re)
        add_neighbours(then, im)
        for f in range(bins):
            most[f] = np.sqrt(re[f] * im[f])
        size[0] = size[bins - 1] = most[0] = most[bins - 1] = 0
        add_to_bands(size, starts, upper_share, measures[0, m])
        add_to_bands(most, starts, upper_share, totals[0, m])
        growth, sums = cosine, sine
        for f in range(bins):
            louder, quieter = np.sqrt(now[f]), np.sqrt(then[f])
            growth[f] = louder - quieter
            sums[f] = louder + quieter
        add_to_bands(growth, starts, upper_share, measures[3, m])
        add_to_bands(sums, starts, upper_share, totals[2, m])
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
                    a_re, a_im, b_re, b_im = real[c, low:high], imag[c, low:high], real[c, low + k : high], imag[c, low + k : high]
                    for f in range(len(b_re)):
                        rc += b_re[f] * a_re[f] + b_im[f] * a_im[f]
                        ic += b_im[f] * a_re[f] - b_re[f] * a_im[f]
                    r += rc
                    i += ic
                strongest = max(strongest, r * r + i * i)
            modulation[m, band] = scale * np.sqrt(strongest) / total
