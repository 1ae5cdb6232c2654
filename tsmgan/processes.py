"""Python processes of our own. They run this very package, and import nothing else from the current folder.

Whoever sends recordings may send a `numpy.py` beside them. Python looks for modules in the current folder first when it is started with
`-c` or `-m`, and so do the processes of `multiprocessing`. What a user chose is kept: PYTHONPATH, the virtual environment, and every other
folder that this process imports from.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, Pipe
from typing import Any

from tsmgan import stopping

_START = """\
import sys
own = [each for each in sys.path if each]
sys.path[:] = own
import os, importlib.util
try:
    here = os.path.realpath(os.getcwd())
except OSError:
    here = None
sys.path[:] = [each for each in {path} if each in own or os.path.realpath(each) != here]
spec = importlib.util.spec_from_file_location("tsmgan", {init}, submodule_search_locations=[{package}])
sys.modules["tsmgan"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["tsmgan"])
"""
"""What such a process does first. `sys` is part of the interpreter, whatever lies in the current folder."""

TOLD_BY_THE_FIRST = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""Signals that a terminal sends to every process. The one that the user started decides, and tells the others with SIGTERM."""


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs code in a new Python process, with these arguments in `sys.argv`."""
    flags = [flag for flag, is_set in (("-I", sys.flags.isolated), ("-E", sys.flags.ignore_environment)) if is_set]
    if sys.flags.no_user_site and not sys.flags.isolated:
        flags.append("-s")
    if sys.flags.utf8_mode:
        flags += ["-X", "utf8"]
    package = os.path.dirname(os.path.abspath(__file__))
    places = {
        "path": ascii([os.path.abspath(each) for each in sys.path if each]),
        "init": ascii(os.path.join(package, "__init__.py")),
        "package": ascii(package),
    }
    return [sys.executable, *flags, "-c", _START.format(**places) + code, *arguments]


def calling(function: str, *arguments: str) -> list[str]:
    """The command that calls a function, given as `package.module:function`, in a new Python process."""
    module, _, name = function.partition(":")
    return python(f"from {module} import {name}\n{name}(*sys.argv[1:])\n", *arguments)


class Process:
    """A Python process that calls a function with the other end of a connection, and ends with it.

    Args:
        function: takes the connection. Must be importable by name.
        environment: further environment variables.
        quiet: throw away what the process prints on standard error.
    """

    def __init__(self, function: Callable[[Connection], object], *, environment: Mapping[str, str] | None = None, quiet: bool = False):
        self.connection: Connection
        self.connection, there = Pipe()
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "env": {**os.environ, **(environment or {})}}
        if quiet:
            options["stderr"] = subprocess.DEVNULL
        handle = there.fileno()
        if sys.platform == "win32":
            os.set_handle_inheritable(handle, True)
            options["startupinfo"] = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        else:
            options["pass_fds"] = [handle]
        with there, _without_signals():
            self._process = subprocess.Popen(calling("tsmgan.processes:_serve", str(handle)), **options)
        self.pid = self._process.pid
        with contextlib.suppress(OSError):  # a process that died at once is noticed when it is asked for its answer
            self.connection.send_bytes(pickle.dumps(function))

    @property
    def exit_code(self) -> int | None:
        """None while the process lives; below zero, the signal that ended it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process, whatever it is at, and wait until it has ended."""
        self._process.kill()
        self._process.wait()

    def join(self, seconds: float) -> None:
        """Wait until the process has ended, but no longer than this."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """A process that is started meanwhile gets no signals from the terminal until it is ready for them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_BY_THE_FIRST)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave(number: int, frame: object) -> None:
    # An exception could come up inside a library's callback, and be lost there.
    stopping.tidy()
    os._exit(128 + number)


def _serve(handle: str) -> None:
    """The life of a Process, on its side."""
    connection = _connection(int(handle))
    for each in TOLD_BY_THE_FIRST:
        signal.signal(each, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_BY_THE_FIRST)
    # The other end goes away with the process that started this one.
    with contextlib.suppress(EOFError, ConnectionError):
        function = pickle.loads(connection.recv_bytes())
        signal.signal(signal.SIGTERM, _leave)
        function(connection)
    os._exit(0)  # nobody waits for what libraries do at their end


def _connection(handle: int) -> Connection:
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(handle)
    os.set_inheritable(handle, False)
    return Connection(handle)
