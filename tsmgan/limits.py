"""Which numbers may be asked for: a slip of the finger must not take the machine down."""

from __future__ import annotations

import os
from numbers import Real

from tsmgan.errors import UsageError

MOST_THREADS = 256
"""Of the network in one process; more than any network here can use."""
MOST_WORKERS = 4096
"""Of a cluster. Those for which it has no processor wait there."""
MOST_ROUNDS = 1000
"""Of something that is repeated to take a mean."""
MOST_SCORES = 10000
MOST_SEMITONES = 24.0
"""Either way: two octaves."""


def processor_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_processes() -> int:
    """Processes that do the same work side by side on this machine: each takes a processor and 100 MB or more."""
    return max(16, 4 * processor_count())


def require_count(what: str, value: float, most: int) -> int:
    """The value as a whole number.

    Raises:
        UsageError: it is no whole number from 1 to `most`.
    """
    if not 1 <= value <= most or int(value) != value:
        raise UsageError(f"The number of {what} is {value}; it must be a whole number from 1 to {most}.")
    return int(value)


def require_number(what: str, value: object) -> None:
    """Raise UsageError unless a value is a number. Text is not read as one."""
    if not isinstance(value, Real):
        raise UsageError(f"The {what} is {value!r}; give a number.")


def require_coherence(value: float | None) -> None:
    """Raise UsageError unless a coherence that overrides the model's is a number from 0 to 1, or None."""
    if value is not None:
        require_number("coherence", value)
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"The coherence is {value:g}; it must be a number from 0 (phase vocoder) to 1 (keep the waveform's shape).")


def require_pitch(semitones: float) -> None:
    """Raise UsageError unless a shift of the pitch is possible."""
    require_number("pitch", semitones)
    if not abs(semitones) <= MOST_SEMITONES:
        raise UsageError(f"The pitch is {semitones:+g} semitones; -{MOST_SEMITONES:g} to +{MOST_SEMITONES:g} are possible.")


def require_formants(wanted: float | str | None) -> None:
    """Raise UsageError unless this can become of the formants: "keep", "follow", a possible shift in semitones, or None."""
    if wanted is None or wanted in ("keep", "follow"):
        return
    if not isinstance(wanted, (int, float)) or not abs(wanted) <= MOST_SEMITONES:
        raise UsageError(f"The formants are {wanted}; give keep, follow, or semitones from -{MOST_SEMITONES:g} to +{MOST_SEMITONES:g}.")


def require_seed(value: int) -> None:
    """Raise UsageError unless a seed is a whole number that is not negative."""
    require_number("seed", value)
    if not 0 <= value < float("inf") or int(value) != value:
        raise UsageError(f"The seed is {value}; it must be a whole number that is not negative.")
