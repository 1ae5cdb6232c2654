"""Formant error: whether vowels stay the vowels that they were."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.measures.pitch import pitch
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate

HOP_SECONDS = 0.016
FORMANTS = 3
HIGHEST_HZ, MOST_FORMANTS, WINDOW_SECONDS = 5500.0, 5.0, 0.025
"""Praat's usual settings: five formants below 5.5 kHz."""
SLIP = 0.25
"""Tracks further apart than this belong to two formants, of which the tracker has left one out."""


def formants(y: np.ndarray, samplerate: int) -> np.ndarray:
    """F1 to F3 of y (samples,) in Hz every 16 ms, NaN where the tracker finds none; (frames, 3), by Praat (Burg's method)."""
    import parselmouth

    sound = parselmouth.Sound(at_rate(np.asarray(y, np.float64), samplerate, SPEECH_RATE), SPEECH_RATE)
    track = sound.to_formant_burg(HOP_SECONDS, MOST_FORMANTS, HIGHEST_HZ, WINDOW_SECONDS)
    instants = np.arange(int(sound.duration / HOP_SECONDS) + 1) * HOP_SECONDS
    return np.array([[track.get_value_at_time(k, at) for k in range(1, FORMANTS + 1)] for at in instants])


def formant_error(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Median over F1 to F3, and over the frames that are voiced in the reference, of the formants' errors, in per cent.

    Signals: (samples,), equal lengths. NaN where no frame is voiced.
    """
    voiced = np.isfinite(pitch(reference, samplerate))
    wanted, found = formants(reference, samplerate), formants(output, samplerate)
    count = min(len(voiced), len(wanted), len(found))
    error = np.abs(found[:count] / wanted[:count] - 1)[voiced[:count]]
    error = error[np.isfinite(error) & (error < SLIP)]
    return 100 * float(np.median(error)) if len(error) else float("nan")


FORMANT_ERROR = PairMeasure(
    name="formant_error",
    title="Formant error",
    unit="%",
    digits=1,
    ideal=0.0,
    explanation="How far the first three formants, which make a vowel what it is, are off. The tracker itself errs by 1 or 2 %.",
    function=formant_error,
    kinds=("speech",),
    package="parselmouth",
)
