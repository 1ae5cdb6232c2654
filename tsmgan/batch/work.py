"""The one function that makes an output, whichever process or machine it runs on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from tsmgan.batch.manifest import Entry
from tsmgan.batch.plan import Task, require_inside
from tsmgan.errors import AudioError, TsmganError
from tsmgan.job import stretch_file
from tsmgan.storage.atomic import taken, temporary_path
from tsmgan.storage.names import absolute, is_url
from tsmgan.storage.places import checksum, exists, stamp


def model_version(model: str) -> str:
    """What stands for the program and the model's weights, on whichever machine.

    Raises:
        ModelError: there is no such model here.
    """
    from tsmgan import __version__
    from tsmgan.models import find_model

    weights = find_model(model).onnx
    return f"{__version__} {checksum(str(weights)) if weights.is_file() else ''}"


def new_entry(task: Task) -> Entry:
    """The entry of a task that has yet to be done."""
    return Entry(absolute(task.input), task.output, task.rate, task.digest)


def stretch_task(task: Task, report: Callable[[float], None] | None = None) -> Entry:
    """Stretch one recording and say what became of it; no error leaves this function.

    Args:
        task: what to do.
        report: is told, now and then, which part of the input is read, 0 to 1.
    """
    entry, started = new_entry(task), time.perf_counter()
    try:
        _stretch(task, entry, report)
    except TsmganError as error:
        entry.error = str(error)
    except MemoryError:
        entry.error = f"There is not enough memory for {task.input}; run fewer --jobs."
    except OSError as error:
        entry.error = f"{task.input} cannot be read or written: {error.strerror or error}."
    except Exception as error:
        entry.error = f"Internal error ({type(error).__name__}: {' '.join(str(error).split())}) with {task.input}; please report it."
    entry.seconds = round(time.perf_counter() - started, 4)
    return entry


def _stretch(task: Task, entry: Entry, report: Callable[[float], None] | None) -> None:
    try:
        _stretch_into(task.target, task, entry, report)
    except AudioError:
        if not task.adopt or not exists(task.target):
            raise
        _adopt(task, entry, report)


def _adopt(task: Task, entry: Entry, report: Callable[[float], None] | None) -> None:
    """Take an existing output for this task's if it holds the same sound; it may be what a batch had made when it was killed.

    It is made once more beside it, so that nothing that somebody else has made is ever overwritten.
    """
    target = task.target
    beside = os.fspath(temporary_path(_beside(target)))
    try:
        _stretch_into(beside, task, entry, report)
        with _local(target) as existing:
            if not _is_same(beside, existing):
                raise taken(target)
            entry.sha256, (entry.output_bytes, entry.output_version) = checksum(existing), stamp(target)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(beside)


def _beside(target: str) -> Path:
    if not is_url(target):
        return Path(target)
    from tsmgan.storage.remote import local_target

    return local_target(target)


@contextlib.contextmanager
def _local(place: str) -> Iterator[str]:
    if is_url(place):
        from tsmgan.storage.remote import fetch

        with fetch(place) as copy:
            yield copy.path
    else:
        yield place


def _is_same(path: str, other: str) -> bool:
    """Whether two files hold the same bytes, or the same samples in the same format: Ogg files differ by a random number."""
    import numpy as np

    from tsmgan.audio import open_reader

    if checksum(path) == checksum(other):
        return True
    try:
        with open_reader(path) as one, open_reader(other) as two:
            facts = [(i.info.format, i.info.subtype, i.info.samplerate, i.info.channels, i.info.tags) for i in (one, two)]
            pairs = zip_longest(one.blocks(), two.blocks())
            return facts[0] == facts[1] and all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)
    except AudioError:
        return False


def _stretch_into(target: str, task: Task, entry: Entry, report: Callable[[float], None] | None) -> None:
    require_inside(task)
    watch = lambda progress: None if report is None else report(progress.part)  # noqa: E731
    done = stretch_file(task.input, target, task.options, force=task.replace, watch=watch, in_batch=True)
    entry.samplerate, entry.channels = done.source.samplerate, done.source.channels
    entry.input_bytes, entry.input_version = done.source_stamp or (None, None)
    entry.input_frames, entry.output_frames = done.frames_read, done.frames_written
    entry.beside = {os.path.basename(place): sha256 for place, sha256 in done.beside.items()}
    late = [f"Cue {line.number} does not fit. {line.problem}" for line in done.lines if not line.fits]
    entry.notes, entry.clipped = [*done.notes, *late], 0 if done.clipping is None else done.clipping.samples
    found = done.stamp or stamp(target)
    entry.sha256, (entry.output_bytes, entry.output_version) = done.sha256 or checksum(target), found
