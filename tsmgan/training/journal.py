"""The journal of a run: JSON lines, TensorBoard, and a live view in the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tsmgan.training.recordings import SAMPLERATE


class Journal:
    """Where the numbers go. Use it as a context. It is active in the main process only."""

    def __init__(self, folder: Path, console: Console, active: bool = True) -> None:
        self._folder, self._console, self._active = folder, console, active
        self._live: Live | None = None
        self._writer: Any = None
        self._latest: dict[str, float] = {}
        self._validation: dict[str, float] = {}

    def __enter__(self) -> Journal:
        if self._active:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder / "tensorboard"))
            if self._console.is_terminal:
                self._live = Live(console=self._console, refresh_per_second=2, transient=True)
                self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
        if self._writer is not None:
            self._writer.close()

    def say(self, text: str) -> None:
        """Print a line in the terminal."""
        if self._active:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def numbers(self, step: int, values: dict[str, float], kind: str = "train") -> None:
        """Log values (by names such as `losses/mel`) at a step."""
        if not self._active:
            return
        with open(self._folder / "log.jsonl", "a", encoding="utf-8") as f:
            f.write(json.dumps({"step": step, "kind": kind, **{k: _short(v) for k, v in values.items()}}) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        (self._latest if kind == "train" else self._validation).update(values)
        if self._live is not None:
            self._live.update(self._view(step))
        elif kind != "train":
            self.say(f"step {step}: " + ", ".join(f"{k} {_short(v)}" for k, v in values.items()))

    def sound(self, step: int, name: str, y: np.ndarray) -> None:
        """A mono clip at 24 kHz for TensorBoard."""
        if self._active:
            self._writer.add_audio(name, np.clip(y, -1, 1)[None], step, sample_rate=SAMPLERATE)

    def picture(self, step: int, name: str, field: np.ndarray) -> None:
        """A (bands, frames) field in [0, 1] for TensorBoard, low bands at the bottom, enlarged."""
        if self._active:
            self._writer.add_image(name, np.kron(field[::-1], np.ones((6, 2)))[None].clip(0, 1), step)

    def _view(self, step: int) -> Table:
        table = Table(title=f"step {step}", title_justify="left", box=None, padding=(0, 2))
        table.add_column("training")
        table.add_column("", justify="right")
        table.add_column("held out")
        table.add_column("", justify="right")
        left, right = list(self._latest.items()), list(self._validation.items())
        for k in range(max(len(left), len(right))):
            cells = []
            for side in (left, right):
                cells += [side[k][0], f"{side[k][1]:.4g}"] if k < len(side) else ["", ""]
            table.add_row(*cells)
        return table


def _short(value: float) -> float:
    return float(f"{value:.6g}")


@contextmanager
def progress_bar(console: Console, text: str, active: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar in the terminal; the context is a function of how much is done and how much there is."""
    if not active:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
