"""The time of each stage: the way of the data in this process, run by run, with a stopwatch at every arrow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from tsmgan.audio import AudioInfo, open_reader, open_writer
from tsmgan.audio.formats import default_suffix
from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features, silence
from tsmgan.core.generator import Generator, available_devices
from tsmgan.core.geometry import geometry
from tsmgan.core.stretcher import RUN
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Vocoder
from tsmgan.errors import TsmganError
from tsmgan.models import Model

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


def read_beginning(source: str, seconds: float) -> tuple[np.ndarray, AudioInfo]:
    """The first seconds of a recording, (channels, samples), and what it is."""
    with open_reader(source) as reader:
        blocks, wanted = [], round(seconds * reader.info.samplerate)
        for block in reader.blocks():
            blocks.append(block)
            if reader.frames_read >= wanted:
                break
        return np.concatenate(blocks, axis=1)[:, :wanted], reader.info


def walk(source: str, seconds: float, rate: float, generator: Generator, folder: Path) -> dict[str, float]:
    """Stretch the first seconds of a recording stage by stage, and return the seconds that each of STAGES took."""
    watch = Stopwatch()
    with watch("reading"):
        y, info = read_beginning(source, seconds)
    g, time_map = geometry(info.samplerate), TimeMap.from_rate(rate)
    analyser, vocoder = Analyser(g, len(y)), Vocoder(g, len(y))
    count = g.frames_for(time_map.output_length(y.shape[1]))
    context = generator.context
    noise = np.random.default_rng(0).standard_normal((RUN + 2 * context, generator.noise), dtype=np.float32)
    with open_writer(folder / f"out{default_suffix(info)}", info, force=True) as writer:
        for first in range(0, count, RUN):
            places = np.arange(first, min(first + RUN, count)) * g.hop
            rates = time_map.rate_at(places)
            with watch("analysis"):
                frames = analyser(y, 0, np.rint(time_map.input_at(places)).astype(np.int64))
            with watch("features"):
                features = frame_features(frames, g)
            around = silence(RUN + 2 * context)
            around[context : context + len(features)] = features
            with watch("generator"):
                field = generator(around, np.full(len(around), rate), noise)
            field = type(field)(*(values[context : context + len(features)] for values in field))
            with watch("vocoder"):
                out, _ = vocoder.synthesise(frames, field, rates, *vocoder.rotations(frames, field, rates))
            with watch("writing"):
                writer.write(out.astype(y.dtype, copy=False))
        with watch("writing"):
            writer.commit()
    return watch.seconds


def time_stages(source: str, seconds: float, rate: float, model: Model, *, device: str, threads: int | None, runs: int) -> list[StageTime]:
    """Each stage's time over the first seconds of a recording, the median of runs behind one to warm up; `total` is the last.

    Where other devices run the network too, `generator (cuda)` and the like stand behind the stages.
    """
    generator = Generator(model, device, threads)
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
                second = Generator(model, other, threads)
            except TsmganError:  # installed, and without the hardware
                continue
            walk(source, seconds, rate, second, folder)
            times[f"generator ({other})"] = median(walk(source, seconds, rate, second, folder)["generator"] for _ in range(runs))
    return [StageTime(stage, taken, length / max(taken, 1e-9)) for stage, taken in times.items()]
