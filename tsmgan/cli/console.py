"""What a user sees beside the help: sentences on standard error, a bar for long work, tables on standard output."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

PATIENCE_SECONDS = 0.5
"""Work that is done earlier shows no bar."""


LOWEST_NAME, HIGHEST_NAME, LOWEST_BAR, HIGHEST_BAR = 12, 40, 8, 40
"""Columns of the bar and of what stands before it."""
BESIDE_BAR = 34
"""Columns of the percentage, the speed, the time left and the spaces between them."""
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
"""Characters that a terminal would obey, and how they are shown instead. Names of files may hold them."""


def visible(text: str) -> str:
    """The text with control characters written out, so that a terminal shows them instead of obeying."""
    return text.translate(_CONTROLS)


def say(message: str, colour: str | None = None) -> None:
    """Print one line on standard error, in colour on a terminal that knows colours unless NO_COLOR is set."""
    text = visible(message)
    if colour is not None and is_terminal() and not os.environ.get("NO_COLOR"):
        text = typer.style(text, fg=colour)
    typer.echo(text, err=True)


def error(message: str) -> None:
    """Print why the task failed."""
    say(f"Error: {message}", "red")


def warning(message: str) -> None:
    """Print what a user should look at although the task is done."""
    say(f"Warning: {message}", "yellow")


def note(message: str) -> None:
    """Print what a user may want to know."""
    say(f"Note: {message}", "cyan")


def is_terminal() -> bool:
    """Whether standard error is read by a person, on a terminal that knows colours and can move the cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def format_speed(sound: float, elapsed: float) -> str:
    """How fast so many seconds of sound were worked through, as a multiple of real time."""
    speed = sound / max(elapsed, 1e-9)
    return f"{speed:.{0 if speed >= 10 else 1}f}x real time"


def shorten(text: str, width: int) -> str:
    """The text in at most so many columns (at least 3); what is too much is left out of its middle."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, width // 2).rstrip()
    tail = text
    while cell_len(tail) > width - 1 - cell_len(head):
        tail = tail[1:]
    return f"{head}\u2026{tail}"


def print_table(table: Table) -> None:
    """Print a Rich table on standard output."""
    from rich.console import Console

    Console(soft_wrap=False).print(table)


class ProgressBar:
    """A bar with speed and time left on standard error, once the work turns out to be long; nothing when no person looks."""

    def __init__(self, label: str, total: float | None, *, enabled: bool) -> None:
        """
        Args:
            label: what is being worked on.
            total: seconds of sound in all, or whatever else `update` counts; None if unknown.
            enabled: False shows nothing.
        """
        self._label, self._total = label, total
        self._enabled = enabled and is_terminal()
        self._started = time.perf_counter()
        self._bar: Any = None

    def update(self, done: float, speed: str | None = None) -> None:
        """Say how much of the total is done, and what to show beside the bar instead of the speed in seconds of sound."""
        elapsed = time.perf_counter() - self._started
        if not self._enabled or (self._bar is None and elapsed < PATIENCE_SECONDS):
            return
        if self._bar is None:
            self._start()
        self._bar.update(self._task, completed=done, speed=speed or format_speed(done, elapsed))

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        screen = Console(stderr=True)
        room = screen.width - BESIDE_BAR
        label = shorten(visible(self._label), min(max(LOWEST_NAME, room // 2), HIGHEST_NAME))
        bar = BarColumn(min(max(LOWEST_BAR, room - len(label)), HIGHEST_BAR))
        columns = [TextColumn("{task.description}", markup=False), bar, TaskProgressColumn(), TextColumn("{task.fields[speed]}")]
        columns.append(TimeElapsedColumn() if self._total is None else TimeRemainingColumn())
        self._bar = Progress(*columns, console=screen, transient=True)
        self._task = self._bar.add_task(label, total=self._total, speed="")
        self._bar.start()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
