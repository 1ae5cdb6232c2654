"""How the program ends when a signal asks it to: without half an output, without a traceback, and always.

Python runs a signal's handler between any two instructions of the main thread. An exception from there can come up inside an import, a
library's callback or a lock's release, where it is lost, turned into another error, or leaves the lock taken. So a handler raises nothing
while a single recording is stretched: it removes the unfinished output and ends the process at once. Where more has to be put in order,
the signal is only noted (`noting`), and `check` raises `Stopped` at a place that expects it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE_SECONDS = 1.0
"""How long a handler may wait for the main thread, which can be inside a library, before another thread ends the process."""


class Stopped(BaseException):
    """A signal, or the end of an output pipe's reader, ends the program. No Exception, so that no library takes it for its own error."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
        self.message = "Stopped; no unfinished file is left."
        self.is_broken_pipe = signal_number == getattr(signal, "SIGPIPE", 13)


_came: int | None = None
"""The signal that came."""
_leaving = threading.Lock()
_tasks: list[Callable[[], None]] = []


def on_leaving(task: Callable[[], None]) -> Callable[[], None]:
    """Have a function called before `leave` ends the process. It must be short, and wait for no lock."""
    _tasks.append(task)
    return task


def tidy() -> None:
    """Call what `on_leaving` was given."""
    for task in list(_tasks):
        with contextlib.suppress(Exception):
            task()


def leave(number: int) -> NoReturn:
    """Tidy up and end this process at once, whatever its threads are at."""
    if not _leaving.acquire(blocking=False):
        while True:  # the other thread ends the process
            time.sleep(1)
    tidy()
    with contextlib.suppress(OSError):
        # A progress bar hides the cursor.
        show_cursor = "\r\x1b[2K\x1b[?25h" if os.isatty(2) and os.environ.get("TERM") != "dumb" else ""
        os.write(2, f"{show_cursor}{Stopped(number).message}\n".encode())
    os._exit(128 + number)


def _note(number: int) -> None:
    """Only remember the signal."""


def _raise(number: int) -> None:
    raise Stopped(number)


_react: Callable[[int], object] = leave


def _handle(number: int, frame: object) -> None:
    global _came
    # A second Ctrl-C must not interrupt the tidying up.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _came = number
    _react(number)


def check() -> None:
    """Raise Stopped if a signal came."""
    if _came is not None:
        raise Stopped(_came)


@contextlib.contextmanager
def _reacting(react: Callable[[int], object]) -> Iterator[None]:
    global _react
    before, _react = _react, react
    try:
        yield
    finally:
        _react = before
    check()


def noting() -> contextlib.AbstractContextManager[None]:
    """Inside, a signal is only noted; `check`, and the end of the block, raise Stopped then."""
    return _reacting(_note)


def unwinding() -> contextlib.AbstractContextManager[None]:
    """Inside, a signal raises Stopped wherever the main thread is, so that every `with` and `finally` on the way out tidies up."""
    return _reacting(_raise)


def unwind() -> None:
    """From now on a signal raises Stopped, as inside `unwinding`."""
    global _react
    _react = _raise


def end_at_once() -> None:
    """Let SIGINT end the process as other signals do, while it has begun nothing: without Python's traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Inside, signals end the program in order; behind it, they end the process at once. For the main thread of a program of its own.

    A signal that the parent process ignores (nohup) stays ignored.
    """
    end_at_once()
    heeded = [each for each in SIGNALS if signal.getsignal(each) == signal.SIG_DFL]
    _watch()
    for each in heeded:
        signal.signal(each, _handle)
    try:
        yield
    finally:
        for each in heeded:
            signal.signal(each, signal.SIG_DFL)


def _watch() -> None:
    """Start a thread that ends the process when the main thread does not come to its handler, for example inside a library."""
    if sys.platform == "win32":
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wait() -> None:
        while number := os.read(reading, 1):
            time.sleep(PATIENCE_SECONDS)
            if _react is leave and number[0] in SIGNALS and signal.getsignal(number[0]) in (_handle, signal.SIG_IGN):
                leave(number[0])

    threading.Thread(target=wait, daemon=True).start()
