"""Promises about which passage of a recording is stretched, and how loud it becomes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from scipy.signal import resample

from tsmgan.audio.true_peak import TruePeakMeter
from tsmgan.cli import run

SAMPLERATE = 24000


def loud_master(seconds: float = 2.0, channels: int = 2) -> np.ndarray:
    """Noise and tones, pushed against full scale, as loud masters are: (samples, channels)."""
    rng, t = np.random.default_rng(3), np.arange(int(seconds * SAMPLERATE))[:, None] / SAMPLERATE
    tones = np.sin(2 * np.pi * t * np.array([[110.0, 141.0][:channels]])) + 0.7 * np.sin(2 * np.pi * 1700 * t)
    return np.clip(2.5 * (tones + 0.4 * rng.standard_normal((len(t), channels))), -1, 1 - 2**-15)


def true_peak(path: str) -> float:
    """By a transform of the whole file, eight times oversampled."""
    samples = soundfile.read(path, always_2d=True)[0]
    return float(np.abs(resample(np.pad(samples, ((512, 512), (0, 0))), 8 * (len(samples) + 1024))).max())


@pytest.fixture
def loud(folder):
    """The folder, with loud.wav and in.wav."""
    soundfile.write("loud.wav", loud_master(), SAMPLERATE, subtype="PCM_24")
    soundfile.write("in.wav", 0.1 * loud_master(), SAMPLERATE, subtype="PCM_16")
    return folder


@pytest.mark.parametrize("ending, subtype", [("wav", "PCM_16"), ("flac", "PCM_24"), ("wav", "FLOAT")])
def test_gain_auto_turns_down_just_as_far_as_the_true_peak_needs(loud, ending, subtype, capsys):
    command = ["stretch", "loud.wav", "--rate", "0.8"]
    assert run([*command, "-o", "plain.wav", "--subtype", "FLOAT", "-q"]) == 0
    assert np.abs(soundfile.read("plain.wav")[0]).max() > 1.05, "this recording does not need it"
    assert run([*command, "--gain", "auto", "-o", f"auto.{ending}", "--subtype", subtype]) == 0
    shown = capsys.readouterr().err
    assert "Warning" not in shown and "--gain auto turned the output down by" in shown
    plain, auto = soundfile.read("plain.wav")[0], soundfile.read(f"auto.{ending}")[0]
    gain = float((plain * auto).sum() / (plain**2).sum())
    # The highest number of 16 bits lies a little below full scale.
    expected = np.minimum(gain * plain, 1 - 2**-15) if subtype == "PCM_16" else gain * plain
    np.testing.assert_allclose(auto, expected, atol=2e-5 if subtype == "PCM_16" else 2e-7)
    ceiling = max(1.0, true_peak("loud.wav"))
    reached = true_peak(f"auto.{ending}")
    assert reached < 1.01 * ceiling
    assert np.abs(auto).max() <= 1 or subtype == "FLOAT"
    # No lower than one of the two limits asks for.
    assert reached > 0.98 * ceiling or np.abs(auto).max() > 0.999


def test_gain_auto_leaves_alone_what_does_not_exceed_full_scale(loud):
    assert run(["stretch", "in.wav", "--rate", "1.3", "-q", "-o", "plain.wav"]) == 0
    assert run(["stretch", "in.wav", "--rate", "1.3", "-q", "-o", "auto.wav", "--gain", "auto"]) == 0
    assert (loud / "plain.wav").read_bytes() == (loud / "auto.wav").read_bytes()
    assert run(["stretch", "loud.wav", "--rate", "1", "-q", "-o", "same.wav", "--gain", "auto"]) == 0
    np.testing.assert_array_equal(soundfile.read("same.wav", dtype="int32")[0], soundfile.read("loud.wav", dtype="int32")[0])


def test_gain_auto_gives_the_same_bytes_every_time_and_leaves_no_other_file(loud):
    before = set(os.listdir())
    for name in ("a.flac", "b.flac"):
        assert run(["stretch", "loud.wav", "--rate", "1.2", "-q", "-o", name, "--gain", "auto"]) == 0
    assert (loud / "a.flac").read_bytes() == (loud / "b.flac").read_bytes()
    assert set(os.listdir()) == before | {"a.flac", "b.flac"}


def test_gain_auto_on_a_pipe_is_refused_before_anything_is_written(loud):
    command = [sys.executable, "-m", "tsmgan", "stretch", "loud.wav", "--rate", "2", "--gain", "auto", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "name a file with -o" in done.stderr


def test_gain_auto_works_in_batches_and_a_batch_that_clips_suggests_it(loud, capsys):
    command = ["stretch", "loud.wav", "--rate", "0.8, 1.25", "--jobs", "1"]
    assert run([*command, "-o", "out"]) == 0
    assert "2 outputs hold samples beyond full scale; --gain auto avoids it" in capsys.readouterr().err
    assert run([*command, "-o", "out", "--gain", "auto"]) == 0
    assert "full scale" not in capsys.readouterr().err
    assert run(["stretch", "loud.wav", "--rate", "0.8", "--gain", "auto", "-q"]) == 0
    assert (loud / "loud@0.8.wav").read_bytes() == (loud / "out/loud@0.8.wav").read_bytes()


def test_a_stretch_that_clips_suggests_gain_auto(loud, capsys):
    assert run(["stretch", "loud.wav", "--rate", "0.8"]) == 0
    assert "--gain auto" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["loud", "", "1e9"])
def test_a_gain_that_is_none_is_one_sentence(loud, capsys, text):
    assert run(["stretch", "in.wav", "--rate", "2", "--gain", text]) == 2
    assert "--gain auto" in (shown := capsys.readouterr().err) or "or auto" in shown
    assert shown.count("\n") == 1


def test_a_peak_between_the_samples_is_found_whatever_the_blocks_are():
    t = np.arange(5000)
    tone = np.sin(np.pi / 2 * t + np.pi / 4)[None].astype(np.float32)  # its samples reach 0.707 only
    found = []
    for size in (1, 37, 4096, 5000):
        meter = TruePeakMeter(1)
        for start in range(0, 5000, size):
            meter.update(tone[:, start : start + size])
        found.append(meter.true_peak())
    assert len(set(found)) == 1 and 0.99 < found[0] < 1.15
    assert TruePeakMeter(2).true_peak() == 0


def section(first: float, last: float) -> np.ndarray:
    return soundfile.read("in.wav", dtype="int16")[0][round(first * SAMPLERATE) : round(last * SAMPLERATE)]


@pytest.mark.parametrize(
    "options, first, last",
    [
        (["--start", "0:00.5"], 0.5, 2),
        (["--end", "1.25"], 0, 1.25),
        (["--start", "0,5", "--end", "0:01,25"], 0.5, 1.25),
        (["--start", "0", "--end", "2.05"], 0, 2),
    ],
)
def test_a_section_is_stretched_as_if_it_were_the_whole_recording(loud, options, first, last):
    assert run(["stretch", "in.wav", "--rate", "1", "-q", "-o", "part.wav", *options]) == 0
    np.testing.assert_array_equal(soundfile.read("part.wav", dtype="int16")[0], section(first, last))
    soundfile.write("cut.wav", section(first, last), SAMPLERATE, subtype="PCM_16")
    assert run(["stretch", "cut.wav", "--rate", "1.3", "-q", "-o", "expected.wav"]) == 0
    assert run(["stretch", "in.wav", "--rate", "1.3", "-q", "-o", "found.wav", *options]) == 0
    np.testing.assert_array_equal(soundfile.read("found.wav", dtype="int16")[0], soundfile.read("expected.wav", dtype="int16")[0])


def test_durations_and_time_maps_are_those_of_the_section(loud):
    part = ["--start", "0.5", "--end", "1.5", "-q"]
    assert run(["stretch", "in.wav", "--duration", "3", "-o", "long.wav", *part]) == 0
    assert soundfile.info("long.wav").frames == 3 * SAMPLERATE
    (loud / "map.csv").write_text("0,0\n0.5,0.5\n1,1.5\n")
    assert run(["stretch", "in.wav", "--time-map", "map.csv", "-o", "mapped.wav", *part]) == 0
    mapped = soundfile.read("mapped.wav", dtype="int16")[0]
    assert len(mapped) == 1.5 * SAMPLERATE
    # The first half of the map leaves the section's first half as it is.
    np.testing.assert_array_equal(mapped[: SAMPLERATE // 4], section(0.5, 0.75))


@pytest.mark.parametrize(
    "options, code, words",
    [
        (["--start", "2"], 1, "2.000 s long; nothing of it is left behind --start 2"),
        (["--start", "1", "--end", "2.2"], 1, "ends before --end 2.2"),
        (["--start", "1", "--end", "1"], 2, "nothing between --start 1 and --end 1"),
        (["--end", "0"], 2, "nothing between"),
        (["--start", "-1"], 2, "no duration"),
        (["--start", "soon"], 2, "no duration"),
    ],
)
def test_a_section_that_is_not_there_is_one_sentence(loud, capsys, options, code, words):
    before = set(os.listdir())
    assert run(["stretch", "in.wav", "--rate", "2", "-o", "new.wav", *options]) == code
    shown = capsys.readouterr().err
    assert words in shown and shown.count("\n") == 1 and set(os.listdir()) == before


def test_a_section_of_a_pipe_without_a_length_is_the_same_and_what_is_beyond_is_told(loud):
    from tsmgan.audio.wav import wav_header

    data = wav_header(SAMPLERATE, 2, "PCM_16", None) + section(0, 2).astype("<i2").tobytes()
    command = [sys.executable, "-m", "tsmgan", "stretch", "-", "--rate", "1", "-q", "-o"]
    subprocess.run([*command, "piped.wav", "--start", "0.5", "--end", "1"], input=data, check=True)
    np.testing.assert_array_equal(soundfile.read("piped.wav", dtype="int16")[0], section(0.5, 1))
    done = subprocess.run([*command, "beyond.wav", "--start", "3"], input=data, capture_output=True)
    assert done.returncode == 1 and b"nothing of it is left" in done.stderr and not os.path.exists("beyond.wav")


def test_a_batch_stretches_the_section_of_each_recording_and_other_sections_are_made_anew(loud, capsys):
    command = ["stretch", "in.wav", "loud.wav", "-o", "out", "--rate", "2", "--jobs", "1", "--start", "0.5"]
    assert run([*command, "--end", "1.5"]) == 0
    assert soundfile.info("out/in@2.wav").frames == soundfile.info("out/loud@2.wav").frames == SAMPLERATE // 2
    assert run(["stretch", "in.wav", "--rate", "2", "--start", "0.5", "--end", "1.5", "-q"]) == 0
    assert (loud / "in@2.wav").read_bytes() == (loud / "out/in@2.wav").read_bytes()
    capsys.readouterr()
    assert run(command) == 0 and "2 of 2 made" in capsys.readouterr().err
    assert soundfile.info("out/in@2.wav").frames == 0.75 * SAMPLERATE
