"""Parity: how far an exported generator is from the one in torch, on features of real sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features
from tsmgan.core.field import Field
from tsmgan.core.generator import depart, onnx_runtime, rule_inputs
from tsmgan.core.geometry import geometry
from tsmgan.core.rule import rule
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import ModelError
from tsmgan.export.onnx import INPUTS
from tsmgan.training.network import Generator

LENGTHS = (1, 2, 7, 64, 192, 1000)
"""Frames of the clips that are compared; the stretcher asks for 192 at a time."""
RATES = (0.5, 0.8, 1.0, 1.3, 2.0)
CHECK_SECONDS = 12.0
"""As much of a recording is compared."""
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-3, "int8": 0.25}
"""Largest difference of any output that an export may have. int8 is judged by how it sounds; beyond this it is broken."""


class Inputs(NamedTuple):
    """What a generator is given; batch and time axes in front."""

    features: np.ndarray
    """(batch, frames, FEATURES), float32."""
    log_rate: np.ndarray
    """(batch, frames), float32."""
    noise: np.ndarray
    """(batch, frames, noise), float32."""
    rule: np.ndarray
    """The rule's field, (batch, frames, bands of all its values), float32, see `tsmgan.core.generator.rule_inputs`."""


class Difference(NamedTuple):
    """Largest absolute difference over the outputs of one clip."""

    frames: int
    rate: float
    output: str
    size: float


def example_sound(samplerate: int = 24000, seconds: float = CHECK_SECONDS) -> np.ndarray:
    """A voice, a chord, clicks in noise and silence, one after the other: (1, samples) float32."""
    generator = np.random.default_rng(0)
    t = np.arange(round(seconds * samplerate)) / samplerate
    phase = np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.9 * t)) / samplerate
    decay = t[: samplerate // 50]
    ring = np.exp(-500 * decay) * np.sin(2 * np.pi * np.outer((650, 1500, 2600), decay)).sum(0)
    voice = np.convolve(np.diff(np.floor(phase), prepend=0), ring)[: len(t)]
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220.0, 277.2, 329.6, 440.0)) / 4
    clicks = 0.02 * generator.standard_normal(len(t)) + 0.8 * (np.arange(len(t)) % (samplerate // 3) == 0)
    part = np.minimum((4 * t / seconds).astype(int), 3)
    return (0.5 * np.choose(part, [voice, chord, clicks, 0 * t])).astype(np.float32)[None]


def real_inputs(y: np.ndarray, samplerate: int, rate: float, noise: int) -> Inputs:
    """What the generator sees when y, (channels, samples), is stretched at rate; a batch of one."""
    g, time_map = geometry(samplerate), TimeMap.from_rate(rate)
    count = g.frames_for(time_map.output_length(y.shape[1]))
    features = frame_features(Analyser(g, len(y))(y, 0, *time_map.instants(0, count, g.hop)), g)
    z = np.random.default_rng(count).standard_normal((1, count, noise), dtype=np.float32)
    log_rate = np.full((1, count), np.log(rate), np.float32)
    by_hand = rule(features[None], log_rate)
    return Inputs(features[None], log_rate, z, rule_inputs(by_hand))


def clips(whole: Inputs) -> Iterator[Inputs]:
    """Clips of LENGTHS frames from the middle of a recording's inputs; one as long as the recording where that is shorter."""
    frames = whole.features.shape[1]
    for length in sorted({min(length, frames) for length in LENGTHS}):
        first = (frames - length) // 2
        yield Inputs(*(values[:, first : first + length] for values in whole))


def run_torch(generator: Generator, inputs: Inputs) -> Field:
    """Departures of the generator in torch, arrays (batch, frames, bands)."""
    with torch.no_grad():
        return Field(*(output.numpy() for output in generator.departures(*(torch.from_numpy(values) for values in inputs))))


class Exported:
    """An ONNX model in memory, called like the generator in torch."""

    def __init__(self, content: bytes) -> None:
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ModelError(f"ONNX Runtime does not take the export: {str(error).splitlines()[0]}") from error

    def __call__(self, inputs: Inputs) -> Field:
        """Departures as arrays (batch, frames, bands), float32."""
        return Field(*self._session.run(list(Field._fields), dict(zip(INPUTS, inputs))))


def _field(departures: Field, inputs: Inputs, generator: Generator) -> Field:
    """The field that departures amount to."""
    by_hand = Field(*np.split(inputs.rule, len(Field._fields), -1))
    return depart(by_hand, departures, generator.config.largest_coherence)


def differences(generator: Generator, content: bytes, y: np.ndarray, samplerate: int) -> list[Difference]:
    """The largest difference between torch and ONNX Runtime for each rate and length, on features of y (channels, samples).

    Raises:
        ModelError: the export does not load or run, gives outputs of another shape, or departs from the rule at a rate at which it is not
            asked.
    """
    exported = Exported(content)
    y = y[:, : round(CHECK_SECONDS * samplerate)]
    found = []
    for rate in RATES:
        for clip in clips(real_inputs(y, samplerate, rate, generator.config.noise)):
            frames = clip.features.shape[1]
            try:
                departures = exported(clip)
                ours, theirs = (_field(found, clip, generator) for found in (run_torch(generator, clip), departures))
            except Exception as error:  # of ONNX Runtime, see above
                raise ModelError(f"The export fails on {frames} frames: {str(error).splitlines()[0]}") from error
            if generator.idle_from is not None and rate >= generator.idle_from and any(values.any() for values in departures):
                raise ModelError(f"The export departs from the rule at rate {rate:g}, where a stretch does not ask it.")
            for name, a, b in zip(Field._fields, ours, theirs):
                if a.shape != b.shape:
                    raise ModelError(f"The export gives {name} of shape {b.shape} for {frames} frames; it must be {a.shape}.")
                size = float(np.abs(a - b).max())
                found.append(Difference(frames, rate, name, size if np.isfinite(size) else np.inf))
    return found
