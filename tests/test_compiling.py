"""Promises of the first run: other processes compile what a stretch needs, where that can help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tsmgan
from tsmgan import first_run as compiling
from tsmgan import processes
from tsmgan.core import analysis, attacks, features, formants, overlap, vocoder
from tsmgan.core.compiled import kernels
from tsmgan.core.compiled.kernels import Kernel

KERNELS = {
    f"{each.function.__module__}.{each.function.__name__}": each
    for module in (attacks, analysis, features, vocoder, formants, overlap)
    for each in vars(module).values()
    if isinstance(each, Kernel)
}
FIRST_KERNEL, LAST_KERNEL = analysis._propagation_table, overlap.overlap_add


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


def test_the_processes_compile_each_its_share_and_together_all_that_a_stretch_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for modules in (*compiling.SHARES, (compiling.FORMANTS,)):
        before = {file.name.split("-")[0] for file in tmp_path.rglob("*.kernel")}
        subprocess.run(processes.calling("tsmgan.first_run:compile_kernels", *modules), check=True)
        found = {file.name.split("-")[0] for file in tmp_path.rglob("*.kernel")} - before
        assert found == {name for name in KERNELS if name.rpartition(".")[0] in modules} and found

    y = 0.1 * np.random.default_rng(0).standard_normal((2, 12000)).astype(np.float32)
    np.save(tmp_path / "in.npy", y)
    script = (
        "import sys, numpy, tsmgan; numpy.save('out.npy', tsmgan.stretch(numpy.load('in.npy'), 24000, 1.2, pitch=2, model='handmade'));"
        "sys.exit('numba' in sys.modules)"
    )
    # A later process finds all that it needs, and does not import the compiler.
    environment = os.environ | {"PYTHONPATH": str(Path(tsmgan.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)
    assert np.array_equal(np.load(tmp_path / "out.npy"), tsmgan.stretch(y, 24000, 1.2, pitch=2, model="handmade"))


def test_they_start_together_once_and_are_waited_for_where_they_are_needed(process):
    partners = compiling.Partners()
    assert partners(FIRST_KERNEL) and partners(FIRST_KERNEL) and partners(LAST_KERNEL)
    assert process.started == len(compiling.SHARES)


def test_they_are_not_started_for_kernels_that_no_stretch_has(process):
    other = kernels.kernel()(lambda x: None)
    assert not compiling.Partners()(other) and process.started == 0


def test_kernels_of_formants_are_compiled_beside_the_others_only_where_they_are_needed(process):
    assert not compiling.Partners()(formants.envelope_gains) and process.started == 0
    partners = compiling.Partners(formants=True)
    assert partners(FIRST_KERNEL) and partners(formants.envelope_gains) and process.started == len(compiling.SHARES)


def test_they_are_not_started_where_they_could_leave_nothing(process, monkeypatch):
    monkeypatch.setattr(compiling.kernels, "can_keep", lambda: False)
    assert not compiling.Partners()(FIRST_KERNEL) and process.started == 0


def test_where_they_fail_kernels_are_compiled_here(process, monkeypatch):
    monkeypatch.setattr(Process, "code", 1)
    partners = compiling.Partners()
    assert not partners(FIRST_KERNEL) and not partners(LAST_KERNEL)


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
