"""Reading ahead: the batches of the coming steps are read by threads while the present step is taken."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from tsmgan.training.batch import Batch
from tsmgan.training.clips import Clips, Rows
from tsmgan.training.recipe import Recipe

AHEAD = 3
"""Batches that are read ahead, each by a thread of its own: reading leaves Python's lock."""


class Loader:
    """The batches of one process, step by step. Use it as a context."""

    def __init__(self, clips: Clips, recipe: Recipe, process: int, first_step: int, device: torch.device) -> None:
        """process: number of this process; with n processes, each reads its own rows of a batch that is n times as large."""
        self.waited = 0.0
        """Seconds that the run has waited for data."""
        self._clips, self._recipe, self._device = clips, recipe, device
        self._rows = range(process * recipe.train.batch, (process + 1) * recipe.train.batch)
        self._next_step = first_step

    def __enter__(self) -> Loader:
        self._threads = ThreadPoolExecutor(AHEAD)
        self._coming: deque[Future[Rows]] = deque()
        for _ in range(AHEAD):
            self._read_another()
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown()

    def batch(self) -> Batch:
        """The batch of the next step."""
        begun = time.monotonic()
        batch = Batch(self._coming.popleft().result(), self._device)
        self.waited += time.monotonic() - begun
        self._read_another()
        return batch

    def _read_another(self) -> None:
        train, seed = self._recipe.train, self._recipe.seed
        self._coming.append(self._threads.submit(self._clips.rows, seed, self._next_step, self._rows, train.frames))
        self._next_step += 1
