"""However a recording is broken, there is one sentence or one good output."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fuzz_cases import ENDINGS, KINDS, RATES, Case, Change, case_by_number, change, from_bytes, judge, seeds, to_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_broken_recording_gives_one_sentence_or_one_good_output(folder, case):
    assert judge(case, folder).fault is None


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
