"""The time of each stage: a stretch in this process, with a stopwatch at every arrow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from tsmgan.audio import AudioInfo, open_reader, open_writer
from tsmgan.audio.formats import default_suffix
from tsmgan.core.field import Field, Seen
from tsmgan.core.frames import RUN
from tsmgan.core.generator import available_devices
from tsmgan.core.geometry import geometry
from tsmgan.core.runs import Run
from tsmgan.core.stretcher import Decider, Stretcher
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import TsmganError
from tsmgan.models import Model, open_decider

STAGES = ("reading", "analysis", "features", "generator", "vocoder", "writing")


class StageTime(NamedTuple):
    """A stage and what it took."""

    name: str
    seconds: float
    """Median over the runs."""
    real_time: float
    """Seconds of input by seconds of work."""


class Stopwatch:
    """Sums of time by name."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began

    def timed(self, name: str, stage: Callable[..., Any]) -> Any:
        """A stage of the stretch whose calls are timed."""
        return _Timed(self, name, stage)


class _Timed:
    """A callable whose calls are timed; everything else about it is as it was."""

    def __init__(self, watch: Stopwatch, name: str, stage: Callable[..., Any]) -> None:
        self._watch, self._name, self._stage = watch, name, stage

    def __call__(self, *arguments: Any) -> Any:
        with self._watch(self._name):
            return self._stage(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


def read_beginning(source: str, seconds: float) -> tuple[np.ndarray, AudioInfo]:
    """The first seconds of a recording, (channels, samples), and what it is."""
    with open_reader(source) as reader:
        blocks, wanted = [], round(seconds * reader.info.samplerate)
        for block in reader.blocks():
            blocks.append(block)
            if reader.frames_read >= wanted:
                break
        return np.concatenate(blocks, axis=1)[:, :wanted], reader.info


class TimedStretcher(Stretcher):
    """A Stretcher with a stopwatch at every arrow."""

    def __init__(self, samplerate: int, channels: int, time_map: TimeMap, generator: Decider, watch: Stopwatch) -> None:
        super().__init__(samplerate, channels, time_map, generator)
        self._analyser = watch.timed("analysis", self._analyser)
        self._features = watch.timed("features", self._features)
        self._vocoder = watch.timed("vocoder", self._vocoder)
        self._grains = watch.timed("vocoder", self._grains)
        self._overlap = watch.timed("vocoder", self._overlap)
        self._watch = watch

    def _decide(self, runs: list[tuple[Run, Seen]]) -> list[tuple[Run, Field]]:
        with self._watch("generator"):
            return super()._decide(runs)


def walk(source: str, seconds: float, rate: float, generator: Decider, folder: Path) -> dict[str, float]:
    """Stretch the first seconds of a recording, and return the seconds that each of STAGES took.

    Blocks are shorter than a run of frames, so that the stages take turns instead of sharing the cores.
    """
    watch = Stopwatch()
    with watch("reading"):
        y, info = read_beginning(source, seconds)
    stretcher = TimedStretcher(info.samplerate, len(y), TimeMap.from_rate(rate), generator, watch)
    step = max(1, round(RUN * geometry(info.samplerate).hop * rate / 2))
    with open_writer(folder / f"out{default_suffix(info)}", info, force=True) as writer:
        for first in range(0, y.shape[1], step):
            block = stretcher.process(y[:, first : first + step])
            with watch("writing"):
                writer.write(block)
        block = stretcher.flush()
        with watch("writing"):
            writer.write(block)
            writer.commit()
    return watch.seconds


def time_stages(source: str, seconds: float, rate: float, model: Model, *, device: str, threads: int | None, runs: int) -> list[StageTime]:
    """Each stage's time over the first seconds of a recording, the median of runs behind one to warm up; `total` is the last.

    Where other devices run the network too, `generator (cuda)` and the like stand behind the stages.
    """
    generator = open_decider(model, device, threads)
    with tempfile.TemporaryDirectory(prefix="tsmgan-") as name:
        folder = Path(name)
        y, info = read_beginning(source, seconds)
        length = y.shape[1] / info.samplerate
        walk(source, seconds, rate, generator, folder)
        found = [walk(source, seconds, rate, generator, folder) for _ in range(runs)]
        times = {stage: median(each[stage] for each in found) for stage in STAGES}
        times["total"] = median(sum(each.values()) for each in found)
        for other in available_devices():
            if other == generator.device:
                continue
            try:
                second = open_decider(model, other, threads)
            except TsmganError:  # installed, and without the hardware
                continue
            walk(source, seconds, rate, second, folder)
            times[f"generator ({other})"] = median(walk(source, seconds, rate, second, folder)["generator"] for _ in range(runs))
    return [StageTime(stage, taken, length / max(taken, 1e-9)) for stage, taken in times.items()]
