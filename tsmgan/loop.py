"""A section that repeats without a click: the end of the output goes over into what was heard before its start.

The moment before the section is stretched as well. It is not written at the beginning, but faded in while the section's last moment fades
out. So the last sample of the output is the one before its first, and players can repeat it for ever.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tsmgan.core.timemap import TimeMap
from tsmgan.errors import UsageError

LEAD_SECONDS = 0.05
"""Of the input before the section that its end goes over into."""


class Stretching(Protocol):
    """A stretcher of `tsmgan.api`, or what behaves like one."""

    def process(self, block: np.ndarray) -> np.ndarray: ...

    def flush(self) -> np.ndarray: ...


class Looping:
    """A stretcher whose output begins with a lead, which is moved to the end.

    Args:
        stretcher: new.
        lead: samples of its output that come from before the section.
    """

    def __init__(self, stretcher: Stretching, lead: int) -> None:
        self._stretcher, self._lead = stretcher, lead
        self._held: np.ndarray | None = None
        self._before: np.ndarray | None = None

    def process(self, block: np.ndarray) -> np.ndarray:
        """Take the next block of input, and return the output that is ready without what may be its end."""
        return self._take(self._stretcher.process(block))

    def flush(self) -> np.ndarray:
        """End the input, and return the rest of the output.

        Raises:
            UsageError: the output is shorter than what its end goes over into.
        """
        ready = self._take(self._stretcher.flush())
        if self._before is None or self._held is None or self._held.shape[1] < self._lead:
            raise UsageError(f"The section is too short to be repeated; it must be longer than {LEAD_SECONDS:g} s, and so must its output.")
        # Before and after differ like two takes, so their powers add up to one.
        angle = np.pi / 2 * (np.arange(1, self._lead + 1) / (self._lead + 1))
        end = np.cos(angle) * self._held + np.sin(angle) * self._before
        return np.concatenate([ready, end.astype(self._held.dtype)], axis=1)

    def _take(self, block: np.ndarray) -> np.ndarray:
        held = block if self._held is None else np.concatenate([self._held, block], axis=1)
        if self._before is None and held.shape[1] >= self._lead:
            self._before, held = held[:, : self._lead].copy(), held[:, self._lead :]
        keep = held.shape[1] if self._before is None else min(self._lead, held.shape[1])
        ready, self._held = np.split(held, [held.shape[1] - keep], axis=1)
        return ready


def with_lead(time_map: TimeMap, samplerate: int) -> tuple[TimeMap, int, int]:
    """A section's map for the section and the moment before it.

    Args:
        time_map: counted from the section's beginning.
        samplerate: in Hz.

    Returns:
        The map in samples, counted from the moment before; the samples of that moment; and those of the output that it becomes.
    """
    in_samples = time_map.in_samples(samplerate)
    lead = round(LEAD_SECONDS * samplerate)
    # An even number, so that both lengths are rounded alike.
    out = max(2, 2 * round(lead / float(in_samples.rate_at(0.0)) / 2))
    x, y = in_samples.knots
    inside = x > 0
    return TimeMap.from_samples([0.0, lead, *(x[inside] + lead)], [0.0, out, *(y[inside] + out)]), lead, out


def require_lead(start: float) -> None:
    """Raise UsageError where there is no moment before the section."""
    if start < LEAD_SECONDS:
        raise UsageError(
            f"--loop needs {LEAD_SECONDS:g} s of sound before the section that repeats; give --start {LEAD_SECONDS:g} or later."
        )
