"""The contracts of measures: what each is called, what it is taken of, which figure is ideal, and what it tells a reader."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsmgan.evaluation.pairs import KINDS


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a stretcher's output, and all that tables, pages and files say about it."""

    name: str
    """Its key in CSV and JSON files, and after `--measures`."""
    title: str
    unit: str = ""
    digits: int = 3
    """Decimals that are worth showing."""
    ideal: float | None
    """The figure of a perfect output. None: the more, the better."""
    explanation: str
    """Two or three sentences for a reader who has never heard of the measure."""

    def distance(self, figure: float) -> float:
        """How far a figure is from the ideal: the smaller, the better. It is the negative figure where there is no ideal."""
        return -figure if self.ideal is None else abs(figure - self.ideal)


@dataclass(frozen=True, kw_only=True)
class PairMeasure(Measure):
    """A measure that compares an output with its reference."""

    function: Callable[[np.ndarray, np.ndarray, int], float]
    """(reference, output, samplerate in Hz) -> figure; NaN where the measure does not apply, ValueError where it should have an answer."""
    kinds: tuple[str, ...] = KINDS
    """The kinds of pairs that it is meant for."""
    joint: bool = False
    """Whether it takes all channels (channels, samples) at once. Otherwise it takes one (samples,), and figures are means over channels."""
    channels: int = 1
    """How many channels it needs at least."""
    package: str | None = None
    """A module that it needs beyond the program's own requirements."""
    extra: str = "eval"
    """The extra of the program's own that installs the package."""
    on_request: bool = False
    """Whether it is taken only if it is asked for by name, because it takes seconds or gigabytes of other packages."""
    aligned: bool = True
    """Whether it compares instants. Otherwise the recording itself, which has another length, serves as the reference as well."""

    def missing(self) -> bool:
        """Whether its package is not installed."""
        return self.package is not None and importlib.util.find_spec(self.package) is None

    def take(self, reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
        """The figure of one output; arrays (channels, samples), of equal shape if the measure is `aligned`.

        A mean over channels leaves out those that are silent in the reference, and those to which the measure does not apply. It is NaN
        where none is left.

        Raises:
            ValueError: the measure has no answer for these signals; the message names it.
            ImportError: its package is not installed.
        """
        if self.joint:
            return self.function(reference, output, samplerate)
        figures = [self.function(a, b, samplerate) for a, b in zip(reference, output) if np.any(a)]
        if not figures:
            raise ValueError(f"{self.title}: the reference is silent.")
        applicable = [figure for figure in figures if not np.isnan(figure)]
        return float(np.mean(applicable)) if applicable else float("nan")


class Run(NamedTuple):
    """One call of a stretcher."""

    input_length: int
    """In samples."""
    output_length: int
    """In samples, before anything is cut or padded."""
    samplerate: int
    """In Hz."""
    rate: float
    seconds: float
    """The time that the call took."""


@dataclass(frozen=True, kw_only=True)
class RunMeasure(Measure):
    """A measure of the call itself. It needs no samples, and is taken of every call."""

    function: Callable[[Run], float]


@dataclass(frozen=True, kw_only=True)
class SyntheticMeasure(Measure):
    """A measure on a synthetic signal whose right answer is known at any rate, so that no reference is needed."""

    signal: Callable[[int, int], np.ndarray]
    """(samplerate in Hz, seed) -> source (samples,)."""
    function: Callable[[np.ndarray, np.ndarray, int, float], float]
    """(source, output, samplerate in Hz, rate) -> figure. The output (samples,) has round(samples of the source / rate) samples."""


@dataclass(frozen=True, kw_only=True)
class ShiftMeasure(Measure):
    """A measure of a shift of the pitch on a synthetic signal, at rate 1."""

    signal: Callable[[int, int], np.ndarray]
    """(samplerate in Hz, seed) -> source (samples,)."""
    function: Callable[[np.ndarray, np.ndarray, int, float], float]
    """(source, output, samplerate in Hz, semitones) -> figure. The output is as long as the source."""
