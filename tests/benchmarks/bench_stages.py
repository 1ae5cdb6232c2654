"""Guards of each stage's speed: `pytest tests/benchmarks/bench_stages.py`.

The name keeps this file out of the default run. To compare with an earlier state, run with `--benchmark-save=NAME` there and with
`--benchmark-compare=NAME --benchmark-compare-fail=median:10%` here. Each figure is for one run of 96 frames (0.6 s) of 48 kHz stereo.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pytest_benchmark")

from tsmgan.api import stretch
from tsmgan.audio import open_reader, open_writer
from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features, silence
from tsmgan.core.field import Field, Seen
from tsmgan.core.frames import RUN
from tsmgan.core.geometry import geometry
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.runs import Run, Surroundings
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Vocoder
from tsmgan.models import find_model, open_decider

SAMPLERATE, CHANNELS, RATE = 48000, 2, 1.3
GEOMETRY = geometry(SAMPLERATE)
INSTANTS = TimeMap.from_rate(RATE).instants(0, RUN, GEOMETRY.hop)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Three seconds of pulses and noise."""
    generator = np.random.default_rng(0)
    y = 0.05 * generator.standard_normal((CHANNELS, 3 * SAMPLERATE))
    y[:, ::400] += 0.5
    return y.astype(np.float32)


@pytest.fixture(scope="module")
def frames(sound):
    return Analyser(GEOMETRY, CHANNELS)(sound, 0, *INSTANTS)


@pytest.fixture(scope="module")
def field(frames) -> Field:
    generator = open_decider(find_model(), "cpu")
    run = Run(0, frames, frame_features(frames, GEOMETRY))
    return generator.decide([Surroundings(generator.context, generator.noise, 0).see(run, None)])[0]


@pytest.fixture(scope="module")
def recording(sound, tmp_path_factory) -> Path:
    import soundfile

    path = tmp_path_factory.mktemp("recording") / "in.wav"
    soundfile.write(path, sound.T, SAMPLERATE)
    return path


def test_reading(benchmark, recording):
    def read() -> int:
        with open_reader(str(recording)) as reader:
            return sum(block.shape[1] for block in reader.blocks())

    assert benchmark(read) == 3 * SAMPLERATE


def test_analysis(benchmark, sound):
    assert benchmark(lambda: Analyser(GEOMETRY, CHANNELS)(sound, 0, *INSTANTS)).power.shape == (RUN, GEOMETRY.bins)


def test_features(benchmark, frames):
    assert len(benchmark(frame_features, frames, GEOMETRY)) == RUN


@pytest.mark.parametrize("threads", [1, 2])
def test_generator(benchmark, threads):
    generator = open_decider(find_model(), "cpu", threads)
    count = RUN + 2 * generator.context
    seen = Seen(silence(count), np.full(count, RATE), np.zeros((count, generator.noise), np.float32))
    assert len(benchmark(generator.decide, [seen])[0].coherence) == RUN


@pytest.mark.parametrize("coherence", [None, 0.0])
def test_vocoder(benchmark, frames, field, coherence):
    chosen = field if coherence is None else field._replace(coherence=np.full_like(field.coherence, coherence))
    vocoder, overlap = Vocoder(GEOMETRY), OverlapAdd(GEOMETRY, CHANNELS)
    out = benchmark(lambda: overlap(vocoder(frames, chosen), frames))
    assert out.shape == (CHANNELS, RUN * GEOMETRY.hop)


def test_writing(benchmark, sound, recording, tmp_path):
    with open_reader(str(recording)) as reader:
        info = reader.info

    def write() -> None:
        with open_writer(tmp_path / "out.wav", info, force=True) as writer:
            writer.write(sound)
            writer.commit()

    benchmark(write)
    assert (tmp_path / "out.wav").stat().st_size > 0


def test_whole_stretch(benchmark, sound):
    assert benchmark(stretch, sound, SAMPLERATE, RATE).shape == (CHANNELS, round(3 * SAMPLERATE / RATE))
