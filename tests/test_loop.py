"""Promises of `--loop`: a section that repeats without a click."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

import tsmgan
from tsmgan.cli import run

SAMPLERATE = 16000


@pytest.fixture
def recording(folder):
    """The folder, with in.wav: three tones with vibrato in stereo and a little noise, three seconds."""
    t = np.arange(3 * SAMPLERATE) / SAMPLERATE
    phase = 2 * np.pi * (t + 0.001 * np.sin(2 * np.pi * 5 * t))
    y = 0.15 * sum(np.sin(hz * phase) for hz in (197.0, 311.0, 523.0))
    y = np.stack([y, np.roll(y, 7)], axis=1) + 0.001 * np.random.default_rng(0).standard_normal((len(t), 2))
    soundfile.write("in.wav", y, SAMPLERATE, subtype="FLOAT")
    return folder


def jump(y: np.ndarray, at: int) -> float:
    """The greatest second difference around a sample, (samples, channels)."""
    return float(np.abs(np.diff(y[at - 3 : at + 3], 2, axis=0)).max())


@pytest.mark.parametrize("options", [{"rate": 0.7}, {"rate": 1.6}, {"duration": 1.5}, {"rate": 1.0}])
def test_the_end_goes_over_into_the_start_and_the_length_is_exact(recording, options):
    done = tsmgan.stretch_file("in.wav", "loop.wav", start=0.613, end=1.7777, loop=True, **options)
    plain = tsmgan.stretch_file("in.wav", "plain.wav", start=0.613, end=1.7777, **options)
    assert done.frames_written == plain.frames_written and done.frames_read == plain.frames_read
    y, once = soundfile.read("loop.wav")[0], soundfile.read("plain.wav")[0]
    twice, plainly = np.concatenate([y, y]), np.concatenate([once, once])
    usual = max(jump(twice, at) for at in range(len(y) // 4, len(y) // 2, 5))
    assert jump(twice, len(y)) < 1.5 * usual
    assert jump(plainly, len(y)) > 3 * usual  # the same without --loop clicks


def test_the_section_itself_is_what_it_is_without_a_loop_at_rate_1(recording):
    tsmgan.stretch_file("in.wav", "loop.wav", rate=1, start=0.5, end=1.5, loop=True)
    y, x = soundfile.read("loop.wav")[0], soundfile.read("in.wav")[0]
    untouched = len(y) - round(0.05 * SAMPLERATE)
    assert np.array_equal(y[:untouched], x[SAMPLERATE // 2 : SAMPLERATE // 2 + untouched])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "sound before the section"),
        (["--start", "0.01"], "sound before the section"),
        (["--start", "1", "--end", "1.04"], "too short to be repeated"),
    ],
)
def test_a_section_that_cannot_be_repeated_is_refused_and_no_file_is_left(recording, capsys, arguments, words):
    assert run(["stretch", "in.wav", "--rate", "0.9", "--loop", "-o", "out.wav", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split()) and not (recording / "out.wav").exists()
