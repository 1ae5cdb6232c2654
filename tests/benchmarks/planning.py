"""What planning costs: CPU seconds of making a map, against those of stretching along a constant rate, in one process.

    python tests/benchmarks/planning.py

A minute of sentences with pauses between them is made of the bundled voice, at two sample rates, with one channel and two. Both read the
recording from its file. Everything has run once before it is measured, so neither Python's start nor compiling counts; each figure is the
median of three.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import soxr

import tsmgan
from tsmgan.maps import plan_file

VOICE = Path(__file__).parents[2] / "examples" / "voice.flac"
SECONDS, PAUSE, RATE = 60, 0.4, 1.25
RUNS = 3
SAMPLERATES = (16000, 48000)


def make(samplerate: int, channels: int) -> None:
    """Write talk.wav, its captions, and the times that they shall have."""
    voice, own = soundfile.read(VOICE, dtype="float32")
    voice = soxr.resample(voice, own, samplerate)
    one = np.concatenate([voice, np.zeros(round(PAUSE * samplerate), np.float32)])
    y = np.resize(one, SECONDS * samplerate)
    y = y + 0.0005 * np.random.default_rng(0).standard_normal(len(y)).astype(np.float32)
    soundfile.write("talk.wav", np.stack([y] * channels, axis=1), samplerate)
    length = len(one) / samplerate
    begins = np.arange(int(SECONDS / length)) * length
    for name, rate in (("own.csv", 1.0), ("wanted.csv", RATE)):
        rows = "".join(f"{begin / rate:.3f},{(begin + length - PAUSE) / rate:.3f}\n" for begin in begins)
        Path(name).write_text("begin,end\n" + rows, encoding="utf-8")


def seconds_of(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all its threads together."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    plans = {
        "--pauses 0.4": tsmgan.StretchOptions(rate=RATE, pauses=0.4),
        "--pauses first": tsmgan.StretchOptions(rate=RATE, pauses="first"),
        "--slots": tsmgan.StretchOptions(slots="wanted.csv", captions="own.csv"),
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for samplerate in SAMPLERATES:
            for channels in (1, 2):
                make(samplerate, channels)
                works: dict[str, Callable[[], object]] = {
                    "stretch": lambda: tsmgan.stretch_file("talk.wav", "out.wav", rate=RATE, force=True),
                    **{name: lambda options=options: plan_file("talk.wav", options) for name, options in plans.items()},
                }
                for work in works.values():
                    work()
                # In turns, so that a busy moment meets all of them.
                taken = [{name: seconds_of(work) for name, work in works.items()} for _ in range(RUNS)]
                middle = {name: median(each[name] for each in taken) for name in works}
                parts = ", ".join(f"{name} {100 * middle[name] / middle['stretch']:.1f} %" for name in plans)
                print(f"{samplerate} Hz, {channels} channels: a stretch {middle['stretch']:.2f} s; of it {parts}", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
