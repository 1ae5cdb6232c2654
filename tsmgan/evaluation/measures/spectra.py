"""Short-time spectra that several measures compare."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import librosa
import numpy as np

WINDOW_SECONDS = 2048 / 48000
"""42.7 ms. The window belongs to the measures, and does not follow those of any stretcher, this program's included."""


def magnitudes(y: np.ndarray, window: int) -> np.ndarray:
    """STFT magnitudes (bins, frames) of y (samples,): Hann window of so many samples, hop a quarter of it."""
    return np.abs(librosa.stft(y, n_fft=window, hop_length=window // 4))


@contextmanager
def empty_bands_allowed() -> Iterator[None]:
    """Silences librosa's warning of empty mel bands.

    At high sample rates, the narrowest bands fall between two bins. They then stay at the floor in both signals, which does no harm.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters detected")
        yield
