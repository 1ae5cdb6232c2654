"""Promises of the benchmark: costs are those of the command alone, rounds are paired, and what fails is told."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest
import soundfile

from tsmgan.benchmark.processes import Cost, cost_of, sum_of
from tsmgan.benchmark.programs import Program, baseline_of, first_start, own_programs, own_starts, peer_programs, run_rounds, write_source
from tsmgan.benchmark.stages import STAGES, Stopwatch, read_beginning, time_stages
from tsmgan.cli import run
from tsmgan.errors import TsmganError
from tsmgan.models import find_model

MEGABYTE = 1_000_000


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


@pytest.fixture
def recording(tmp_path):
    """A second of stereo noise at 24 kHz."""
    soundfile.write(tmp_path / "in.wav", 0.1 * np.random.default_rng(0).standard_normal((24000, 2)), 24000)
    return tmp_path / "in.wav"


needs_wait4 = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")


@needs_wait4
def test_peak_memory_is_that_of_the_command_and_not_of_this_process():
    here = np.ones(60 * MEGABYTE // 8)  # would be inherited
    small = cost_of(python("pass")).peak
    large = cost_of(python("b = bytearray(80_000_000)")).peak
    assert here.sum() > 0 and small is not None and large is not None
    assert small < 40 * MEGABYTE
    assert 75 * MEGABYTE < large - small < 90 * MEGABYTE


@needs_wait4
def test_waiting_counts_as_wall_time_and_not_as_processor_time():
    cost = cost_of(python("import time; time.sleep(0.6)"))
    assert cost.wall >= 0.6 and cost.cpu is not None and cost.cpu < cost.wall - 0.3


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (python("import sys; sys.exit('out of luck')"), "ended with code 1: out of luck"),
        (["no-such-program-at-all"], "no-such-program-at-all cannot be run"),
    ],
)
def test_a_command_that_fails_is_told(command, says):
    with pytest.raises(TsmganError, match=says):
        cost_of(command)


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path):
    with pytest.raises(TsmganError, match="longer than 1 s"):
        cost_of(python(f"import time; time.sleep(3); open({str(tmp_path / 'late')!r}, 'w')"), time_limit=1)
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_costs_of_commands_in_a_row_add_up_and_memory_does_not():
    assert sum_of([Cost(1, 2, 30), Cost(4, 5, 60)]) == Cost(5, 7, 60)
    assert sum_of([Cost(1, None, None), Cost(4, 5, 60)]) == Cost(5, None, 60)


def test_ratios_are_taken_within_rounds():
    slow_then_fast = Program("a", [], costs=[Cost(10, 1, 1), Cost(1, 1, 1), Cost(3, 1, 1)])
    other = Program("b", [], costs=[Cost(20, 1, 1), Cost(2, 1, 1), Cost(3, 1, 1)])
    assert slow_then_fast.ratio(other) == 0.5  # of the medians it would be 1
    assert slow_then_fast.median().wall == 3


def test_every_program_runs_in_every_round_behind_one_to_warm_up(tmp_path):
    log = tmp_path / "log"
    programs = [Program(name, [python(f"open({str(log)!r}, 'a').write({name!r})")]) for name in "abc"]
    assert list(run_rounds(programs, 2)) == list("abcabcabc")
    assert log.read_text() == "abcabcabc"
    assert [len(program.costs) for program in programs] == [2, 2, 2]


def test_a_program_that_fails_or_writes_nothing_is_left_out(tmp_path):
    good = Program("good", [python("pass")])
    bad = Program("bad", [python("raise SystemExit('broken')")])
    silent = Program("silent", [python("pass")], [tmp_path / "out.wav"])
    absent = Program("absent", [["never-run"]], problem="not installed")
    list(run_rounds([bad, silent, absent, good], 1))
    assert [len(p.costs) for p in (bad, silent, absent, good)] == [0, 0, 0, 1]
    assert "broken" in bad.problem and "wrote nothing" in silent.problem and absent.problem == "not installed"
    assert baseline_of([bad, silent, absent, good]) is good
    with pytest.raises(TsmganError, match="broken"):
        baseline_of([bad])


def test_an_output_of_the_round_before_is_removed(tmp_path):
    target = tmp_path / "out"
    program = Program("exclusive", [python(f"open({str(target)!r}, 'x')")], [target])
    list(run_rounds([program], 1))
    assert program.problem is None and len(program.costs) == 1


def test_a_program_that_mixes_channels_is_run_for_each(tmp_path):
    sources = write_source(np.zeros((2, 100), np.float32), 8000, tmp_path)
    sonic, sox = peer_programs(["sonic", "sox"], sources, tmp_path, 1.5)
    assert len(sonic.commands) == 2 and len(sox.commands) == 1
    assert [soundfile.info(path).channels for path in sources] == [2, 1, 1]
    assert len(set(sonic.outputs)) == 2


def test_own_commands_do_the_whole_stretch(tmp_path):
    source = write_source(0.1 * np.ones((1, 8000), np.float32), 8000, tmp_path)[0]
    plain, vocoder = own_programs(source, tmp_path, 1.6)
    assert vocoder.commands == [[*plain.commands[0], "--coherence", "0"]]
    plain.run()
    assert soundfile.info(plain.outputs[0]).frames == 5000
    starts = own_starts(tmp_path)
    for start in starts[:3]:
        assert start.run().wall > 0


def test_the_first_start_compiles_and_the_second_finds_what_it_compiled(tmp_path):
    own_starts(tmp_path)
    first, cache = first_start(tmp_path), tmp_path / "nothing-compiled"
    assert not cache.exists()
    first.run()
    written = {file: file.stat().st_mtime_ns for file in cache.rglob("*.kernel")}
    assert len(written) >= 5
    first.run()
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.kernel")} == written


def test_the_beginning_of_a_recording_is_as_long_as_asked_for(recording):
    y, info = read_beginning(str(recording), 0.5)
    assert y.shape == (2, 12000) and info.samplerate == 24000
    assert read_beginning(str(recording), 60.0)[0].shape == (2, 24000)


def test_a_stopwatch_adds_up_by_name():
    watch = Stopwatch()
    for _ in range(3):
        with watch("analysis"):
            time.sleep(0.02)
    assert watch.seconds["analysis"] >= 0.06 and watch.seconds["writing"] == 0


def test_stages_add_up_to_the_total(recording):
    *stages, total = time_stages(str(recording), 60.0, 1.5, find_model(), device="cpu", threads=None, runs=1)
    assert [stage.name for stage in stages] == list(STAGES) and total.name == "total"
    assert all(stage.seconds > 0 for stage in stages)
    assert total.seconds == pytest.approx(sum(stage.seconds for stage in stages))
    assert total.real_time == pytest.approx(1.0 / total.seconds)


def test_the_command_prints_tables_and_writes_json(recording, tmp_path, capsys):
    target = tmp_path / "speed.json"
    assert run(["benchmark", str(recording), "--runs", "1", "--peers", "none", "--json", str(target), "--device", "cpu"]) == 0
    shown, told = capsys.readouterr().out, json.loads(target.read_text())
    assert all(word in shown for word in (*STAGES, "tsmgan --help", "the first time", "tsmgan --coherence 0"))
    assert told["recording"] == {"file": str(recording), "seconds": 1.0, "samplerate": 24000, "channels": 2}
    assert told["device"] == "cpu" and told["baseline"] == "tsmgan" and told["missing"] == {}
    own, vocoder = told["programs"]
    assert own["ratio"] == 1 and vocoder["ratio"] == pytest.approx(vocoder["wall"] / own["wall"])
    assert own["real_time"] == pytest.approx(1 / own["wall"]) and len(own["rounds"]) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--peers", "nobody"], "no peer nobody"),
        (["--rate", "0"], "0.05 to 20"),
        (["--json", "no-such-folder/x.json"], "cannot be written"),
        (["--device", "abacus"], "no device abacus"),
        (["--runs", "0"], "--runs"),
    ],
)
def test_wrong_arguments_are_told_before_the_work(recording, capsys, options, says):
    assert run(["benchmark", str(recording), *options]) == 2
    assert says in capsys.readouterr().err


def test_a_recording_that_is_not_there_is_told(tmp_path, capsys):
    assert run(["benchmark", str(tmp_path / "none.wav")]) == 1
    assert "none.wav" in capsys.readouterr().err
