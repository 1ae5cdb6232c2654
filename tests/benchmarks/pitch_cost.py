"""What a shift of the pitch costs beside a stretch to the same length: `python tests/benchmarks/pitch_cost.py RECORDING [REPEATS]`.

CPU seconds for a minute of stereo at 48 kHz, the recording repeated or cut, medians over repeats in turn. Each shift by p is compared with
the stretch at rate 1 / p that makes as much output, and with a stretch at rate 1.0001. That one is the cheapest there is: neighbouring
frames look at the same samples, and share their transforms.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np
import soundfile
import soxr

import tsmgan

SAMPLERATE, SECONDS = 48000, 60
PITCHES = (-5, 5)


def a_minute(path: str) -> np.ndarray:
    """The recording as float32 (2, a minute of samples at 48 kHz)."""
    y, samplerate = soundfile.read(path, dtype="float32", always_2d=True)
    y = soxr.resample(y, samplerate, SAMPLERATE) if samplerate != SAMPLERATE else y
    channels = np.stack([y[:, 0], 0.8 * y[:, -1]])
    return np.tile(channels, -(-SECONDS * SAMPLERATE // channels.shape[1]))[:, : SECONDS * SAMPLERATE]


def cpu_seconds(y: np.ndarray, **settings: Any) -> float:
    began = time.process_time()
    tsmgan.stretch(y, SAMPLERATE, **settings)
    return time.process_time() - began


def main(path: str, repeats: int) -> None:
    y = a_minute(path)
    cases: dict[str, tuple[np.ndarray, dict[str, Any]]] = {"rate 1.0001": (y, {"rate": 1.0001})}
    for pitch in PITCHES:
        ratio = 2 ** (pitch / 12)
        as_much = np.tile(y, 2)[:, : round(y.shape[1] / ratio)]
        cases[f"rate for {pitch:+d}"] = as_much, {"rate": 1 / ratio}
        for formants in (None, "follow"):
            cases[f"{pitch:+d} {formants or 'voices'}"] = y, {"pitch": pitch, "formants": formants}
    for sound, settings in cases.values():
        tsmgan.stretch(sound[:, :SAMPLERATE], SAMPLERATE, **settings)  # loads and compiles
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, (sound, settings) in cases.items():
            taken[name].append(cpu_seconds(sound, **settings))
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name, seconds in medians.items():
        line = f"{name:14} {seconds:6.2f} s  {seconds / medians['rate 1.0001']:.2f} x rate 1.0001"
        pitch = name.split()[0]
        print(line if name.startswith("rate") else f"{line}  {seconds / medians[f'rate for {pitch}']:.2f} x its stretch")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
