"""Methods: the stretchers that are measured, by name: tsmgan with options (`tsmgan:coherence=0`), or a peer (`sonic`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from tsmgan.errors import TsmganError, UsageError
from tsmgan.evaluation.peers import PEERS, TIME_LIMIT
from tsmgan.evaluation.workers import WorkerError

Stretch = Callable[..., np.ndarray]
"""(y (channels, samples), samplerate, rate) -> (channels, samples); where the pitch is shifted, semitones are a fourth argument."""


def _formants(text: str) -> float | str:
    return text if text in ("keep", "follow") else float(text)


def _pauses(text: str) -> str:
    # Other values would make outputs of another length than the other methods'.
    if text != "first":
        raise ValueError
    return text


_OPTIONS: dict[str, Callable[[str], Any]] = {"coherence": float, "model": str, "seed": int, "formants": _formants, "pauses": _pauses}


@dataclass(frozen=True)
class Method:
    """A stretcher and the name under which tables show it."""

    name: str
    stretch: Stretch
    missing: str | None = None
    """Why it cannot run here, or None."""
    time_limit: float | None = None
    """Seconds after which its process is stopped; None where it stops itself, or may run for ever."""


def explain(error: Exception, name: str) -> str:
    """A sentence on what went wrong with the method of that name."""
    if isinstance(error, WorkerError):
        return f"{name} {error}"
    return str(error) if isinstance(error, TsmganError | ValueError) else f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Ourselves:
    """`tsmgan.stretch` with options, in this process."""

    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, y: np.ndarray, samplerate: int, rate: float, pitch: float = 0.0) -> np.ndarray:
        from tsmgan.api import stretch

        return stretch(y, samplerate, rate, pitch=pitch, **dict(self.options))

    def warm_up(self) -> None:
        """Load and compile what a process loads and compiles once, so that speeds are those of the stretching alone."""
        _warm_up(self)


@cache
def _warm_up(ourselves: Ourselves) -> None:
    ourselves(np.zeros((1, 8000), np.float32), 8000, 1.5)


def find_method(name: str, *, time_limit: float = TIME_LIMIT) -> Method:
    """The method that a name stands for: `tsmgan`, `tsmgan:coherence=0:model=FOLDER:seed=1`, or the name of a peer. It may
    take time_limit seconds for a file.

    Raises:
        UsageError: nothing is called that, or an option is unknown or has a value that it cannot have.
        ModelError: there is no such model.
    """
    base, *pieces = re.split(r":(?=[a-z_]+=)", name)
    if base != "tsmgan":
        if base in PEERS and not pieces:
            return Method(name, partial(PEERS[base].stretch, time_limit=time_limit), PEERS[base].missing())
        if base in PEERS:
            raise UsageError(f"The method {base} takes no options; write {base} alone.")
        raise UsageError(f"There is no method {base}; choose from tsmgan, {', '.join(PEERS)}.")
    options = []
    for piece in pieces:
        key, _, value = piece.partition("=")
        if key not in _OPTIONS:
            raise UsageError(f"tsmgan has no option {key} here; choose from {', '.join(_OPTIONS)}.")
        try:
            options.append((key, _OPTIONS[key](value)))
        except ValueError:
            wanted = "must be first" if key == "pauses" else "is not a number"
            raise UsageError(f"The value {value} of {key} in {name} {wanted}.") from None
        if key == "model":
            from tsmgan.models import find_model

            find_model(value)
        if key == "coherence" and not 0 <= options[-1][1] <= 1:
            raise UsageError(f"The coherence in {name} must be from 0 to 1.")
    return Method(name, Ourselves(tuple(options)), time_limit=time_limit)
