"""From one tempo to another: `--bpm 92:80` trusts the user, `--bpm 80` hears the recording's tempo first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsmgan.core.timemap import TimeMap
from tsmgan.errors import UsageError
from tsmgan.maps.source import Plan
from tsmgan.recording import Passage

ANALYSIS_RATE, HOP = 22050, 256
"""Of the onset strength: Hz, and samples from one value to the next."""
MOST_SECONDS = 600.0
"""Of a passage that are listened to."""
FEWEST_BEATS = 4
LAG_TOLERANCE = 0.02
"""Part of a beat within which the repetition is looked for."""


class HeardTempo(NamedTuple):
    """The tempo of a recording."""

    bpm: float
    """Beats per minute."""
    certainty: float
    """How much the onsets repeat after one beat: their autocorrelation, 0 to 1. Below about 0.15 there may be no beat at all."""


@dataclass(frozen=True)
class Tempo:
    """The rate that brings one tempo to another.

    Args:
        target: beats per minute of the output.
        given: those of the recording; None to hear them.
    """

    target: float
    given: float | None = None

    def __post_init__(self) -> None:
        for bpm in (self.target, self.given):
            if bpm is not None and not 0 < bpm < float("inf"):
                raise UsageError(f"{bpm} is no tempo; give beats per minute, for example --bpm 92:80.")

    @property
    def label(self) -> str:
        return tempo_label(self.target)

    def plan(self, passage: Passage) -> Plan:
        if self.given is not None:
            return Plan(TimeMap.from_rate(self.target / self.given))
        heard = listen(passage)
        note = (
            f"The tempo is taken for {heard.bpm:.1f} beats a minute (certainty {heard.certainty:.2f} of 1). "
            f"If it is another, half or double for example, give both: --bpm {heard.bpm / 2:.3g}:{self.target:g}."
        )
        return Plan(TimeMap.from_rate(self.target / heard.bpm), (note,))


def tempo_label(bpm: float) -> str:
    """A tempo as it stands in the names of files."""
    return f"{bpm:g}bpm"


def listen(passage: Passage) -> HeardTempo:
    """The tempo of the first ten minutes of a passage.

    The beats are those of librosa's tracker (Ellis 2007). A straight line through them gives a finer tempo than the tracker's own.

    Raises:
        UsageError: the recording can be read only once, or has no beats.
    """
    import librosa

    y = _samples(passage)
    onsets = librosa.onset.onset_strength(y=y, sr=ANALYSIS_RATE, hop_length=HOP) if len(y) > HOP else np.zeros(0)
    beats = librosa.beat.beat_track(onset_envelope=onsets, sr=ANALYSIS_RATE, hop_length=HOP)[1] if onsets.any() else np.zeros(0)
    if len(beats) < FEWEST_BEATS:
        raise UsageError(f"No beat was found in {passage.info.name}; give its tempo as well, for example --bpm 92:80.")
    # Beats that the tracker has dropped or put in leave the median of the steps alone.
    steps = np.diff(beats)
    numbers = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(steps / np.median(steps))))])
    lag = float(np.polyfit(numbers, beats, 1)[0])
    return HeardTempo(60 * ANALYSIS_RATE / HOP / lag, _repetition(onsets, lag))


def _repetition(onsets: np.ndarray, lag: float) -> float:
    """Autocorrelation of the onset strength after one beat, 0 to 1."""
    x = onsets - onsets.mean()
    spectrum = np.fft.rfft(x, 2 * len(x))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(x)] / np.arange(len(x), 0, -1)
    low, high = int(lag * (1 - LAG_TOLERANCE)), int(np.ceil(lag * (1 + LAG_TOLERANCE))) + 1
    return float(np.clip(correlation[low:high].max(initial=0.0) / (correlation[0] + 1e-20), 0, 1))


def _samples(passage: Passage) -> np.ndarray:
    """The beginning of a passage, mono at ANALYSIS_RATE."""
    import soxr

    stream = soxr.ResampleStream(passage.info.samplerate, ANALYSIS_RATE, 1, dtype="float32", quality="MQ")
    pieces, seconds = [], 0.0
    with passage.again("--bpm without the recording's own tempo") as heard:
        for block in heard.blocks():
            pieces.append(stream.resample_chunk(block.mean(axis=0).astype(np.float32)))
            seconds += block.shape[1] / passage.info.samplerate
            if seconds >= MOST_SECONDS:
                break
    pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces)
