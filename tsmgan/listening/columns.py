"""The measures of the page: those that need no reference, each with what it means to somebody who never heard of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tsmgan.evaluation.level import length_error, level_difference
from tsmgan.evaluation.meter import read_meter
from tsmgan.evaluation.methods import Method
from tsmgan.evaluation.stereo import channel_correlation_error, channel_level_error
from tsmgan.evaluation.voice import residual_kurtosis


@dataclass(frozen=True)
class Column:
    """A figure of the page."""

    key: str
    title: str
    unit: str
    digits: int
    ideal: float | None
    """None: the more the better."""
    meaning: str
    """Two or three plain sentences."""


RECORDING = (
    Column(
        "peakiness",
        "Pulse peakiness",
        "out / in",
        2,
        1.0,
        "A voice is made of short, sharp pulses. This compares how sharp they are after and before. 1 is natural, 0.2 is a distant, "
        "hollow voice, above 1 is buzzy. It says little about music.",
    ),
    Column(
        "level",
        "Level",
        "dB",
        2,
        0.0,
        "How much louder (+) or softer (-) the result is than the recording. Differences under 0.5 dB are hard to hear. The players "
        "make up for it, unless you switch that off.",
    ),
    Column(
        "length_error",
        "Length error",
        "ms",
        2,
        0.0,
        "How much longer (+) or shorter (-) the result is than recording length / rate. Where a picture or other tracks must stay in "
        "step, it has to be 0.",
    ),
    Column(
        "channel_correlation",
        "Stereo image",
        "",
        3,
        0.0,
        "How much the likeness of the channels has changed. 0 means that everything stays in its place between the loudspeakers; "
        "at 0.1 the image becomes wider, narrower or blurred.",
    ),
    Column(
        "channel_level",
        "Stereo balance",
        "dB",
        2,
        0.0,
        "How much the balance of the channels has moved. 0 is none; above 1 dB things move sideways.",
    ),
    Column(
        "speed",
        "Speed",
        "x real time",
        1,
        None,
        "Seconds of the recording that are done in one second on the computer that made this page. Other programs' time to start and to "
        "read and write files is counted, and something else may have kept the computer busy: take it as a hint.",
    ),
)
"""Taken of the recording itself."""
SYNTHETIC = (
    Column(
        "attack",
        "Attack",
        "out / in",
        2,
        1.0,
        "A dry drum hit, stretched: how much of its energy still comes in the first 5 thousandths of a second. 1 is as crisp as before, "
        "near 0 is smeared.",
    ),
    Column(
        "pre_echo",
        "Pre-echo",
        "",
        3,
        0.0,
        "Sound before that drum hit, where silence should be, as a share of its energy. 0 is none; above 0.01 you hear a swish before "
        "each hit.",
    ),
    Column(
        "noise_correlation",
        "Tonal noise",
        "",
        2,
        0.0,
        "Whether hiss stays hiss. Above 0 it rings, warbles or repeats itself; 0 is natural.",
    ),
    Column(
        "noise_level",
        "Noise level",
        "dB",
        2,
        0.0,
        "How much louder or softer hiss becomes: wind, breath, applause. 0 is unchanged.",
    ),
)
"""Taken of drum hits and noise made by the program, stretched at the same rate."""
METER_SEEDS = 2


def measure(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float, seconds: float) -> dict[str, float]:
    """The figures of RECORDING that have an answer here, by key.

    Args:
        source, output: a stretcher's input and output, (channels, samples).
        samplerate: in Hz.
        rate: the speed that was asked for.
        seconds: how long the stretcher took.
    """
    figures = {
        "length_error": length_error(source.shape[1], output.shape[1], rate, samplerate),
        "speed": source.shape[1] / samplerate / max(seconds, 1e-9),
    }
    _add(figures, "level", lambda: level_difference(source, output, samplerate))
    _add(figures, "peakiness", lambda: _peakiness(source, output, samplerate))
    if len(source) > 1 and np.any(source):
        figures["channel_correlation"] = channel_correlation_error(source, output, samplerate)
        figures["channel_level"] = channel_level_error(source, output, samplerate)
    return {key: figure for key, figure in figures.items() if np.isfinite(figure)}


def _peakiness(source: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """`pulse_peakiness` of the loudest channel; a mix could cancel what is heard."""
    loudest = int(np.argmax((source**2).sum(axis=1)))
    return residual_kurtosis(output[loudest], samplerate) / _kurtosis(source[loudest].tobytes(), samplerate)


@lru_cache(maxsize=2)
def _kurtosis(samples: bytes, samplerate: int) -> float:
    """Of the source, kept: every method is compared with it."""
    return residual_kurtosis(np.frombuffer(samples, np.float32), samplerate)


def _add(figures: dict[str, float], key: str, function: Callable[[], float]) -> None:
    """A measure that has no answer (silence, a very short recording) leaves its cell empty."""
    with np.errstate(all="ignore"):
        try:
            figures[key] = function()
        except (ValueError, RuntimeError):
            pass


def measure_synthetic(method: Method, rate: float) -> tuple[dict[str, float], list[str]]:
    """The figures of SYNTHETIC by key, and what went wrong."""
    reading = read_meter(method, rate, seeds=METER_SEEDS)
    return {column.key: reading.figures[column.key][0] for column in SYNTHETIC if column.key in reading.figures}, reading.problems
