"""Pitches as people write them."""

from __future__ import annotations

import math
from typing import Literal

from tsmgan.cli.numbers import decimal
from tsmgan.errors import UsageError


def parse_pitch(text: str, option: str = "--pitch") -> float:
    """Semitones from a number of them (+2, -0.5), or from a ratio of frequencies (3/2).

    Raises:
        UsageError: it is neither.
    """
    above, slash, below = text.strip().partition("/")
    try:
        return _finite(12 * math.log2(decimal(above) / decimal(below))) if slash else decimal(above)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{text!r} is no pitch; give semitones, such as --pitch +2 or --pitch -0.5, or a ratio, --pitch 3/2.") from None


def parse_tuning(text: str) -> float:
    """Semitones between two concert pitches in Hz: 440:432 is from a recording tuned to 440 Hz to one tuned to 432 Hz.

    Raises:
        UsageError: it is not two frequencies.
    """
    before, _, after = text.strip().partition(":")
    try:
        return _finite(12 * math.log2(decimal(after) / decimal(before)))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{text!r} is no tuning; give the recording's and the wanted one in Hz, for example --tune 440:432.") from None


def parse_formants(text: str) -> float | Literal["keep", "follow"]:
    """What becomes of the formants: the words, or semitones.

    Raises:
        UsageError: it is none of these.
    """
    word = text.strip().lower()
    if word == "keep":
        return "keep"
    if word == "follow":
        return "follow"
    try:
        return decimal(word)
    except ValueError:
        raise UsageError(f"{text!r} says nothing of formants; give keep, follow or semitones, for example --formants +1.5.") from None


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value
