"""Every method on every pair: rows of figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tsmgan.errors import TsmganError
from tsmgan.evaluation.level import length_error
from tsmgan.evaluation.measures import MEASURES, Measure, take
from tsmgan.evaluation.methods import Method, Ourselves, Stretch
from tsmgan.evaluation.pairs import Pair, PairAudio, read_pair
from tsmgan.evaluation.signals import fit_length


@dataclass
class Row:
    """One method on one pair. `figures` by the measure's name; `problems` say why figures are missing."""

    method: str
    pair: Pair
    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _figures(method: Method, row: Row, audio: PairAudio, measures: Sequence[Measure]) -> None:
    if isinstance(method.stretch, Ourselves):
        method.stretch.warm_up()
    began = time.perf_counter()
    output = method.stretch(audio.input, audio.samplerate, row.pair.rate)
    seconds = time.perf_counter() - began
    if not np.all(np.isfinite(output)):
        raise ValueError(f"{method.name} gave samples that are not numbers.")
    length = length_error(audio.input.shape[1], output.shape[1], row.pair.rate, audio.samplerate)
    output = fit_length(np.asarray(output, np.float32), audio.reference.shape[1])
    for measure in measures:
        if row.pair.kind in measure.kinds and len(output) >= measure.channels:
            try:
                figure = take(measure, audio.reference, output, audio.samplerate)
            except ValueError as error:
                row.problems.append(str(error))
                continue
            if not np.isnan(figure):
                row.figures[measure.name] = figure
    row.figures["length_error"] = length
    row.figures["speed"] = audio.input.shape[1] / audio.samplerate / seconds


def measure_pair(pair: Pair, methods: Sequence[Method], measures: Sequence[Measure] = MEASURES) -> list[Row]:
    """A row for each method, in their order. What goes wrong is told in the rows; nothing is raised for it.

    Beside the measures there are `length_error` (ms, before the output is cut or padded to the reference) and `speed`: seconds of input per
    second of the whole call, a peer's start and files included.
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
            _figures(method, row, audio, measures)
        except Exception as error:  # a method may fail in any way; the run goes on and the row says how
            row.problems.append(str(error) if isinstance(error, TsmganError) else f"{type(error).__name__}: {error}")
    return rows


def measure_pairs(
    pairs: Sequence[Pair], methods: Sequence[Method], measures: Sequence[Measure] = MEASURES, *, jobs: int = 1
) -> Iterator[list[Row]]:
    """`measure_pair` for each pair, in their order whatever the number of processes."""
    if jobs == 1:
        yield from (measure_pair(pair, methods, measures) for pair in pairs)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(measure_pair)(pair, methods, measures) for pair in pairs)


def mean_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Mean of each figure over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row.figures)
    return {name: float(np.mean([row.figures[name] for row in rows if name in row.figures])) for name in names}


def score(stretch: Stretch, pairs: Sequence[Pair], measures: Sequence[Measure] = MEASURES, *, jobs: int = 1) -> dict[str, dict[str, float]]:
    """Means per kind for any function (y (channels, samples), samplerate, rate) -> (channels, samples).

    Raises:
        TsmganError: a pair could not be measured, with the first reason.
    """
    rows = [row for (row,) in measure_pairs(pairs, [Method("function", stretch)], measures, jobs=jobs)]
    for row in rows:
        if row.problems:
            raise TsmganError(f"{row.pair.input} at rate {row.pair.rate:g}: {row.problems[0]}")
    return {kind: mean_figures([row for row in rows if row.pair.kind == kind]) for kind in dict.fromkeys(pair.kind for pair in pairs)}
