"""How a recording is stretched: every setting that the command, a batch and a Python program can give, and its range."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tsmgan.audio import RawFormat
from tsmgan.errors import UsageError
from tsmgan.limits import MOST_THREADS, require_coherence, require_count, require_formants, require_number, require_pitch, require_seed
from tsmgan.loop import require_lead
from tsmgan.recording import AUTO, Gain, nothing_between

Pauses = float | Literal["first"]
"""The share of its length that a pause keeps, or that pauses give way before words do."""
FIRST: Literal["first"] = "first"

if TYPE_CHECKING:
    from tsmgan.core.timemap import TimeMap

HIGHEST_GAIN = 60.0
"""Decibels that `gain` may raise or lower the output by."""


@dataclass(frozen=True)
class StretchOptions:
    """How a recording is stretched. `stretch_file` takes the fields as keywords.

    Raises:
        UsageError: a value is out of its range.
    """

    rate: float | None = None
    """Speed, 0.05 to 20; 1.5 plays 1.5 times as fast. One of rate, duration and time_map is given."""
    duration: float | None = None
    """Length of the output in seconds."""
    time_map: TimeMap | str | os.PathLike[str] | None = None
    """A map that is counted from `start`, or a CSV file of `input second, output second` lines."""
    markers: str | os.PathLike[str] | None = None
    """A CSV file of points that must land at given times, counted from `start`; between them the rate is constant. Another name for a time
    map that is a file."""
    bpm: float | tuple[float, float] | None = None
    """Tempo of the output in beats per minute, or the recording's tempo and the output's. The recording's is heard if it is not given."""
    pauses: Pauses | None = None
    """The share of their length that pauses of speech keep, 0 to 1; or "first": the output is as long as `rate` or `duration` says, and
    pauses give way (or grow) before words do."""
    pitch: float = 0.0
    """Semitones by which the output is higher, -24 to 24. With it alone, the rate is 1."""
    formants: float | Literal["keep", "follow"] | None = None
    """"keep" leaves the formants where they are, "follow" lets them go with the pitch, and a number moves them by semitones, also without a
    pitch. None keeps those of voices and lets those of other sounds follow."""
    start: float = 0.0
    """Where in the input to begin, in seconds."""
    end: float | None = None
    """Where in the input to stop, in seconds; None for its end."""
    loop: bool = False
    """Whether the output's end goes over into its start, so that it can be repeated without a click. `start` must be 0.05 s or later."""
    subtitles: Sequence[str] = ()
    """Files of subtitles, lyrics, labels or times, and CUE sheets, paths or URLs, whose times move with the sound."""
    with_subtitles: bool = False
    """Whether such files beside the recording that have its stem move as well."""
    slots: str | os.PathLike[str] | None = None
    """Captions, or a CSV file of begins and ends, with the times at which the recording's own captions shall be heard; or a folder that
    holds such a file with the recording's stem."""
    captions: str | os.PathLike[str] | None = None
    """The recording's own captions, for `slots`, or a folder that holds them; None for those beside it."""
    slowest: float = 0.8
    """The slowest rate of words, for `slots`."""
    fastest: float = 1.6
    """The fastest rate of words, for `slots`."""
    free_time: float | None = None
    """Seconds that a line may run on after its slot, for `slots`; None for all until the next one."""
    report: str | None = None
    """A .csv or .json file that tells what became of each line, for `slots`; an ending alone puts it beside the output, with its name."""
    model: str = "default"
    """Name of a shipped model, a model folder, or an exported ONNX file."""
    coherence: float | None = None
    """Overrides the model's coherence, 0 (phase vocoder) to 1 (keep the waveform's shape)."""
    seed: int = 0
    """Of the generator's noise, 0 or higher."""
    gain: Gain = 0.0
    """Decibels, -60 to 60, or "auto": the output is turned down by just what would be cut off."""
    subtype: str | None = None
    """Sample type of the output, as libsndfile names it (PCM_16, FLOAT ...); None for the input's."""
    bitrate: float | None = None
    """kbit/s of mp3, ogg, opus, m4a and other lossy outputs; None for near the input's."""
    track: int | None = None
    """Which audio track of a film is stretched, counted from 1, and the only one then; None for all that the output has room for."""
    salvage: bool = False
    """Use what is there of a recording that is cut short."""
    device: str = "auto"
    """What the generator runs on: auto, cpu, cuda, directml or coreml."""
    threads: int | None = None
    """Threads of the generator on the CPU, 1 to 256; None for 1."""
    raw: RawFormat | None = None
    """How an input without a header (.raw, .pcm, or a pipe) is stored."""
    raw_output: bool = False
    """Whether an output pipe carries samples without a header."""

    def __post_init__(self) -> None:
        require_coherence(self.coherence)
        if isinstance(self.subtitles, (str, os.PathLike)):
            raise UsageError(f"Several files may be subtitles, so give a list, for example subtitles=[{os.fspath(self.subtitles)!r}].")
        require_seed(self.seed)
        require_pitch(self.pitch)
        require_formants(self.formants)
        for name in ("duration", "start", "end"):
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name))
        if self.gain != AUTO:
            require_number("gain", self.gain)
        if self.gain != AUTO and not abs(self.gain) <= HIGHEST_GAIN:
            raise UsageError(f"The gain is {self.gain:g} dB; give a number from -{HIGHEST_GAIN:g} to {HIGHEST_GAIN:g}, or auto.")
        if self.duration is not None and not self.duration > 0:
            raise UsageError(f"The duration is {self.duration:g} seconds; it must be longer than zero.")
        if self.pauses is not None:
            require_pauses(self.pauses)
        if not self.start >= 0:
            raise UsageError(f"The start is {self.start:g} seconds; it must be zero or later.")
        if self.loop:
            require_lead(self.start)
        if self.end is not None and not self.end > self.start:
            raise nothing_between(self.start, self.end)
        if self.track is not None and self.track < 1:
            raise UsageError(f"The track is {self.track}; the first audio track of a film is --track 1.")
        if self.threads is not None:
            require_count("threads", self.threads, MOST_THREADS)

    @property
    def pitch_label(self) -> str:
        """The shifts as they stand in the names of files behind the rate: +2st, +2st-keep, -f+1.5st; "" where there are none."""
        pitch = f"{self.pitch:+.4g}st" if self.pitch else ""
        if self.formants is None:
            return pitch
        return pitch + (f"-{self.formants}" if isinstance(self.formants, str) else f"-f{self.formants:+.4g}st")


def require_pauses(pauses: Pauses) -> None:
    """Raise UsageError unless this is a share or "first"."""
    if pauses != FIRST and not (isinstance(pauses, (int, float)) and 0 <= pauses <= 1):
        raise UsageError(f"--pauses is {pauses}; give the share of their length that pauses keep, 0 to 1, or first.")
