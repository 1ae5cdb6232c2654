"""Pulse peakiness: whether a voice keeps its sharp pulses."""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np
from scipy.stats import kurtosis

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate

PREDICTION_ORDER = 16
FRAME, HOP = 512, 256
"""In samples at 16 kHz: 32 ms and 16 ms."""
LOUD = 0.1
"""A frame is loud when its RMS is within 20 dB of the loudest frame's."""
FRAMES_AT_ONCE = 1024
"""Keeps the memory of a long recording small."""


def _residuals(frames: np.ndarray) -> np.ndarray:
    """Linear-prediction residual of each frame (frames, samples), by the autocorrelation method on the windowed frame.

    The filter runs over the frame itself. Its first samples are left out, since they have no past in the frame.
    """
    spectra = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), 2 * frames.shape[1], axis=1)) ** 2
    autocorrelations = np.fft.irfft(spectra, axis=1)[:, : PREDICTION_ORDER + 1]
    autocorrelations[:, 0] = autocorrelations[:, 0] * (1 + 1e-6) + 1e-9  # keeps pure tones and digital silence solvable
    lags = np.abs(np.subtract.outer(np.arange(PREDICTION_ORDER), np.arange(PREDICTION_ORDER)))
    predictors = np.linalg.solve(autocorrelations[:, lags], autocorrelations[:, 1:, np.newaxis])[..., 0]
    residuals = frames[:, PREDICTION_ORDER:].copy()
    for lag in range(1, PREDICTION_ORDER + 1):
        residuals -= predictors[:, lag - 1, np.newaxis] * frames[:, PREDICTION_ORDER - lag : frames.shape[1] - lag]
    return residuals


def residual_kurtosis(y: np.ndarray, samplerate: int) -> float:
    """Kurtosis (fourth moment over squared variance) of the linear-prediction residual of y (samples,), median over loud frames.

    Order 16, autocorrelation method, 32 ms frames 16 ms apart, at 16 kHz. A frame is loud if its RMS is within 20 dB of the loudest one's.

    3 for Gaussian noise and for a voice whose harmonics have lost their common phase; 10 to 40 for one whose glottal pulses are intact.
    Source of the idea: Gillespie, Malvar and Florencio, "Speech Dereverberation via Maximum-Kurtosis Subband Adaptive Filtering" (2001).

    Raises:
        ValueError: the signal is silent or shorter than one frame.
    """
    y = at_rate(y, samplerate, SPEECH_RATE)
    if len(y) < FRAME or not np.any(y):
        raise ValueError("Pulse peakiness: the signal is silent or shorter than 32 ms.")
    frames = librosa.util.frame(y, frame_length=FRAME, hop_length=HOP).T
    loudness = np.sqrt((frames.astype(np.float64) ** 2).mean(axis=1))
    loud = np.flatnonzero(loudness > LOUD * loudness.max())
    parts = np.array_split(loud, -(-len(loud) // FRAMES_AT_ONCE))
    return float(np.median(np.concatenate([kurtosis(_residuals(frames[p].astype(np.float64)), axis=1, fisher=False) for p in parts])))


@lru_cache(maxsize=8)
def _reference_kurtosis(samples: bytes, samplerate: int) -> float:
    """`residual_kurtosis` of a reference, which is kept because every method is compared with it."""
    return residual_kurtosis(np.frombuffer(samples, np.float32), samplerate)


def pulse_peakiness(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """`residual_kurtosis` of the output over that of the reference.

    1: pulses are as sharp as they were. About 0.2: phases are scattered and the voice is phasy. Above 1: buzzy. Nothing is aligned, so
    the reference may have another length; it may be the recording itself.

    Raises:
        ValueError: a signal is silent or shorter than one frame.
    """
    before = _reference_kurtosis(np.ascontiguousarray(reference, dtype=np.float32).tobytes(), samplerate)
    return residual_kurtosis(output, samplerate) / before


PEAKINESS = PairMeasure(
    name="peakiness",
    title="Pulse peakiness",
    unit="out / in",
    digits=2,
    ideal=1.0,
    explanation="A voice is made of short, sharp pulses. This compares how sharp they are after and before. 1 is natural, 0.2 is a "
    "distant, hollow voice, above 1 is buzzy. It says little about music.",
    function=pulse_peakiness,
    kinds=("speech",),
    aligned=False,
)
