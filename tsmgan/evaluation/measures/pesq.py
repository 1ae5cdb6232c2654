"""PESQ: perceived quality of speech."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate


def pesq_wb(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Perceived quality of speech, wide band, at 16 kHz.

    Range 1.04 to 4.64 (identical). Signals: (samples,), equal lengths, at least a quarter of a second.
    Source: ITU-T P.862.2 (2007), package `pesq`.

    Raises:
        ImportError: `pesq` is not installed.
        ValueError: there is no speech in the reference, or it is too short.
    """
    from pesq import PesqError, pesq

    try:
        return float(pesq(SPEECH_RATE, at_rate(reference, samplerate, SPEECH_RATE), at_rate(output, samplerate, SPEECH_RATE), "wb"))
    except PesqError as error:
        message = error.args[0] if error.args else error
        raise ValueError(f"PESQ: {message.decode() if isinstance(message, bytes) else message}") from error


PESQ = PairMeasure(
    name="pesq",
    title="PESQ-WB",
    ideal=4.644,
    explanation="How listeners on the telephone would rate the speech, on a scale from 1 (bad) to 4.64 (as the reference).",
    function=pesq_wb,
    kinds=("speech",),
    package="pesq",
)
