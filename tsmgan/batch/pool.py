"""Processes that work through tasks. One that dies costs its task and is replaced; nothing else notices.

The standard library's pools give up altogether, or wait for ever, when a process is killed by the system; a batch must not.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tsmgan.batch.executor import AHEAD_TASKS, AHEAD_WEIGHT, Died, Done, Part

T = TypeVar("T")
R = TypeVar("R")

REPORT_SECONDS = 0.25
GRACE_SECONDS = 5.0
"""What processes get to tidy up before they are killed."""


def processor_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Worker:
    process: Any
    connection: multiprocessing.connection.Connection
    tasks: deque = field(default_factory=deque)
    """Sent and not answered, the first is the one at work."""


def _context(preload: list[str]):
    """New processes never inherit threads, locks or sessions: on Linux they are copies of a small server that has only imported."""
    if sys.platform.startswith("linux"):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(preload)
        return context
    return multiprocessing.get_context("spawn")


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _serve(connection: multiprocessing.connection.Connection, function: Callable[..., Any], quiet: bool) -> None:
    """A process's life: take tasks until the other end goes away."""
    if quiet:
        # Decoders in C print what they think of a damaged file wherever the cursor is.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
    # Ctrl-C, and a terminal that is closed, reach every process of the terminal; the first one decides and tells the others with SIGTERM.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    reported = time.monotonic()

    def report(part: float) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            connection.send((False, part))

    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            connection.send((True, function(task, report)))


class Pool(Generic[T, R]):
    """Processes that apply one function.

    Args:
        function: takes a task and a function to report the part done with, and returns a result. Must be importable by name.
        jobs: number of processes.
        weigh: how much work a task is, in bytes.
        preload: modules that every process needs.
        quiet: throw away what processes print on standard error.
    """

    def __init__(
        self,
        function: Callable[[T, Callable[[float], None]], R],
        jobs: int,
        *,
        weigh: Callable[[T], int] = lambda task: 0,
        preload: Iterable[str] = (),
        quiet: bool = False,
    ) -> None:
        self._function, self._jobs, self._weigh, self._quiet = function, jobs, weigh, quiet
        self._context = _context(list(preload))
        self._workers: list[_Worker] = []
        self._waiting: deque[T] = deque()

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(there, self._function, self._quiet), daemon=True)
        process.start()
        there.close()
        worker = _Worker(process, here)
        self._workers.append(worker)
        return worker

    def run(self, tasks: Iterable[T]) -> Iterator[Done | Part | Died]:
        """Work through tasks; what happens is told in the order in which it does. Tasks are taken only shortly before they are sent."""
        source = iter(tasks)
        while True:
            self._hand_out(source)
            busy = {worker.connection: worker for worker in self._workers if worker.tasks}
            if not busy:
                return
            for connection in multiprocessing.connection.wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                try:
                    finished, value = worker.connection.recv()
                except (EOFError, OSError):
                    yield Died(worker.tasks.popleft(), self._bury(worker))
                    continue
                yield Done(worker.tasks.popleft(), value) if finished else Part(worker.tasks[0], value)

    def _take(self, source: Iterator[T]) -> T | None:
        """The next task, which stays in line; None at the end."""
        if not self._waiting:
            for task in source:
                self._waiting.append(task)
                break
        return self._waiting[0] if self._waiting else None

    def _hand_out(self, source: Iterator[T]) -> None:
        """First one task to each process, then small ones ahead, evenly."""
        for depth in range(1 + AHEAD_TASKS):
            for k in range(self._jobs):
                task = self._take(source)
                if task is None:
                    return
                if k == len(self._workers):
                    self._start()
                worker = self._workers[k]
                ahead = sum(self._weigh(each) for each in list(worker.tasks)[1:]) + self._weigh(task)
                if len(worker.tasks) == depth and (depth == 0 or ahead <= AHEAD_WEIGHT):
                    with contextlib.suppress(OSError):  # a dead process is noticed when it is asked for its answer
                        worker.connection.send(task)
                    worker.tasks.append(self._waiting.popleft())

    def _bury(self, worker: _Worker) -> str:
        """Forget a dead process, take back what still waited for it, and say how it died."""
        worker.process.join(GRACE_SECONDS)
        code = worker.process.exitcode
        self._workers.remove(worker)
        self._waiting.extendleft(reversed(worker.tasks))
        worker.connection.close()
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def stop(self) -> list[Done]:
        """End every process, at work or not, and return the results that had come in unseen."""
        for worker in self._workers:
            if worker.tasks:
                worker.process.terminate()
            else:
                worker.connection.close()
        late: list[Done] = []
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in self._workers:
            if worker.tasks:
                worker.process.join(max(0.1, deadline - time.monotonic()))
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
                # Whatever was cut in the middle of a message is no message.
                with contextlib.suppress(Exception):
                    while worker.connection.poll():
                        finished, value = worker.connection.recv()
                        if finished:
                            late.append(Done(worker.tasks.popleft(), value))
                worker.connection.close()
        self._workers = []
        return late

    def __enter__(self) -> Pool[T, R]:
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()
