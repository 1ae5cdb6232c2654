"""Promises of the first run: a second process compiles what the vocoder stage needs, where that can help."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tsmgan
from tsmgan import analysis, compiling, kernels, vocoder
from tsmgan.kernels import Kernel

THEIRS = {name: each for name, each in vars(vocoder).items() if isinstance(each, Kernel) and each.function.__module__ == compiling.THEIRS}
THEIR_KERNEL, OUR_KERNEL = next(iter(THEIRS.values())), analysis._propagation_table


class Process:
    """Stands for a process; `code` is what it ends with."""

    code, started = 0, 0

    def __init__(self, *arguments, **options):
        Process.started += 1

    def wait(self):
        return self.code


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setattr(compiling.subprocess, "Popen", Process)
    monkeypatch.setattr(compiling.kernels, "can_keep", lambda: True)
    monkeypatch.setattr(Process, "started", 0)
    return Process


def test_the_second_process_compiles_all_that_a_stretch_asks_of_the_vocoder_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    subprocess.run([sys.executable, "-m", "tsmgan.compiling"], check=True)
    files = {file.name.split("-")[0] for file in tmp_path.rglob("*.kernel")}
    assert files == {f"{compiling.THEIRS}.{name}" for name in THEIRS} and len(files) >= 3

    def refuse(kernel, types):
        raise AssertionError(kernel.function.__name__)

    y = 0.1 * np.random.default_rng(0).standard_normal((2, 12000)).astype(np.float32)
    expected = tsmgan.stretch(y, 24000, 1.2, model="handmade")
    for each in THEIRS.values():
        monkeypatch.setattr(each, "_natives", {})
        monkeypatch.setitem(vars(each), "dispatcher", None)  # what would be called if nothing were found
    monkeypatch.setattr(kernels, "_compile", refuse)
    assert np.array_equal(tsmgan.stretch(y, 24000, 1.2, model="handmade"), expected)


def test_it_starts_once_with_the_first_kernel_and_is_waited_for_where_it_is_needed(process):
    partner = compiling.Partner()
    assert not partner(OUR_KERNEL) and not partner(OUR_KERNEL) and process.started == 1
    assert partner(THEIR_KERNEL)


def test_it_is_not_started_for_its_own_kernels_alone(process):
    assert not compiling.Partner()(THEIR_KERNEL) and process.started == 0


def test_it_is_not_started_where_it_could_leave_nothing(process, monkeypatch):
    monkeypatch.setattr(compiling.kernels, "can_keep", lambda: False)
    assert not compiling.Partner()(OUR_KERNEL) and process.started == 0


def test_where_it_fails_its_kernels_are_compiled_here(process, monkeypatch):
    monkeypatch.setattr(Process, "code", 1)
    partner = compiling.Partner()
    partner(OUR_KERNEL)
    assert not partner(THEIR_KERNEL)


@pytest.mark.parametrize("cores, helps", [(1, False), (None, False), (2, True)])
def test_it_helps_where_there_is_a_second_core(monkeypatch, cores, helps):
    monkeypatch.setattr(kernels, "partner", None)
    monkeypatch.setattr(compiling.os, "cpu_count", lambda: cores)
    compiling.share()
    assert (kernels.partner is not None) == helps


def test_nothing_can_be_kept_where_there_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new" / "folder"))
    assert kernels.can_keep()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "folder"))
    assert not kernels.can_keep()
