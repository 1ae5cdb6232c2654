"""The one function that makes an output, whichever process or machine it runs on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tsmgan.batch.manifest import Entry
from tsmgan.batch.plan import Task, require_inside
from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.places import absolute, checksum, is_url, stamp


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
    from tsmgan.audio import open_reader, open_writer
    from tsmgan.audio.writer import UrlWriter
    from tsmgan.stretcher import Stretcher
    from tsmgan.timemap import TimeMap

    settings, target = task.settings, task.target
    with open_reader(task.input, salvage=settings.salvage) as reader:
        # Before the samples are read: an input that changes meanwhile counts as changed at the next run.
        entry.input_bytes, entry.input_version = reader.stamp or stamp(task.input)
        info = reader.info
        entry.samplerate, entry.channels = info.samplerate, info.channels
        time_map = TimeMap.from_rate(task.rate)
        frames = None if info.frames is None else time_map.output_length(info.frames)
        if frames == 0:
            raise UsageError(f"The output would have no samples: {info.name} is too short for this rate.")
        require_inside(task)
        if not is_url(target):
            try:
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            except OSError as error:
                raise AudioError(f"The folder {os.path.dirname(target)} cannot be made: {error.strerror or error}.") from None
        writing = open_writer(target, info, frames=frames, subtype=settings.subtype, bitrate=settings.bitrate, force=task.replace)
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
            factor = 10 ** (settings.gain / 20)
            for block in reader.blocks():
                _write(writer, stretcher.process(block), factor)
                if report is not None and info.seconds:
                    report(min(1.0, reader.frames_read / info.samplerate / info.seconds))
            _write(writer, stretcher.flush(), factor)
            writer.commit()
    entry.input_frames, entry.output_frames = reader.frames_read, writer.frames_written
    entry.clipped = writer.clipping.samples if writer.clipping is not None else 0
    if isinstance(writer, UrlWriter):
        entry.sha256, (entry.output_bytes, entry.output_version) = writer.sha256, writer.stamp or (None, None)
    else:
        entry.sha256, (entry.output_bytes, entry.output_version) = checksum(target), stamp(target)


def _write(writer, block, factor: float) -> None:
    writer.write(block if factor == 1 else block * block.dtype.type(factor))
