"""Promises about recordings of any length: memory that does not grow, an exact length, and no drift."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.benchmark.processes import cost_of

TSMGAN = [sys.executable, "-m", "tsmgan"]
MOST_MEGABYTES, MOST_GROWTH = 300, 15
MOST_SECONDS, DRIFT_SECONDS = 0.001, 0.001
"""How far a click may be from where it is due, and by how much more in the second half of a recording than in the first."""
BLOCK_SECONDS = 60
CLICK_SECOND = 31.0
"""Where in each minute a click begins."""


def write_clicks(path: Path, minutes: int, samplerate: int, channels: int, container: str, subtype: str) -> None:
    """A soft chord with one click a minute."""
    t = np.arange(BLOCK_SECONDS * samplerate) / samplerate
    # Whole numbers of periods a minute, so that the minutes join.
    block = np.stack([0.02 * sum(np.sin(2 * np.pi * f * t + k) for f in (220, 277, 330)) for k in range(channels)], axis=1)
    decay = np.exp(-np.arange(samplerate // 300) / (0.0005 * samplerate))
    start = round(CLICK_SECOND * samplerate)
    block[start : start + len(decay)] += 0.7 * (decay * np.cos(np.arange(len(decay)) * 1.5))[:, None]
    with soundfile.SoundFile(path, "w", samplerate, channels, subtype, format=container) as file:
        for _ in range(minutes):
            file.write(block)


def stretch(*arguments: str) -> float:
    """Run the program, and return the most memory that it held, in megabytes."""
    peak = cost_of([*TSMGAN, "stretch", *arguments, "-q"], 14000, {"OPENBLAS_NUM_THREADS": "1"}).peak
    return (peak or 0) / 1e6


def drifts(path: str, minutes: int, rate: float) -> np.ndarray:
    """How far each minute's click is from where the rate puts it, in seconds."""
    found = []
    with soundfile.SoundFile(path) as file:
        reach = round(0.02 * file.samplerate)
        for minute in range(minutes):
            due = (minute * BLOCK_SECONDS + CLICK_SECOND) / rate * file.samplerate
            file.seek(round(due) - reach)
            heard = np.abs(file.read(2 * reach, always_2d=True)).max(axis=1)
            assert heard.max() > 0.12, f"the click of minute {minute} is gone"
            found.append((round(due) - reach + heard.argmax() - due) / file.samplerate)
    return np.array(found)


def require_no_drift(source: str, target: str, minutes: int, rate: float) -> None:
    before, after = soundfile.info(source), soundfile.info(target)
    assert after.frames == round(before.frames / rate) and after.samplerate == before.samplerate
    assert np.abs(drifts(source, minutes, 1.0)).max() < 0.0005, "the clicks are not where the test believes"
    found = drifts(target, minutes, rate)
    assert np.abs(found).max() < MOST_SECONDS
    assert abs(np.median(found[minutes // 2 :]) - np.median(found[: minutes // 2])) < DRIFT_SECONDS


@pytest.mark.parametrize("rate, target", [pytest.param(0.9, "out.wav", marks=pytest.mark.slow), (1.9, "out.flac")])
def test_ten_minutes_take_no_more_memory_than_one_have_an_exact_length_and_do_not_drift(folder, rate, target):
    write_clicks(folder / "one.wav", 1, 16000, 1, "WAV", "PCM_16")
    write_clicks(folder / "in.wav", 10, 16000, 1, "WAV", "PCM_16")
    memory = stretch("in.wav", "-r", str(rate), "-o", target)
    assert memory < MOST_MEGABYTES and memory < MOST_GROWTH + stretch("one.wav", "-r", str(rate), "-o", f"one-{target}")
    require_no_drift("in.wav", target, 10, rate)


@pytest.mark.slow
@pytest.mark.timeout(14400)
@pytest.mark.parametrize(
    "samplerate, channels, container, subtype, source, target, rate",
    [
        (16000, 1, "RF64", "DOUBLE", "in.wav", "out.w64", 0.9),
        (44100, 2, "W64", "PCM_16", "in.w64", "out.wav", 1.1),
    ],
)
def test_ten_hours_in_files_beyond_four_gibibytes_take_little_memory_and_do_not_drift(
    folder, samplerate, channels, container, subtype, source, target, rate
):
    write_clicks(folder / source, 600, samplerate, channels, container, subtype)
    memory = stretch(source, "-r", str(rate), "-o", target)
    assert min(Path(source).stat().st_size, Path(target).stat().st_size) > 1 << 32
    assert soundfile.info(target).format == ("W64" if target.endswith("w64") else "RF64")
    require_no_drift(source, target, 600, rate)
    print(f"{memory:.0f} MB, drift of at most {1e3 * np.abs(drifts(target, 600, rate)).max():.3f} ms")
    assert memory < MOST_MEGABYTES


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_w64_beyond_four_gibibytes_becomes_rf64_without_being_asked(folder):
    # Many channels: a short time of much data.
    write_clicks(folder / "in.w64", 13, 48000, 16, "W64", "DOUBLE")
    stretch("in.w64", "-r", "1.1", "-o", "out.wav")
    assert min(Path("in.w64").stat().st_size, Path("out.wav").stat().st_size) > 1 << 32
    assert soundfile.info("out.wav").format == "RF64"
    require_no_drift("in.w64", "out.wav", 13, 1.1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_hours_of_silence_stay_silent(folder):
    with soundfile.SoundFile("in.flac", "w", 16000, 1) as file:
        for _ in range(600):
            file.write(np.zeros(16000 * 60))
    memory = stretch("in.flac", "-r", "2", "-o", "out.flac")
    assert soundfile.info("out.flac").frames == 16000 * 36000 // 2
    assert all(not block.any() for block in soundfile.blocks("out.flac", 1 << 20))
    print(f"{memory:.0f} MB")
    assert memory < MOST_MEGABYTES
