"""The artefact meter: every method on synthetic signals of several seeds, whose right answer is known at any rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tsmgan.evaluation.measures import SHIFT_MEASURES, SYNTHETIC_MEASURES
from tsmgan.evaluation.measures.measure import ShiftMeasure, SyntheticMeasure
from tsmgan.evaluation.methods import Method, explain
from tsmgan.evaluation.signals import fit_length
from tsmgan.evaluation.workers import Call, call_here, run_tasks

SAMPLERATE = 24000
SEEDS = 10


@dataclass
class Reading:
    """One method at one rate: for each measure by name, the mean over the seeds and its standard error."""

    method: str
    rate: float
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    pitch: float = 0.0
    """Semitones."""


def read_meter(
    method: Method, rate: float, pitch: float = 0.0, *, seeds: int = SEEDS, samplerate: int = SAMPLERATE, call: Call = call_here
) -> Reading:
    """Stretch each signal of each seed and measure the outputs. A method that fails is a problem of its reading; nothing is raised.

    With a pitch, in semitones, the signals and the measures are those of shifts.
    """
    reading = Reading(method.name, rate, pitch=pitch)
    measures: Sequence[SyntheticMeasure | ShiftMeasure] = SHIFT_MEASURES if pitch else SYNTHETIC_MEASURES
    values: dict[str, list[float]] = {measure.name: [] for measure in measures}
    try:
        for seed in range(seeds):
            for signal in dict.fromkeys(measure.signal for measure in measures):
                source = signal(samplerate, seed)
                at = (rate, pitch) if pitch else (rate,)
                output = call(method.stretch, source[np.newaxis], samplerate, *at, time_limit=method.time_limit)[0]
                output = fit_length(output, round(len(source) / rate))
                for measure in measures:
                    if measure.signal is signal:
                        values[measure.name].append(measure.function(source, output, samplerate, pitch or rate))
    except Exception as error:  # a method may fail in any way; the run goes on
        reading.problems.append(explain(error, method.name))
        return reading
    for name, column in values.items():
        spread = np.std(column, ddof=1) / np.sqrt(len(column)) if len(column) > 1 else float("nan")
        reading.figures[name] = (float(np.mean(column)), float(spread))
    return reading


def read_meters(
    methods: Sequence[Method], rates: Sequence[float], pitches: Sequence[float] = (), *, seeds: int = SEEDS, jobs: int = 1
) -> Iterator[Reading]:
    """`read_meter` for each method at each rate and, at rate 1, each pitch, in that order whatever the number of processes."""
    tasks = [(method, *at) for at in [*((rate, 0.0) for rate in rates), *((1.0, pitch) for pitch in pitches)] for method in methods]
    yield from run_tasks(lambda task, call: read_meter(*task, seeds=seeds, call=call), tasks, jobs=jobs)
