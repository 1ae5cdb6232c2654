"""Distances of short-time spectra. Each compares an output with its reference: signals (samples,), equal lengths."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import librosa
import numpy as np

WINDOW_SECONDS = 2048 / 48000
"""Of the log-mel spectra (42.7 ms). It belongs to the measure: what stretchers use, this program's among them, is no concern of it."""
MEL_BANDS = 80
MEL_FLOOR = 1e-5
CONVERGENCE_WINDOWS = (256, 1024, 4096)
ONSET_WINDOW, ONSET_HOP = 512, 128


@contextmanager
def _empty_bands_allowed() -> Iterator[None]:
    """The narrowest mel bands fall between two bins at high sample rates: they stay at the floor on both sides, which is no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters detected")
        yield


def _magnitudes(y: np.ndarray, window: int) -> np.ndarray:
    """STFT magnitudes (bins, frames), Hann window, hop a quarter of it."""
    return np.abs(librosa.stft(y, n_fft=window, hop_length=window // 4))


def log_mel(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Natural logarithm of the power in 80 mel bands from 0 Hz to half the sample rate, floored at 1e-5. Shape (80, frames).

    43 ms Hann window (a multiple of 4 samples), hop a quarter of it; bands as Slaney's Auditory Toolbox, of equal area.
    """
    window = 4 * round(samplerate * WINDOW_SECONDS / 4)
    with _empty_bands_allowed():
        bank = librosa.filters.mel(sr=samplerate, n_fft=window, n_mels=MEL_BANDS)
    return np.log(np.maximum(bank @ _magnitudes(y, window) ** 2, MEL_FLOOR))


def log_mel_distance(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute difference of the log mel powers (`log_mel`) over bands and frames, in nepers of power (1 is 4.3 dB).

    Range 0 (identical) and up; two independent white noises are 0.5 to 0.9 apart, from texture alone. It likes smooth
    magnitudes, and does not see phases.
    """
    return float(np.abs(log_mel(reference, samplerate) - log_mel(output, samplerate)).mean())


def spectral_convergence(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean over windows of 256, 1024 and 4096 samples of ||A - B|| / ||A||, A and B the STFT magnitudes of reference and output.

    Range 0 (identical) and up, 1 for silence. It weighs what is loud, unlike a log distance. `samplerate` is not used.
    Source: Arik, Jun and Diamos, "Fast Spectrogram Inversion Using Multi-Head Convolutional Neural Networks" (2019).

    Raises:
        ValueError: the reference is silent.
    """
    if not np.any(reference):
        raise ValueError("Spectral convergence: the reference is silent.")
    ratios = []
    for window in CONVERGENCE_WINDOWS:
        a, b = _magnitudes(reference, window), _magnitudes(output, window)
        ratios.append(np.linalg.norm(a - b) / np.linalg.norm(a))
    return float(np.mean(ratios))


def onset_correlation(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Pearson correlation of the onset strengths (spectral flux; window 512, hop 128 samples).

    Range -1 to 1 (identical). It falls when attacks are blurred, doubled, or late by more than a hop.
    Source: Boeck and Widmer, "Maximum Filter Vibrato Suppression for Onset Detection" (2013), `librosa.onset.onset_strength`.

    Raises:
        ValueError: one of the signals has no onset at all.
    """
    with _empty_bands_allowed():
        a, b = (librosa.onset.onset_strength(y=y, sr=samplerate, n_fft=ONSET_WINDOW, hop_length=ONSET_HOP) for y in (reference, output))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise ValueError("Onset correlation: one of the signals has no onset.")
    return float(np.corrcoef(a, b)[0, 1])
