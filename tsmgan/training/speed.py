"""What a run has done since its last line in the log: means of each step's numbers, and its speed."""

from __future__ import annotations

import time

import numpy as np


class Speed:
    """Collects the numbers of steps until they are taken."""

    def __init__(self, step: int) -> None:
        self._restart(step, 0.0)

    def _restart(self, step: int, waited: float) -> None:
        self._values: dict[str, list[float]] = {}
        self._step, self._since, self._waited = step, time.monotonic(), waited

    def add(self, numbers: dict[str, float]) -> None:
        """The numbers of a step."""
        for name, value in numbers.items():
            self._values.setdefault(name, []).append(value)

    def leave_out(self, seconds: float) -> None:
        """Do not count some seconds, such as those of a validation."""
        self._since += seconds

    def take(self, step: int, waited: float) -> dict[str, float]:
        """Means since the last call, steps a second, and the share of time spent waiting for data.

        Args:
            step: the present step.
            waited: seconds that the whole run has waited for data.
        """
        seconds = time.monotonic() - self._since
        found = {name: float(np.mean(values)) for name, values in self._values.items()}
        found |= {"steps_per_second": (step - self._step) / seconds, "waiting_for_data": (waited - self._waited) / seconds}
        self._restart(step, waited)
        return found
