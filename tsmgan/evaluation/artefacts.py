"""The artefact meter: synthetic signals whose right answer is known at any rate, so that no reference is needed.

Each measure takes a stretcher's input and output, (samples,) each, or the output alone; the makers of the signals take a seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import librosa
import numpy as np
from scipy.stats import kurtosis

from tsmgan.evaluation.spectral import WINDOW_SECONDS

HOPS_PER_WINDOW = 4
"""Of the spectra of noise, whose windows are about WINDOW_SECONDS long."""
BURST_RISE_SECONDS, BURST_DECAY_SECONDS = 0.0005, 0.006
"""Time to full amplitude, and time constant of the amplitude behind it: a click with a body, as a hi-hat or a struck wood block."""
BURST_SPACING_SECONDS = 0.6
BURST_JITTER_SECONDS = 0.025
"""Bursts are off their even spacing by up to this, since stretchers that work in segments treat each place differently."""
BURSTS = 4
ATTACK_SECONDS = 0.005
ONSET_LEVEL, ONSET_SECONDS = 0.03, 0.001
"""A burst begins where the power, averaged over this time, first exceeds this share of its maximum (-15 dB)."""
BEFORE_SECONDS, BEHIND_SECONDS = 0.020, 0.100
"""Around the instant where a burst belongs: what counts as its energy in `attack`."""
PRE_ECHO_SECONDS = 0.050
"""How far before an attack its echo is looked for."""


def bursts(samplerate: int, seed: int) -> np.ndarray:
    """Bursts of white noise that rise in 0.5 ms and decay with a time constant of 6 ms, in digital silence, about 0.6 s apart.

    Float32 (samples,), peak 0.5.
    """
    rng = np.random.default_rng(seed)
    spacing, jitter = round(BURST_SPACING_SECONDS * samplerate), round(BURST_JITTER_SECONDS * samplerate)
    y = np.zeros((BURSTS, spacing))
    for cell in y:
        start = spacing // 2 + rng.integers(-jitter, jitter + 1)
        t = np.arange(1, spacing - start + 1) / samplerate
        cell[start:] = rng.standard_normal(len(t)) * np.minimum(1, t / BURST_RISE_SECONDS) * np.exp(-t / BURST_DECAY_SECONDS)
    return (0.5 * y / np.abs(y).max()).ravel().astype(np.float32)


def noise(samplerate: int, seed: int, seconds: float = 2.0) -> np.ndarray:
    """White Gaussian noise of RMS 0.1, float32 (samples,)."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * samplerate))).astype(np.float32)


def _energies(source: np.ndarray, y: np.ndarray, samplerate: int, rate: float, before: float, behind: float) -> Iterator[np.ndarray]:
    """For each burst of a source, the squared samples of its stretched version y, from `before` to `behind` seconds around its instant."""
    for cell in range(BURSTS):
        first = round(cell * BURST_SPACING_SECONDS * samplerate)
        start = first + np.flatnonzero(source[first : first + round(BURST_SPACING_SECONDS * samplerate)])[0]
        instant = round(start / rate)
        yield y[max(0, instant - round(before * samplerate)) : instant + round(behind * samplerate)].astype(np.float64) ** 2


def _attack_share(source: np.ndarray, y: np.ndarray, samplerate: int, rate: float) -> float:
    shares, span = [], round(ONSET_SECONDS * samplerate)
    for energy in _energies(source, y, samplerate, rate, BEFORE_SECONDS, BEHIND_SECONDS):
        if not np.any(energy):
            shares.append(0.0)
            continue
        power = np.convolve(energy, np.ones(span) / span, mode="same")
        onset = int(np.argmax(power > ONSET_LEVEL * power.max()))
        shares.append(energy[onset : onset + round(ATTACK_SECONDS * samplerate)].sum() / energy.sum())
    return float(np.mean(shares))


def attack(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Share of a burst's energy in the first 5 ms from its onset, in `bursts` stretched over `bursts` as they were.

    The onset is where the burst itself begins in the output: where its power, averaged over 1 ms, first exceeds 3 % of its maximum. So a
    stretcher that moves a burst by a few milliseconds is not blamed, and one that smears it or sounds before it is. All the energy is what
    lies from 20 ms before the instant where the burst belongs to 100 ms behind it; a burst that is missing there counts as 0.

    1: attacks are as sharp as they were. Near 0: smeared. Where the decay is stretched with the rest it is 0.68 at rate 0.5 and 1.23 at
    rate 2.

    At 24 kHz and the rates 0.5 / 2, Rubber Band R3 has about 0.91 / 0.62, Sonic 0.71 / 1.09, Signalsmith 0.56 / 1.08, librosa 0.23 / 0.35.

    Raises:
        ValueError: the output is silent.
    """
    if not np.any(output):
        raise ValueError("Attack: the output is silent.")
    return _attack_share(source, output, samplerate, rate) / _attack_share(source, source, samplerate, 1.0)


def pre_echo(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Energy in the 50 ms before a burst's attack, over the whole burst's, in `bursts` stretched.

    The attack is where the 5 ms behind exceed the 5 ms before by most; the last millisecond before it belongs to it. A burst that is
    missing is left out.

    0: silence before the attack. 0.01 (-20 dB): an audible swish.

    Raises:
        ValueError: the output is silent.
    """
    shares, length, rise = [], round(ATTACK_SECONDS * samplerate), round(ONSET_SECONDS * samplerate)
    half = BURST_SPACING_SECONDS / 2 / max(rate, 1.0) - BURST_JITTER_SECONDS
    for energy in _energies(source, output, samplerate, rate, half, half):
        if not np.any(energy):
            continue
        sums = np.convolve(energy, np.ones(length))  # sums[n]: energy of the length samples that end with n
        start = int(np.argmax(sums[length - 1 :] - np.concatenate([[0.0], sums[: len(energy) - 1]])))
        before = energy[max(0, start - round(PRE_ECHO_SECONDS * samplerate)) : max(0, start - rise)]
        shares.append(before.sum() / energy.sum())
    if not shares:
        raise ValueError("Pre-echo: the output is silent.")
    return float(np.mean(shares))


def _hop(samplerate: int) -> int:
    """Samples between two spectra of noise: the product of 2, 3, 5 and 7 that is nearest to a quarter of WINDOW_SECONDS."""
    wanted = samplerate * WINDOW_SECONDS / HOPS_PER_WINDOW
    candidates = np.arange(max(1, int(0.9 * wanted)), int(1.1 * wanted) + 2)
    rest = candidates.copy()
    for prime in (2, 3, 5, 7):
        while np.any(divisible := rest % prime == 0):
            rest[divisible] //= prime
    smooth = candidates[rest == 1]
    return int(smooth[np.abs(smooth - wanted).argmin()])


def _magnitudes(y: np.ndarray, samplerate: int) -> np.ndarray:
    """STFT magnitudes (bins, frames) of the middle of y: 43 ms windows, a quarter apart, edges, 0 Hz and the last bin left out."""
    hop = _hop(samplerate)
    trim = min(HOPS_PER_WINDOW * hop, len(y) // 4)
    y = y[trim : len(y) - trim]
    return np.abs(librosa.stft(y.astype(np.float64), n_fft=HOPS_PER_WINDOW * hop, hop_length=hop, center=False))[1:-1]


def time_correlation(y: np.ndarray, samplerate: int) -> float:
    """Correlation of STFT magnitudes a whole window later (no shared sample), over all bins and frames.

    0 for white noise; higher where a stretched noise has become tonal or repeats itself.
    """
    magnitudes = _magnitudes(y, samplerate)
    return float(np.corrcoef(magnitudes[:, HOPS_PER_WINDOW:].ravel(), magnitudes[:, :-HOPS_PER_WINDOW].ravel())[0, 1])


def magnitude_kurtosis(y: np.ndarray, samplerate: int) -> float:
    """Kurtosis of STFT magnitudes, over all bins and frames: 3.25 for Gaussian noise (a Rayleigh distribution), more for a sparse
    ("musical") one."""
    return float(kurtosis(_magnitudes(y, samplerate), axis=None, fisher=False))


def noise_correlation(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """`time_correlation` of stretched noise less that of real noise. 0: natural. Positive: tonal, or repeated. `rate` is not used."""
    return time_correlation(output, samplerate) - time_correlation(source, samplerate)


def noise_kurtosis(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """`magnitude_kurtosis` of stretched noise over that of real noise. 1: natural. Above: "musical noise". Below: too even. `rate` is not
    used."""
    return magnitude_kurtosis(output, samplerate) / magnitude_kurtosis(source, samplerate)


def noise_level(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """RMS of stretched noise over that of real noise in dB, a window's length off at both ends. 0: level kept. `rate` is not used."""
    edge = HOPS_PER_WINDOW * _hop(samplerate)
    a, b = (float(np.mean(np.square(y[edge:-edge], dtype=np.float64))) for y in (source, output))
    return 10 * float(np.log10((b + 1e-20) / (a + 1e-20)))


METER = {
    "attack": (bursts, attack, 1.0),
    "pre_echo": (bursts, pre_echo, 0.0),
    "noise_correlation": (noise, noise_correlation, 0.0),
    "noise_kurtosis": (noise, noise_kurtosis, 1.0),
    "noise_level": (noise, noise_level, 0.0),
}
"""Name: maker of the signal, measure, ideal."""
