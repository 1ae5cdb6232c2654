"""Onset correlation: whether sounds begin where, and as clearly as, they should."""

from __future__ import annotations

import librosa
import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.measures.spectra import empty_bands_allowed

WINDOW, HOP = 512, 128
"""In samples."""


def onset_correlation(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Pearson correlation of the onset strengths (spectral flux; window 512, hop 128 samples).

    Signals: (samples,), equal lengths. Range -1 to 1 (identical). It falls when attacks are blurred, doubled, or late by more than a hop.
    Source: Boeck and Widmer, "Maximum Filter Vibrato Suppression for Onset Detection" (2013), `librosa.onset.onset_strength`.

    Raises:
        ValueError: one of the signals has no onset at all.
    """
    with empty_bands_allowed():
        a, b = (librosa.onset.onset_strength(y=y, sr=samplerate, n_fft=WINDOW, hop_length=HOP) for y in (reference, output))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise ValueError("Onset correlation: one of the signals has no onset.")
    return float(np.corrcoef(a, b)[0, 1])


ONSET = PairMeasure(
    name="onset",
    title="Onset correlation",
    ideal=1.0,
    explanation="Whether notes and drum hits begin where they should, and as clearly. 1 is exactly so; it falls when attacks are blurred, "
    "doubled or late.",
    function=onset_correlation,
    kinds=("music",),
)
