"""Fit a folder of spoken lines to captions: one recording a cue, each stretched into its slot and laid at its time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from tsmgan.audio import AudioInfo, Clipping, Writer, open_reader, open_writer
from tsmgan.audio.opening import READABLE_SUFFIXES
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import AudioError, UsageError
from tsmgan.maps.captions import MOST_SECONDS, read_captions
from tsmgan.maps.lines import Limits, Line, Slot, Spoken, map_of, plan_lines, without_edges
from tsmgan.maps.report import report_bytes, require_report_name
from tsmgan.storage.names import plain, stem
from tsmgan.storage.together import publish_together, require_all_free

SILENT_FRAMES = 1 << 16
"""Samples of silence that are written at once."""


@dataclass(frozen=True)
class Dub:
    """What came of fitting lines to captions."""

    target: str
    """Path or URL of the output, or "standard output"."""
    lines: tuple[Line, ...]
    """What became of each, in the order of time."""
    seconds: float
    """Length of the output."""
    clipping: Clipping | None
    """Samples beyond full scale; None where there are none, or the format keeps them."""
    notes: tuple[str, ...]
    """What a user may want to know, each a sentence."""


@dataclass(frozen=True)
class _Recording:
    """A line's recording, as planning needs it."""

    path: str
    slot: Slot
    info: AudioInfo
    frames: int
    spoken: Spoken


def fit_lines(
    lines: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    captions: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    slowest: float = 0.8,
    fastest: float = 1.6,
    free_time: float = float("inf"),
    duration: float | None = None,
    report: str | None = None,
    model: str = "default",
    coherence: float | None = None,
    seed: int = 0,
    subtype: str | None = None,
    bitrate: float | None = None,
    force: bool = False,
    watch: Callable[[int, int], object] = lambda done, total: None,
) -> Dub:
    """Lay spoken lines at the times of captions, each stretched into its slot, into one recording.

    Pauses within a line give way first. A line that is still too long runs on into the free time before the next cue, and only then are
    its words sped up; one that is too short is slowed down. The rates of neighbours are drawn together. Each begins and ends to the
    sample. None overlaps another, and none is cut: one that cannot fit ends late, and the next begins when it is over.

    Args:
        lines: a folder of recordings, or a list of them, one for each cue. Where each has a number of a cue at the end of its name
            (`007.wav`, `line-7.flac`), it belongs to that cue; else they belong to the cues in the order of their names.
        captions: .srt, .vtt, .ass, .ssa, or .csv with begins and ends.
        target: path or URL, whose ending chooses the format, or "-".
        slowest, fastest: rates of words, 0.05 to 20.
        free_time: seconds that a line may run on after its slot, before the next one begins.
        duration: seconds that the output has at least, up to a day.
        report: a .csv or .json file that tells what became of each line. It appears together with the output, or neither does.
        model, coherence, seed, subtype, bitrate: see `stretch_file`.
        force: whether existing files are replaced.
        watch: is told how many lines are done, and of how many.

    Raises:
        UsageError: recordings and cues do not belong together, or a value is out of its range.
        AudioError: a file cannot be read, or the output exists or cannot be written. Nothing is left then.
        ModelError: the model cannot be used.
    """
    if duration is not None and not 0 <= duration <= MOST_SECONDS:
        raise UsageError(f"The duration is {duration:g} s; it must be a number from 0 to {MOST_SECONDS:g} s.")
    limits, place = Limits(slowest, fastest, free_time), plain(os.fspath(captions))
    if report is not None:
        require_report_name(report)
        require_all_free([report], force=force)
    slots = read_captions(place)
    notes = _notes_on(slots, place)
    matched, missing = _match(_files(lines), slots, place)
    recordings = [_heard(path, slot) for path, slot in sorted(matched, key=lambda pair: pair[1].begin)]
    info = _common(recordings)
    planned = plan_lines(
        [each.spoken for each in recordings], [each.slot for each in recordings], limits, names=[e.path for e in recordings]
    )
    told = tuple(sorted([*planned, *map(_absent, missing)], key=lambda line: line.slot_begin))
    frames = round(max(planned[-1].end, max(slot.end for slot in slots), duration or 0.0) * info.samplerate)
    settings = {"model": model, "coherence": coherence, "seed": seed}
    name = plain(os.fspath(target))
    if any(_is_same(name, each.path) for each in recordings):
        raise UsageError(f"{name} is one of the lines, and none is overwritten; give another name with -o.")
    with open_writer(name, info, frames=frames, subtype=subtype, bitrate=bitrate, force=force) as writer:
        for done, (recording, line) in enumerate(zip(recordings, planned), 1):
            _write_silence(writer, info.channels, round(line.begin * info.samplerate) - writer.frames_written)
            _write_line(writer, info.channels, recording, line, settings)
            watch(done, len(recordings))
        _write_silence(writer, info.channels, frames - writer.frames_written)
        writer.complete()
        publish_together({} if report is None else {report: report_bytes(told, report)}, writer.publish, replace=force)
        return Dub(writer.name, told, frames / info.samplerate, writer.clipping, (*notes, *writer.notes))


def _files(lines: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """The recordings of a folder, or those that are named, in natural order."""
    if not isinstance(lines, (str, os.PathLike)):
        return [plain(os.fspath(line)) for line in lines]
    folder = plain(os.fspath(lines))
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is no folder; give a folder with a recording for each cue.")
    names = [name for name in os.listdir(folder) if not name.startswith(".") and os.path.splitext(name)[1].lower() in READABLE_SUFFIXES]
    paths = [os.path.join(folder, name) for name in names]
    found = sorted(filter(os.path.isfile, paths), key=lambda path: [(len(p), p) if p.isdigit() else (0, p) for p in _parts(path)])
    if not found:
        raise AudioError(f"{folder} is a folder without recordings; give one with a recording for each cue.")
    return found


def _parts(path: str) -> list[str]:
    return [part.lstrip("0") or "0" if part.isdigit() else part for part in re.split(r"(\d+)", os.path.basename(path), flags=re.ASCII)]


def _match(files: Sequence[str], slots: Sequence[Slot], place: str) -> tuple[list[tuple[str, Slot]], list[Slot]]:
    """Each recording with its cue, and the cues that have none."""
    numbers = [re.search(r"(\d+)$", stem(path), re.ASCII) for path in files]
    written = [int(found[1]) for found in numbers if found is not None]
    by_number = {slot.number: slot for slot in slots}
    if len(written) == len(files) and len(set(written)) == len(files) and all(number in by_number for number in written):
        missing = [slot for slot in slots if slot.number not in written]
        return [(path, by_number[number]) for path, number in zip(files, written)], missing
    if len(files) == len(slots):
        return list(zip(files, slots)), []
    strange = next((path for path, found in zip(files, numbers) if found is None or int(found[1]) not in by_number), files[0])
    raise UsageError(
        f"There are {len(files)} recordings and {len(slots)} cues in {place}, and {os.path.basename(strange)} has no number of a cue at "
        "the end of its name; give one recording a cue, or name each by its cue, for example 007.wav."
    )


def _notes_on(slots: Sequence[Slot], place: str) -> list[str]:
    notes = []
    if any(after.begin < before.begin for before, after in pairwise(slots)):
        notes.append(f"The cues of {place} are not in the order of time; each line is laid at its own.")
    ordered = sorted(slots, key=lambda slot: slot.begin)
    overlapping = [str(b.number) for a, b in pairwise(ordered) if b.begin < a.end - 1e-6]
    if overlapping:
        which = f"cue {overlapping[0]} begins" if len(overlapping) == 1 else f"the cues {', '.join(overlapping[:5])} begin"
        notes.append(f"In {place} {which} before the one before is over; that one has to end there.")
    return notes


def _heard(path: str, slot: Slot) -> _Recording:
    """Read a line once, and find its length and its pauses."""
    from tsmgan.maps.pause_finder import joined
    from tsmgan.maps.pauses import find_pauses

    with open_reader(path) as reader:
        info = reader.info
        found, frames = find_pauses(reader.blocks(), info.samplerate, info.channels)
        if frames == 0:
            raise AudioError(f"{path} holds no samples; leave it out, or record it again.")
        pauses = [(pause.start / info.samplerate, min(pause.end, frames) / info.samplerate) for pause in joined(found)]
    return _Recording(path, slot, info, frames, Spoken(0.0, frames / info.samplerate, tuple(without_edges(pauses))))


def _common(recordings: Sequence[_Recording]) -> AudioInfo:
    """What the output is like: as the first line, with as many channels as the line that has most, and without a line's tags."""
    first = recordings[0].info
    channels = max(each.info.channels for each in recordings)
    for each in recordings:
        if each.info.samplerate != first.samplerate:
            raise UsageError(
                f"{recordings[0].path} has {first.samplerate} Hz and {each.path} {each.info.samplerate} Hz; "
                "convert all lines to one sample rate."
            )
        if each.info.channels not in (1, channels):
            raise UsageError(
                f"{each.path} has {each.info.channels} channels where another line has {channels}; convert all lines to as many."
            )
    return replace(first, channels=channels, frames=None, seconds=None, tags={}, chapters=(), pictures=(), broadcast=b"", unread_tags=())


def _absent(slot: Slot) -> Line:
    problem = "There is no recording of it."
    return Line(slot.number, slot.text, "", slot.begin, slot.end, 0.0, 0.0, slot.begin, slot.begin, 1.0, 1.0, 0.0, problem)


def _write_silence(writer: Writer, channels: int, frames: int) -> None:
    while frames > 0:
        writer.write(np.zeros((channels, min(frames, SILENT_FRAMES)), np.float32))
        frames -= SILENT_FRAMES


def _write_line(writer: Writer, channels: int, recording: _Recording, line: Line, settings: dict[str, Any]) -> None:
    """Stretch a line to exactly the samples between its begin and its end."""
    from tsmgan.api import Stretcher

    info = recording.info
    length = round(line.end * info.samplerate) - writer.frames_written
    x, y = (knots * info.samplerate for knots in map_of(recording.spoken, line).knots)
    x[-1], y = recording.frames, y * (length / y[-1])
    stretcher = Stretcher(info.samplerate, info.channels, time_map=TimeMap.from_samples(x, y), **settings)
    for block in _stretched(recording.path, stretcher):
        writer.write(np.repeat(block, channels, axis=0) if info.channels < channels else block)


def _stretched(path: str, stretcher: Any) -> Iterator[np.ndarray]:
    with open_reader(path) as reader:
        for block in reader.blocks():
            yield stretcher.process(block)
        yield stretcher.flush()


def _is_same(target: str, path: str) -> bool:
    try:
        return os.path.samefile(target, path)
    except OSError:
        return False
