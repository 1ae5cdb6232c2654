"""What a batch asks of whoever does its tasks, be it processes here or workers on many machines, and what it is told in return."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

AHEAD_TASKS, AHEAD_WEIGHT = 8, 4 << 20
"""Tasks that wait at a worker while it is at work, so that small ones follow each other without a pause, and how many bytes they may
have together, so that no worker sits on large ones while another has none."""


class Done(NamedTuple):
    """A task's result."""

    task: Any
    result: Any


class Part(NamedTuple):
    """A task is under way."""

    task: Any
    part: float


class Died(NamedTuple):
    """The worker died over the task."""

    task: Any
    reason: str


class Executor(Protocol):
    """Applies one function to tasks; see `tsmgan.batch.pool.Pool` and `tsmgan.batch.cluster.RayWorkers`."""

    def run(self, tasks: Iterable[Any]) -> Iterator[Done | Part | Died]:
        """Work through tasks; what happens is told in the order in which it does. Tasks are taken only shortly before they are sent."""
        ...

    def stop(self) -> list[Done]:
        """End every worker, at work or not, and return the results that had come in unseen."""
        ...
