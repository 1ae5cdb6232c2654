"""Promises of `--bpm`: from one tempo to another."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import soundfile

import tsmgan
from tsmgan.cli import run
from tsmgan.cli.tempi import parse_bpm

SAMPLERATE = 22050


def song(bpm: float, seconds: float = 20.0) -> np.ndarray:
    """A kick on each beat, a softer hat on each half, over a chord."""
    rng, t = np.random.default_rng(0), np.arange(round(seconds * SAMPLERATE)) / SAMPLERATE
    y = 0.05 * sum(np.sin(2 * np.pi * hz * t) for hz in (220.0, 277.0, 330.0))
    for k in range(int(2 * seconds * bpm / 60)):
        at = round(k * 30 / bpm * SAMPLERATE)
        n = min(2000, len(y) - at)
        decay = np.exp(-np.arange(n) / 300)
        y[at : at + n] += (0.6 * np.sin(2 * np.pi * 80 * t[:n]) if k % 2 == 0 else 0.1 * rng.standard_normal(n)) * decay
    return y.astype(np.float32)


@pytest.fixture
def recording(folder):
    """The folder, with song.wav at 97.3 beats a minute."""
    soundfile.write("song.wav", song(97.3), SAMPLERATE)
    return folder


def test_the_tempo_is_heard_and_told_with_its_certainty(recording, capsys):
    assert run(["map", "song.wav", "--bpm", "80"]) == 0
    shown = capsys.readouterr()
    heard = re.search(r"for ([\d.]+) beats a minute \(certainty ([\d.]+)", " ".join(shown.err.split()))
    assert float(heard[1]) == pytest.approx(97.3, rel=0.005) and float(heard[2]) > 0.3
    assert float(re.search(r"at rate ([\d.]+)", shown.out)[1]) == pytest.approx(80 / 97.3, rel=0.005)


def test_two_tempi_trust_the_user(recording):
    done = tsmgan.stretch_file("song.wav", bpm=(90.0, 60.0), end=3)
    assert done.target.endswith("song@60bpm.wav") and done.frames_written == round(3 * SAMPLERATE * 1.5) and not done.notes


def test_several_tempi_make_a_practice_set(recording):
    assert run(["stretch", "song.wav", "--bpm", "90:60,72.5", "--end", "2", "-q", "--jobs", "1"]) == 0
    lengths = {name: soundfile.info(name).frames for name in sorted(os.listdir()) if "@" in name}
    assert lengths == {"song@60bpm.wav": round(3 * SAMPLERATE), "song@72.5bpm.wav": round(2 * SAMPLERATE * 90 / 72.5)}


def test_noise_is_less_certain_than_a_beat_and_silence_has_none(recording, capsys):
    certainty = []
    soundfile.write("noise.wav", 0.1 * np.random.default_rng(0).standard_normal(20 * SAMPLERATE), SAMPLERATE)
    for name in ("song.wav", "noise.wav"):
        assert run(["map", name, "--bpm", "80"]) == 0
        certainty.append(float(re.search(r"certainty ([\d.]+)", capsys.readouterr().err)[1]))
    assert certainty[1] < 0.15 < certainty[0]
    soundfile.write("silence.wav", np.zeros(SAMPLERATE), SAMPLERATE)
    assert run(["map", "silence.wav", "--bpm", "80"]) == 2
    assert "No beat was found in silence.wav" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "tempi"),
    [
        ("80", (None, [80])),
        ("92:80", (92, [80])),
        ("92,5:80,5", (92.5, [80.5])),
        ("92:60,70,80", (92, [60, 70, 80])),
        ("60, 70", (None, [60, 70])),
    ],
)
def test_tempi_are_understood(text, tempi):
    assert parse_bpm(text) == tempi


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bpm", "fast"], "is no tempo"),
        (["--bpm", "0:80"], "is no tempo"),
        (["--bpm", "60,70"], "recording's own tempo"),
        (["--bpm", "92:80", "--rate", "2"], "exactly one of"),
        (["--bpm", "100:4"], "rate is 0.04"),
    ],
)
def test_tempi_that_make_no_sense_are_refused(recording, capsys, arguments, words):
    assert run(["stretch", "song.wav", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
