"""Promises about signals and standard streams: a run that is told to end does, at whatever moment, without noise and without a trace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch_helpers import write_recording

TSMGAN = [sys.executable, "-m", "tsmgan"]
MARKED = "import os, signal; from tsmgan.__main__ import main; os.write(1, b'x'); main()"
"""The program, which says on standard output that it begins: before that, a signal is Python's business."""
NOT_BEGUN = 'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\nKeyboardInterrupt\n'
"""What Python prints when the signal came before it entered the program; a busy machine may take its time there."""


def stop_at_random_moments(folder: Path, times: int, seed: int) -> None:
    write_recording(folder / "in.wav", frames=8000 * 60)
    chance, stopped = random.Random(seed), 0
    heeds_interrupts = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    for k in range(times):
        command = [sys.executable, "-c", MARKED, "stretch", "in.wav", "-r", "1.3", "-o", "out.wav", "-f"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)
        process.stdout.read(1)
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[k % 3]
        time.sleep(chance.uniform(0.005, 1.2))
        process.send_signal(number)
        _, message = process.communicate(timeout=60)  # a hang is told here
        message = message.removeprefix(NOT_BEGUN)
        case = f"{number.name}, case {k}: {process.returncode} {message}"
        assert process.returncode in (0, -number, 128 + number), case
        assert not {"Traceback", "Internal", "Exception", "Error"} & set(message.replace(":", " ").split()), case
        assert set(os.listdir(folder)) <= {"in.wav", "out.wav"}, case
        stopped += process.returncode != 0
    assert stopped, "every run was done before its signal came"


def test_a_single_run_ends_at_once_whenever_a_signal_comes(folder):
    stop_at_random_moments(folder, 24, seed=int.from_bytes(os.urandom(2), "little"))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_six_hundred_runs_end_at_once_whenever_a_signal_comes(folder):
    stop_at_random_moments(folder, 600, seed=int.from_bytes(os.urandom(2), "little"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.parametrize("command", ["info in.wav", "info --json in.wav", "models", "models --json", "stretch --help", "--version"])
def test_output_that_finds_no_space_is_an_error_of_one_sentence(folder, command):
    write_recording(folder / "in.wav")
    with open("/dev/full", "w") as full:
        result = subprocess.run([*TSMGAN, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and result.stderr == "Error: Standard output cannot be written: No space left on device.\n", result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_stretch_goes_well_although_its_messages_find_no_space(folder):
    write_recording(folder / "in.wav")
    with open("/dev/full", "w") as full:
        done = subprocess.run([*TSMGAN, "stretch", "in.wav", "-r", "2", "-o", "out.wav"], stderr=full)
        failed = subprocess.run([*TSMGAN, "stretch", "nowhere.wav", "-r", "2"], stderr=full)
    assert (done.returncode, failed.returncode) == (0, 1) and sorted(os.listdir()) == ["in.wav", "out.wav"]


@pytest.mark.parametrize("closed, code", [("2>&-", 0), ("1>&-", 0), ("0<&-", 0), ("0<&- 1>&- 2>&-", 0)])
def test_a_stretch_does_without_the_streams_that_are_closed(folder, closed, code):
    write_recording(folder / "in.wav")
    command = f"exec {' '.join(TSMGAN)} stretch in.wav -r 2 -o out.wav"
    assert subprocess.run(["bash", "-c", command], capture_output=True).returncode == code
    expected = Path("out.wav").read_bytes()
    assert subprocess.run(["bash", "-c", f"{command} -f {closed}"], capture_output=True).returncode == code
    assert Path("out.wav").read_bytes() == expected and sorted(os.listdir()) == ["in.wav", "out.wav"]


@pytest.mark.parametrize("command", ["info in.wav 1>&-", "stretch - -r 2 -o out.wav 0<&-", "stretch in.wav -r 2 -o - 1>&-", "models 1>&-"])
def test_a_command_that_needs_a_closed_stream_fails_in_a_sentence(folder, command):
    write_recording(folder / "in.wav")
    result = subprocess.run(["bash", "-c", f"exec {' '.join(TSMGAN)} {command}"], capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
    assert "Internal" not in result.stderr and sorted(os.listdir()) == ["in.wav"]
