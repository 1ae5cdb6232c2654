"""Promises of `tsmgan.stretch_file`: what the command does, for Python programs."""

from __future__ import annotations

import dataclasses
import inspect
import os

import numpy as np
import pytest
import soundfile
from batch_helpers import SAMPLERATE, write_recording

import tsmgan
from tsmgan.cli import run


@pytest.fixture
def recording(folder):
    """The folder, with in.wav: half a second, 8 kHz, mono."""
    write_recording(folder / "in.wav")
    return folder


@pytest.mark.parametrize(
    "options, arguments",
    [
        ({"rate": 1.3}, ["--rate", "1.3"]),
        ({"duration": 0.7, "coherence": 0.2, "seed": 5}, ["--duration", "0.7", "--coherence", "0.2", "--seed", "5"]),
        ({"time_map": "map.csv", "gain": -3.0}, ["--time-map", "map.csv", "--gain", "-3"]),
        (
            {"rate": 0.8, "start": 0.1, "end": 0.4, "subtype": "PCM_24"},
            ["-r", "0.8", "--start", "0.1", "--end", "0.4", "--subtype", "PCM_24"],
        ),
    ],
)
def test_it_writes_the_same_bytes_as_the_command(recording, options, arguments):
    (recording / "map.csv").write_text("0,0\n0.2,0.3\n0.5,0.5\n")
    assert run(["stretch", "in.wav", "-o", "command.wav", "-q", *arguments]) == 0
    tsmgan.stretch_file("in.wav", recording / "function.wav", **options)
    assert (recording / "function.wav").read_bytes() == (recording / "command.wav").read_bytes()


def test_without_a_target_the_output_lies_beside_the_input_and_in_a_folder_it_has_the_same_name(recording):
    for target in (None, "new/er/", "new"):
        summary = tsmgan.stretch_file("in.wav", target, rate=2, force=True)
        assert os.path.normpath(summary.target) == os.path.join(*filter(None, [target and target.strip("/")]), "in@2.wav")
        assert soundfile.info(summary.target).frames == 2000
    assert os.path.basename(tsmgan.stretch_file("in.wav", duration=1).target) == "in@1s.wav"


def test_a_time_map_may_be_an_object_in_seconds_or_in_samples(recording):
    seconds = tsmgan.TimeMap([0, 0.2, 0.5], [0, 0.3, 0.5])
    tsmgan.stretch_file("in.wav", "seconds.wav", time_map=seconds)
    tsmgan.stretch_file("in.wav", "samples.wav", time_map=seconds.in_samples(SAMPLERATE))
    assert (recording / "seconds.wav").read_bytes() == (recording / "samples.wav").read_bytes()
    assert tsmgan.stretch_file("in.wav", time_map=seconds).target.endswith("in@map.wav")


def test_the_summary_says_what_was_read_and_written(recording):
    soundfile.write("loud.wav", np.clip(3 * np.random.default_rng(0).standard_normal((8000, 2)), -1, 0.999), SAMPLERATE)
    summary = tsmgan.stretch_file("loud.wav", "out.flac", rate=0.8, gain=2.0)
    assert (summary.frames_read, summary.frames_written, summary.rate) == (8000, 10000, 0.8)
    assert (summary.input_seconds, summary.output_seconds, summary.gain) == (1.0, 1.25, 2.0)
    assert (summary.source.samplerate, summary.source.channels, summary.output.format) == (SAMPLERATE, 2, "FLAC")
    assert summary.source_stamp.bytes == os.path.getsize("loud.wav") and summary.seconds > summary.seconds_compiling >= 0
    assert summary.clipping.samples > 0 and summary.clipping.limited
    quiet = tsmgan.stretch_file("loud.wav", "quiet.flac", rate=0.8, gain="auto")
    assert quiet.gain < 0 and quiet.clipping is None and tsmgan.stretch_file("in.wav", rate=2).notes == ()


def test_progress_begins_at_zero_and_ends_with_the_whole_recording(recording):
    write_recording(recording / "long.wav", frames=100_000)
    seen = []
    tsmgan.stretch_file("long.wav", rate=2, watch=seen.append, in_batch=True)
    assert len(seen) > 3 and [each.part for each in seen] == sorted(each.part for each in seen)
    assert (seen[0].seconds, seen[0].part, seen[-1].part, seen[-1].seconds, seen[-1].total) == (0, 0, 1, 12.5, 12.5)


def test_an_exception_of_the_watching_function_leaves_no_file(recording):
    def stop(progress) -> None:
        if progress.seconds:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tsmgan.stretch_file("in.wav", "out.wav", rate=2, watch=stop)
    assert os.listdir() == ["in.wav"]


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "exactly one"),
        ({"rate": 2, "duration": 1}, "exactly one"),
        ({"rate": 0}, "rate is 0"),
        ({"duration": 0}, "longer than zero"),
        ({"time_map": "nowhere.csv"}, "does not exist"),
        ({"rate": 2, "start": -1}, "zero or later"),
        ({"rate": 2, "start": 0.3, "end": 0.2}, "nothing between"),
        ({"rate": 2, "coherence": 1.5}, "coherence is 1.5"),
        ({"rate": 2, "seed": -1}, "seed is -1"),
        ({"rate": 2, "gain": 100}, "gain is 100 dB"),
        ({"rate": 2, "gain": float("nan")}, "gain is nan dB"),
        ({"rate": 2, "threads": 0}, "number of threads is 0"),
    ],
)
def test_an_option_out_of_its_range_is_a_usage_error_and_nothing_is_written(recording, options, words):
    with pytest.raises(tsmgan.UsageError, match=words):
        tsmgan.stretch_file("in.wav", "out.wav", **options)
    assert os.listdir() == ["in.wav"]


def test_files_that_cannot_be_read_or_must_not_be_overwritten_are_audio_errors(recording):
    (recording / "out.wav").write_text("precious")
    with pytest.raises(tsmgan.AudioError, match="exists already"):
        tsmgan.stretch_file("in.wav", "out.wav", rate=2)
    with pytest.raises(tsmgan.AudioError, match="does not exist"):
        tsmgan.stretch_file("nowhere.wav", rate=2)
    with pytest.raises(tsmgan.UsageError, match="input itself"):
        tsmgan.stretch_file("in.wav", "in.wav", rate=2, force=True)
    assert (recording / "out.wav").read_text() == "precious"
    assert tsmgan.stretch_file("in.wav", "out.wav", rate=2, force=True).frames_written == 2000


def test_every_option_is_a_keyword_with_the_same_default(recording):
    keywords = inspect.signature(tsmgan.stretch_file).parameters
    for option in dataclasses.fields(tsmgan.StretchOptions):
        assert keywords[option.name].default == option.default and keywords[option.name].kind is inspect.Parameter.KEYWORD_ONLY
