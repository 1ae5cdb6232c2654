"""Processes that work through tasks. One that dies costs its task and is replaced; nothing else notices.

The standard library's pools give up altogether, or wait for ever, when a process is killed by the system; a batch must not.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from tsmgan import stopping
from tsmgan.batch.executor import AHEAD_TASKS, AHEAD_WEIGHT, Died, Done, Part
from tsmgan.limits import most_processes, require_count
from tsmgan.processes import Process

T = TypeVar("T")
R = TypeVar("R")

REPORT_SECONDS = 0.25
GRACE_SECONDS = 5.0
"""What processes get to tidy up before they are killed."""


@dataclass
class _Worker:
    process: Process
    tasks: deque = field(default_factory=deque)
    """Sent and not answered, the first is the one at work."""

    @property
    def connection(self) -> Connection:
        return self.process.connection


def _serve(connection: Connection) -> None:
    """A process's life: take tasks until the other end goes away."""
    function = connection.recv()
    reported = time.monotonic()

    def report(part: float) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            connection.send((False, part))

    while True:
        task = connection.recv()
        connection.send((True, function(task, report)))


class Pool(Generic[T, R]):
    """Processes that apply one function.

    Args:
        function: takes a task and a function to report the part done with, and returns a result. Must be importable by name.
        jobs: number of processes.
        weigh: how much work a task is, in bytes.
        quiet: throw away what processes print on standard error.
        environment: further environment variables of the processes.

    Raises:
        UsageError: there are more jobs than this machine can bear.
    """

    def __init__(
        self,
        function: Callable[[T, Callable[[float], None]], R],
        jobs: int,
        *,
        weigh: Callable[[T], int] = lambda task: 0,
        quiet: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._function, self._jobs = function, require_count("jobs", jobs, most_processes())
        self._weigh, self._quiet = weigh, quiet
        self._environment = environment
        self._workers: list[_Worker] = []
        self._waiting: deque[T] = deque()

    def _start(self) -> _Worker:
        worker = _Worker(Process(_serve, quiet=self._quiet, environment=self._environment))
        with contextlib.suppress(OSError):  # a dead process is noticed when it is asked for its answer
            worker.connection.send(self._function)
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
            stopping.check()
            for connection in wait(list(busy), timeout=REPORT_SECONDS):
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
        code = worker.process.exit_code
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
                if worker.process.exit_code is None:
                    worker.process.kill()
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
