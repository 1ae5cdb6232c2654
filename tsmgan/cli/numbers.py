"""Numbers as people write them: with a decimal point or a decimal comma."""

from __future__ import annotations

import math
from collections.abc import Callable

import typer


def decimal(text: str) -> float:
    """The number that a text is, `0.5` or `0,5`.

    Raises:
        ValueError: it is none, or not finite.
    """
    # Python reads 1_2 as 12.
    value = float(text.strip().replace(",", ".")) if "_" not in text else math.nan
    if not math.isfinite(value):
        raise ValueError
    return value


def number(least: float = -math.inf, most: float = math.inf) -> Callable[[str], float]:
    """What reads an option that is a number of a range, as `parser` of `typer.Option`."""

    def read(text: str) -> float:
        try:
            value = decimal(str(text))
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no number; give for example 0.5.") from None
        if not least <= value <= most:
            wanted = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise typer.BadParameter(f"{text} must be {wanted}.")
        return value

    return read
