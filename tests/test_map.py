"""Promises of `tsmgan map` and of the tables that a map is read from."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from batch_helpers import SAMPLERATE, write_recording

import tsmgan
from tsmgan.cli import run
from tsmgan.maps import plan_file


@pytest.fixture
def recording(folder):
    """The folder, with in.wav: ten seconds, 8 kHz, mono."""
    write_recording(folder / "in.wav", frames=10 * SAMPLERATE)
    (folder / "markers.csv").write_text("# the slow part\n0:02,0; 0:04,0\n0:08; 00:00:07,000; bridge\n")
    return folder


def test_it_tells_lengths_and_the_fastest_and_the_slowest_place(recording, capsys):
    assert run(["map", "in.wav", "--markers", "markers.csv"]) == 0
    told = capsys.readouterr().out
    for words in ("0:10.000 -> 0:08.000", "saved    0:02.000, 20 %", "fastest  2 at 0:02.000", "slowest  0.5 at 0:00.000"):
        assert words in told
    assert len(re.search(r"rates +(\S+)", told)[1]) == 60
    assert run(["map", "in.wav", "--rate", "0.8"]) == 0
    told = capsys.readouterr().out
    assert "added    0:02.500, 25 %" in told and "0.8 throughout" in told


def test_markers_land_where_they_must_and_are_a_time_map_by_another_name(recording):
    one = tsmgan.stretch_file("in.wav", "one.wav", markers="markers.csv")
    two = tsmgan.stretch_file("in.wav", "two.wav", time_map="markers.csv")
    assert Path("one.wav").read_bytes() == Path("two.wav").read_bytes() and one.output_seconds == two.output_seconds == 8
    assert tsmgan.stretch_file("in.wav", markers="markers.csv").target.endswith("in@markers.wav")


def test_a_map_that_is_written_makes_the_same_output(recording):
    assert run(["map", "in.wav", "--duration", "7.3", "--csv", "map.csv"]) == 0
    tsmgan.stretch_file("in.wav", "by-length.wav", duration=7.3)
    tsmgan.stretch_file("in.wav", "by-map.wav", time_map="map.csv")
    assert Path("by-length.wav").read_bytes() == Path("by-map.wav").read_bytes()
    assert run(["map", "in.wav", "--rate", "2", "--csv", "map.csv"]) == 1
    assert run(["map", "in.wav", "--rate", "2", "--csv", "map.csv", "--force"]) == 0
    np.testing.assert_allclose(tsmgan.TimeMap.from_csv("map.csv").rate_at([0.0, 9.0]), 2)


def test_it_plans_a_section_and_prints_the_map(recording, capsys):
    assert run(["map", "in.wav", "--rate", "2", "--start", "1:00", "--csv", "-"]) == 1
    capsys.readouterr()
    assert run(["map", "in.wav", "--rate", "2", "--start", "0:02,5", "--end", "8", "--csv", "-"]) == 0
    Path("printed.csv").write_text(capsys.readouterr().out)
    assert tsmgan.TimeMap.from_csv("printed.csv").output_length(80, 8) == 40
    planned = plan_file("in.wav", tsmgan.StretchOptions(rate=2.0, start=2.5, end=8))
    assert (planned.input_seconds, planned.output_seconds) == (5.5, 2.75)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_it_draws_a_picture(recording, ending):
    assert run(["map", "in.wav", "--markers", "markers.csv", "-o", f"map.{ending}"]) == 0
    if ending == "png":
        from matplotlib.image import imread

        assert np.ptp(imread(io.BytesIO(Path("map.png").read_bytes()), "png")[..., :3]) > 0.5
    else:
        assert b"in.wav: 10.00 s" in Path("map.svg").read_bytes() or b"<svg" in Path("map.svg").read_bytes()


def test_it_reads_a_pipe(recording):
    command = [sys.executable, "-m", "tsmgan", "map", "-", "--rate", "2"]
    done = subprocess.run(command, input=Path("in.wav").read_bytes(), capture_output=True, check=True)
    assert b"0:10.000 -> 0:05.000" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "exactly one of"),
        (["--rate", "2", "--markers", "markers.csv"], "exactly one of"),
        (["--markers", "nowhere.csv"], "does not exist"),
        (["--rate", "2", "-o", "map.gif"], "as .png or .svg"),
        (["--pauses", "much"], "or first"),
    ],
)
def test_what_makes_no_map_is_refused(recording, capsys, arguments, words):
    assert run(["map", "in.wav", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in " ".join(shown.err.split()) and not shown.out
