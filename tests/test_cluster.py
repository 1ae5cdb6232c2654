"""Promises of `--cluster`: the same bytes as processes here give, and machines that are lost cost time only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque

import pytest
from batch_helpers import checksums, temporary_files, write_recording, write_tree

from tsmgan.batch.cluster import parse_address
from tsmgan.cli import run
from tsmgan.errors import UsageError
from tsmgan.options import StretchOptions

TSMGAN = [sys.executable, "-m", "tsmgan"]
BATCH = [*TSMGAN, "stretch", "in", "-o", "out", "--rate", "1.3", "--cluster", "ray"]


@pytest.fixture
def cluster(monkeypatch):
    """Two machines, as far as Ray can tell: one with a processor, and one with two that a test may end."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # A machine that is slow is not taken for dead; one that is gone does not answer, which is told at once.
    monkeypatch.setenv("RAY_health_check_timeout_ms", "60000")
    # Workers find the program where this process does.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20})
    made.weak = made.add_node(num_cpus=2, object_store_memory=80 << 20)
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    yield made
    made.shutdown()


def start(command) -> subprocess.Popen:
    heeds_interrupts = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeds_interrupts)


def wait_until(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_cluster_makes_what_processes_make_although_a_machine_is_lost_half_way(folder, cluster):
    write_tree(folder / "in", 30, frames=160000)
    (folder / "in/bad.wav").write_text("Dear diary,\n" * 50)
    assert run(["stretch", "in", "-o", "reference", "--rate", "1.3", "--jobs", "2", "-q"]) == 3
    expected = checksums(folder / "reference")
    process = start(BATCH)
    wait_until(lambda: process.poll() is not None or len(checksums(folder / "out")) >= 8)
    busy = len(temporary_files(folder / "out"))
    cluster.remove_node(cluster.weak, allow_graceful=False)
    done = len(checksums(folder / "out"))
    _, message = process.communicate(timeout=200)
    assert process.returncode == 3 and "30 of 31 made, 1 failed" in message and "bad.wav is a text file" in message, message
    assert done < 30 and busy > 1, "the machine was not lost half way"
    assert checksums(folder / "out") == expected and len(expected) == 30
    result = subprocess.run([*BATCH, "--jobs", "1"], capture_output=True, text=True)
    assert result.returncode == 3 and "30 were there already" in result.stderr
    assert not temporary_files(folder / "out"), "what lost workers left should go at the next start"

    for k in range(2):
        write_recording(folder / f"in/long {k}.wav", k, frames=8000 * 900)
    process = start(BATCH)
    wait_until(lambda: process.poll() is not None or temporary_files(folder / "out"))
    process.terminate()
    _, message = process.communicate(timeout=100)
    assert process.returncode == 143 and message.startswith("Stopped: ") and message.count("\n") == 1, message
    assert not temporary_files(folder / "out") and not (folder / "out/long 0@1.3.wav").exists()


def test_without_a_cluster_one_is_started_here(folder, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    write_tree(folder / "in", 3)
    result = subprocess.run([*BATCH, "--jobs", "1"], capture_output=True, text=True, timeout=200)
    assert result.returncode == 0 and result.stderr.startswith("3 of 3 made in "), result.stderr
    assert run(["stretch", "in", "-o", "reference", "--rate", "1.3", "--jobs", "1", "-q"]) == 0
    assert checksums(folder / "out") == checksums(folder / "reference")


@pytest.mark.parametrize("text, address", [("ray", None), ("ray://head:10001", "head:10001"), ("ray://10.0.0.1:10001/", "10.0.0.1:10001")])
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "rays", "ray://", "spark://head", "http://head", "ray://a/b"])
def test_what_is_no_cluster_is_refused_in_a_sentence(folder, capsys, text):
    with pytest.raises(UsageError):
        parse_address(text)
    write_tree(folder / "in", 1)
    assert run(["stretch", "in", "-o", "out", "--rate", "2", "--cluster", text]) == 2
    assert "is no cluster" in capsys.readouterr().err and not (folder / "out").exists()


def test_without_ray_the_extra_is_named(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    write_tree(folder / "in", 1)
    assert run(["stretch", "in", "-o", "out", "--rate", "2", "--cluster", "ray"]) == 2
    assert 'pip install "tsmgan[cluster]"' in capsys.readouterr().err


def test_a_worker_that_is_told_to_stop_leaves_its_task_without_a_trace(folder):
    from tsmgan.batch.cluster import StretchActor
    from tsmgan.batch.plan import Task

    write_recording(folder / "in.wav", frames=8000 * 300)
    actor, task = StretchActor(), Task("in.wav", ".", "out.wav", StretchOptions(rate=2.0))
    listener = threading.Thread(target=lambda: (wait_until(lambda: actor.part()[1] > 0), actor.stop()))
    listener.start()
    assert actor.stretch(task) is None and sorted(os.listdir()) == ["in.wav"]
    listener.join()
    assert actor.stretch(task) is None, "what waits behind it is not begun"


def test_a_recording_over_which_three_workers_are_lost_is_given_up_and_what_waited_behind_it_is_not():
    from tsmgan.batch.cluster import RayWorkers, _Worker
    from tsmgan.batch.executor import Died
    from tsmgan.batch.plan import Task

    bad, good = (Task(f"{name}.wav", "out", f"{name}@2.wav", StretchOptions(rate=2.0)) for name in ("bad", "good"))
    workers = RayWorkers.__new__(RayWorkers)
    workers._losses, workers._waiting, workers._again, workers._folders = Counter(), deque([bad, good]), lambda task: task, set()
    told = []
    for _ in range(3):
        worker = _Worker(None, tasks=deque(enumerate(workers._waiting)))
        workers._waiting.clear()
        workers._workers = [worker]
        told += workers._bury(worker, "ActorDiedError")
    assert told == [Died(bad, "3 times, ActorDiedError")] and list(workers._waiting) == [good] and not workers._workers
