"""A recording whose captions are fitted to other times: each line gets the pauses and the rate that bring it into its slot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from tsmgan.core.timemap import FASTEST, TimeMap
from tsmgan.errors import UsageError
from tsmgan.maps.captions import captions_of, read_captions, require_forward
from tsmgan.maps.lines import EXACT, PAUSE_EDGE, SPARE, Limits, Line, Slot, Spoken, knots_of, plan_lines, without_edges
from tsmgan.maps.report import Report, require_report_name
from tsmgan.maps.source import Plan
from tsmgan.recording import Passage
from tsmgan.storage.names import plain, stem
from tsmgan.storage.places import is_folder

if TYPE_CHECKING:
    from tsmgan.options import StretchOptions


@dataclass(frozen=True)
class Fitted:
    """A recording that is fitted to slots."""

    time_map: TimeMap
    """In seconds."""
    lines: tuple[Line, ...]
    """In the order of time."""
    notes: tuple[str, ...] = ()
    """Oddities of the captions, each a sentence."""

    @property
    def problems(self) -> tuple[Line, ...]:
        """The lines that do not fit."""
        return tuple(line for line in self.lines if not line.fits)


def fit(
    captions: Sequence[tuple[float, float]],
    slots: Sequence[tuple[float, float]],
    *,
    pauses: Sequence[tuple[float, float]] = (),
    seconds: float | None = None,
    slowest: float = 0.8,
    fastest: float = 1.6,
    free_time: float = float("inf"),
) -> Fitted:
    """Find the time map with which the lines of a recording are heard at other times.

    >>> import tsmgan
    >>> fitted = tsmgan.fit([(0.0, 2.0), (3.0, 5.0)], [(0.0, 2.5), (3.0, 4.5)])
    >>> [round(line.rate, 2) for line in fitted.lines]
    [0.92, 1.0]

    Pauses within a line give way first. A line that is still too long for its slot runs on into the free time before the next one, and only
    then are its words sped up; the rates of neighbours are drawn together. Between lines the map goes as the slots say.

    Args:
        captions: begin and end of each line in the recording, in seconds, in the order of time.
        slots: begin and end of the time that each shall have in the output, in seconds.
        pauses: begin and end of pauses of the recording, in seconds.
        seconds: length of the recording; None where it ends with the last caption.
        slowest, fastest: rates of words, 0.05 to 20.
        free_time: seconds that a line may run on after its slot, before the next one begins.

    Returns:
        The map, and what became of each line. One that does not fit is not cut: it ends late, and its `problem` says so.

    Raises:
        UsageError: not as many captions as slots, one of them ends before it begins or goes back, or a value is out of its range.
    """
    own = [Slot(begin, end, number=k) for k, (begin, end) in enumerate(captions, 1)]
    wanted = [Slot(begin, end, number=k) for k, (begin, end) in enumerate(slots, 1)]
    for name, cues in (("the captions", own), ("the slots", wanted)):
        for cue in cues:
            if not 0 <= cue.begin <= cue.end < float("inf"):
                raise UsageError(
                    f"Cue {cue.number} of {name} lies from {cue.begin:g} to {cue.end:g} s; its end must not be before its begin."
                )
    length = max((cue.end for cue in own), default=0.0) if seconds is None else seconds
    return _fit(own, wanted, pauses, length, Limits(slowest, fastest, free_time), ("the captions", "the slots"))


def _fit(
    own: Sequence[Slot],
    wanted: Sequence[Slot],
    pauses: Sequence[tuple[float, float]],
    seconds: float,
    limits: Limits,
    names: tuple[str, str],
    section: tuple[float, float] = (0.0, float("inf")),
) -> Fitted:
    if len(own) != len(wanted):
        raise UsageError(
            f"There are {len(own)} cues in {names[0]} and {len(wanted)} in {names[1]}; each needs its counterpart in the other."
        )
    for cues, name in zip((own, wanted), names):
        require_forward(cues, name)
    own, wanted = _within(own, wanted, *section, names[0])
    inside = [k for k, cue in enumerate(own) if cue.begin < seconds - EXACT and cue.end > cue.begin]
    if not inside:
        raise UsageError(
            f"None of the cues of {names[0]} lies within the recording, which is {seconds:.3f} s long; check that they are its own."
        )
    spoken, notes = _spoken([own[k] for k in inside], pauses, seconds, names[0])
    kept = _possible([wanted[k] for k in inside], spoken[0].begin)
    gaps = [max(0.0, b.begin - a.end) for a, b in pairwise(spoken)]
    lines = plan_lines(spoken, kept, limits, gaps=gaps)
    fitted = iter(zip(inside, lines))
    by_place = {k: _told(line, wanted[k]) for k, line in fitted}
    all_lines = tuple(by_place.get(k) or _absent(own[k], wanted[k], seconds, section[0], names[0]) for k in range(len(own)))
    return Fitted(_map(spoken, lines, seconds), all_lines, tuple([*notes, *_overlaps(wanted, names[1])]))


def _within(own: Sequence[Slot], wanted: Sequence[Slot], start: float, end: float, name: str) -> tuple[Sequence[Slot], Sequence[Slot]]:
    """The cues that lie in a section, counted from its beginning, and their slots, counted from the output's.

    What lies before the first line is heard as it is in the recording, so that the output of a later section begins with sound. Of a line
    that reaches over an end of the section, the part within gets the same part of its slot.
    """
    if start == 0 and end == float("inf"):
        return own, wanted
    pairs = [(cue, slot) for cue, slot in zip(own, wanted) if cue.begin < end and (cue.end > start or cue.begin >= start)]
    if not pairs:
        raise UsageError(f"None of the cues of {name} lies between --start {start:g} and --end {end:g}; take another section.")
    cues, slots = [], []
    for cue, slot in pairs:
        first, last = max(cue.begin, start), min(cue.end, end)
        share = (slot.end - slot.begin) / (cue.end - cue.begin) if cue.end > cue.begin else 0.0
        slots.append(replace(slot, begin=slot.begin + (first - cue.begin) * share, end=slot.end - (cue.end - last) * share))
        cues.append(replace(cue, begin=first - start, end=last - start))
    silence = max(0.0, slots[0].begin - cues[0].begin) if start > 0 else 0.0
    return cues, [replace(slot, begin=slot.begin - silence, end=slot.end - silence) for slot in slots]


def _spoken(own: Sequence[Slot], pauses: Sequence[tuple[float, float]], seconds: float, name: str) -> tuple[list[Spoken], list[str]]:
    """The sound of each line: silence at its begin and end belongs to what lies between lines."""
    lines: list[Spoken] = []
    notes, giving = _overlaps(own, name), without_edges(pauses)
    for k, cue in enumerate(own):
        end = min(cue.end, seconds, own[k + 1].begin if k + 1 < len(own) else seconds)
        # Of two that begin together the first would have no time at all.
        begin, end = cue.begin, max(end, min(cue.begin + 0.001, seconds))
        if lines and begin < lines[-1].end:
            begin = lines[-1].end
            end = max(end, begin + 0.001)
        within = [(max(a, begin), min(b, end)) for a, b in giving if a < end - EXACT and b > begin + EXACT]
        if within and sum(b - a for a, b in within) > end - begin - 2 * PAUSE_EDGE - EXACT:
            notes.append(f"Cue {cue.number} of {name} holds no speech.")
        elif within:
            if within[0][0] <= begin + EXACT:
                begin = max(begin, within.pop(0)[1])
            if within and within[-1][1] >= end - EXACT:
                end = min(end, within.pop()[0])
        lines.append(Spoken(begin, end, tuple(within)))
    return lines, notes


def _overlaps(cues: Sequence[Slot], name: str) -> list[str]:
    found = [f"{b.number}" for a, b in pairwise(cues) if b.begin < a.end - EXACT]
    if not found:
        return []
    which = f"cue {found[0]}" if len(found) == 1 else f"the cues {', '.join(found[:5])}{' ...' if len(found) > 5 else ''}"
    return [f"In {name} {which} {'begins' if len(found) == 1 else 'begin'} before the one before is over, which ends there, then."]


def _possible(wanted: list[Slot], head: float) -> list[Slot]:
    """The slots, the first of them no earlier than what comes before the first line can be over."""
    earliest = head / (FASTEST * (1 - SPARE))
    first = wanted[0]
    return [replace(first, begin=max(first.begin, earliest), end=max(first.end, earliest)), *wanted[1:]]


def _told(line: Line, slot: Slot) -> Line:
    """A line with its own slot, which the first one may not have been given."""
    late = line.begin - slot.begin
    problem = line.problem
    if not problem and late > EXACT:
        problem = f"It begins {late:.2f} s late, because what comes before it can only be made {FASTEST:g} times as short."
    return replace(line, slot_begin=slot.begin, slot_end=slot.end, problem=problem)


def _absent(cue: Slot, slot: Slot, seconds: float, start: float, name: str) -> Line:
    reason = f"begins when the recording is over, at {start + seconds:.3f} s" if cue.begin >= seconds - EXACT else "has no length"
    problem = f"Its cue in {name} {reason}."
    return Line(slot.number, slot.text, "", slot.begin, slot.end, cue.begin, cue.end, slot.begin, slot.begin, 1.0, 1.0, 0.0, problem)


def _map(spoken: Sequence[Spoken], lines: Sequence[Line], seconds: float) -> TimeMap:
    """One map of all lines and of what lies before, between and after them."""
    x: list[float] = []
    y: list[float] = []
    head, begin = spoken[0].begin, lines[0].begin
    if head > EXACT:
        # What is before the first line is heard right before it; earlier output is silence.
        x, y = [0.0], [max(0.0, begin - head)]
    for each, line in zip(spoken, lines):
        inputs, outputs = knots_of(each, line)
        if x and inputs[0] - x[-1] <= EXACT:
            # Lines that touch share a point.
            x.pop(), y.pop()
        x, y = [*x, *inputs], [*y, *outputs]
    rest = seconds - x[-1]
    if rest > EXACT:
        x.append(seconds)
        y.append(y[-1] + rest)
    return TimeMap(x, y)


class Slots:
    """The source of a map that fits a recording's captions to the times of others.

    Raises:
        AudioError, UsageError: a file of captions cannot be used.
    """

    def __init__(self, options: StretchOptions) -> None:
        assert options.slots is not None
        self._slots = plain(os.fspath(options.slots))
        self._captions = None if options.captions is None else plain(os.fspath(options.captions))
        self._section = options.start, float("inf") if options.end is None else options.end
        self._limits = Limits(options.slowest, options.fastest, float("inf") if options.free_time is None else options.free_time)
        self._report = options.report
        if self._report is not None:
            require_report_name(self._report)
        # A file that cannot be used is told of before anything is opened.
        files = [place for place in (self._slots, self._captions) if place is not None and not is_folder(place)]
        self._read = {place: read_captions(place) for place in files}

    @property
    def label(self) -> str:
        """See `Source`."""
        return stem(self._slots.rstrip("/"))

    def plan(self, passage: Passage) -> Plan:
        """See `Source`."""
        wanted, own = self.files(passage.info.path)
        seconds = passage.count_frames("--slots") / passage.info.samplerate
        cues, slots = (self._read.get(place) or read_captions(place) for place in (own, wanted))
        fitted = _fit(cues, slots, _pauses(passage), seconds, self._limits, (own, wanted), self._section)
        plan = Plan(fitted.time_map, fitted.notes)
        plan.lines = fitted.lines
        if self._report is not None:
            plan.followers = [Report(self._report, fitted.lines)]
        return plan

    def files(self, recording: str | None) -> tuple[str, str]:
        """The captions with the wanted times of a recording, and its own. None stands for a pipe.

        Raises:
            UsageError: one of them is not there, or there are several.
        """
        if recording is None and len(self._read) < 2:
            raise UsageError("A pipe has no name that captions could have; name both, with --slots wanted.srt --captions own.srt.")
        wanted = self._slots if self._slots in self._read else captions_of(recording or "", self._slots)
        if self._captions in self._read:
            return wanted, self._captions
        try:
            return wanted, captions_of(recording or "", self._captions, without=wanted)
        except UsageError as error:
            raise UsageError(
                f"--slots needs the captions that a recording has now. {error} Name them, for example --captions own.srt."
            ) from None


def _pauses(passage: Passage) -> list[tuple[float, float]]:
    """Pauses of the whole passage, in seconds."""
    from tsmgan.maps.pause_finder import joined
    from tsmgan.maps.pauses import find_pauses

    info = passage.info
    with passage.again("--slots") as heard:
        found, _ = find_pauses(heard.blocks(), info.samplerate, info.channels)
    return [(pause.start / info.samplerate, pause.end / info.samplerate) for pause in joined(found)]
