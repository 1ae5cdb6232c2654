"""When a run ends: after its steps or minutes, or when the user interrupts it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator


class Ending:
    """The limits of a run, and the reason why it stopped."""

    def __init__(self, steps: int, minutes: float, accelerator: Accelerator) -> None:
        """steps: the last step. minutes: from now; 0 means no limit."""
        self.steps = steps
        self.reason = ""
        """Why the run stopped; empty while it goes on."""
        self._seconds, self._accelerator = 60 * minutes, accelerator
        self._started = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the limits were set."""
        return time.monotonic() - self._started

    def is_reached(self, step: int) -> bool:
        """Whether the run ends before it takes this step. All processes get the same answer."""
        if step >= self.steps:
            self.reason = f"{self.steps} steps are done"
        elif self._seconds > 0 and self.elapsed() >= self._seconds:
            self.reason = f"{self._seconds / 60:g} minutes are over"
        if self._accelerator.num_processes > 1:
            stops = self._accelerator.reduce(torch.tensor(float(bool(self.reason)), device=self._accelerator.device), "sum")
            if float(stops) > 0 and not self.reason:
                self.reason = "another process stopped"
        return bool(self.reason)

    def minutes_left(self, step: int, steps_per_second: float) -> float:
        """Minutes until the end at this speed."""
        left = (self.steps - step) / max(steps_per_second, 1e-9)
        if self._seconds > 0:
            left = min(left, self._seconds - self.elapsed())
        return max(0.0, left) / 60

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """In this context Ctrl-C and SIGTERM end the run after the step that is under way. A second one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self.reason:
                raise KeyboardInterrupt
            self.reason = "interrupted"

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)
