"""The program's standard streams: closed ones do no harm, an output that cannot be written is told from any other error, and messages
that nobody can read stop nothing."""

from __future__ import annotations

import io
import os
import sys

from tsmgan.errors import TsmganError


class OutputError(OSError):
    """Standard output cannot be written."""


class _Output(io.FileIO):
    def write(self, data, /):  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None


class _Messages(io.FileIO):
    """What cannot be told is not told; the work goes on."""

    def write(self, data, /):  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError:
            return len(data)


class _ClosedInput(io.FileIO):
    def readinto(self, buffer, /):  # type: ignore[no-untyped-def]
        raise TsmganError("Standard input is closed; pipe a recording into it, or name a file.")

    def readall(self) -> bytes:
        return bytes(self.readinto(bytearray()))


def prepare() -> None:
    """Make the standard streams such that they can be used. For a program of its own, before it opens any file."""
    _open_closed()
    out = sys.stdout
    raw = io.BufferedWriter(_Output(1, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(raw, encoding=out.encoding, errors=out.errors, line_buffering=out.isatty(), write_through=False)
    messages = io.BufferedWriter(_Messages(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(messages, encoding=sys.stderr.encoding, errors=sys.stderr.errors, line_buffering=True)


def _open_closed() -> None:
    """Give every standard stream that the caller has closed (`2>&-`) its number, which the next file would get otherwise.

    Messages go nowhere then. To read the input or to write to the output is an error, as of a closed file.
    """
    for number, name, flag in ((0, "stdin", os.O_WRONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flag)  # gets the lowest number that is free
            if number == 0:
                sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput(0, "r", closefd=False)))
            else:
                setattr(sys, name, open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False))
