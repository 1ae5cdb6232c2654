"""A batch on a Ray cluster: one actor a worker, which keeps its model and does one task after the other, wherever Ray has put it.

Workers read inputs and write outputs themselves, under the names that the tasks give: on storage that every machine of the cluster sees
under the same path, or behind URLs. No recording goes through Ray. A worker that is lost, with its machine or alone, costs time: what
waited for it goes to others, and what it was at is done again.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tsmgan import stopping
from tsmgan.batch.executor import AHEAD_TASKS, AHEAD_WEIGHT, Died, Done, Part
from tsmgan.batch.manifest import Entry
from tsmgan.batch.plan import Task
from tsmgan.batch.work import model_version, stretch_task
from tsmgan.errors import TsmganError, UsageError
from tsmgan.limits import MOST_WORKERS, most_processes, require_count
from tsmgan.storage.atomic import remove_leftovers
from tsmgan.storage.names import is_url, parent

ADDRESS = re.compile(r"ray(://(?P<address>[^/]+)/?)?")
MOST_LOSSES = 3
"""Workers that may be lost over one task before it counts as failed: it may be what kills them."""
PART_SECONDS = 1.0
"""Between two questions of how far a worker is."""
PATIENCE_SECONDS = 600.0
"""How long a batch waits while the cluster gives it no worker at all; machines that are added on demand take minutes to come."""
GRACE_SECONDS = 5.0
"""What workers get to remove their temporary files when a batch is stopped."""
OBJECT_STORE_BYTES = 80 << 20
"""Of a cluster started here; only tasks and manifest lines go through it."""


def parse_address(text: str) -> str | None:
    """The address in `ray://HOST:PORT`, None of a plain `ray`.

    Raises:
        UsageError: it is neither.
    """
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no cluster; give --cluster ray, or --cluster ray://HOST:10001.")
    return found["address"]


def connect(text: str, jobs: int | None) -> bool:
    """Join a Ray cluster, unless this process is part of one, and return whether it has joined now.

    Args:
        text: `ray` for the cluster that this machine belongs to (RAY_ADDRESS, or one started with `ray start`), or else a new one of
            this machine alone; `ray://HOST:PORT` for one elsewhere, whose Ray Client listens there (10001 unless told otherwise).
        jobs: processors of a new cluster; None for all.

    Raises:
        UsageError: Ray is not installed, or the text names no cluster.
        TsmganError: there is no cluster at this address.
    """
    address = parse_address(text)
    # Ray would report every use of it to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UsageError('--cluster needs Ray; install it with `pip install "tsmgan[cluster]"`.') from None
    if ray.is_initialized():
        return False
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    # Ray sets a handler of its own, which would leave without tidying up.
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address is not None and address != "auto":
            with warnings.catch_warnings(), _away_from_recordings():
                warnings.simplefilter("ignore")
                ray.init(f"ray://{address}", **options)
            return True
        try:
            with _away_from_recordings():
                ray.init(os.environ.get("RAY_ADDRESS") or "auto", **options)
            return True
        except ConnectionError:
            if address == "auto" or os.environ.get("RAY_ADDRESS"):
                raise
        if jobs is not None:
            require_count("jobs", jobs, most_processes())
        # With every processor at work, Ray's own programs may take their time; it would count them as dead.
        os.environ.setdefault("RAY_health_check_timeout_ms", "60000")
        with _away_from_recordings():
            ray.init("local", num_cpus=jobs, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **options)
        return True
    except UsageError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        where = address or os.environ.get("RAY_ADDRESS") or "this machine"
        raise TsmganError(
            f"The Ray cluster at {where} cannot be reached ({reason}); start one with `ray start --head`, and give --cluster ray on a "
            "machine of it, or --cluster ray://HOST:10001 on another."
        ) from None
    finally:
        with contextlib.suppress(ValueError, TypeError):  # not in the main thread
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _away_from_recordings() -> Iterator[None]:
    """Inside, the current folder is the standard library's.

    Ray lets its workers import from the folder that a program joins the cluster in, before everything else. Whoever sends recordings may
    send a `numpy.py` beside them.
    """
    before = current_folder()
    os.chdir(os.path.dirname(os.__file__))
    try:
        yield
    finally:
        if before is not None:
            os.chdir(before)


def current_folder() -> str | None:
    """The current folder's path; None when it has been deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


@contextlib.contextmanager
def _signals_pass() -> Iterator[None]:
    """What a signal handler raises while Ray's compiled code waits comes out as a SystemError, with the real thing as its cause."""
    try:
        yield
    except SystemError as error:
        if error.__cause__ is not None and not isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise


class _Stopped(BaseException):
    """Ends a task from within."""


class StretchActor:
    """A worker on some machine. Ray calls `stretch` in one thread and the rest in another, so that it answers while it is at work.

    Args:
        folder: the one that relative names of tasks start from; None for the worker's own.
    """

    def __init__(self, folder: str | None = None) -> None:
        if folder is not None:
            # Machines that do not have it read and write under absolute names, and URLs.
            with contextlib.suppress(OSError):
                os.chdir(folder)
        self._stopped = threading.Event()
        self._part = (0, 0.0)
        self._number = 0

    def version(self, model: str) -> str:
        """Of the program and the model on this machine, or why there is none."""
        try:
            return model_version(model)
        except TsmganError as error:
            return str(error)

    def stretch(self, task: Task) -> Entry | None:
        """See `tsmgan.batch.work.stretch_task`; None when the batch was stopped."""
        self._number += 1

        def report(part: float) -> None:
            self._part = (self._number, part)
            if self._stopped.is_set():
                raise _Stopped

        if self._stopped.is_set():
            return None
        try:
            return stretch_task(task, report)
        except _Stopped:
            return None

    def part(self) -> tuple[int, float]:
        """How many tasks were begun, and which part of the last one is read."""
        number, part = self._part
        return (number, part) if number == self._number else (self._number, 0.0)

    def stop(self) -> None:
        """Leave the task at work, without a trace of it."""
        self._stopped.set()


@dataclass(eq=False)
class _Worker:
    actor: Any
    answered: int = 0
    """Tasks that it is done with."""
    tasks: deque[tuple[Any, Task]] = field(default_factory=deque)
    """Sent and not answered, each behind the reference of its answer; the first is the one at work."""


class RayWorkers:
    """Workers of a Ray cluster, which stretch.

    Args:
        cluster: see `connect`.
        jobs: number of workers, a processor each; None for one a processor that the cluster has.
        most: workers, however many processors there are.
        weigh: how much work a task is, in bytes.
        again: what a task becomes after a worker was lost over it.
    """

    def __init__(
        self,
        cluster: str,
        jobs: int | None,
        *,
        most: int = 1 << 20,
        weigh: Callable[[Task], int] = lambda task: 0,
        again: Callable[[Task], Task] = lambda task: task,
    ) -> None:
        if jobs is not None:
            require_count("jobs", jobs, MOST_WORKERS)
        self._has_joined = connect(cluster, jobs)
        import ray

        self._ray, self._jobs, self._most, self._weigh, self._again = ray, jobs, most, weigh, again
        options: dict[str, Any] = {"num_cpus": 1, "max_restarts": 0, "concurrency_groups": {"work": 1, "talk": 1}}
        for name, function in vars(StretchActor).items():
            if not name.startswith("_"):
                ray.method(concurrency_group="work" if name == "stretch" else "talk")(function)
        self._actor_class: Any = ray.remote(**options)(StretchActor)
        self._workers: list[_Worker] = []
        self._starting: dict[Any, _Worker] = {}
        """By the reference of what they say first."""
        self._asked: dict[Any, _Worker] = {}
        """By the reference of how far they are."""
        self._waiting: deque[Task] = deque()
        self._folders: set[str] = set()
        """Where lost workers may have left unfinished outputs."""
        self._losses: Counter[str] = Counter()
        """Workers lost over an output."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Done | Part | Died]:
        """Work through tasks; see `tsmgan.batch.executor.Executor`."""
        with _signals_pass():
            yield from self._run(tasks)

    def _run(self, tasks: Iterable[Task]) -> Iterator[Done | Part | Died]:
        source, looked, helped = iter(tasks), float("-inf"), time.monotonic()
        while (task := self._take(source)) is not None or any(worker.tasks for worker in self._workers):
            stopping.check()
            now = time.monotonic()
            helped = now if self._workers else helped
            if now - helped > PATIENCE_SECONDS:
                raise TsmganError("The Ray cluster has had no free processor for ten minutes; the same command goes on when it has.")
            if now - looked > PART_SECONDS:
                looked = now
                if task is not None:
                    self._start(task.options.model)
                self._ask()
            self._hand_out(source)
            at_work = {worker.tasks[0][0]: worker for worker in self._workers if worker.tasks}
            expected = [*at_work, *self._starting, *self._asked]
            if not expected:
                time.sleep(PART_SECONDS / 10)
                continue
            self._ray.wait(expected, timeout=PART_SECONDS)
            for reference in self._ray.wait(expected, num_returns=len(expected), timeout=0)[0]:
                if reference in at_work:
                    yield from self._collect(at_work[reference])
                elif reference in self._starting:
                    self._greet(reference, task)
                else:
                    yield from self._hear(reference)

    def _start(self, model: str) -> None:
        """Ask Ray for workers until there are as many as there should be."""
        wanted = self._jobs or int(self._ray.cluster_resources().get("CPU", 1))
        while len(self._workers) + len(self._starting) < min(max(1, wanted), self._most):
            worker = _Worker(self._actor_class.remote(current_folder()))
            self._starting[worker.actor.version.remote(model)] = worker

    def _greet(self, reference: Any, task: Task | None) -> None:
        """Take on a worker that has started, if it has the same program and model."""
        worker = self._starting.pop(reference)
        try:
            version = self._ray.get(reference)
        except self._ray.exceptions.RayError:
            return  # lost before it began; another one is asked for
        if task is not None and task.version not in ("", version):
            raise TsmganError(
                f"A machine of the cluster has another version of tsmgan or of the model ({version.rstrip('.')}); install the same one "
                "everywhere, and give --model a folder that all machines see."
            )
        self._workers.append(worker)

    def _take(self, source: Iterator[Task]) -> Task | None:
        """The next task, which stays in line; None at the end."""
        if not self._waiting:
            for task in source:
                self._waiting.append(task)
                break
        return self._waiting[0] if self._waiting else None

    def _hand_out(self, source: Iterator[Task]) -> None:
        """First one task to each worker, then small ones ahead, evenly."""
        for depth in range(1 + AHEAD_TASKS):
            for worker in self._workers:
                task = self._take(source)
                if task is None:
                    return
                ahead = sum(self._weigh(each) for _, each in list(worker.tasks)[1:]) + self._weigh(task)
                if len(worker.tasks) == depth and (depth == 0 or ahead <= AHEAD_WEIGHT):
                    self._waiting.popleft()
                    reference = worker.actor.stretch.remote(task)
                    worker.tasks.append((reference, task))

    def _collect(self, worker: _Worker) -> Iterator[Done | Died]:
        """What a worker has answered since; or what becomes of its tasks when it is lost."""
        while worker.tasks and self._ray.wait([worker.tasks[0][0]], timeout=0)[0]:
            reference, task = worker.tasks[0]
            try:
                entry = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                yield from self._bury(worker, type(error).__name__)
                return
            worker.tasks.popleft()
            worker.answered += 1
            if entry is not None:
                yield Done(task, entry)

    def _bury(self, worker: _Worker, reason: str) -> Iterator[Died]:
        """Forget a lost worker, and give what it had to others, unless the task at work has cost several."""
        self._workers.remove(worker)
        lost = [task for _, task in worker.tasks]
        self._folders |= {parent(task.target) for task in lost if not is_url(task.target)}
        worker.tasks.clear()
        self._losses[lost[0].target] += 1
        if self._losses[lost[0].target] >= MOST_LOSSES:
            yield Died(lost.pop(0), f"{MOST_LOSSES} times, {reason}")
        # Answers may be lost that were on their way, so each of these outputs may be there already.
        self._waiting.extendleft(self._again(task) for task in reversed(lost))

    def _ask(self) -> None:
        """Ask workers how far they are, but for those that still owe an answer."""
        busy = [worker for worker in self._workers if worker.tasks and worker not in self._asked.values()]
        self._asked |= {worker.actor.part.remote(): worker for worker in busy}

    def _hear(self, reference: Any) -> Iterator[Part]:
        worker = self._asked.pop(reference)
        with contextlib.suppress(self._ray.exceptions.RayError):
            begun, part = self._ray.get(reference)
            if worker.tasks and begun == worker.answered + 1:
                yield Part(worker.tasks[0][1], part)

    def stop(self) -> list[Done]:
        """End every worker, at work or not, and return the results that had come in unseen."""
        late: list[Done] = []
        # Whatever the cluster is like by now, the batch ends.
        with contextlib.suppress(Exception):
            busy = [worker for worker in self._workers if worker.tasks]
            for worker in busy:
                worker.actor.stop.remote()
            if busy:
                self._ray.wait([worker.tasks[-1][0] for worker in busy], num_returns=len(busy), timeout=GRACE_SECONDS)
            for worker in busy:
                late += [event for event in self._collect(worker) if isinstance(event, Done)]
            for worker in [*self._workers, *self._starting.values()]:
                self._ray.kill(worker.actor)
        self._workers, self._starting, self._asked = [], {}, {}
        for folder in self._folders:
            remove_leftovers(folder)
        if self._has_joined:
            with contextlib.suppress(Exception):
                self._ray.shutdown()
        return late
