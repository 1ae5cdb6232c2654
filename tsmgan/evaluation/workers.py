"""Calls functions in other processes, which may crash or hang: that is an error here, and other work goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from tsmgan.errors import TsmganError
from tsmgan.limits import most_processes, require_count
from tsmgan.processes import Process

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerError(TsmganError):
    """A function ended its process, or did not end in time."""


class Call(Protocol):
    """Calls a function with arguments, here or in another process, which is ended after time_limit seconds."""

    def __call__(self, function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Any: ...


def call_here(function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Any:
    """A plain call in this process, which nothing can stop; time_limit is not used."""
    return function(*arguments)


def _serve(connection: Connection) -> None:
    """Runs in the other process: calls what it is sent until the connection closes."""
    import cloudpickle

    while True:
        function, arguments = cloudpickle.loads(connection.recv_bytes())
        try:
            answer = (True, function(*arguments))
        except Exception as error:
            answer = (False, error)
        connection.send_bytes(cloudpickle.dumps(answer))


class Worker:
    """A process of its own, started when it is first needed and again after each crash. Functions may be lambdas."""

    def __init__(self, threads: int = 1) -> None:
        """threads: how many threads NumPy and other numerical libraries may use."""
        self._environment = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        self._process: Process | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def call(self, function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Any:
        """Return what function(*arguments) returns, or raise what it raises.

        Raises:
            WorkerError: the process crashed, or took longer than time_limit seconds and was ended.
        """
        with self._lock:
            if self._stopped:
                raise WorkerError("The run was stopped.")
            is_new = self._process is None
            process = self._process = self._process or Process(_serve, environment=self._environment)
        try:
            if is_new:
                self._ask(process, os.getpid, (), None)  # its start is not counted
            is_result, value = self._ask(process, function, arguments, time_limit)
        except _OutOfTime:
            self._forget(process)
            raise WorkerError(f"took longer than {time_limit:g} s and was stopped.") from None
        except (EOFError, OSError):
            self._forget(process)
            raise WorkerError("The run was stopped." if self._stopped else "crashed: its process ended without an answer.") from None
        if not is_result:
            raise value
        return value

    @staticmethod
    def _ask(process: Process, function: Callable[..., Any], arguments: tuple, time_limit: float | None) -> tuple[bool, Any]:
        import cloudpickle  # takes functions that have no name

        process.connection.send_bytes(cloudpickle.dumps((function, arguments)))
        if not process.connection.poll(time_limit):
            raise _OutOfTime
        return cloudpickle.loads(process.connection.recv_bytes())

    def _forget(self, process: Process) -> None:
        process.kill()
        process.connection.close()
        self._process = None

    def stop(self) -> None:
        """End the process, whatever it is doing. Every later call raises WorkerError."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()  # A call that waits for an answer sees the connection close.


class _OutOfTime(Exception):
    """A process did not answer in time."""


def run_tasks(task: Callable[[Item, Call], Result], items: Sequence[Item], *, jobs: int = 1) -> Iterator[Result]:
    """task(item, call) for each item, in their order, `jobs` at a time.

    What a task does through `call` happens in another process; with one job it happens here, where a crash ends everything.

    Raises:
        UsageError: there are more jobs than this machine can bear.
    """
    require_count("jobs", jobs, most_processes())
    if jobs == 1:
        yield from (task(item, call_here) for item in items)
        return
    workers = [Worker(max(1, (os.cpu_count() or 1) // jobs)) for _ in range(jobs)]
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def run(item: Item) -> Result:
        worker = free.get()
        try:
            return task(item, worker.call)
        finally:
            free.put(worker)

    threads = ThreadPoolExecutor(jobs)
    try:
        yield from threads.map(run, items)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()
        threads.shutdown()
