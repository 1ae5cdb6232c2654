"""Level: whether the output is as loud as it should be."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure


def level_difference(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """RMS of the output over that of the reference, in dB, over all samples and channels. 0: level kept. `samplerate` is not used.

    Raises:
        ValueError: one of the signals is silent.
    """
    a, b = (float(np.mean(np.square(y, dtype=np.float64))) for y in (reference, output))
    if a <= 0 or b <= 0:
        raise ValueError("Level: one of the signals is silent.")
    return 10 * float(np.log10(b / a))


LEVEL = PairMeasure(
    name="level",
    title="Level",
    unit="dB",
    digits=2,
    ideal=0.0,
    explanation="How much louder (+) or softer (-) the result is than it should be. Differences under 0.5 dB are hard to hear.",
    function=level_difference,
    joint=True,
    aligned=False,
)
