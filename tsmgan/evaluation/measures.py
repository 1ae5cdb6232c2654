"""The list of measures: what each is called, of what it is taken, and which direction is better."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsmgan.evaluation.level import level_difference
from tsmgan.evaluation.perceptual import estoi, pesq_wb
from tsmgan.evaluation.spectral import log_mel_distance, onset_correlation, spectral_convergence
from tsmgan.evaluation.stereo import channel_correlation_error, channel_level_error
from tsmgan.evaluation.voice import pitch_error, pulse_peakiness, voicing_error


@dataclass(frozen=True)
class Measure:
    """One column of the report."""

    name: str
    function: Callable[[np.ndarray, np.ndarray, int], float]
    """(reference, output, samplerate) -> figure; NaN where it does not apply, ValueError where an answer was due."""
    ideal: float
    """What an output equal to its reference gets."""
    kinds: tuple[str, ...] = ("speech", "music")
    whole: bool = False
    """Takes all channels (channels, samples) at once; otherwise one channel (samples,), and the figure is the mean over channels."""
    channels: int = 1
    """How many it needs at least."""
    package: str | None = None
    """Module that it cannot do without, beyond the program's own requirements."""
    unit: str = ""
    digits: int = 3

    def missing(self) -> bool:
        """Whether its package is not installed."""
        return self.package is not None and importlib.util.find_spec(self.package) is None


MEASURES = (
    Measure("pesq", pesq_wb, 4.644, ("speech",), package="pesq"),
    Measure("estoi", estoi, 1.0, ("speech",), package="pystoi"),
    Measure("convergence", spectral_convergence, 0.0, ("music",)),
    Measure("log_mel", log_mel_distance, 0.0),
    Measure("onset", onset_correlation, 1.0, ("music",)),
    Measure("peakiness", pulse_peakiness, 1.0, ("speech",)),
    Measure("f0_error", pitch_error, 0.0, ("speech",), unit="cents", digits=1),
    Measure("voicing_error", voicing_error, 0.0, ("speech",)),
    Measure("level", level_difference, 0.0, whole=True, unit="dB", digits=2),
    Measure("channel_correlation", channel_correlation_error, 0.0, whole=True, channels=2),
    Measure("channel_level", channel_level_error, 0.0, whole=True, channels=2, unit="dB", digits=2),
)
"""Taken of every output, in this order, where its kind and its channels fit."""


def take(measure: Measure, reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """A measure of one output; arrays (channels, samples) of one shape.

    Channels that are silent in the reference, or of which the measure is NaN (not applicable), are left out of a mean over channels; NaN
    where none is left.

    Raises:
        ValueError: the measure has no answer for these signals; the message names it.
        ImportError: its package is not installed.
    """
    if measure.whole:
        return measure.function(reference, output, samplerate)
    figures = [measure.function(a, b, samplerate) for a, b in zip(reference, output) if np.any(a)]
    if not figures:
        raise ValueError(f"{measure.name}: the reference is silent.")
    applicable = [figure for figure in figures if not np.isnan(figure)]
    return float(np.mean(applicable)) if applicable else float("nan")
