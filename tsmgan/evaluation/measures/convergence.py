"""Spectral convergence: how much of the spectrum is wrong, weighted by loudness."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.measures.spectra import magnitudes

WINDOWS = (256, 1024, 4096)
"""In samples."""


def spectral_convergence(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean over windows of 256, 1024 and 4096 samples of ||A - B|| / ||A||, A and B the STFT magnitudes of reference and output.

    Signals: (samples,), equal lengths. Range 0 (identical) and up, 1 for silence. Unlike a log distance, it weighs what is loud.
    `samplerate` is not used.
    Source: Arik, Jun and Diamos, "Fast Spectrogram Inversion Using Multi-Head Convolutional Neural Networks" (2019).

    Raises:
        ValueError: the reference is silent.
    """
    if not np.any(reference):
        raise ValueError("Spectral convergence: the reference is silent.")
    ratios = []
    for window in WINDOWS:
        a, b = magnitudes(reference, window), magnitudes(output, window)
        ratios.append(np.linalg.norm(a - b) / np.linalg.norm(a))
    return float(np.mean(ratios))


CONVERGENCE = PairMeasure(
    name="convergence",
    title="Spectral convergence",
    ideal=0.0,
    explanation="Which share of the spectrum is wrong, moment by moment. 0 is none; loud sounds count most.",
    function=spectral_convergence,
    kinds=("music",),
)
