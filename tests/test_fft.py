"""Promises of the transforms: SciPy's results bit for bit, whichever way its code is reached."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import fft as public

from tsmgan.core.compiled import fft


@pytest.fixture(autouse=True)
def fresh():
    fft._transforms.cache_clear()
    yield
    fft._transforms.cache_clear()


@pytest.mark.parametrize("length", [44, 1024, 1890, 2048])
def test_transforms_are_scipys_bit_for_bit(length):
    blocks = np.random.default_rng(0).normal(size=(2, 5, length)).astype(np.float32)
    spectra = fft.rfft(blocks)
    assert spectra.dtype == np.complex64 and np.array_equal(spectra, public.rfft(blocks))
    back = fft.irfft(spectra, length)
    assert back.dtype == np.float32 and np.array_equal(back, public.irfft(spectra, length))


def missing():
    raise ImportError


@pytest.mark.parametrize(
    "core",
    [
        missing,
        lambda: fft._Transforms(np.fft.fft, np.fft.irfft),
        lambda: fft._Transforms(lambda blocks: [].r2c, lambda spectra, n: spectra),
    ],
    ids=["missing", "another transform", "another interface"],
)
def test_where_the_core_is_another_the_public_functions_are_taken(monkeypatch, core):
    monkeypatch.setattr(fft, "_core_transforms", core)
    blocks = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    assert np.array_equal(fft.rfft(blocks), public.rfft(blocks))
    assert np.allclose(fft.irfft(fft.rfft(blocks), 16), blocks, atol=1e-6)


def test_where_scipy_keeps_its_core_elsewhere_it_is_imported_as_usual(monkeypatch):
    monkeypatch.delitem(sys.modules, fft._CORE, raising=False)
    monkeypatch.setattr(fft, "EXTENSION_SUFFIXES", [".nowhere"])
    blocks = np.ones((1, 8), np.float32)
    assert fft.rfft(blocks)[0, 0] == 8


def test_scipy_can_be_imported_behind_it():
    script = (
        "import numpy as np; from tsmgan.core.compiled import fft; a = fft.rfft(np.ones((1, 8), np.float32));"
        "from scipy import fft, signal; assert np.array_equal(a, fft.rfft(np.ones((1, 8), np.float32)))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
