"""Length error: whether the output is as long as it should be."""

from __future__ import annotations

from tsmgan.evaluation.measures.measure import Run, RunMeasure


def length_error(run: Run) -> float:
    """Output length less round(input length / rate), in milliseconds. 0: exact. Negative: too short."""
    return 1000 * (run.output_length - round(run.input_length / run.rate)) / run.samplerate


LENGTH_ERROR = RunMeasure(
    name="length_error",
    title="Length error",
    unit="ms",
    digits=2,
    ideal=0.0,
    explanation="How much longer (+) or shorter (-) the result is than recording length / rate. Where a picture or other tracks must stay "
    "in step, it has to be 0.",
    function=length_error,
)
