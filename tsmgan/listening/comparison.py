"""Renderings: what each stretcher makes of a recording, with its figures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import librosa
import numpy as np

from tsmgan.api import map_of_pauses
from tsmgan.core.field import Field
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import TsmganError
from tsmgan.evaluation.methods import Method, Ourselves
from tsmgan.listening.field import stretch_and_watch
from tsmgan.listening.figures import measure_recording, measure_synthetic


@dataclass
class Rendering:
    """One method's result. If there is none, `samples` is None and `problem` says why."""

    name: str
    samples: np.ndarray | None = None
    """(channels, samples), float32."""
    figures: dict[str, float] = field(default_factory=dict)
    field: Field | None = None
    time_map: TimeMap | None = None
    """In seconds."""
    problem: str | None = None


def render(method: Method, y: np.ndarray, samplerate: int, rate: float, pitch: float = 0.0, *, synthetic: bool = True) -> Rendering:
    """Stretch y (channels, samples) by a method, shift its pitch by semitones, and measure the output.

    `synthetic` adds the measures on test signals. A failure of the method is the rendering's problem; nothing is raised for it.
    """
    result = Rendering(method.name)
    if method.missing:
        result.problem = f"skipped, since {method.missing}"
        return result
    try:
        _stretch_and_measure(result, method, y, samplerate, rate, pitch)
    except Exception as error:  # A method may fail in any way, and the page says how.
        result.problem = str(error).rstrip(".") if isinstance(error, TsmganError) else f"{type(error).__name__}: {error}"
        result.samples = None
        return result
    if synthetic:
        figures, problems = measure_synthetic(method, rate, pitch)
        result.figures |= figures
        if problems:
            result.problem = f"on the test signals: {problems[0]}"
    return result


def _stretch_and_measure(result: Rendering, method: Method, y: np.ndarray, samplerate: int, rate: float, pitch: float) -> None:
    stretcher = method.stretch
    time_map = TimeMap.from_rate(rate)
    if isinstance(stretcher, Ourselves):
        stretcher.warm_up()
        began = time.perf_counter()
        options = dict(stretcher.options)
        if (pauses := options.pop("pauses", None)) is not None:
            time_map = map_of_pauses(y, samplerate, rate, pauses)
        output, result.field = stretch_and_watch(y, samplerate, time_map=time_map, pitch=pitch, **options)
    else:
        began = time.perf_counter()
        output = stretcher(y, samplerate, rate, *([pitch] if pitch else []))
    seconds = time.perf_counter() - began
    result.samples, result.time_map = np.asarray(output, np.float32), time_map.in_seconds(samplerate)
    if not result.samples.shape[1]:
        raise TsmganError(f"{method.name} gave no samples.")
    if not np.all(np.isfinite(result.samples)):
        raise TsmganError(f"{method.name} gave samples that are not numbers.")
    result.figures = measure_recording(y, result.samples, samplerate, rate, seconds)


def attacks(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Where sounds begin, seconds, (attacks,) (librosa's onset detection on the mean of the channels)."""
    mono = y.mean(axis=0)
    if y.shape[1] < samplerate // 10 or not np.any(mono):
        return np.zeros(0)
    hop = max(1, round(0.005 * samplerate))
    envelope = librosa.onset.onset_strength(y=mono, sr=samplerate, hop_length=hop, n_fft=max(256, 4 * hop), n_mels=64)
    return librosa.onset.onset_detect(onset_envelope=envelope, sr=samplerate, hop_length=hop, units="time", backtrack=False)
