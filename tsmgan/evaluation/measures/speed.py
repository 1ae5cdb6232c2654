"""Speed: how fast a stretcher is on this computer."""

from __future__ import annotations

from tsmgan.evaluation.measures.measure import Run, RunMeasure


def speed(run: Run) -> float:
    """Seconds of input per second of the whole call, which includes another program's start and its files."""
    return run.input_length / run.samplerate / max(run.seconds, 1e-9)


SPEED = RunMeasure(
    name="speed",
    title="Speed",
    unit="x real time",
    digits=1,
    ideal=None,
    explanation="How many seconds of the recording are done in one second, on the computer that measured it. For other programs this "
    "includes the time to start and to read and write files. Other work may have slowed the computer down, so take it as a hint.",
    function=speed,
)
