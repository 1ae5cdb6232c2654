"""A whole batch: what is done already is left alone, the rest is worked through, and every outcome is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from tsmgan import stopping
from tsmgan.batch.executor import Died, Done, Executor, Part
from tsmgan.batch.manifest import Entry, History, Manifest, UrlManifest, is_done, is_own, open_manifest
from tsmgan.batch.plan import Task
from tsmgan.batch.pool import Pool
from tsmgan.batch.work import new_entry, stretch_task
from tsmgan.limits import processor_count
from tsmgan.storage.atomic import remove_leftovers, taken
from tsmgan.storage.names import is_url, parent
from tsmgan.storage.places import exists, make_folder

DEATHS = {
    "SIGKILL": "its process was killed, most likely for lack of memory; run fewer --jobs",
    "SIGSEGV": "its process crashed while reading it; the file is damaged in a rare way",
}


@dataclass
class Outcome:
    """What has become of a batch so far."""

    total: int
    """Outputs in all."""
    made: int = 0
    kept: int = 0
    """Outputs of an earlier run that are as they should be."""
    names: list[str] = field(default_factory=list)
    """Outputs that were made."""
    clipped: int = 0
    """Outputs with samples beyond full scale."""
    noted: dict[str, int] = field(default_factory=dict)
    """What is to be known of outputs, each a sentence, and of how many."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Inputs that failed, each with the reason."""
    weight: float = 0.0
    """Bytes of input that are done with."""
    sound: float = 0.0
    """Seconds of input that were stretched."""

    @property
    def left(self) -> int:
        """Outputs that were not come to."""
        return self.total - self.made - self.kept - len(self.failed)


def weight(task: Task) -> int:
    """How much work a task is. An input that is gone is some, too."""
    return max(1, task.size)


def run_batch(
    tasks: Sequence[Task],
    jobs: int | None = None,
    *,
    root: str | None,
    cluster: str | None = None,
    force: bool = False,
    watch: Callable[[Outcome], None] = lambda outcome: None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Do every task that is not done already.

    Args:
        tasks: see `tsmgan.batch.plan.make_tasks`.
        jobs: processes here or workers of the cluster; None for one a processor.
        root: the output folder, made if need be, which gets a manifest; None for outputs beside their inputs, without one.
        cluster: see `tsmgan.batch.cluster.connect`; None does the work here.
        force: do everything, whatever is there.
        watch: is shown the outcome whenever it changes.
        outcome: where to count; of use when the batch is stopped by an exception.

    Raises:
        AudioError: the output folder or the manifest cannot be written, or another batch is writing there.
        TsmganError: the cluster cannot be used.
    """
    outcome = outcome if outcome is not None else Outcome(len(tasks))
    with stopping.noting():
        return _run_in(root, tasks, jobs, cluster, force, watch, outcome)


def _run_in(
    root: str | None,
    tasks: Sequence[Task],
    jobs: int | None,
    cluster: str | None,
    force: bool,
    watch: Callable[[Outcome], None],
    outcome: Outcome,
) -> Outcome:
    """Do the tasks in an output folder, or without one."""
    start = partial(_executor, jobs, cluster, len(tasks))
    if root is None:
        return _run(tasks, start, History(), None, force, watch, outcome)
    if is_url(root):
        from tsmgan.storage import remote

        # Asked for at once, what is there need not be asked for one by one.
        remote.find(root)
        remote.remove_old_leftovers(root)
    else:
        make_folder(root)
    manifest, history = open_manifest(root)
    with manifest:
        return _run(tasks, start, history, manifest, force, watch, outcome)


def _executor(jobs: int | None, cluster: str | None, most: int) -> Executor:
    if cluster is not None:
        from tsmgan.batch.cluster import RayWorkers

        return RayWorkers(cluster, jobs, most=most, weigh=weight, again=lambda task: replace(task, adopt=True))
    return Pool(stretch_task, min(jobs or processor_count(), most), weigh=weight, quiet=True)


class _Ledger:
    """What is to be done, and what became of it: in the outcome and, where there is one, in the manifest."""

    def __init__(
        self, history: History, manifest: Manifest | UrlManifest | None, force: bool, watch: Callable[[Outcome], None], outcome: Outcome
    ) -> None:
        self._history, self._manifest, self._force, self._watch, self._outcome = history, manifest, force, watch, outcome
        self._parts: dict[str, float] = {}

    def pending(self, tasks: Sequence[Task]) -> Iterator[Task]:
        """The tasks that are left to do, each recorded as begun. The others are settled."""
        for task in tasks:
            stopping.check()
            if not self._force and is_done(task, self._history.entries.get(task.output)):
                self._outcome.kept += 1
                self._outcome.weight += weight(task)
                self._watch(self._outcome)
                continue
            last = self._history.entries.get(task.output)
            was_cut_off = last is not None and last.started
            is_there = not self._force and exists(task.target)
            own = self._force or (is_there and is_own(task, self._history.made.get(task.output)))
            if is_there and not own and not was_cut_off:
                self.fail(task, str(taken(task.target)))
                continue
            started = new_entry(task)
            started.started = True
            self._record(started)
            yield replace(task, replace=own, adopt=was_cut_off)

    def advance(self, task: Task, part: float) -> None:
        """A task has come so far, 0 to 1."""
        self._outcome.weight += (part - self._parts.get(task.target, 0.0)) * weight(task)
        self._parts[task.target] = part
        self._watch(self._outcome)

    def settle(self, task: Task, entry: Entry) -> None:
        """A task is over."""
        self._record(entry)
        outcome = self._outcome
        outcome.weight += (1 - self._parts.pop(task.target, 0.0)) * weight(task)
        if entry.error is not None:
            outcome.failed.append((task.input, entry.error))
        else:
            outcome.made += 1
            outcome.names.append(task.target)
            outcome.clipped += entry.clipped > 0
            for note in entry.notes:
                outcome.noted[note] = outcome.noted.get(note, 0) + 1
            outcome.sound += (entry.input_frames or 0) / (entry.samplerate or 1)
        self._watch(outcome)

    def fail(self, task: Task, reason: str) -> None:
        """A task is over, without an output."""
        entry = new_entry(task)
        entry.error = reason
        self.settle(task, entry)

    def _record(self, entry: Entry) -> None:
        if self._manifest is not None:
            self._manifest.append(entry)


def _run(
    tasks: Sequence[Task],
    start: Callable[[], Executor],
    history: History,
    manifest: Manifest | UrlManifest | None,
    force: bool,
    watch: Callable[[Outcome], None],
    outcome: Outcome,
) -> Outcome:
    """Do the tasks that are left, by an executor that starts with the first of them."""
    for folder in {parent(task.target) for task in tasks if not is_url(task.target)}:
        remove_leftovers(folder)
    ledger = _Ledger(history, manifest, force, watch, outcome)
    waiting = ledger.pending(tasks)
    if isinstance(manifest, UrlManifest):
        # That all of it is begun is put there once, before anything else is.
        waiting = iter(list(waiting))
        manifest.flush()
    first = next(waiting, None)
    if first is None:
        return outcome
    executor = start()
    try:
        for event in executor.run(chain([first], waiting)):
            if isinstance(event, Part):
                ledger.advance(event.task, event.part)
            elif isinstance(event, Done):
                ledger.settle(event.task, event.result)
            elif isinstance(event, Died):
                if not is_url(event.task.target):
                    remove_leftovers(parent(event.task.target))
                reason = DEATHS.get(event.reason, f"its process died ({event.reason})")
                ledger.fail(event.task, f"{event.task.input}: {reason}.")
    finally:
        for late in executor.stop():
            ledger.settle(late.task, late.result)
    return outcome
