"""Every method on every pair: rows of figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tsmgan.errors import TsmganError
from tsmgan.evaluation.measures import RUN_MEASURES, USUAL_MEASURES, PairMeasure
from tsmgan.evaluation.measures.measure import Run
from tsmgan.evaluation.methods import Method, Ourselves, Stretch, explain
from tsmgan.evaluation.pairs import Pair, PairAudio, read_pair
from tsmgan.evaluation.signals import fit_length
from tsmgan.evaluation.workers import Call, call_here, run_tasks

WARM_UP_LIMIT = 600.0
"""Seconds that loading and compiling may take. Compiled code is kept, so that it is compiled once on a machine."""


@dataclass
class Row:
    """One method on one pair: figures by the measure's name, and the reasons why others are missing."""

    method: str
    pair: Pair
    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _timed(method: Method, audio: PairAudio, rate: float, pitch: float) -> tuple[np.ndarray, float]:
    """The output, float32 (channels, samples), and the seconds it took."""
    began = time.perf_counter()
    output = method.stretch(audio.input, audio.samplerate, rate, *([pitch] if pitch else []))
    seconds = time.perf_counter() - began
    if not np.all(np.isfinite(output)):
        raise TsmganError(f"{method.name} gave samples that are not numbers.")
    return np.asarray(output, np.float32), seconds


def _taken(measures: Sequence[PairMeasure], audio: PairAudio, output: np.ndarray) -> tuple[dict[str, float], list[str]]:
    """The figures of an output as long as its reference, without those that do not apply, and the reasons why others are missing."""
    figures, problems = {}, []
    for measure in measures:
        try:
            figure = measure.take(audio.reference, output, audio.samplerate)
        except ValueError as error:
            problems.append(str(error))
            continue
        if not np.isnan(figure):
            figures[measure.name] = figure
    return figures, problems


def _fill(row: Row, method: Method, audio: PairAudio, measures: Sequence[PairMeasure], call: Call) -> None:
    if isinstance(method.stretch, Ourselves):
        call(method.stretch.warm_up, time_limit=WARM_UP_LIMIT)
    output, seconds = call(_timed, method, audio, row.pair.rate, row.pair.pitch, time_limit=method.time_limit)
    run = Run(audio.input.shape[1], output.shape[1], audio.samplerate, row.pair.rate, seconds)
    row.figures = {measure.name: measure.function(run) for measure in RUN_MEASURES}
    output = fit_length(output, audio.reference.shape[1])
    fitting = [measure for measure in measures if row.pair.kind in measure.kinds and len(output) >= measure.channels]
    figures, row.problems = call(_taken, fitting, audio, output)
    row.figures = figures | row.figures


def measure_pair(
    pair: Pair, methods: Sequence[Method], measures: Sequence[PairMeasure] = USUAL_MEASURES, *, call: Call = call_here
) -> list[Row]:
    """A row for each method, in their order, with the measures given and those of the call (`RUN_MEASURES`).

    A file that cannot be read or a method that fails is a problem of the rows; nothing is raised for it. For the measures, the output is
    cut or padded to the length of the reference.
    """
    rows = [Row(method.name, pair) for method in methods]
    try:
        audio = read_pair(pair)
    except TsmganError as error:
        for row in rows:
            row.problems.append(str(error))
        return rows
    for method, row in zip(methods, rows):
        try:
            _fill(row, method, audio, measures, call)
        except Exception as error:  # a method may fail in any way; the run goes on and the row says how
            row.problems.append(explain(error, method.name))
    return rows


def measure_pairs(
    pairs: Sequence[Pair], methods: Sequence[Method], measures: Sequence[PairMeasure] = USUAL_MEASURES, *, jobs: int = 1
) -> Iterator[list[Row]]:
    """`measure_pair` for each pair, in their order, with `jobs` processes.

    With two or more, a method that crashes or takes longer than its time limit is a problem of its row. With one, methods run in this
    process, which nothing protects.
    """
    yield from run_tasks(lambda pair, call: measure_pair(pair, methods, measures, call=call), pairs, jobs=jobs)


def mean_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Mean of each figure over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row.figures)
    return {name: float(np.mean([row.figures[name] for row in rows if name in row.figures])) for name in names}


def measure_function(
    stretch: Stretch, pairs: Sequence[Pair], measures: Sequence[PairMeasure] = USUAL_MEASURES, *, jobs: int = 1
) -> dict[str, dict[str, float]]:
    """Means per kind for any function (y (channels, samples), samplerate, rate) -> (channels, samples).

    Raises:
        TsmganError: a pair could not be measured, with the first reason.
    """
    rows = [row for (row,) in measure_pairs(pairs, [Method("function", stretch)], measures, jobs=jobs)]
    for row in rows:
        if row.problems:
            raise TsmganError(f"{row.pair.input} at rate {row.pair.rate:g}: {row.problems[0]}")
    return {kind: mean_figures([row for row in rows if row.pair.kind == kind]) for kind in dict.fromkeys(pair.kind for pair in pairs)}
