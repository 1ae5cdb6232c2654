"""The journal of a run: JSON lines, TensorBoard, and in the terminal the stage that it is in, a bar and its latest numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tsmgan.training.recordings import SAMPLERATE

MEANINGS = {
    "losses": "what the generator makes smaller, each before its weight in the recipe",
    "critics": "bound of the divergence that each critic reaches as it learns, in nats",
    "bound": "the same on held-out recordings, in bits with js; it should fall",
    "accuracy": "how often a critic ranks nature above output; 0.5: it guesses",
    "gradient": "norm of the generator's gradient, before it is clipped",
    "coherence": "share of a frame that moves as one piece, mean below 4 kHz",
    "slow": "means at rates below 1: coherence, share of fresh noise, window",
    "learning_rate": "of the generator; it rises while the generator warms up",
    "steps_per_second": "speed of the training, without validations",
    "waiting_for_data": "share of the time in which pairs were read and no step was taken",
    "minutes": "of the run so far",
    "minutes_left": "until the first of the run's limits",
    "device_gigabytes": "most memory of the GPU that was in use",
    "mel": "log-mel loss of whole held-out pairs",
    "sorted_envelope": "loss of sorted short-time envelopes of whole held-out pairs",
    "convergence": "spectral convergence of whole held-out pairs",
    "log_mel": "log-mel distance in dB of held-out pairs, a measure of the bench",
    "peakiness": "of the pulses of held-out voices, relative to the answers'; 1 is natural",
    "pesq": "predicted quality of held-out voices, 1 to 4.6",
}
"""What the names in the log mean; a name's first part counts."""
SHORT_OF_ROOM = (
    "mel",
    "sorted_envelope",
    "convergence",
    "steps_per_second",
    "waiting_for_data",
    "minutes",
    "minutes_left",
    "device_gigabytes",
)
"""Names that the terminal leaves to the documents."""
FEWEST_ROWS = 4
"""Rows of numbers in the terminal, however low it is."""


class Journal:
    """Where a run says what it does, and where its numbers go. Use it as a context. It is active in the main process only."""

    def __init__(self, folder: Path, console: Console, active: bool = True) -> None:
        self._folder, self._console, self._active = folder, console, active
        self._live: Live | None = None
        self._writer_: Any = None
        self._latest: dict[str, float] = {}
        self._validation: dict[str, float] = {}
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), console=console)
        self._task = self._bar.add_task("starting", total=None, note="")

    def __enter__(self) -> Journal:
        if self._active and self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self.view, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._writer_ is not None:
            self._writer_.close()

    @property
    def _writer(self) -> Any:
        """TensorBoard's writer, which takes seconds to load."""
        if self._writer_ is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer_ = SummaryWriter(str(self._folder / "tensorboard"))
        return self._writer_

    # -- what is going on ----------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a line in the terminal."""
        if self._active:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stage(self, name: str, *, told: bool = False) -> None:
        """What the run does from now on. Without a live view it is a line, unless a sentence has told it already."""
        self._bar.reset(self._task, description=name, total=None, note="")
        if self._live is None and not told:
            self.say(name)

    @contextmanager
    def meanwhile(self, name: str) -> Iterator[None]:
        """What the run does for a while, before it goes on as before."""
        before = self._bar.tasks[0]
        description, total, completed, note = before.description, before.total, before.completed, before.fields["note"]
        self.stage(name)
        yield
        self._bar.update(self._task, description=description, total=total, completed=completed, note=note)

    def progress(self, share: float, note: str) -> None:
        """How far the bar is, from 0 to 1, and what stands beside it."""
        self._bar.update(self._task, total=1.0, completed=min(share, 1.0), note=note)

    # -- numbers -------------------------------------------------------------------------------------------------------------------

    def numbers(self, step: int, values: dict[str, float], kind: str = "train") -> None:
        """Log values (by names such as `losses/mel`) at a step."""
        if not self._active:
            return
        with open(self._folder / "log.jsonl", "a", encoding="utf-8") as f:
            f.write(json.dumps({"step": step, "kind": kind, **{k: _short(v) for k, v in values.items()}}) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        # The live view reads these in a thread of its own, so they are replaced and not changed.
        if kind == "train":
            self._latest = self._latest | values
        else:
            self._validation = self._validation | values
            if self._live is None:
                self.say(f"step {step}: " + ", ".join(f"{k} {_short(v)}" for k, v in values.items()))

    def sound(self, step: int, name: str, y: np.ndarray) -> None:
        """A mono clip at 24 kHz for TensorBoard."""
        if self._active:
            self._writer.add_audio(name, np.clip(y, -1, 1)[None], step, sample_rate=SAMPLERATE)

    def picture(self, step: int, name: str, field: np.ndarray) -> None:
        """A (bands, frames) field in [0, 1] for TensorBoard, low bands at the bottom, enlarged."""
        if self._active:
            self._writer.add_image(name, np.kron(field[::-1], np.ones((6, 2)))[None].clip(0, 1), step)

    def view(self) -> RenderableType:
        """The bar, the latest numbers as far as the terminal is high, and what their names mean."""
        training = [(name, _shown(value), "") for name, value in self._latest.items()]
        held_out = _held_out_rows(self._validation)
        present = {name.split("/")[0] for name, *_ in training + held_out}
        notes = [f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in present and name not in SHORT_OF_ROOM]
        room = max(FEWEST_ROWS, self._console.size.height - len(notes) - 3)
        table = Table(box=None, padding=(0, 2), pad_edge=False)
        for title in ("training", "", "held out", "learned", "rule"):
            table.add_column(title, justify="left" if title in ("training", "held out") else "right", no_wrap=True)
        for k in range(min(room, max(len(training), len(held_out)))):
            left = training[k] if k < len(training) else ("", "", "")
            right = held_out[k] if k < len(held_out) else ("", "", "")
            table.add_row(*left[:2], *right)
        if not (training or held_out):
            return self._bar
        return Group(self._bar, table, *(Text(note, style="dim", overflow="ellipsis", no_wrap=True) for note in notes))


def _held_out_rows(values: dict[str, float]) -> list[tuple[str, str, str]]:
    """Names with what the generator reaches and, where it was measured, the rule. Coherence by folder comes last: there may be many."""
    rows: dict[str, tuple[str, str]] = {}
    for name, value in values.items():
        stem = name.removesuffix("/learned")
        if not name.endswith("/default"):
            rows[stem] = (_shown(value), _shown(values[f"{stem}/default"]) if f"{stem}/default" in values else "")
    return [(name, *pair) for name, pair in sorted(rows.items(), key=lambda row: row[0].startswith("coherence/"))]


def _shown(value: float) -> str:
    return f"{value:.4g}"


def _short(value: float) -> float:
    return float(f"{value:.6g}")
