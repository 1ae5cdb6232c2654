"""Promises about the manifest of a batch: it can be read as a data set, and what it claims is checked before any file is touched."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from batch_helpers import checksums, write_recording, write_tree

from tsmgan.batch.plan import Task
from tsmgan.cli import run
from tsmgan.options import StretchOptions

BATCH = ["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]


@pytest.fixture
def made(folder):
    """A folder with three recordings in `in` and a batch's outputs of them in `out`."""
    write_tree(folder / "in", 3)
    assert run(BATCH) == 0
    return folder


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out/manifest.jsonl").read_text().splitlines()]


def write_lines(folder: Path, entries: list[dict]) -> None:
    (folder / "out/manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def listed(capsys, folder: str = "out") -> list[dict]:
    assert run(["manifest", folder, "--csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def without_end(folder: Path, output: str) -> None:
    """Take away the line that says that an output was finished, as if the batch had been killed just before."""
    write_lines(folder, [entry for entry in lines(folder) if entry["output"] != output or "started" in entry])


def test_a_manifest_lists_each_output_with_what_the_file_is(made, capsys):
    assert run([*BATCH, "--rate", "0.8, 2"]) == 0
    rows = listed(capsys)
    assert len(rows) == 6 and list(rows[0])[:4] == ["path", "rate", "seconds", "samplerate"]
    for row in rows:
        found = soundfile.info(row["path"])
        assert float(row["seconds"]) == pytest.approx(found.duration, abs=1e-6)
        assert (int(row["samplerate"]), int(row["channels"])) == (found.samplerate, found.channels)
        assert row["path"].endswith(f"@{row['rate']}.wav") and os.path.isfile(row["input"])
    assert run(["manifest", "out"]) == 0
    shown = capsys.readouterr().out
    assert "take 0@0.8.wav" in shown and "8000 Hz" in shown and "0:00.625" in shown


def test_outputs_that_went_or_changed_are_left_out_with_a_note(made, capsys):
    (made / "out/take 0@2.wav").unlink()
    (made / "out/a/take 1@2.wav").write_bytes(b"other")
    assert run(["manifest", "out", "--csv"]) == 0
    shown = capsys.readouterr()
    assert "take 2@2.wav" in shown.out and "take 0@" not in shown.out and "take 1@" not in shown.out and "Note: 2 outputs" in shown.err


def test_foreign_lines_of_a_manifest_make_no_row_and_no_error(made, capsys):
    true = next(entry for entry in lines(made) if entry["output"] == "take 0@2.wav" and "started" not in entry)
    (made / "secret.wav").write_bytes((made / "out/take 0@2.wav").read_bytes())
    wrong = [{"output": name} for name in ("../secret.wav", str(made / "secret.wav"), "", "a/../../secret.wav", "\0", 5, None, ["x"])]
    wrong += [{"samplerate": value} for value in (0, -1, "8000", None, True, 1e400, {})]
    wrong += [{"output_frames": [1]}, {"rate": "fast"}, {"channels": 0}, {"input": 7}]
    foreign = [json.dumps(true | {"output": f"x{k}.wav"} | change) for k, change in enumerate(wrong)]
    foreign += ["[1]", "{}", "null", "not JSON", "[" * 100_000, '"' + "x" * (3 << 20) + '"', '{"output": ' + "9" * 5000 + "}"]
    for k in range(len(wrong)):
        (made / f"out/x{k}.wav").write_bytes((made / "out/take 0@2.wav").read_bytes())
    whole = (made / "out/manifest.jsonl").read_bytes()
    (made / "out/manifest.jsonl").write_bytes("\n".join(foreign).encode() + b"\n\xff\xfe\n" + whole[:-1])
    assert [row["path"] for row in listed(capsys)] == ["out/a/b/take 2@2.wav", "out/a/take 1@2.wav", "out/take 0@2.wav"]
    assert run(BATCH) == 0


@pytest.mark.parametrize("name, words", [("nowhere", "is no folder"), ("in", "holds no manifest.jsonl"), ("file", "is no folder")])
def test_a_folder_without_a_manifest_is_one_sentence(made, capsys, name, words):
    (made / "file").write_text("x")
    assert run(["manifest", name, "--csv"]) != 0
    shown = capsys.readouterr()
    assert words in shown.err and shown.err.count("\n") == 1 and shown.out == ""


def test_a_name_that_is_no_text_keeps_its_bytes_in_the_csv(folder):
    write_recording(folder / "in/x.wav")
    try:
        os.rename(b"in/x.wav", b"in/caf\xe9.wav")
    except OSError:
        pytest.skip("this file system has text names only")
    assert run(BATCH) == 0
    done = subprocess.run([sys.executable, "-m", "tsmgan", "manifest", "out", "--csv"], capture_output=True, check=True)
    assert b"out/caf\xe9@2.wav,2,0.25" in done.stdout


@pytest.mark.parametrize("ended", [False, True])
def test_a_foreign_line_does_not_let_a_batch_overwrite_a_file(folder, capsys, ended):
    write_tree(folder / "in", 1)
    (folder / "out").mkdir()
    precious = folder / "out/take 0@2.wav"
    write_recording(precious, seed=50, frames=2000)
    before = precious.read_bytes()
    line = {"input": str(folder / "in/take 0.wav"), "output": precious.name, "rate": 2.0, "settings": "0" * 16}
    found = precious.stat()
    end = line | {"output_bytes": found.st_size, "output_version": found.st_mtime_ns, "sha256": "0" * 64, "output_frames": 2000}
    write_lines(folder, [line | {"started": True}, *([end] if ended else [])])
    for _ in range(3):
        assert run(BATCH) == 3
        assert "exists already" in capsys.readouterr().err and precious.read_bytes() == before
    assert run([*BATCH, "--force"]) == 0 and precious.read_bytes() != before


def test_an_output_that_was_edited_since_is_kept_without_force(made, capsys):
    edited = made / "out/take 0@2.wav"
    edited.write_bytes(edited.read_bytes()[:-100] + bytes(100))
    before = edited.read_bytes()
    for options in ([], ["--gain", "-3"]):
        assert run([*BATCH, *options]) == 3
        assert "take 0@2.wav exists already" in capsys.readouterr().err and edited.read_bytes() == before
    assert run([*BATCH, "--force"]) == 0 and edited.read_bytes() != before


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_an_output_whose_last_line_was_lost_is_recognised_and_left_as_it_is(folder, ending):
    write_tree(folder / "in", 2)
    command = [*BATCH, "--name", "{stem}@{rate}." + ending]
    assert run(command) == 0
    output = f"take 0@2.{ending}"
    inode = (folder / "out" / output).stat().st_ino
    without_end(folder, output)
    assert run(command) == 0
    assert (folder / "out" / output).stat().st_ino == inode, "it was written again"
    last = lines(folder)[-1]
    assert last["output"] == output and last["error"] is None
    assert last["sha256"] == hashlib.sha256((folder / "out" / output).read_bytes()).hexdigest()
    count = len(lines(folder))
    assert run(command) == 0 and len(lines(folder)) == count, "a third run finds all of it done"
    assert {path.name for path in (folder / "out").iterdir()} == {output, f"take 1@2.{ending}", "manifest.jsonl"} or (
        folder / "out/a"
    ).is_dir()


def test_outputs_of_another_number_of_threads_or_device_are_not_taken_for_these(made):
    def digest(**options) -> str:
        return Task("in.wav", ".", "out.wav", StretchOptions(rate=2.0, **options)).digest

    assert len({digest(), digest(threads=3), digest(threads=2), digest(device="cuda")}) == 4
    assert digest(threads=1) == digest()
    count = len([entry for entry in lines(made) if "started" not in entry])
    assert run([*BATCH, "--threads", "3"]) == 0
    assert len([entry for entry in lines(made) if "started" not in entry]) == 2 * count


def test_a_bad_recording_is_told_of_once_however_many_rates(folder, capsys):
    write_tree(folder / "in", 1)
    (folder / "in/bad.wav").write_text("Dear diary,\n" * 50)
    assert run(["stretch", "in", "-o", "out", "--rate", "0.9,1,1.1", "--jobs", "1"]) == 3
    shown = capsys.readouterr().err
    assert shown.count("bad.wav") == 1 and "3 of 6 made, 3 failed" in shown


def test_the_summary_of_a_batch_names_what_was_made(folder, capsys):
    names = write_tree(folder / "in", 4)
    assert run(["stretch", str("in" / names[0]), "--rate", "0.8, 2", "--jobs", "1"]) == 0
    assert capsys.readouterr().err.rstrip().endswith("x real time: in/take 0@0.8.wav, in/take 0@2.wav")
    (folder / "in/take 0@0.8.wav").unlink()
    (folder / "in/take 0@2.wav").unlink()
    for words in ("8 of 8 made in ", "0 of 8 made, 8 were there already in "):
        assert run(["stretch", "in", "-o", "out", "--rate", "0.8,1.25", "--jobs", "1"]) == 0
        shown = capsys.readouterr().err
        assert shown.startswith(words) and shown.count("\n") == 1
        assert ("at the rates 0.8 and 1.25, in out" in shown) == words.startswith("8") == ("real time" in shown)


def test_templates_may_hold_the_input_s_ending(folder):
    write_recording(folder / "in/take.wav")
    write_recording(folder / "in/take.flac", seed=1)
    assert run([*BATCH, "--name", "{stem}.{input_ext}@{rate}.wav"]) == 0
    assert checksums(folder / "out").keys() == {"take.wav@2.wav", "take.flac@2.wav"}
