"""Rates as people write them: one, or several with commas between them."""

from __future__ import annotations

import re

from tsmgan.cli.numbers import decimal
from tsmgan.errors import UsageError

_DOUBTFUL = re.compile(r"(?P<whole>\d+),(?P<rest>\d+(?:/\d+)?x?)", re.IGNORECASE)
"""Two whole numbers that touch a comma: `1,5` is one and a half in half of the world."""


def parse_rate(text: str, option: str = "--rate") -> float:
    """A speed as a number (1.5; 1,5), a fraction (90/120: from 120 beats per minute to 90) or with an x (1.5x).

    Args:
        text: what the user wrote.
        option: where, for messages.

    Raises:
        UsageError: it is none of these.
    """
    above, slash, below = text.strip().lower().removesuffix("x").partition("/")
    try:
        return decimal(above) / decimal(below) if slash else decimal(above)
    except (ValueError, ZeroDivisionError):
        pass
    if "," in text:
        raise UsageError(f"{text!r} is no rate; give a single number, for example {option} 1.5.")
    raise UsageError(f"{text!r} is no rate; give a number, for example {option} 1.5 (faster) or {option} 0.8 (slower).")


def parse_rates(text: str, option: str = "--rate") -> list[float]:
    """Speeds with commas between them, each as `parse_rate` reads it.

    Args:
        text: what the user wrote.
        option: where, for messages.

    Raises:
        UsageError: one is no possible rate, or the comma may as well be a decimal one.
    """
    from tsmgan.core.timemap import check_rate

    doubtful = _DOUBTFUL.fullmatch(text.strip())
    if doubtful and (int(doubtful["whole"]) < 10 or _writes_decimal_commas()):
        whole, rest = doubtful["whole"], doubtful["rest"]
        raise UsageError(f'{option} {text} may mean one rate or two; write {option} {whole}.{rest} for one, or "{whole}, {rest}" for two.')
    pieces = text.split(",")
    if len(pieces) > 1 and not all(map(str.strip, pieces)):
        raise UsageError(f"{text!r} has a comma without a rate beside it; write commas between rates only, for example {option} 0.9,1.1.")
    return [check_rate(parse_rate(piece, option)) for piece in pieces]


def is_list(text: str) -> bool:
    """Whether there are several rates, or may be."""
    return "," in text


def _writes_decimal_commas() -> bool:
    """Whether the user's locale has a comma where English has the decimal point."""
    import locale

    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "")
        return locale.localeconv()["decimal_point"] == ","
    except locale.Error:  # the user's locale is not installed
        return False
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
