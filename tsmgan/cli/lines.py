"""What `tsmgan stretch --slots` and `tsmgan fit` have in common: how far lines may be changed, and a table of what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tsmgan.cli import console
from tsmgan.cli.durations import parse_instant
from tsmgan.cli.rates import parse_rate
from tsmgan.errors import UsageError

if TYPE_CHECKING:
    from tsmgan.maps import Line

LONGEST_TEXT = 60
"""Characters of a line that the table shows."""


def require_slots(slots: str | None, *others: object) -> None:
    """Raise UsageError where something that goes with --slots is given without it."""
    if slots is None and any(other is not None for other in others):
        raise UsageError("--captions, --slowest, --fastest, --free-time and --report go with --slots; name the wanted times with it.")


def given_limits(slowest: str | None, fastest: str | None, free_time: str | None) -> dict[str, Any]:
    """What was typed, as keywords; nothing of what was left out."""
    found: dict[str, Any] = {}
    if slowest is not None:
        found["slowest"] = parse_rate(slowest, "--slowest")
    if fastest is not None:
        found["fastest"] = parse_rate(fastest, "--fastest")
    if free_time is not None:
        found["free_time"] = parse_instant(free_time)
    return found


def show_lines(lines: Sequence[Line], *, to_pipe: bool) -> None:
    """Print a table of all lines, and a warning where some do not fit.

    Args:
        to_pipe: standard output carries samples, so the table goes to standard error.
    """
    from rich.table import Table

    table = Table("cue", "slot", "heard", "rate", "pauses", "line", box=None)
    for column in table.columns[:5]:
        column.justify, column.no_wrap = "right", True
    for line in lines:
        told = line.problem or (f"{line.free_time:.2f} s of free time. " if line.free_time > 0.001 else "")
        text = line.text or line.name
        text = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}\u2026"
        mark = "" if line.fits else "! "
        slot, heard = (f"{_clock(begin)} - {_clock(end)}" for begin, end in ((line.slot_begin, line.slot_end), (line.begin, line.end)))
        table.add_row(str(line.number), slot, heard, f"{line.rate:.2f}", f"{line.pauses:+.2f} s", f"{mark}{told} {text}".strip())
    console.print_table(table, to_error=to_pipe)
    missing = [line for line in lines if not line.is_heard]
    if missing:
        is_or_are = "is" if len(missing) == 1 else "are"
        console.warning(
            f"{len(missing)} of {len(lines)} lines {is_or_are} not heard ({_numbers(missing)}); the table says what is missing."
        )
    problems = [line for line in lines if line.is_heard and not line.fits]
    if problems:
        do = "does" if len(problems) == 1 else "do"
        is_long = any(line.needed > line.rate * (1 + 1e-9) for line in problems)
        advice = "shorten their text, give them more time, or raise --fastest" if is_long else "the table says why; give them other times"
        console.warning(f"{len(problems)} of {len(lines)} lines {do} not fit ({_numbers(problems)}); {advice}.")


def _numbers(lines: Sequence[Line]) -> str:
    return ", ".join(str(line.number) for line in lines[:10]) + (" ..." if len(lines) > 10 else "")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}"
