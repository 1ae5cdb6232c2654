"""Work in processes that may crash or hang: what goes wrong there is an error here, and the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout  # another class than the built-in one before Python 3.11
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from tsmgan.errors import TsmganError

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerError(TsmganError):
    """A function ended its process, or did not end in time."""


class Call(Protocol):
    """Calls a function with arguments, here or in another process, which time_limit seconds later is ended."""

    def __call__(self, function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Any: ...


def call_here(function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Any:
    """A plain call in this process, which nothing can stop: time_limit is not used."""
    return function(*arguments)


class Worker:
    """A process of its own, started when it is first needed and again after each crash. Functions may be lambdas."""

    def __init__(self, threads: int = 1) -> None:
        """threads: how many NumPy and its kind may use."""
        self._environment = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
        self._executor: Any = None
        self._stopped = False

    def call(self, function: Callable[..., Any], *arguments: Any, time_limit: float | None = None) -> Any:
        """What function(*arguments) gives or raises.

        Raises:
            WorkerError: the process died of it, or took longer than time_limit seconds and was ended.
        """
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.process_executor import BrokenProcessPool, ShutdownExecutorError

        if self._stopped:
            raise WorkerError("The run was stopped.")
        if self._executor is None:
            self._executor = ProcessPoolExecutor(max_workers=1, env=self._environment)
            self._executor.submit(os.getpid).result()  # its start is not counted
        try:
            return self._executor.submit(function, *arguments).result(timeout=time_limit)
        except FutureTimeout:
            if time_limit is None:  # the function's own
                raise
            self._end()
            raise WorkerError(f"took longer than {time_limit:g} s and was stopped.") from None
        except (BrokenProcessPool, ShutdownExecutorError):
            self._end()
            raise WorkerError("crashed: its process died without a word.") from None

    def _end(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(kill_workers=True)
            self._executor = None

    def stop(self) -> None:
        """End the process, whatever it is at; every later call raises WorkerError."""
        self._stopped = True
        self._end()


def run_tasks(task: Callable[[Item, Call], Result], items: Sequence[Item], *, jobs: int = 1) -> Iterator[Result]:
    """task(item, call) for each item, in their order, `jobs` at a time.

    What a task does through `call` happens in another process; with one job it happens here, where a crash ends everything.
    """
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
