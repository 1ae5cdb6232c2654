"""Promises about numbers that would take the machine down: they are refused in a sentence before anything is started."""

from __future__ import annotations

import math

import numpy as np
import pytest
from batch_helpers import double_or_die, write_recording, write_tree

import tsmgan
from tsmgan.batch.pool import Pool
from tsmgan.cli import run
from tsmgan.errors import UsageError
from tsmgan.evaluation.workers import run_tasks


@pytest.mark.parametrize(
    "arguments",
    [
        ["stretch", "in/take 0.wav", "-r", "2", "--threads", "100000"],
        ["stretch", "in/take 0.wav", "-r", "2", "--threads", "0"],
        ["stretch", "in/take 0.wav", "-r", "2", "--jobs", "100000"],
        ["stretch", "in", "-o", "out", "-r", "2", "--threads", "100000"],
        ["stretch", "in", "-o", "out", "-r", "2", "--jobs", "100000"],
        ["stretch", "in", "-o", "out", "-r", "2", "--jobs", "100000", "--cluster", "ray"],
        ["stretch", "x.raw", "-r", "2", "--raw-rate", "8000", "--raw-channels", "100000"],
        ["evaluate", "--artefacts", "-m", "tsmgan", "--jobs", "100000"],
        ["evaluate", "--artefacts", "-m", "tsmgan", "--seeds", "1000000000"],
        ["evaluate", "--scores", "1000000000", "-o", "pairs"],
        ["benchmark", "in/take 0.wav", "--threads", "100000"],
        ["benchmark", "in/take 0.wav", "--runs", "1000000000"],
        ["benchmark", "in/take 0.wav", "--seconds", "1e30"],
    ],
    ids=" ".join,
)
def test_absurd_numbers_are_refused(folder, capsys, arguments):
    write_tree(folder / "in", 2)
    (folder / "x.raw").write_bytes(bytes(1000))
    assert run(arguments) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1, message
    assert sorted(path.name for path in folder.iterdir()) == ["in", "x.raw"], "something was begun"


@pytest.mark.parametrize("threads", [100000, 0, -1, 1.5, float("nan"), float("inf")])
def test_the_api_refuses_absurd_threads(threads):
    with pytest.raises(UsageError, match="threads"):
        tsmgan.Stretcher(24000, rate=2, threads=threads)


def test_the_api_refuses_absurd_jobs():
    with pytest.raises(UsageError, match="jobs"):
        Pool(double_or_die, 100000)
    with pytest.raises(UsageError, match="jobs"):
        next(run_tasks(lambda item, call: item, [1], jobs=100000))


def test_as_many_threads_and_jobs_as_are_allowed_work(folder):
    write_recording(folder / "in/take.wav")
    assert run(["stretch", "in/take.wav", "-r", "2", "--threads", "256", "-o", "out.wav", "-q"]) == 0
    assert run(["stretch", "in", "-r", "2", "--jobs", "16", "-o", "out", "-q"]) == 0


@pytest.mark.parametrize(
    "setting",
    [
        {"pitch": "3/2"},
        {"coherence": "1"},
        {"seed": math.nan},
        {"seed": math.inf},
        {"gain": "loud"},
        {"start": "0:01"},
        {"end": "0:01"},
        {"duration": "0:01", "rate": None},
    ],
    ids=str,
)
def test_text_is_not_taken_for_a_number_in_python(setting):
    with pytest.raises(UsageError, match="number"):
        tsmgan.stretch_file("none.wav", "out.wav", **{"rate": 2.0, **setting})


@pytest.mark.parametrize("samplerate", [math.nan, math.inf, 0, 8000.5])
def test_an_impossible_sample_rate_is_refused_by_every_call(samplerate):
    y = np.zeros(8000, np.float32)
    for call in (tsmgan.stretch, tsmgan.pauses, lambda y, samplerate, *rate: tsmgan.Stretcher(samplerate, 1, rate=2.0)):
        with pytest.raises(UsageError, match="can be stretched"):
            call(y, samplerate, *([2.0] if call is tsmgan.stretch else []))
