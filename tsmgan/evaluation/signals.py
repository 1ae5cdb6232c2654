"""Arrays made comparable: equal lengths, another sample rate."""

from __future__ import annotations

import librosa
import numpy as np

SPEECH_RATE = 16000
"""Sample rate in Hz of the measures that were made for speech."""


def fit_length(y: np.ndarray, length: int) -> np.ndarray:
    """Cut y (..., samples) at its end, or pad it there with zeros, to (..., length)."""
    missing = length - y.shape[-1]
    return y[..., :length] if missing <= 0 else np.pad(y, [(0, 0)] * (y.ndim - 1) + [(0, missing)])


def at_rate(y: np.ndarray, samplerate: int, target: int) -> np.ndarray:
    """y (..., samples) resampled from samplerate to target Hz with soxr's best quality but one (librosa's default)."""
    return y if samplerate == target else librosa.resample(np.asarray(y), orig_sr=samplerate, target_sr=target)
