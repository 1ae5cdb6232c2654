"""Formant errors: whether vowels stay the vowels that they were."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

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


@lru_cache(maxsize=8)
def _formants(samples: bytes, samplerate: int) -> np.ndarray:
    """`formants`, kept because all measures here, and every method that is compared with one reference, ask for the same tracks."""
    import parselmouth

    y = np.frombuffer(samples, np.float32).astype(np.float64)
    sound = parselmouth.Sound(at_rate(y, samplerate, SPEECH_RATE), SPEECH_RATE)
    track = sound.to_formant_burg(HOP_SECONDS, MOST_FORMANTS, HIGHEST_HZ, WINDOW_SECONDS)
    instants = np.arange(int(sound.duration / HOP_SECONDS) + 1) * HOP_SECONDS
    return np.array([[track.get_value_at_time(k, at) for k in range(1, FORMANTS + 1)] for at in instants])


def formants(y: np.ndarray, samplerate: int) -> np.ndarray:
    """F1 to F3 of y (samples,) in Hz every 16 ms, NaN where the tracker finds none; (frames, 3), by Praat (Burg's method)."""
    return _formants(np.ascontiguousarray(y, dtype=np.float32).tobytes(), samplerate)


def formant_error(
    reference: np.ndarray, output: np.ndarray, samplerate: int, *, which: tuple[int, ...] = (1, 2, 3), in_hz: bool = False
) -> float:
    """Median over some formants, and over the frames that are voiced in the reference, of the formants' errors, in per cent or in Hz.

    Signals: (samples,), equal lengths. NaN where no frame is voiced.
    """
    voiced = np.isfinite(pitch(reference, samplerate))
    wanted, found = formants(reference, samplerate), formants(output, samplerate)
    count = min(len(voiced), len(wanted), len(found))
    columns = [k - 1 for k in which]
    wanted, found = (each[:count][voiced[:count]][:, columns] for each in (wanted, found))
    share = np.abs(found / wanted - 1)
    counts = np.isfinite(share) & (share < SLIP)
    error = np.abs(found - wanted)[counts] if in_hz else 100 * share[counts]
    return float(np.median(error)) if len(error) else float("nan")


def _measure(name: str, title: str, function: Callable[..., float], explanation: str, unit: str = "%") -> PairMeasure:
    return PairMeasure(
        name=name,
        title=title,
        unit=unit,
        digits=0 if unit == "Hz" else 1,
        ideal=0.0,
        explanation=explanation,
        function=function,
        kinds=("speech",),
        package="parselmouth",
        on_request=name != "formant_error",
    )


FORMANT_ERROR = _measure(
    "formant_error",
    "Formant error",
    formant_error,
    "How far the first three formants, which make a vowel what it is, are off. The tracker itself errs by 1 or 2 %.",
)
FORMANT_ERRORS = tuple(
    _measure(
        f"f{k}_error{suffix}",
        f"F{k} error" if unit == "%" else f"F{k} error in {unit}",
        partial(formant_error, which=(k,), in_hz=bool(suffix)),
        f"How far formant {k} of vowels is off. The tracker errs more where the voice is high, since few harmonics tell it.",
        unit,
    )
    for k in (1, 2, 3)
    for suffix, unit in (("", "%"), ("_hz", "Hz"))
)
"""The same of each formant alone, relative and in Hz. They are taken if they are asked for."""
