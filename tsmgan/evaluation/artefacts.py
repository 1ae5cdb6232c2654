"""The artefact meter: synthetic signals whose right answer is known at any rate, so that no reference is needed.

Each measure takes a stretcher's input and output, (samples,) each, or the output alone; the makers of the signals take a seed.
"""

from __future__ import annotations

import librosa
import numpy as np
from scipy.stats import kurtosis

from tsmgan.geometry import HOPS_PER_WINDOW, geometry

BURST_DECAY_SECONDS = 0.020
"""Time constant of a burst's amplitude: a dry drum."""
BURST_SPACING_SECONDS = 0.6
BURSTS = 4
ATTACK_SECONDS = 0.005
PRE_ECHO_SECONDS = 0.050
"""How far before an attack its echo is looked for."""


def bursts(samplerate: int, seed: int) -> np.ndarray:
    """Bursts of random signs (white) with an instant attack and a decay of 20 ms in digital silence, 0.6 s apart.

    Float32 (samples,), peak 0.5.
    """
    before = round(BURST_SPACING_SECONDS * samplerate / 2)
    decay = 0.5 * np.exp(-np.arange(before) / (BURST_DECAY_SECONDS * samplerate))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (BURSTS, before))
    return np.concatenate([np.zeros((BURSTS, before)), signs * decay], axis=1).ravel().astype(np.float32)


def noise(samplerate: int, seed: int, seconds: float = 2.0) -> np.ndarray:
    """White Gaussian noise of RMS 0.1, float32 (samples,)."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * samplerate))).astype(np.float32)


def _attacks(y: np.ndarray, samplerate: int, rate: float) -> list[tuple[np.ndarray, int]]:
    """Each burst's energy, from half a spacing before it to half a spacing behind, and the sample in it where its attack begins.

    That is where the 5 ms behind exceed the 5 ms before by most, so that a stretcher that moves a burst as a whole is not blamed for it.
    """
    spacing, length = BURST_SPACING_SECONDS * samplerate / rate, round(ATTACK_SECONDS * samplerate)
    attacks = []
    for number in range(BURSTS):
        energy = y[round(number * spacing) : round((number + 1) * spacing)].astype(np.float64) ** 2
        if not np.any(energy):
            raise ValueError(f"Attack: burst {number + 1} is missing.")
        sums = np.convolve(energy, np.ones(length))  # sums[n]: energy of the length samples that end with n
        attacks.append((energy, int(np.argmax(sums[length - 1 :] - np.concatenate([[0.0], sums[: len(energy) - 1]])))))
    return attacks


def _attack_share(y: np.ndarray, samplerate: int, rate: float) -> float:
    length = round(ATTACK_SECONDS * samplerate)
    return float(np.mean([energy[start : start + length].sum() / energy.sum() for energy, start in _attacks(y, samplerate, rate)]))


def attack(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Share of a burst's energy in the first 5 ms of its attack, in `bursts` stretched over `bursts` as they were.

    1: attacks are as sharp as they were. Near 0: smeared. Slowing down lowers it if the decay is stretched as well, speeding up raises it:
    with a decay of 20 ms to 0.56 at rate 0.5 and to 1.6 at rate 2.

    Raises:
        ValueError: a burst is missing from the output.
    """
    return _attack_share(output, samplerate, rate) / _attack_share(source, samplerate, 1.0)


def pre_echo(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Energy in the 50 ms before a burst's attack against the whole burst's, in dB, in `bursts` stretched.

    -60 (its floor): silence before the attack. Above -20: an audible swish. `source` is not used.

    Raises:
        ValueError: a burst is missing from the output.
    """
    before = round(PRE_ECHO_SECONDS * samplerate)
    shares = [energy[max(0, start - before) : start].sum() / energy.sum() for energy, start in _attacks(output, samplerate, rate)]
    return 10 * float(np.log10(np.mean(shares) + 1e-6))


def _magnitudes(y: np.ndarray, samplerate: int) -> np.ndarray:
    """STFT magnitudes (bins, frames) of the middle of y: 43 ms windows, a quarter apart, edges, 0 Hz and the last bin left out."""
    frames = geometry(samplerate)
    trim = min(frames.window_length, len(y) // 4)
    y = y[trim : len(y) - trim]
    return np.abs(librosa.stft(y.astype(np.float64), n_fft=frames.window_length, hop_length=frames.hop, center=False))[1:-1]


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
    """`magnitude_kurtosis` of stretched noise less that of real noise. 0: natural. Positive: "musical noise". `rate` is not used."""
    return magnitude_kurtosis(output, samplerate) - magnitude_kurtosis(source, samplerate)


def noise_level(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """RMS of stretched noise over that of real noise in dB, a window's length off at both ends. 0: level kept. `rate` is not used."""
    edge = geometry(samplerate).window_length
    a, b = (float(np.mean(np.square(y[edge:-edge], dtype=np.float64))) for y in (source, output))
    return 10 * float(np.log10((b + 1e-20) / (a + 1e-20)))


METER = {
    "attack": (bursts, attack, 1.0),
    "pre_echo": (bursts, pre_echo, -60.0),
    "noise_correlation": (noise, noise_correlation, 0.0),
    "noise_kurtosis": (noise, noise_kurtosis, 0.0),
    "noise_level": (noise, noise_level, 0.0),
}
"""Name: maker of the signal, measure, ideal."""
