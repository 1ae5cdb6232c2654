"""Measures of a voice's source: its pulses, its pitch. Signals (samples,); comparisons need equal lengths."""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter
from scipy.stats import kurtosis

from tsmgan.evaluation.signals import SPEECH_RATE, at_rate

PREDICTION_ORDER = 16
FRAME, HOP = 512, 256
"""In samples at 16 kHz: 32 ms and 16 ms."""
LOUD = 0.1
"""A frame is loud when its RMS is within 20 dB of the loudest frame's."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0


def _residual(frame: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Linear-prediction residual of one frame: autocorrelation method on the windowed frame, filter run over the frame itself."""
    spectrum = np.abs(np.fft.rfft(frame * window, 2 * len(frame))) ** 2
    autocorrelation = np.fft.irfft(spectrum)[: PREDICTION_ORDER + 1]
    autocorrelation[0] = autocorrelation[0] * (1 + 1e-6) + 1e-9  # keeps pure tones and digital silence solvable
    predictor = solve_toeplitz(autocorrelation[:-1], autocorrelation[1:])
    return lfilter(np.concatenate([[1.0], -predictor]), 1, frame)[PREDICTION_ORDER:]


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
    frames = librosa.util.frame(y, frame_length=FRAME, hop_length=HOP).T.astype(np.float64)
    loudness = np.sqrt((frames**2).mean(axis=1))
    window = np.hanning(FRAME)
    return float(np.median([kurtosis(_residual(frame, window), fisher=False) for frame in frames[loudness > LOUD * loudness.max()]]))


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
