"""Correlation, kurtosis and level of stretched noise: whether hiss stays hiss."""

from __future__ import annotations

import librosa
import numpy as np
from scipy.stats import kurtosis

from tsmgan.evaluation.measures.measure import SyntheticMeasure
from tsmgan.evaluation.measures.spectra import WINDOW_SECONDS

HOPS_PER_WINDOW = 4
"""Windows are about WINDOW_SECONDS long."""


def noise(samplerate: int, seed: int, seconds: float = 2.0) -> np.ndarray:
    """White Gaussian noise of RMS 0.1, float32 (samples,)."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * samplerate))).astype(np.float32)


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
    """STFT magnitudes (bins, frames) of y without its edges, 0 Hz and the last bin: 43 ms windows, a quarter of it apart."""
    hop = _hop(samplerate)
    trim = min(HOPS_PER_WINDOW * hop, len(y) // 4)
    y = y[trim : len(y) - trim]
    return np.abs(librosa.stft(y.astype(np.float64), n_fft=HOPS_PER_WINDOW * hop, hop_length=hop, center=False))[1:-1]


def time_correlation(y: np.ndarray, samplerate: int) -> float:
    """Correlation of STFT magnitudes with those a whole window later, which share no sample with them, over all bins and frames.

    0 for white noise; higher where a stretched noise has become tonal or repeats itself.
    """
    magnitudes = _magnitudes(y, samplerate)
    return float(np.corrcoef(magnitudes[:, HOPS_PER_WINDOW:].ravel(), magnitudes[:, :-HOPS_PER_WINDOW].ravel())[0, 1])


def magnitude_kurtosis(y: np.ndarray, samplerate: int) -> float:
    """Kurtosis of STFT magnitudes, over all bins and frames.

    3.25 for Gaussian noise, whose magnitudes have a Rayleigh distribution; more for sparse ("musical") noise.
    """
    return float(kurtosis(_magnitudes(y, samplerate), axis=None, fisher=False))


def noise_correlation(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """`time_correlation` of stretched noise less that of real noise. 0: natural. Positive: tonal, or repeated. `rate` is not used."""
    return time_correlation(output, samplerate) - time_correlation(source, samplerate)


def noise_kurtosis(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """`magnitude_kurtosis` of stretched noise over that of real noise; `rate` is not used.

    1: natural. Above: "musical noise". Below: too even.
    """
    return magnitude_kurtosis(output, samplerate) / magnitude_kurtosis(source, samplerate)


def noise_level(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """RMS of stretched noise over that of real noise in dB, without a window's length at both ends. 0: level kept. `rate` is not used."""
    edge = HOPS_PER_WINDOW * _hop(samplerate)
    a, b = (float(np.mean(np.square(y[edge:-edge], dtype=np.float64))) for y in (source, output))
    return 10 * float(np.log10((b + 1e-20) / (a + 1e-20)))


NOISE_CORRELATION = SyntheticMeasure(
    name="noise_correlation",
    title="Tonal noise",
    digits=2,
    ideal=0.0,
    explanation="Whether hiss stays hiss. Above 0 it rings, warbles or repeats itself; 0 is natural.",
    signal=noise,
    function=noise_correlation,
)
NOISE_KURTOSIS = SyntheticMeasure(
    name="noise_kurtosis",
    title="Grainy noise",
    unit="out / in",
    digits=2,
    ideal=1.0,
    explanation="Whether hiss stays even. Above 1 it breaks up into grains or tinkling tones (musical noise), below 1 it is too even; "
    "1 is natural.",
    signal=noise,
    function=noise_kurtosis,
)
NOISE_LEVEL = SyntheticMeasure(
    name="noise_level",
    title="Noise level",
    unit="dB",
    digits=2,
    ideal=0.0,
    explanation="How much louder (+) or softer (-) hiss becomes: wind, breath, applause. 0 is unchanged.",
    signal=noise,
    function=noise_level,
)
