"""Promises about the program's own processes: they import nothing that lies beside the recordings, and what a user chose they keep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from batch_helpers import write_recording, write_tree

import tsmgan
from tsmgan import processes
from tsmgan.processes import Process

MARK = "with open({mark!r}, 'a') as file: file.write(__name__ + ' ')\nraise ImportError('hostile')\n"
MODULES = ("numpy", "selectors", "soundfile", "typer", "json", "pickle", "tempfile", "typing", "multiprocessing/__init__")
"""Modules that the program imports, of its own, of others, and of the standard library."""


def hostile_folder(folder: Path, *more: str) -> Path:
    """Modules in a folder that leave a mark when they are imported; returns where the mark would be."""
    mark = folder.parent / "mark"
    for name in (*MODULES, *more):
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(MARK.format(mark=str(mark)))
    return mark


@pytest.fixture
def installed(tmp_path) -> list[str]:
    """The command as an installed program is started."""
    script = tmp_path / "bin" / "tsmgan"
    script.parent.mkdir()
    script.write_text("from tsmgan.__main__ import main\nmain()\n")
    return [sys.executable, str(script)]


@pytest.fixture
def working(tmp_path, monkeypatch) -> Path:
    """A working folder of its own, below the test's."""
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def pairs_list(folder: Path) -> None:
    write_recording(folder / "x.wav", frames=16000)
    write_recording(folder / "y.wav", frames=8000)
    (folder / "pairs.csv").write_text("input,reference,rate,kind\nx.wav,y.wav,2,speech\n")


def test_a_first_run_and_a_batch_execute_nothing_that_lies_in_the_working_folder(working, installed, tmp_path):
    write_tree(working / "in", 3)
    mark = hostile_folder(working, "tsmgan/__init__", "llvmlite/__init__", "numba/__init__")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    single = ["stretch", "in/take 0.wav", "-o", "single.wav", "-r", "2"]
    batch = ["stretch", "in", "-o", "out", "-r", "2", "--jobs", "2"]
    for command in (single, batch):
        result = subprocess.run([*installed, *command], env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert not mark.exists(), mark.read_text()
    assert len(list((tmp_path / "cache").rglob("*.kernel"))) > 5, "the other processes compiled nothing"
    assert len(list((working / "out").rglob("*.wav"))) == 3


def test_started_by_m_it_executes_nothing_of_the_working_folder_but_what_python_itself_imports_before(working, tmp_path):
    write_tree(working / "in", 3)
    mark = hostile_folder(working)
    for command in (["stretch", "in/take 0.wav", "-r", "2"], ["stretch", "in", "-o", "out", "-r", "2", "--jobs", "2"]):
        result = subprocess.run([sys.executable, "-m", "tsmgan", *command], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert not mark.exists(), mark.read_text()


@pytest.mark.timeout(200)
def test_an_evaluation_executes_nothing_that_lies_in_the_working_folder(working, installed):
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    pairs_list(working)
    mark = hostile_folder(working, "tsmgan/__init__", "librosa/__init__", "python_stretch/__init__", "cloudpickle/__init__")
    command = ["evaluate", "pairs.csv", "-m", "tsmgan,librosa,signalsmith", "--measures", "log_mel", "--jobs", "2", "--json", "rows.json"]
    result = subprocess.run([*installed, *command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not mark.exists(), mark.read_text()


@pytest.mark.timeout(300)
def test_workers_of_a_cluster_execute_nothing_that_lies_in_the_working_folder(working, installed, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Workers find the program where this process does.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    write_tree(working / "in", 2)
    mark = hostile_folder(working, "tsmgan/__init__", "llvmlite/__init__", "onnxruntime/__init__")
    command = [*installed, "stretch", "in", "-o", "out", "-r", "2", "--cluster", "ray", "--jobs", "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not mark.exists(), mark.read_text()
    assert len(list((working / "out").rglob("*.wav"))) == 2


def where_numpy_is(connection) -> None:
    """For a process: where it imports numpy and tsmgan from."""
    connection.send((np.__file__, tsmgan.__file__))


def where_chosen_is(connection) -> None:
    """For a process: where it imports `chosen` from."""
    import chosen

    connection.send(chosen.__file__)


def test_a_process_of_a_program_that_imports_from_the_working_folder_does_not(working, monkeypatch):
    mark = hostile_folder(working, "tsmgan/__init__")
    for first in ("", str(working)):
        monkeypatch.setattr(sys, "path", [first, *sys.path])
        process = Process(where_numpy_is)
        assert process.connection.recv() == (np.__file__, tsmgan.__file__) and not mark.exists()
        process.join(20)
        assert process.exit_code == 0


@pytest.mark.parametrize("how", ["PYTHONPATH", "another folder"])
def test_a_folder_that_the_user_chose_is_imported_from_even_if_it_is_the_working_one(working, tmp_path, monkeypatch, how):
    place = working if how == "PYTHONPATH" else tmp_path / "other"
    place.mkdir(exist_ok=True)
    (place / "chosen.py").write_text("")
    if how == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    process = Process(where_chosen_is)
    assert process.connection.recv() == str(place / "chosen.py")
    process.join(20)


def test_a_stream_of_blocks_from_a_deleted_working_folder_is_stretched(working, installed, tmp_path):
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    write_recording(source)
    os.rmdir(working)
    result = subprocess.run([*installed, "stretch", str(source), "-r", "2", "-o", str(target)], capture_output=True, text=True)
    assert result.returncode == 0 and soundfile.info(target).frames == 2000, result.stderr


def test_an_output_beside_a_deleted_working_folder_is_refused_in_a_sentence(working, installed, tmp_path):
    write_recording(tmp_path / "in.wav")
    os.rmdir(working)
    command = [*installed, "stretch", str(tmp_path / "in.wav"), "-r", "2", "-o", "../out.wav"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith("Error: The current folder has been deleted"), result.stderr


def test_a_python_process_runs_this_very_package(working):
    command = processes.python("import tsmgan, sys; print(tsmgan.__file__, *sys.argv[1:])", "a b", "c")
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"{tsmgan.__file__} a b c"
