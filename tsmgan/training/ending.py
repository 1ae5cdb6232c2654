"""When a run ends: after its steps or minutes, or when the user interrupts it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator


class Ending:
    """The limits of a run, and the reason why it stopped."""

    def __init__(self, steps: int, minutes: float, accelerator: Accelerator, clock: Callable[[], float] = time.monotonic) -> None:
        """steps: the last step. minutes: from now; 0 means no limit. clock: seconds since any moment."""
        self.steps = steps
        self.reason = ""
        """Why the run stopped; empty while it goes on."""
        self.seconds = 60 * minutes
        """Time limit; 0 means none."""
        self._accelerator, self._clock = accelerator, clock
        self._started = clock()

    def elapsed(self) -> float:
        """Seconds since the limits were set."""
        return self._clock() - self._started

    def is_reached(self, step: int) -> bool:
        """Whether the run ends before it takes this step. All processes get the same answer."""
        if step >= self.steps:
            self.reason = f"{self.steps} steps are done"
        elif self.seconds > 0 and self.elapsed() >= self.seconds:
            self.reason = f"{self.seconds / 60:g} minutes are over"
        if self._accelerator.num_processes > 1:
            stops = self._accelerator.reduce(torch.tensor(float(bool(self.reason)), device=self._accelerator.device), "sum")
            if float(stops) > 0 and not self.reason:
                self.reason = "another process stopped"
        return bool(self.reason)

    def minutes_left(self, step: int, steps_per_second: float) -> float:
        """Minutes until the end at this speed."""
        left = (self.steps - step) / max(steps_per_second, 1e-9)
        if self.seconds > 0:
            left = min(left, self.seconds - self.elapsed())
        return max(0.0, left) / 60

    def progress(self, step: int) -> tuple[float, str]:
        """How far the run is at a step, from 0 to 1, by the limit that seems to come first, and the same in words."""
        elapsed = self.elapsed()
        if self.seconds > 0 and elapsed / self.seconds >= step / self.steps:
            return elapsed / self.seconds, f"step {step}, {max(0.0, self.seconds - elapsed) / 60:.1f} minutes left"
        return step / self.steps, f"step {step} of {self.steps}"

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
