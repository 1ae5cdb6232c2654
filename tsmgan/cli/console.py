"""What a user sees beside the help: sentences on standard error, a bar for long work, tables on standard output."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that tell a terminal what to do, or that turn the order of others around, and are no text."""
PATIENCE_SECONDS = 0.5
"""Work that is done earlier shows no bar."""
MOST_CHARACTERS = 2000
"""Of a sentence; whoever gives a value of 5,000 digits need not read them all."""


LOWEST_NAME, HIGHEST_NAME, LOWEST_BAR, HIGHEST_BAR = 12, 40, 8, 40
"""Columns of the bar and of what stands before it."""
BESIDE_BAR = 34
"""Columns of the percentage, the speed, the time left and the spaces between them."""


def harmless(text: str, *, lines: bool = False) -> str:
    """The text with its control characters as escapes (`\\x1b`), so that no file's name or tag commands the terminal.

    Args:
        text: what a file, or somebody else, says.
        lines: whether it may have several lines.
    """

    def escaped(found: re.Match[str]) -> str:
        character = found[0]
        return character if lines and character == "\n" else character.encode("unicode_escape").decode("ascii")

    return CONTROLS.sub(escaped, text)


def say(message: str, colour: str | None = None) -> None:
    """Print one line on standard error, in colour on a terminal that has colours, unless NO_COLOR is set. Controls are escaped."""
    text = harmless(message)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS // 2]}\u2026{text[-MOST_CHARACTERS // 2 + 1 :]}"
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


def print_table(table: Table, *, to_error: bool = False) -> None:
    """Print a Rich table on standard output, or on standard error, without the control characters of what stands in it."""
    from rich.console import Console

    for column in table.columns:
        column._cells = [harmless(cell, lines=True) if isinstance(cell, str) else cell for cell in column._cells]
    if isinstance(table.title, str):
        table.title = harmless(table.title)
    Console(soft_wrap=False, stderr=to_error).print(table)


class ProgressBar:
    """A bar with speed and time left on standard error, once the work turns out to be long; nothing when no person looks."""

    def __init__(self, label: str, total: float | None, *, enabled: bool, patience: float = PATIENCE_SECONDS) -> None:
        """
        Args:
            label: what is being worked on.
            total: seconds of sound in all, or whatever else `update` counts; None if unknown.
            enabled: False shows nothing.
            patience: seconds of work before which nothing is shown.
        """
        self._label, self._total, self._patience = harmless(label), total, patience
        self._enabled = enabled and is_terminal()
        self._started = time.perf_counter()
        self._bar: Any = None

    def update(self, done: float, speed: str | None = None) -> None:
        """Say how much of the total is done, and what to show beside the bar instead of the speed in seconds of sound."""
        elapsed = time.perf_counter() - self._started
        if not self._enabled or (self._bar is None and elapsed < self._patience):
            return
        if self._bar is None:
            self._start()
        self._bar.update(self._task, completed=done, speed=speed or format_speed(done, elapsed))

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        screen = Console(stderr=True)
        room = screen.width - BESIDE_BAR
        label = shorten(harmless(self._label), min(max(LOWEST_NAME, room // 2), HIGHEST_NAME))
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


def track(work: Iterable[T], label: str, total: int, *, enabled: bool) -> Iterator[T]:
    """Give each piece of work as it is done, and show a bar that counts them.

    Args:
        work: takes seconds for each of its pieces, so that the bar is shown at once.
        label: what is being worked on.
        total: number of pieces.
        enabled: False shows nothing.
    """
    with ProgressBar(label, total, enabled=enabled, patience=0.0) as bar:
        bar.update(0, f"0 of {total}")
        for done, piece in enumerate(work, 1):
            yield piece
            bar.update(done, f"{done} of {total}")
