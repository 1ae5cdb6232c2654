"""Log-mel distance: how far the spectra are from each other, band by band, as the ear weighs them."""

from __future__ import annotations

import librosa
import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.measures.spectra import WINDOW_SECONDS, empty_bands_allowed, magnitudes

MEL_BANDS = 80
MEL_FLOOR = 1e-5


def log_mel(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Natural logarithm of the power in 80 mel bands from 0 Hz to half the sample rate, floored at 1e-5. Shape (80, frames).

    43 ms Hann window (a multiple of 4 samples), hop a quarter of it; bands as in Slaney's Auditory Toolbox, of equal area.
    """
    window = 4 * round(samplerate * WINDOW_SECONDS / 4)
    with empty_bands_allowed():
        bank = librosa.filters.mel(sr=samplerate, n_fft=window, n_mels=MEL_BANDS)
    return np.log(np.maximum(bank @ magnitudes(y, window) ** 2, MEL_FLOOR))


def log_mel_distance(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean absolute difference of the log mel powers (`log_mel`) over bands and frames, in nepers of power (1 is 4.3 dB).

    Signals: (samples,), equal lengths. Range 0 (identical) and up. Two independent white noises are 0.5 to 0.9 apart, from texture alone.
    The distance favours smooth magnitudes, and does not see phases.
    """
    return float(np.abs(log_mel(reference, samplerate) - log_mel(output, samplerate)).mean())


LOG_MEL = PairMeasure(
    name="log_mel",
    title="Log-mel distance",
    ideal=0.0,
    explanation="How different the spectra are, moment by moment, in bands as wide as the ear's. 0 is equal; quiet bands count as much "
    "as loud ones. It does not hear whether a voice sounds phasy.",
    function=log_mel_distance,
)
