"""The one function that makes an output, whichever process or machine it runs on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from tsmgan.batch.manifest import Entry
from tsmgan.batch.plan import Task, require_inside, taken
from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.storage.leftovers import temporary_path
from tsmgan.storage.places import absolute, checksum, exists, is_url, stamp


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
    return Entry(absolute(task.input), task.output, task.rate, task.settings.digest)


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
    from tsmgan.api import Stretcher
    from tsmgan.audio import open_reader, open_writer
    from tsmgan.audio.writer import UrlWriter
    from tsmgan.core.timemap import TimeMap
    from tsmgan.recording import Passage, stretch_passage

    settings = task.settings
    with open_reader(task.input, salvage=settings.salvage) as reader:
        # Before the samples are read: an input that changes meanwhile counts as changed at the next run.
        entry.input_bytes, entry.input_version = reader.stamp or stamp(task.input)
        info = reader.info
        entry.samplerate, entry.channels = info.samplerate, info.channels
        passage = Passage(reader, settings.start, settings.end)
        time_map = TimeMap.from_rate(task.rate)
        frames = None if passage.frames is None else time_map.output_length(passage.frames)
        if frames == 0:
            raise UsageError(f"The output would have no samples: {info.name} is too short for this rate.")
        require_inside(task)
        if not is_url(target):
            try:
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            except OSError as error:
                raise AudioError(f"The folder {os.path.dirname(target)} cannot be made: {error.strerror or error}.") from None

        def watch(frames_read: int) -> None:
            if report is not None and passage.frames:
                report(min(1.0, frames_read / passage.frames))

        writing = open_writer(
            target,
            passage.info,
            frames=frames,
            subtype=settings.subtype,
            bitrate=settings.bitrate,
            force=task.replace,
            time_map=time_map,
        )
        with writing as writer:
            stretcher = Stretcher(
                info.samplerate,
                info.channels,
                time_map=time_map,
                model=settings.model,
                coherence=settings.coherence,
                seed=settings.seed,
                device=settings.device,
                threads=settings.threads,
            )
            stretch_passage(passage, stretcher, writer, settings.gain, watch=watch)
            writer.commit()
    entry.input_frames, entry.output_frames = passage.frames_read, writer.frames_written
    entry.notes = [*passage.notes, *writer.notes]
    entry.clipped = writer.clipping.samples if writer.clipping is not None else 0
    if isinstance(writer, UrlWriter):
        entry.sha256, (entry.output_bytes, entry.output_version) = writer.sha256, writer.stamp or (None, None)
    else:
        entry.sha256, (entry.output_bytes, entry.output_version) = checksum(target), stamp(target)
