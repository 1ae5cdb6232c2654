"""Keeps a decoder's own messages from the terminal. libmpg123 writes to standard error what it finds in a damaged MP3 file.

libsndfile gives no way to tell it to be quiet. So standard error leads to a file in memory while it opens or decodes such a file, a few
milliseconds at a time. What others wrote meanwhile, threads of the same process for example, is passed on behind the call.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2
MESSAGE = re.compile(
    rb"[^\n]*(?:libmpg123|Audio-MPEG-Header|[Tt]rying to resync|during resync|Frankenstein stream|Freeform format detected)[^\n]*\n*"
)
"""How the lines of libmpg123 look."""
_one_at_a_time = threading.Lock()


def _open_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("standard-error")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextmanager
def without_decoder_messages() -> Iterator[None]:
    """Drop what libmpg123 writes to standard error in this context. Standard error is restored, even after an exception."""
    if sys.__stderr__ is None:
        # Standard error was closed when the process began, so its descriptor may belong to another file by now.
        yield
        return
    with _one_at_a_time:
        original = os.dup(STANDARD_ERROR)
        try:
            held = _open_file()
            try:
                yield from _redirected(original, held)
            finally:
                _pass_on(held)
        finally:
            os.close(original)


def _redirected(original: int, held: int) -> Iterator[None]:
    try:
        try:
            os.dup2(held, STANDARD_ERROR)
            yield
        finally:
            os.dup2(original, STANDARD_ERROR)
    finally:
        # A signal may raise an exception between any two steps, but one signal does so only once.
        os.dup2(original, STANDARD_ERROR)


def _pass_on(held: int) -> None:
    """Pass on the lines that are not the decoder's, and close the file."""
    try:
        size = os.lseek(held, 0, os.SEEK_END)
        if size:
            os.lseek(held, 0, os.SEEK_SET)
            rest = MESSAGE.sub(b"", os.read(held, size))
            while rest:
                rest = rest[os.write(STANDARD_ERROR, rest) :]
    except OSError:
        # Nobody reads standard error any longer.
        pass
    finally:
        os.close(held)
