"""Measures of a voice's source: its pulses, its pitch. Signals (samples,); comparisons need equal lengths."""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np

from tsmgan.evaluation.signals import SPEECH_RATE, at_rate

PREDICTION_ORDER = 16
FRAME, HOP = 512, 256
"""In samples at 16 kHz: 32 ms and 16 ms."""
LOUD = 0.1
"""A frame is loud when its RMS is within 20 dB of the loudest frame's."""
FRAMES_AT_ONCE = 1024
"""Keeps the memory of a long recording small."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0


def _residuals(frames: np.ndarray) -> np.ndarray:
    """Linear-prediction residual of each frame (frames, samples): autocorrelation method on the windowed frame, filter run over the frame
    itself, without its first samples, which would lack a past."""
    spectra = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), 2 * frames.shape[1], axis=1)) ** 2
    autocorrelations = np.fft.irfft(spectra, axis=1)[:, : PREDICTION_ORDER + 1]
    autocorrelations[:, 0] = autocorrelations[:, 0] * (1 + 1e-6) + 1e-9  # keeps pure tones and digital silence solvable
    lags = np.abs(np.subtract.outer(np.arange(PREDICTION_ORDER), np.arange(PREDICTION_ORDER)))
    predictors = np.linalg.solve(autocorrelations[:, lags], autocorrelations[:, 1:, np.newaxis])[..., 0]
    residuals = frames[:, PREDICTION_ORDER:].copy()
    for lag in range(1, PREDICTION_ORDER + 1):
        residuals -= predictors[:, lag - 1, np.newaxis] * frames[:, PREDICTION_ORDER - lag : frames.shape[1] - lag]
    return residuals


def _kurtosis(y: np.ndarray) -> np.ndarray:
    """Fourth central moment over squared variance of each row, (rows,); NaN where a row is constant."""
    squares = (y - y.mean(axis=1, keepdims=True)) ** 2
    with np.errstate(invalid="ignore"):
        return (squares**2).mean(axis=1) / squares.mean(axis=1) ** 2


def residual_kurtosis(y: np.ndarray, samplerate: int) -> float:
    """Kurtosis (fourth moment over squared variance) of the linear-prediction residual, median over loud frames.

    Order 16, autocorrelation method, 32 ms frames 16 ms apart, at 16 kHz; loud is within 20 dB of the loudest frame's RMS.

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
    return float(np.median(np.concatenate([_kurtosis(_residuals(frames[part].astype(np.float64))) for part in parts])))


def pulse_peakiness(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """`residual_kurtosis` of the output over that of the reference.

    1: pulses are as sharp as they were. About 0.2: phases are scattered and the voice is phasy. Above 1: buzzy. The reference may be the
    recording itself, of another length, since nothing is aligned.

    Raises:
        ValueError: a signal is silent or shorter than one frame.
    """
    return residual_kurtosis(output, samplerate) / residual_kurtosis(reference, samplerate)


@lru_cache(maxsize=32)
def _pitch(samples: bytes, samplerate: int) -> np.ndarray:
    """`pitch`, kept: both pitch measures, and every method that is compared with one reference, ask for the same track."""
    y = at_rate(np.frombuffer(samples, np.float32), samplerate, SPEECH_RATE)
    return librosa.pyin(y, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=SPEECH_RATE, frame_length=2 * FRAME, hop_length=HOP)[0]


def pitch(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Fundamental frequency in Hz each 16 ms, NaN where unvoiced; 60 to 500 Hz. Shape (frames,).

    Source: Mauch and Dixon, "pYIN: A Fundamental Frequency Estimator Using Probabilistic Threshold Distributions" (2014), `librosa.pyin`.
    """
    return _pitch(np.ascontiguousarray(y, dtype=np.float32).tobytes(), samplerate)


def pitch_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute difference of the pitches in cents, over the frames that are voiced in both; octave errors are left out.

    Range 0 (identical) to 600; differences under 10 are the tracker's own resolution. NaN where no frame is voiced in both: the tracker is
    cautious (what it calls voiced is), and may find nothing sure in two seconds of a fast voice.
    """
    cents = 1200 * np.abs(np.log2(pitch(output, samplerate) / pitch(reference, samplerate)))
    cents = cents[np.isfinite(cents) & (cents < 600)]
    return float(cents.mean()) if len(cents) else float("nan")


def voicing_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Share of 16 ms frames that are voiced in one of the signals and unvoiced in the other. Range 0 (identical) to 1."""
    return float(np.mean(np.isnan(pitch(reference, samplerate)) != np.isnan(pitch(output, samplerate))))
