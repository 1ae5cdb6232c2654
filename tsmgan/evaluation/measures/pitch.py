"""Pitch and voicing: whether a voice keeps its melody, and is voiced where it was. Both measures read one pitch track."""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate

WINDOW, HOP = 1024, 256
"""In samples at 16 kHz: 64 ms and 16 ms."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0


@lru_cache(maxsize=32)
def _pitch(samples: bytes, samplerate: int) -> np.ndarray:
    """`pitch`, kept because both measures, and every method that is compared with one reference, ask for the same track."""
    y = at_rate(np.frombuffer(samples, np.float32), samplerate, SPEECH_RATE)
    return librosa.pyin(y, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=SPEECH_RATE, frame_length=WINDOW, hop_length=HOP)[0]


def pitch(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Fundamental frequency of y (samples,) in Hz every 16 ms, NaN where unvoiced; 60 to 500 Hz. Shape (frames,).

    Source: Mauch and Dixon, "pYIN: A Fundamental Frequency Estimator Using Probabilistic Threshold Distributions" (2014), `librosa.pyin`.
    """
    return _pitch(np.ascontiguousarray(y, dtype=np.float32).tobytes(), samplerate)


def pitch_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute difference of the pitches in cents, over the frames that are voiced in both; octave errors are left out.

    Signals: (samples,), equal lengths. Range 0 (identical) to 600; differences under 10 are the tracker's own resolution. NaN where no
    frame is voiced in both: the tracker reports a voice only where it is sure, which may be nowhere in two seconds of fast speech.
    """
    cents = 1200 * np.abs(np.log2(pitch(output, samplerate) / pitch(reference, samplerate)))
    cents = cents[np.isfinite(cents) & (cents < 600)]
    return float(cents.mean()) if len(cents) else float("nan")


def voicing_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Share of 16 ms frames that are voiced in one of the signals and unvoiced in the other. Range 0 (identical) to 1."""
    return float(np.mean(np.isnan(pitch(reference, samplerate)) != np.isnan(pitch(output, samplerate))))


F0_ERROR = PairMeasure(
    name="f0_error",
    title="Pitch error",
    unit="cents",
    digits=1,
    ideal=0.0,
    explanation="How far the voice's pitch is off; 100 cents are a semitone. Below 10 cents the pitch tracker itself cannot tell.",
    function=pitch_error,
    kinds=("speech",),
)
VOICING_ERROR = PairMeasure(
    name="voicing_error",
    title="Voicing error",
    ideal=0.0,
    explanation="The share of the time in which a voiced sound has become unvoiced, or an unvoiced one voiced. 0 is never.",
    function=voicing_error,
    kinds=("speech",),
)
