"""Promises of a batch: what it reads, what it calls its outputs, what it remembers, and that one bad file spoils nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time

import numpy as np
import pytest
import soundfile
from batch_helpers import checksums, double_or_die, prints_to_nowhere, sleep_for_ever, write_recording, write_tree
from hypothesis import given
from hypothesis import strategies as st

from tsmgan.batch.plan import DEFAULT_NAME, Source, check_template, output_name
from tsmgan.batch.pool import Died, Done, Pool
from tsmgan.cli import run
from tsmgan.errors import UsageError


@pytest.fixture
def tree(folder):
    """Six recordings in the tree `in`."""
    return write_tree(folder / "in", 6)


def manifest(output="out") -> list[dict]:
    """The manifest's lines but those that only say that work began."""
    with open(os.path.join(output, "manifest.jsonl")) as file:
        return [entry for entry in map(json.loads, file) if "started" not in entry]


def test_a_folder_is_mirrored_at_every_rate_and_each_output_is_what_a_single_stretch_gives(folder, tree, capsys):
    assert run(["stretch", "in", "-o", "out", "--rate", "0.8,1.25", "--jobs", "2"]) == 0
    assert capsys.readouterr().err.startswith("12 of 12 made in ")
    for name in tree:
        for rate, frames in (("0.8", 5000), ("1.25", 3200)):
            assert soundfile.info(folder / "out" / name.parent / f"{name.stem}@{rate}.wav").frames == frames
    assert len(checksums(folder / "out")) == 12
    assert run(["stretch", str("in" / tree[2]), "-o", "single.wav", "--rate", "0.8", "-q"]) == 0
    assert (folder / "single.wav").read_bytes() == (folder / "out/a/b/take 2@0.8.wav").read_bytes()


def test_the_manifest_says_what_was_made_of_what(folder, tree):
    assert run(["stretch", "in", "-o", "out", "--rate", "0.8", "--jobs", "1", "-q"]) == 0
    entries = {entry["output"]: entry for entry in manifest()}
    assert set(entries) == {f"{name.parent.as_posix()}/{name.stem}@0.8.wav".removeprefix("./") for name in tree}
    entry, files = entries["a/take 1@0.8.wav"], checksums(folder / "out")
    assert entry["input"] == str(folder / "in/a/take 1.wav") and entry["error"] is None and entry["seconds"] > 0
    assert (entry["rate"], entry["samplerate"], entry["input_frames"], entry["output_frames"]) == (0.8, 8000, 4000, 5000)
    assert all(entry["sha256"] == files[output] for output, entry in entries.items())


def test_a_second_run_does_only_what_is_missing_or_changed(folder, tree):
    command = ["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]
    assert run(command) == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*.wav")}
    assert run(command) == 0
    assert len(manifest()) == 6, "something was done again"
    write_recording(folder / "in/take 0.wav", seed=99)
    (folder / "out/a/take 1@2.wav").unlink()
    write_recording(folder / "in/new.wav", seed=100)
    # The same bytes with a new time, as after a restored backup.
    os.utime(folder / "out/a/take 4@2.wav", (1, 1))
    assert run(command) == 0
    assert sorted(entry["output"] for entry in manifest()[6:]) == ["a/take 1@2.wav", "new@2.wav", "take 0@2.wav"]
    assert len(manifest()) == 9
    assert (folder / "out/a/b/take 2@2.wav").stat().st_mtime_ns == before[folder / "out/a/b/take 2@2.wav"]
    assert run([*command, "--gain", "-3"]) == 0
    assert len(manifest()) == 16, "with other settings everything is to be made anew"


def test_a_bad_file_is_recorded_and_the_rest_is_done(folder, tree, capsys):
    (folder / "in/bad.wav").write_text("Dear diary,\n" * 50)
    (folder / "in/a/cut.wav").write_bytes((folder / "in/take 0.wav").read_bytes()[:3000])
    command = ["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1"]
    assert run(command) == 3
    shown = capsys.readouterr().err
    assert "bad.wav is a text file" in shown and "cut.wav is cut short" in shown and "6 of 8 made, 2 failed" in shown
    assert len(checksums(folder / "out")) == 6
    assert {entry["output"]: entry["error"] for entry in manifest() if entry["error"]}.keys() == {"bad@2.wav", "a/cut@2.wav"}
    write_recording(folder / "in/bad.wav")
    write_recording(folder / "in/a/cut.wav")
    assert run(command) == 0
    assert "2 of 8 made, 6 were there already" in capsys.readouterr().err


def test_the_template_names_outputs_and_may_choose_format_and_place(folder, tree):
    assert run(["stretch", "in", "-o", "out", "--rate", "1, 2", "--name", "{rate}/{folder}/{stem}.flac", "--jobs", "1", "-q"]) == 0
    made = checksums(folder / "out")
    assert len(made) == 12 and {"1/take 0.flac", "2/a/b/take 5.flac"} <= made.keys()
    assert soundfile.info("out/2/a/b/take 5.flac").format == "FLAC"


@pytest.mark.parametrize(
    "template, words",
    [
        ("../{stem}@{rate}.wav", "leads out"),
        ("a/../../{stem}@{rate}.wav", "leads out"),
        ("/elsewhere/{stem}@{rate}.wav", "leads out"),
        ("{stem}.wav", "needs {rate}"),
        ("{stem.__class__}@{rate}", "not {stem.__class__}"),
        ("{0}@{rate}", "not {0}"),
        ("{stem!r}@{rate}", "not {stem}"),
        ("{stem}@{rate", "brace"),
        ("{rate}/", "no file"),
        ("", "needs {rate}"),
    ],
)
def test_a_template_that_leaves_the_folder_or_makes_no_name_is_refused(folder, tree, capsys, template, words):
    assert run(["stretch", "in", "-o", "out", "--rate", "1, 2", "--name", template]) == 2
    assert words in capsys.readouterr().err and not (folder / "out").exists()


@given(st.text(st.sampled_from("./\\{}ab@:"), max_size=12), st.text(st.sampled_from("./\\{}a"), min_size=1, max_size=8))
def test_no_template_and_no_input_name_leads_out_of_the_folder(template, name):
    template = template.replace("a", "{stem}").replace("b", "{rate}")
    try:
        made = output_name(check_template(template, 1), Source("in/" + name.replace("/", ""), ""), "1.5")
    except UsageError:
        return
    assert os.path.normpath("/out/" + made).startswith("/out/")


def test_lists_and_patterns_are_mirrored_below_their_common_folder(folder, tree, monkeypatch):
    (folder / "list.txt").write_text("# takes\nin/a/take 1.wav\n\nin/a/b/take 2.wav\n")
    assert run(["stretch", "--list", "list.txt", "-o", "listed", "--rate", "2", "--jobs", "1", "-q"]) == 0
    assert checksums(folder / "listed").keys() == {"take 1@2.wav", "b/take 2@2.wav"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"in/a/take 1.wav\n")))
    assert run(["stretch", "--list", "-", "-o", "piped", "--rate", "2", "-q"]) == 0
    for encoding in ("utf-8-sig", "utf-16"):
        (folder / "list.txt").write_bytes("in/a/take 1.wav\r\nin/a/b/take 2.wav\r\n".encode(encoding))
        assert run(["stretch", "--list", "list.txt", "-o", encoding, "--rate", "2", "--jobs", "1", "-q"]) == 0
        assert checksums(folder / encoding) == checksums(folder / "listed")
    assert checksums(folder / "piped").keys() == {"take 1@2.wav"}
    assert run(["stretch", "in/**/take [15].wav", "-o", "globbed", "--rate", "2", "--jobs", "1", "-q"]) == 0
    assert checksums(folder / "globbed").keys() == {"a/take 1@2.wav", "a/b/take 5@2.wav"}


def test_several_rates_of_one_recording_lie_beside_it_without_a_folder(folder):
    write_recording(folder / "in.wav")
    assert run(["stretch", "in.wav", "--rate", "0.5,3/2", "--jobs", "1", "-q"]) == 0
    assert sorted(os.listdir()) == ["in.wav", "in@0.5.wav", "in@1.5.wav"]


def test_a_recording_whose_name_looks_like_a_pattern_is_a_recording(folder):
    write_recording(folder / "take [1].wav")
    assert run(["stretch", "take [1].wav", "--rate", "2", "-q"]) == 0
    assert soundfile.info("take [1]@2.wav").frames == 2000


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["in"], 2, "for the outputs with -o"),
        (["in", "-o", "in"], 2, "among the inputs"),
        (["in", "-o", "file.txt"], 2, "no folder"),
        (["in", "-o", "out.wav"], 2, "no folder"),
        (["in", "-o", "-"], 2, "single recording"),
        (["in", "-", "-o", "out"], 2, "by itself"),
        (["in", "-o", "out", "--jobs", "0"], 2, "jobs"),
        (["in", "-o", "out", "--rate", "1,1.0"], 2, "twice"),
        (["in", "-o", "out", "--rate", "1,fast"], 2, "no rate"),
        (["in", "-o", "out", "--rate", "1,50"], 2, "rate"),
        (["in", "-o", "out", "--model", "nonesuch"], 1, "nonesuch"),
        (["in/take 0.wav", "in/take 0@2.wav", "-f"], 2, "one of the inputs"),
        (["none", "in/none*.wav", "-o", "out"], 1, "No recording fits in/none*.wav"),
        (["--list", "nowhere.txt", "-o", "out"], 2, "nowhere.txt cannot be read"),
        (["--list", "/dev/zero", "-o", "out"], 2, "more than 64 MB" if os.path.exists("/dev/zero") else "cannot be read"),
        (["in", "in/take 0.wav", "x/take 0.wav", "-o", "out"], 2, "Two recordings would become take 0@2.wav"),
        ([], 2, "nothing to stretch"),
    ],
)
def test_a_wrong_batch_is_refused_before_anything_is_made(folder, tree, capsys, arguments, code, words):
    (folder / "file.txt").write_text("x")
    rate = [] if "--rate" in arguments else ["--rate", "2"]
    before = sorted(os.listdir())
    assert run(["stretch", *arguments, *rate]) == code
    shown = capsys.readouterr().err
    assert words in shown and shown.count("\n") == 1 and sorted(os.listdir()) == before


@pytest.mark.parametrize("options", [["--pauses", "0.4"], ["--pauses", "0.4", "-r", "1.2"], ["--pitch", "2"]])
def test_an_output_of_a_batch_has_the_name_that_it_has_alone(folder, tree, options):
    assert run(["stretch", "in/take 0.wav", *options]) == 0
    alone = next(name for name in os.listdir("in") if "@" in name)
    os.rename(f"in/{alone}", alone)
    assert run(["stretch", "in", *options, "-o", "out", "--jobs", "1", "-q"]) == 0
    assert checksums(folder / "out")[alone] == checksums(folder)[alone]


def test_a_file_of_somebody_else_is_kept_without_force(folder, tree, capsys):
    (folder / "out").mkdir()
    (folder / "out/take 0@2.wav").write_text("precious")
    command = ["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]
    for _ in range(2):
        assert run(command) == 3
        assert "exists already" in capsys.readouterr().err and (folder / "out/take 0@2.wav").read_text() == "precious"
    assert run([*command, "--force"]) == 0
    assert soundfile.info("out/take 0@2.wav").frames == 2000


def test_a_torn_or_foreign_line_of_the_manifest_is_passed_over(folder, tree):
    command = ["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]
    assert run(command) == 0
    whole = (folder / "out/manifest.jsonl").read_bytes()
    (folder / "out/manifest.jsonl").write_bytes(b"\xff\xfe\n[1]\n{}\n" + b"[" * 100000 + b"\n" + whole[:-30])
    assert run(command) == 0
    lines = (folder / "out/manifest.jsonl").read_bytes().splitlines()
    assert len(lines) == 4 + len(whole.splitlines()) + 2, "one output and one beginning more, in lines of their own"
    assert json.loads(lines[-1])["error"] is None


def test_two_batches_do_not_write_to_one_folder(folder, tree, capsys):
    from tsmgan.batch.manifest import Manifest

    (folder / "out").mkdir()
    with Manifest("out/manifest.jsonl"):
        assert run(["stretch", "in", "-o", "out", "--rate", "2"]) == 1
    assert "Another batch is writing to out" in capsys.readouterr().err


def test_outputs_within_the_inputs_are_not_taken_for_inputs(folder, tree):
    for _ in range(2):
        assert run(["stretch", "in", "-o", "in/out", "--rate", "2", "--jobs", "1", "-q"]) == 0
    assert len(checksums(folder / "in/out")) == 6


def test_named_pipes_and_hidden_files_in_a_folder_are_left_alone(folder, tree):
    os.mkfifo("in/pipe.wav")
    shutil.copy("in/take 0.wav", "in/.hidden.wav")
    (folder / "in/notes.txt").write_text("nothing to hear")
    assert run(["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]) == 0
    assert len(checksums(folder / "out")) == 6


def test_a_name_that_is_no_text_survives(folder):
    name = b"caf\xe9.wav"
    write_recording(folder / "in/x.wav")
    try:
        os.rename(b"in/x.wav", b"in/" + name)
    except OSError:
        pytest.skip("this file system has text names only")
    for _ in range(2):
        assert run(["stretch", "in", "-o", "out", "--rate", "2", "-q"]) == 0
    assert os.listdir(b"out").count(b"caf\xe9@2.wav") == 1 and len(manifest()) == 1


def test_a_process_that_dies_costs_its_task_only_and_is_replaced():
    pool = Pool(double_or_die, 2)
    with pool:
        events = list(pool.run(range(20)))
    assert sorted(event.result for event in events if isinstance(event, Done)) == [2 * k for k in range(20) if k not in (7, 11)]
    assert {(event.task, event.reason) for event in events if isinstance(event, Died)} == {(7, "SIGKILL"), (11, "exit code 5")}


def test_what_decoders_print_in_a_quiet_process_is_thrown_away():
    with Pool(prints_to_nowhere, 1, quiet=True) as pool:
        assert [event.result for event in pool.run([1])] == [True]


def test_large_tasks_do_not_wait_behind_each_other_while_a_process_has_none():
    pool = Pool(double_or_die, 3, weigh=lambda task: 1 << 30)
    with pool:
        running = pool.run(iter([1, 2, 3, 4]))
        next(running)
        assert [len(worker.tasks) for worker in pool._workers].count(0) <= 1
        assert all(len(worker.tasks) <= 1 for worker in pool._workers)


def test_a_stopped_pool_leaves_no_process():
    pool = Pool(sleep_for_ever, 2)
    with pool:
        pool._hand_out(iter(range(10)))
        processes = [worker.process for worker in pool._workers]
        assert len(processes) == 2 and all(process.exit_code is None for process in processes)
        pool.stop()
        deadline = time.monotonic() + 20
        while any(process.exit_code is None for process in processes) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(process.exit_code is None for process in processes)


def test_default_names_are_those_of_a_single_stretch(folder):
    write_recording(folder / "in.wav")
    assert output_name(check_template(DEFAULT_NAME, 1), Source("in.wav", ""), "1.5") == "in@1.5.wav"
    assert run(["stretch", "in.wav", "--rate", "1.5", "-q"]) == 0
    assert np.isfinite(soundfile.read("in@1.5.wav")[0]).all()
