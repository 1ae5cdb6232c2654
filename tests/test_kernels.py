"""Promises of the kernels: what numba compiled is kept, found again, never trusted blindly, and gives numba's own results."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import tsmgan
from tsmgan.core.compiled import kernels
from tsmgan.core.compiled.kernels import Kernel, helper, kernel

OFFSET = np.float32(0.5)


@helper()
def shifted(value):
    return value + OFFSET


def fill(values, factor, out):
    for i in range(len(values)):
        out[i] = factor * shifted(values[i])


def divide(numerators, denominator, out):
    for i in range(len(numerators)):
        out[i] = numerators[i] // denominator


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for machine code."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tsmgan"


@pytest.fixture
def compiled(monkeypatch):
    """The names of the functions that are compiled."""
    names, compile_ = [], kernels._compile

    def counted(chosen, types):
        names.append(chosen.function.__name__)
        return compile_(chosen, types)

    monkeypatch.setattr(kernels, "_compile", counted)
    return names


def filled(function=fill, factor=2.0, is_numbas=False):
    """What a fresh kernel, as a new process would make it, does to 0, 1, 2, 3; is_numbas says that numba's dispatcher does it."""
    out, chosen = np.zeros(4, np.float32), Kernel(function, {})
    chosen(np.arange(4, dtype=np.float32), np.float32(factor), out)
    assert ("dispatcher" in vars(chosen)) == is_numbas
    return out.tolist()


def test_machine_code_is_found_again_and_not_compiled_twice(cache, compiled):
    assert filled() == [1, 3, 5, 7]
    assert filled(factor=10.0) == [5, 15, 25, 35]
    assert compiled == ["fill"] and len(list(cache.iterdir())) == 1


def test_every_kernel_gives_numbas_result_bit_for_bit(monkeypatch):
    y = np.random.default_rng(0).normal(scale=0.1, size=(2, 24000)).astype(np.float32)
    y[:, ::200] += 0.5
    for coherence in (None, 1.0):
        ours = tsmgan.stretch(y, 24000, 1.3, coherence=coherence)
        with monkeypatch.context() as patch:
            patch.setattr(Kernel, "__call__", lambda self, *arguments: self.dispatcher(*arguments))
            assert np.array_equal(tsmgan.stretch(y, 24000, 1.3, coherence=coherence), ours)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"",
        lambda content: content[:10],
        lambda content: bytes(len(content)),
    ],
    ids=["cut", "one bit", "empty", "no checksum", "zeros"],
)
def test_a_damaged_file_is_compiled_again_and_replaced(cache, compiled, damage):
    filled()
    (file,) = cache.iterdir()
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    assert filled() == [1, 3, 5, 7] and compiled == ["fill", "fill"]
    filled()
    assert len(compiled) == 2 and list(cache.iterdir()) == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps it in folders that only the user can write")
@pytest.mark.parametrize("who", ["all", "group"])
def test_a_file_that_others_can_write_is_not_run(cache, compiled, who):
    filled()
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o602 if who == "all" else 0o620)
    assert filled() == [1, 3, 5, 7] and compiled == ["fill", "fill"]
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_run(cache, compiled):
    filled()
    (file,) = cache.iterdir()
    os.chown(file, 12345, 12345)
    assert filled() == [1, 3, 5, 7] and compiled == ["fill", "fill"]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="links and modes are those of POSIX")
def test_a_link_to_a_file_that_the_user_owns_is_not_run(cache, compiled, tmp_path):
    filled()
    (file,) = cache.iterdir()
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert filled() == [1, 3, 5, 7] and compiled == ["fill", "fill"]
    assert elsewhere.read_bytes() == before and not file.is_symlink() and file.is_file()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="links and modes are those of POSIX")
@pytest.mark.parametrize("what", ["the folder is a link", "all may write", "all may write above", "a pipe"])
def test_a_folder_or_file_that_others_could_have_put_there_is_not_used(cache, compiled, what):
    filled()
    (file,) = cache.iterdir()
    if what == "the folder is a link":
        cache.rename(cache.with_name("real"))
        cache.symlink_to("real")
    elif what == "a pipe":
        file.unlink()
        os.mkfifo(file)
    else:
        (cache if what == "all may write" else cache.parent).chmod(0o777)
    assert filled() == [1, 3, 5, 7] and compiled == ["fill", "fill"]
    filled()
    assert len(compiled) == (2 if what == "a pipe" else 3), "a folder that is not trusted is not written to either"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="links and modes are those of POSIX")
def test_a_folder_in_one_where_all_may_write_and_nobody_may_rename_is_used(cache, compiled):
    filled()
    cache.parent.chmod(0o1777)
    filled()
    assert compiled == ["fill"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_not_used(cache, compiled):
    filled()
    os.chown(cache, 12345, 12345)
    assert filled() == [1, 3, 5, 7] and compiled == ["fill", "fill"]


def test_what_a_function_says_and_names_is_part_of_its_key(cache, compiled, monkeypatch):
    def double_then_fill(values, factor, out):
        for i in range(len(values)):
            out[i] = factor * factor * shifted(values[i])

    double_then_fill.__module__, double_then_fill.__name__ = fill.__module__, fill.__name__
    assert filled() == [1, 3, 5, 7]
    assert filled(double_then_fill) == [2, 6, 10, 14]
    monkeypatch.setitem(globals(), "OFFSET", np.float32(1.5))
    monkeypatch.setitem(globals(), "shifted", helper()(shifted.function))
    assert filled() == [3, 5, 7, 9]
    assert len(compiled) == 3


def test_another_processor_has_its_own_file(cache, compiled, monkeypatch):
    filled()
    monkeypatch.setattr(kernels, "_environment", lambda: ("another",))
    assert filled() == [1, 3, 5, 7]
    assert len(compiled) == 2 and len(list(cache.iterdir())) == 2


def test_where_the_package_cannot_be_written_the_users_cache_is(tmp_path, compiled, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__pycache__").write_text("no folder can be made here")
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "package" / "kernels.py"))
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    assert filled() == filled() == [1, 3, 5, 7]
    assert compiled == ["fill"] and len(list(home.rglob("*.kernel"))) == 1


def test_where_nothing_can_be_written_it_works_all_the_same(tmp_path, compiled, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert filled() == filled() == [1, 3, 5, 7]
    assert compiled == ["fill", "fill"]


@pytest.mark.parametrize("broken", ["_compile", "_linked", "_environment"])
def test_where_numba_is_another_than_expected_its_dispatcher_works(cache, monkeypatch, broken):
    monkeypatch.setattr(kernels, broken, lambda *arguments: [].no_such_thing)
    assert filled(is_numbas=True) == [1, 3, 5, 7]
    assert not cache.exists()


def test_other_arrays_are_taken_as_well(cache):
    values = np.arange(8, dtype=np.float32)
    values.flags.writeable = False
    for given in (values[:4], np.arange(4, dtype=np.int32), np.arange(4.0), np.arange(8.0)[::2] / 2):
        out = np.zeros((4, 2), np.float32)
        kernel()(fill)(given, 2.0, out[:, 1])
        assert out.tolist() == [[0, 1], [0, 3], [0, 5], [0, 7]]


def test_a_kernel_that_fails_says_so(cache):
    out = np.zeros(3, np.int64)
    numerators = np.arange(3)
    kernel()(divide)(numerators, 1, out)
    assert out.tolist() == [0, 1, 2]
    with pytest.raises(ArithmeticError):
        kernel()(divide)(numerators, 0, out)


def test_threads_that_come_at_once_compile_once(cache, compiled):
    shared, results = Kernel(fill, {}), []

    def work():
        out = np.zeros(1000, np.float32)
        shared(np.arange(1000, dtype=np.float32), np.float32(2), out)
        results.append(out)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiled == ["fill"] and len(results) == 4
    assert all(np.array_equal(each, 2 * (np.arange(1000) + 0.5)) for each in results)


def test_helpers_are_there_for_python_and_for_other_numba_functions():
    import numba

    @numba.njit
    def twice(value):
        return shifted(shifted(value))

    assert shifted(np.float32(1)) == 1.5 and twice(np.float32(1)) == 2.0


FIND_ATTACKS = """
import sys, numpy as np
from tsmgan.core.attacks import find_attacks
y = np.random.default_rng(0).normal(scale=0.1, size=(2, 24000)).astype(np.float32)
y[:, 1000::3000] += 5
print(*(each.tobytes().hex() for each in find_attacks(y, 0, 0, 24000, 24000)))
print(*sys.modules)
"""
STRETCH = """
import sys, numpy as np, tsmgan
tsmgan.stretch(np.random.default_rng(0).normal(scale=0.1, size=(2, 24000)).astype(np.float32), 24000, 1.3)
print(*sys.modules)
"""


@pytest.mark.timeout(120)
def test_processes_that_start_cold_at_once_agree_and_later_ones_import_no_compiler(cache):
    def start():
        return subprocess.Popen([sys.executable, "-c", FIND_ATTACKS], stdout=subprocess.PIPE, text=True)

    both = [start(), start()]
    first, second = (process.communicate()[0].splitlines() for process in both)
    warm = start().communicate()[0].splitlines()
    assert first[0] == second[0] == warm[0] and len(warm[0]) > 40
    assert "numba" in first[1].split() and "numba" not in warm[1].split()
    assert {file.suffix for file in cache.iterdir()} == {".kernel"}  # nothing half written is left


def test_a_stretch_whose_kernels_are_kept_imports_only_what_it_runs():
    # The first may have to compile.
    for _ in range(2):
        imported = subprocess.run([sys.executable, "-c", STRETCH], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[0] for name in imported} & {"numba", "torch", "librosa", "matplotlib", "typer", "rich"}
    assert not any(name.startswith("scipy.") and name != "scipy.fft._pocketfft.pypocketfft" for name in imported)


def test_a_compiler_that_the_environment_stops_is_named_in_a_sentence(tmp_path):
    script = """
import numpy, tsmgan
try:
    tsmgan.stretch(numpy.zeros(8000, numpy.float32), 8000, 1.3)
except tsmgan.TsmganError as error:
    print(error)
"""
    environment = os.environ | {"NUMBA_NUM_THREADS": "0", "NUMBA_CACHE_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert result.returncode == 0 and "NUMBA_" in result.stdout and result.stdout.count("\n") == 1, result.stdout + result.stderr
