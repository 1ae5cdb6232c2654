"""The figures of the page: those of the measures that need no other reference than the recording itself."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.measures import RUN_MEASURES, SHIFT_MEASURES, SYNTHETIC_MEASURES, USUAL_MEASURES, Measure
from tsmgan.evaluation.measures.measure import Run
from tsmgan.evaluation.meter import read_meter
from tsmgan.evaluation.methods import Method

_COMPARED = [measure for measure in USUAL_MEASURES if not measure.aligned]
RECORDING: tuple[Measure, ...] = (*_COMPARED, *RUN_MEASURES)
"""Taken of the recording and what became of it."""
SYNTHETIC: tuple[Measure, ...] = SYNTHETIC_MEASURES
"""Taken of drum hits and noise that the program makes, stretched at the same rate."""
SHIFTED: tuple[Measure, ...] = SHIFT_MEASURES
"""Taken of tones and drum hits that the program makes, shifted by the same pitch."""
METER_SEEDS = 2


def measure_recording(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float, seconds: float) -> dict[str, float]:
    """The figures of RECORDING by name. A measure that has no answer here (silence, a very short recording) is left out.

    Args:
        source, output: a stretcher's input and output, (channels, samples).
        samplerate: in Hz.
        rate: the speed that was asked for.
        seconds: the time that the stretcher took.
    """
    run = Run(source.shape[1], output.shape[1], samplerate, rate, seconds)
    figures = {measure.name: measure.function(run) for measure in RUN_MEASURES}
    for measure in _COMPARED:
        if len(source) >= measure.channels and np.any(source):
            with np.errstate(all="ignore"):
                try:
                    figures[measure.name] = measure.take(source, output, samplerate)
                except (ValueError, RuntimeError):
                    pass
    return {name: figure for name, figure in figures.items() if np.isfinite(figure)}


def measure_synthetic(method: Method, rate: float, pitch: float = 0.0) -> tuple[dict[str, float], list[str]]:
    """The figures of SYNTHETIC, or with a pitch those of SHIFTED, by name, and the problems of those that are missing."""
    reading = read_meter(method, 1.0 if pitch else rate, pitch, seeds=METER_SEEDS)
    return {name: mean for name, (mean, _) in reading.figures.items()}, reading.problems
