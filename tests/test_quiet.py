"""Promises about standard error: the decoder's own messages stay away from it, and everything else arrives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.audio.quiet import without_decoder_messages

MESSAGE = b"[src/libmpg123/layer3.c:III_get_side_info():202] error: big_values too large!\n"


def write_damaged_mp3(path: Path) -> None:
    """An MP3 file whose frames are broken inside, so that the decoder finds them and complains."""
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((48000, 2)), 48000, format="MP3")
    data = bytearray(path.read_bytes())
    for at in range(3000, len(data), 977):
        data[at : at + 7] = b"garbage"
    path.write_bytes(data)


@contextmanager
def caught_standard_error(folder: Path) -> Iterator[Callable[[], bytes]]:
    """What arrives at descriptor 2 in this context, as a function."""
    path = folder / "standard error"
    original = os.dup(2)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 2)
    try:
        yield path.read_bytes
    finally:
        os.dup2(original, 2)
        os.close(original)
        os.close(descriptor)


def test_a_damaged_mp3_writes_nothing_but_our_own_sentences(folder):
    write_damaged_mp3(folder / "in.mp3")
    read_bare = "import soundfile; soundfile.read('in.mp3')"
    bare = subprocess.run([sys.executable, "-c", read_bare], capture_output=True, check=False)
    if b"libmpg123" not in bare.stderr:
        pytest.skip("this libmpg123 is quiet by itself")
    for arguments in (["info", "--peak", "in.mp3"], ["stretch", "in.mp3", "-o", "out.wav", "--rate", "2", "--salvage"]):
        done = subprocess.run([sys.executable, "-m", "tsmgan", *arguments], capture_output=True, check=False)
        assert b"mpg123" not in done.stderr and done.returncode == 0, done.stderr


def test_what_others_write_meanwhile_is_passed_on_in_its_order(tmp_path):
    with caught_standard_error(tmp_path) as caught, without_decoder_messages():
        for text in (b"first\n", MESSAGE, b"\x1b[2Ksecond", b"\n", MESSAGE, b"Note: third"):
            os.write(2, text)
    assert caught() == b"first\n\x1b[2Ksecond\nNote: third"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_standard_error_is_itself_again_after_an_exception(tmp_path, error):
    with caught_standard_error(tmp_path) as caught:
        before = os.fstat(2)
        with pytest.raises(error), without_decoder_messages():
            os.write(2, MESSAGE + b"kept\n")
            raise error
        after = os.fstat(2)
    assert os.path.samestat(before, after) and caught() == b"kept\n"


def test_threads_that_decode_at_once_leave_standard_error_alone(tmp_path):
    def work() -> None:
        for _ in range(200):
            with without_decoder_messages():
                os.write(2, MESSAGE + b"x")

    threads = [threading.Thread(target=work) for _ in range(4)]
    with caught_standard_error(tmp_path) as caught:
        before = os.fstat(2)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = os.fstat(2)
    assert caught() == 800 * b"x" and os.path.samestat(before, after)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_no_descriptor_stays_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with without_decoder_messages():
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_without_standard_error_decodes_as_well(folder):
    write_damaged_mp3(folder / "in.mp3")
    command = f'"{sys.executable}" -m tsmgan info --peak in.mp3 2>&-'
    assert subprocess.run(command, shell=True, stdout=subprocess.PIPE, check=False).returncode == 0
