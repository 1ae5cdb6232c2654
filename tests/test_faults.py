"""Promises about what goes wrong from outside: signals, kills, full disks, inputs that change under the reader's eyes, forks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import soundfile
from batch_helpers import checksums, temporary_files, write_recording, write_tree

from tsmgan.batch.plan import Task, make_tasks
from tsmgan.batch.run import run_batch
from tsmgan.batch.work import stretch_task
from tsmgan.cli import run
from tsmgan.options import StretchOptions
from tsmgan.storage.atomic import Unfinished, hold, remove_leftovers, replace_file, temporary_path

TSMGAN = [sys.executable, "-m", "tsmgan"]
BATCH = [*TSMGAN, "stretch", "in", "-o", "out", "--rate", "1.3", "--jobs", "2"]


def start(command, **options) -> subprocess.Popen:
    """A program in a process group of its own, so that a signal to the group is what Ctrl-C in a terminal is."""
    # A shell may have started the tests with SIGINT ignored, which the program would respect.
    heeds_interrupts = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True, "preexec_fn": heeds_interrupts} | options
    return subprocess.Popen(command, **options)


def wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def kill_again_and_again(folder: Path, kills: int, recordings: int, seed: int) -> None:
    write_tree(folder / "in", recordings, frames=24000)
    assert subprocess.run([*BATCH[:6], "reference", *BATCH[7:], "-q"]).returncode == 0
    expected = checksums(folder / "reference")
    assert len(expected) == recordings
    chance, done, finished = random.Random(seed), 0, 0
    while done < kills:
        process = start([*BATCH, "-q"], stderr=subprocess.DEVNULL)
        # Anywhere between the start of the interpreter and somewhat after the first outputs.
        try:
            code = process.wait(chance.uniform(0.1, 2.0))
            assert code == 0
            finished += 1
            for path in chance.sample(sorted((folder / "out").rglob("*.wav")), recordings // 2):
                path.unlink()
            continue
        except subprocess.TimeoutExpired:
            pass
        done += 1
        if done % 2:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert checksums(folder / "out").items() <= expected.items(), "a partial output has a final name"
    # An orphan may still be at its last file.
    wait_until(lambda: subprocess.run([*BATCH, "-q"]).returncode == 0 and not temporary_files(folder / "out"))
    assert checksums(folder / "out") == expected


def test_a_batch_that_is_killed_eight_times_ends_with_the_outputs_of_an_undisturbed_one(folder):
    kill_again_and_again(folder, kills=8, recordings=24, seed=int.from_bytes(os.urandom(2), "little"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_batch_that_is_killed_fifty_times_ends_with_the_outputs_of_an_undisturbed_one(folder):
    kill_again_and_again(folder, kills=50, recordings=200, seed=int.from_bytes(os.urandom(2), "little"))


@pytest.mark.parametrize("number, code, group", [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)])
def test_a_stopped_batch_says_what_is_done_and_leaves_whole_files_only(folder, number, code, group):
    names = write_tree(folder / "in", 12)
    # Long enough to be surely under way when the signal comes.
    for k in range(2):
        write_recording(folder / f"in/long {k}.wav", k, frames=8000 * 900)
    process = start([*BATCH])
    wait_until(lambda: process.poll() is not None or len(temporary_files(folder)) == 2)
    os.killpg(process.pid, number) if group else process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in message, message
    assert message.startswith("Stopped: ") and "of 14 made" in message and message.count("\n") == 1
    assert not temporary_files(folder)
    for path in (folder / "in").glob("long*"):
        path.unlink()
    assert subprocess.run([*BATCH, "-q"]).returncode == 0
    assert len(checksums(folder / "out")) == len(names)


def test_leftovers_of_dead_processes_go_at_the_next_start_and_those_of_living_ones_stay(folder):
    write_recording(folder / "in/take.wav")
    (folder / "out").mkdir()
    dead, living, foreign = (folder / "out" / name for name in (".take@2.0123abcd.part.wav", ".take@2.4567abcd.part.wav", ".take.part.wav"))
    for path in (dead, living, foreign):
        path.write_bytes(b"RIFF")
    with open(living, "rb+") as file:
        hold(file.fileno())
        assert run(["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]) == 0
        assert (dead.exists(), living.exists(), foreign.exists()) == (False, True, True)
    assert run(["stretch", "in/take.wav", "-o", "out", "--rate", "2", "-q", "-f"]) == 0
    assert (living.exists(), foreign.exists()) == (False, True)


def test_a_temporary_file_that_was_just_created_is_left_to_its_writer(folder):
    path = temporary_path(folder / "take.wav")
    path.touch()
    assert remove_leftovers(folder) == 0 and path.exists()
    os.utime(path, (1, 1))
    assert remove_leftovers(folder, "other") == 0
    assert remove_leftovers(folder, "take") == 1 and not path.exists()
    assert remove_leftovers(folder / "nowhere") == 0


def test_a_link_with_a_temporary_name_is_not_followed(folder):
    (folder / "precious.txt").write_text("x")
    link = folder / ".take.0123abcd.part.wav"
    link.symlink_to("precious.txt")
    remove_leftovers(folder)
    assert (folder / "precious.txt").exists()


def test_the_writer_holds_its_temporary_file(folder):
    from tsmgan.audio import open_reader, open_writer

    write_recording(folder / "in.wav")
    with open_reader("in.wav") as reader, open_writer("out.wav", reader.info):
        (path,) = temporary_files(folder)
        with open(path, "rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.utime(path, (1, 1))
        assert remove_leftovers(folder) == 0


SWEEPER = """
import sys
from tsmgan.storage.atomic import remove_leftovers
print("ready", flush=True)
while True:
    remove_leftovers(sys.argv[1])
"""


@contextlib.contextmanager
def sweepers(folder: Path, count: int = 2):
    """Other processes that tidy a folder up without a pause."""
    processes = [start([sys.executable, "-c", SWEEPER, str(folder)], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        assert all(process.stdout.readline() == "ready\n" for process in processes)
        yield
        assert all(process.poll() is None for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("links", [True, False])
def test_an_unfinished_file_takes_a_free_name_only_and_leaves_nothing_when_it_is_taken(folder, monkeypatch, links):
    def fail(*arguments) -> None:
        raise OSError("this file system has no links")

    if not links:
        monkeypatch.setattr(os, "link", fail)
    target = folder / "out.txt"
    for number in range(2):
        with Unfinished(target) as unfinished:
            os.write(unfinished.descriptor, b"%d" % number)
            if number == 0:
                unfinished.publish(replace=False)
                continue
            with pytest.raises(FileExistsError):
                unfinished.publish(replace=False)
            assert unfinished.path.read_bytes() == b"1"
    assert target.read_bytes() == b"0" and os.listdir() == ["out.txt"]


def test_a_replaced_file_keeps_its_permissions(folder):
    target = folder / "out.txt"
    target.write_bytes(b"old")
    target.chmod(0o640)
    replace_file(target, b"new")
    assert target.read_bytes() == b"new" and target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("force", [False, True])
def test_no_finished_output_is_lost_to_others_who_tidy_up(folder, force):
    from tsmgan.audio import open_reader, open_writer

    write_recording(folder / "in.wav", frames=1000)
    with open_reader("in.wav") as reader:
        info, (block,) = reader.info, reader.blocks()
    (folder / "out").mkdir()
    with sweepers(folder / "out"):
        for number in range(400):
            with open_writer(folder / f"out/{number}.wav", info, force=force) as writer:
                writer.write(block)
                writer.commit()
            assert (folder / f"out/{number}.wav").exists()
    assert len(list((folder / "out").iterdir())) == 400


def test_no_replaced_file_is_lost_to_others_who_tidy_up_or_write_the_same(folder):
    contents = [bytes([number]) * 1000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(100):
            replace_file(folder / "config.json", content)
            assert (folder / "config.json").read_bytes() in contents

    with sweepers(folder), ThreadPoolExecutor(4) as pool:
        list(pool.map(write, contents))
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def test_the_longest_name_that_the_system_takes_is_written(folder):
    write_recording(folder / "in.wav")
    for name in ("x" * 251 + ".wav", "\u00e4" * 125 + "x.wav"):
        assert run(["stretch", "in.wav", "--rate", "2", "-o", name, "-q"]) == 0
        assert (folder / name).exists()


def test_a_name_that_is_too_long_is_said(folder, capsys):
    write_recording(folder / "in.wav")
    assert run(["stretch", "in.wav", "--rate", "2", "-o", "x" * 252 + ".wav", "-q"]) == 1
    assert "longer than file names may be here" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["in.wav"]


def test_an_input_that_vanishes_after_the_plan_is_a_failure_of_its_own(folder):
    from tsmgan.batch.plan import DEFAULT_NAME, find_sources

    write_tree(folder / "in", 3)
    tasks = make_tasks(find_sources(["in"]), [2.0], DEFAULT_NAME, "out", StretchOptions())
    (folder / "in/a/take 1.wav").unlink()
    outcome = run_batch(tasks, 1, root="out")
    assert outcome.made == 2 and outcome.failed == [("in/a/take 1.wav", "in/a/take 1.wav does not exist; check the name.")]


def test_an_input_that_is_cut_while_it_is_read_leaves_one_message_and_no_file(folder):
    write_recording(folder / "in.wav", frames=200000)
    cut = lambda part: os.truncate("in.wav", 150000)  # noqa: E731
    entry = stretch_task(Task("in.wav", ".", "out.wav", StretchOptions(rate=2.0)), cut)
    assert entry.error is not None and "cut short" in entry.error and sorted(os.listdir()) == ["in.wav"]


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="this system has no file that fails to be read")
def test_a_read_error_is_one_message(folder):
    os.symlink("/proc/self/mem", "in.wav")
    entry = stretch_task(Task("in.wav", ".", "out.wav", StretchOptions(rate=2.0)))
    assert entry.error is not None and entry.error.startswith("in.wav ") and "Internal" not in entry.error
    assert sorted(os.listdir()) == ["in.wav"]


def test_a_disk_that_fills_up_costs_the_outputs_that_do_not_fit(folder):
    write_tree(folder / "in", 3, frames=2000)
    write_recording(folder / "in/long.wav", frames=80000)
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))  # noqa: E731
    result = subprocess.run(BATCH, capture_output=True, text=True, preexec_fn=full)
    assert result.returncode == 3 and "larger than the system allows" in result.stderr and "3 of 4 made, 1 failed" in result.stderr
    assert len(checksums(folder / "out")) == 3 and not temporary_files(folder)


def test_a_manifest_without_space_ends_the_batch_with_one_message(folder):
    write_tree(folder / "in", 8, frames=2000)
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    command = [*BATCH, "--name", "{stem}@{rate}.ogg"]
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=full)
    assert result.returncode == 1 and "manifest" in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert not temporary_files(folder)
    assert subprocess.run([*command, "-q"]).returncode == 0
    assert len(checksums(folder / "out")) == 8


IN_A_FORK = """
import os, threading
import numpy as np
import tsmgan
y = np.random.default_rng(0).normal(0, 0.1, (2, 24000)).astype(np.float32)
expected = tsmgan.stretch(y, 24000, 1.3)
children = []
for k in range(3):
    child = os.fork()
    if child == 0:
        results = [None] * 3
        def work(k):
            results[k] = tsmgan.stretch(y, 24000, 1.3)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
        [t.start() for t in threads], [t.join() for t in threads]
        os._exit(0 if all(np.array_equal(expected, result) for result in results) else 1)
    children.append(child)
assert np.array_equal(expected, tsmgan.stretch(y, 24000, 1.3))
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_stretch_works_in_forks_and_their_threads():
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", IN_A_FORK], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


MEMORY = """
import numpy as np
import tsmgan
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
y = np.random.default_rng(0).normal(0, 0.1, (2, 48000)).astype(np.float32)
for k in range(30):
    tsmgan.stretch(y, 24000, 1.3)
    if k == 9:
        before = resident()
print(resident() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is measured in /proc")
def test_stretches_free_their_memory():
    result = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 8e6, "each of twenty stretches kept more than its own output"


def test_the_recording_over_which_a_process_is_killed_is_the_only_one_that_fails(folder):
    write_tree(folder / "in", 4)
    write_recording(folder / "in/long.wav", frames=8000 * 900)
    process = start(BATCH)

    def worker() -> int | None:
        """The process that writes the long output."""
        for path in temporary_files(folder):
            if path.name.startswith(".long"):
                for holder in Path("/proc").glob("[0-9]*/fd/*"):
                    try:
                        if os.readlink(holder) == str(path):
                            return int(holder.parts[2])
                    except OSError:
                        continue
        return None

    wait_until(lambda: process.poll() is not None or worker() is not None)
    os.kill(worker(), signal.SIGKILL)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 3 and "long.wav: its process was killed" in message and "4 of 5 made, 1 failed" in message
    assert not temporary_files(folder) and soundfile.info("out/take 0@1.3.wav").frames == round(4000 / 1.3)
