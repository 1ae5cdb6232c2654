"""Pauses as people ask for them, and what they gave in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tsmgan.cli.durations import format_duration
from tsmgan.cli.numbers import decimal
from tsmgan.errors import UsageError

if TYPE_CHECKING:
    from tsmgan.maps import PauseTime


def parse_pauses(text: str) -> float | Literal["first"]:
    """A share, with a decimal point or comma or as a percentage, or `first`.

    Raises:
        UsageError: it is none of these.
    """
    tidy = text.strip().lower()
    if tidy == "first":
        return "first"
    try:
        return decimal(tidy.removesuffix("%")) / (100 if tidy.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"--pauses is {text!r}; give the share of their length that pauses keep, for example 0.4, or first.") from None


def pauses_gave(pauses: PauseTime) -> str:
    """What pauses contributed, in words."""
    if not pauses.found:
        return "no pauses were found"
    did = "gave" if pauses.seconds >= 0 else "took"
    return f"{pauses.found} pause{'s' * (pauses.found > 1)} {did} {format_duration(abs(pauses.seconds))} of it"
