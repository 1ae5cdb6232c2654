"""However a recording is broken, there is one sentence or one good output."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from fuzz_cases import ENDINGS, KINDS, RATES, Case, Change, case_by_number, change, from_bytes, judge, seeds, to_bytes
from fuzz_classes import CLASSES, Canary, class_of, judge_class, judge_number, loudness_fault, sound_part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tsmgan

CHANGES = st.builds(Change, st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 2**32 - 1))
CASES = st.builds(
    Case,
    st.sampled_from(sorted(seeds())),
    st.lists(CHANGES, max_size=4).map(tuple),
    st.sampled_from(RATES),
    st.booleans(),
    st.sampled_from(ENDINGS),
)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(CASES)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_broken_recording_gives_one_sentence_or_one_good_output(folder, case):
    assert judge(case, folder).fault is None


PARTS = st.tuples(st.sampled_from(["tone", "offset", "hum", "pulses", "noise", "clicks"]), st.sampled_from([1e-4, 0.01, 0.7]))
"""What a sound is made of, and how loud it is."""


@given(
    st.lists(PARTS, min_size=1, max_size=2, unique_by=lambda part: part[0]),
    st.sampled_from([1000, 4000, 8000, 22050]),
    st.floats(0.02, 0.3),
    st.sampled_from([0.05, 0.07, 0.1, 0.3, 0.6, 1.2, 3, 20]) | st.floats(0.05, 20),
    st.sampled_from([None, 0.0, 1.0]),
    st.integers(0, 2**16),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_sound_is_louder_at_its_beginning_or_end_or_anywhere_at_any_rate(parts, samplerate, seconds, rate, coherence, seed):
    count, chance = round(seconds * samplerate), random.Random(seed)
    y = sum(level * sound_part(kind, chance, count, samplerate) for kind, level in parts)
    y = np.clip(y, -1, 1).astype(np.float32)[None]
    out = tsmgan.stretch(y, samplerate, rate, coherence=coherence)
    assert loudness_fault(y, out, samplerate, rate) is None


@pytest.mark.parametrize("number", [11593, 14907, 22683, 23401])
def test_what_was_once_louder_than_its_recording_is_not(folder, number):
    assert class_of(number) == "explosion" and judge_number(number, folder).verdict.fault is None


@pytest.mark.parametrize("seed", sorted(seeds()))
def test_every_seed_unbroken_is_stretched_or_refused_in_a_sentence(folder, seed):
    assert judge(Case(seed, (), 1.3, False, "wav"), folder).fault is None


def test_good_seeds_are_not_refused(folder):
    good = [seed for seed in seeds() if "-" in seed]
    assert len(good) > 20 and not any(judge(Case(seed, (), 1.3, False, "wav"), folder).refused for seed in good)


@pytest.mark.parametrize("engine", ["atheris", "Hypothesis"])
def test_what_is_grown_out_of_the_seeds_gives_one_sentence_or_one_good_output(folder, engine):
    if engine == "atheris":
        pytest.importorskip("atheris", reason="atheris is not installed")
    else:
        (folder / "atheris.py").write_text("raise ImportError('hidden')\n")
    command = [sys.executable, str(Path(__file__).with_name("run_atheris.py")), "--cases", "300"]
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    (folder / "atheris.py").unlink(missing_ok=True)
    assert result.returncode == 0 and f" by {engine}: " in result.stdout, result.stdout + result.stderr
    assert result.stdout.startswith("300 cases in ") and " 0 faults;" in result.stdout and " 0 stretched," not in result.stdout


def test_bytes_stand_for_the_cases_that_they_were_made_from():
    for name in seeds():
        content, suffix, rate, salvage, ending = from_bytes(to_bytes(name))
        assert (content, suffix, rate, salvage) == (seeds()[name], Path(name).suffix, 1.3, False) and ending in ENDINGS
    assert all(len(from_bytes(bytes(length))) == 5 for length in range(4))


def test_cases_are_a_function_of_their_number_and_do_break_files():
    cases = [case_by_number(k) for k in range(200)]
    assert cases == [case_by_number(k) for k in range(200)]
    assert sum(change(seeds()[case.seed], case.changes) != seeds()[case.seed] for case in cases) > 100


QUICK = {
    "explosion": 40,
    "buffers": 20,
    "arrays": 60,
    "named files": 120,
    "wild fields": 30,
    "operators": 12,
    "recipe": 120,
    "checkpoint": 60,
}
QUICK |= {"signal": 4}
"""Cases of each class that the tests judge; `run_fuzz.py` judges as many as are wanted."""
NEEDS = {"named files": "av", "wild fields": "onnx", "operators": "onnx", "recipe": "torch", "checkpoint": "torch"}


@pytest.mark.parametrize("kind", QUICK)
def test_cases_of_every_class_keep_its_promise(folder, kind):
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind], reason=f"{NEEDS[kind]} is not installed")
    if kind == "signal" and os.name != "posix":
        pytest.skip("this system has no such signals")
    verdicts = {number: judge_class(kind, number, folder) for number in range(QUICK[kind])}
    assert {number: verdict.fault for number, verdict in verdicts.items() if verdict.fault is not None} == {}
    assert not list(folder.iterdir())


def test_the_program_that_judges_many_cases_counts_them_all():
    command = [
        sys.executable,
        str(Path(__file__).with_name("run_fuzz.py")),
        "--cases",
        "60",
        "--first",
        "100",
        "--only",
        "buffers",
        "--jobs",
        "1",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    count = sum(class_of(number) == "buffers" for number in range(100, 160))
    assert count and f"buffers: {count} cases, 0 refused, 0 with faults" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0 and f"{count} cases in " in result.stdout


def test_every_class_has_numbers_and_a_number_one_class(folder):
    counts = {kind: sum(class_of(number) == kind for number in range(4000)) for kind in CLASSES}
    assert counts == {kind: count for kind, (count, _) in CLASSES.items()} and min(counts.values()) == counts["signal"]
    number = next(number for number in range(4000) if class_of(number) == "arrays")
    assert judge_number(number, folder) == judge_number(number, folder)


def test_the_measure_of_explosions_sees_one_and_lets_a_copy_pass():
    y = np.sin(np.arange(8000) * 0.3)[None]
    assert loudness_fault(y, y, 8000, 1.0) is None and loudness_fault(y, np.repeat(y, 4, axis=1), 8000, 0.25) is None
    louder = y.copy()
    louder[:, 3000:3500] *= 1.5
    assert "at 0.3" in loudness_fault(y, louder, 8000, 1.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who opens a file")
def test_a_canary_tells_that_it_was_opened(folder):
    path = folder / "canary"
    path.write_bytes(b"x")
    assert not Canary(path).was_opened()
    watch = Canary(path)
    path.read_bytes()
    assert watch.was_opened()
    path.unlink()
