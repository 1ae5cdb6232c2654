"""eSTOI: predicted intelligibility of speech."""

from __future__ import annotations

import warnings

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure


def estoi(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Predicted intelligibility of speech, from the correlation of short-time band envelopes.

    Range about 0 to 1 (identical). Signals: (samples,), equal lengths, at least 0.4 s of speech.
    Source: Jensen and Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise Maskers" (2016),
    package `pystoi`.

    Raises:
        ImportError: `pystoi` is not installed.
        ValueError: too little of the reference is loud enough.
    """
    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            return float(stoi(reference, output, samplerate, extended=True))
        except RuntimeWarning as error:
            raise ValueError("eSTOI: less than 0.4 s of the reference is loud enough.") from error


ESTOI = PairMeasure(
    name="estoi",
    title="eSTOI",
    ideal=1.0,
    explanation="How much of the speech can be understood, predicted from the loudness of each frequency band over time. 1 is everything.",
    function=estoi,
    kinds=("speech",),
    package="pystoi",
)
