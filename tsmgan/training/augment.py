"""Augmentation: each function is a transform of the same shape, (samples, bandwidth, generator, ...) -> (samples, bandwidth).

The transforms act on the recording before it is inverse-stretched. So input and answer share them, and no critic can tell one from the
other by level or noise floor.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from tsmgan.training.recordings import SAMPLERATE


def mix(
    y: np.ndarray, bandwidth: float, generator: np.random.Generator, other: np.ndarray, others_bandwidth: float
) -> tuple[np.ndarray, float]:
    """Add another recording, 0 to 15 dB below this one; it is repeated or cut to fit."""
    other = np.resize(other, len(y))
    level = np.sqrt(np.mean(y**2) / (np.mean(other**2) + 1e-12)) * 10 ** (-generator.uniform(0, 15) / 20)
    return y + np.float32(level) * other, min(bandwidth, others_bandwidth)


def noise(y: np.ndarray, bandwidth: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Add noise 20 to 50 dB below the signal, its spectrum sloping by 0 to -6 dB an octave."""
    white = generator.standard_normal(len(y)).astype(np.float32)
    spectrum = np.fft.rfft(white)
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** -generator.uniform(0, 1)
    coloured = np.fft.irfft(spectrum, len(y)).astype(np.float32)
    level = np.sqrt(np.mean(y**2) / np.mean(coloured**2)) * 10 ** (-generator.uniform(20, 50) / 20)
    return y + np.float32(level) * coloured, bandwidth


def band_limit(y: np.ndarray, bandwidth: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Low-pass at 3 to 10 kHz, as telephones and codecs do."""
    cutoff = float(np.exp(generator.uniform(np.log(3000), np.log(10000))))
    sos = signal.butter(10, cutoff, output="sos", fs=SAMPLERATE)
    return signal.sosfiltfilt(sos, y).astype(np.float32), min(bandwidth, cutoff)


def level(y: np.ndarray, bandwidth: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Set the peak to -24 to -0.5 dB of full scale."""
    peak = 10 ** (-generator.uniform(0.5, 24) / 20)
    return y * np.float32(peak / (np.abs(y).max() + 1e-9)), bandwidth
