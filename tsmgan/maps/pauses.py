"""Pauses give way: `--pauses KEEP` shortens them to a share of their length, `--pauses first` before words become faster.

A pause keeps its first and last 30 ms at the words' rate, so that no plosive loses its closure, and 60 ms in all. Only its middle is played
faster or slower.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tsmgan.core.timemap import FASTEST, SLOWEST, GrowingTimeMap, TimeMap
from tsmgan.errors import UsageError
from tsmgan.maps.pause_finder import Pause, PauseFinder, joined
from tsmgan.maps.source import PauseTime, Plan
from tsmgan.maps.speeds import Duration, Rate
from tsmgan.recording import Passage

EDGE_SECONDS = 0.03
"""Of a pause's beginning and end that are played like words."""
LEAST_SECONDS = 0.06
"""Of the output that a pause keeps, unless the words' rate alone makes it shorter."""
LONGEST_GROWTH = 3.0
"""At slow rates a pause grows up to so many times its length before words become slower."""
Law = Callable[[np.ndarray, float], np.ndarray]
"""From lengths of pauses and the rate of words to lengths of pauses in the output; samples, both (pauses,)."""


def _kept(lengths: np.ndarray, rate: float, *, keep: float, samplerate: int) -> np.ndarray:
    """What `--pauses KEEP` leaves of pauses."""
    edges = np.minimum(2 * round(EDGE_SECONDS * samplerate), lengths)
    wanted = np.maximum(keep * lengths, LEAST_SECONDS * samplerate) / rate
    return np.minimum(lengths / rate, np.maximum(wanted, _shortest(lengths, edges, rate)))


def _given_way(lengths: np.ndarray, rate: float, *, share: float, samplerate: int) -> np.ndarray:
    """What `--pauses first` leaves of pauses that have given this share, 0 to 1, of what they can give."""
    edges = np.minimum(2 * round(EDGE_SECONDS * samplerate), lengths)
    least = np.minimum(lengths / rate, np.maximum(LEAST_SECONDS * samplerate, _shortest(lengths, edges, rate)))
    return lengths / rate + share * (least - lengths / rate)


def _grown(lengths: np.ndarray, rate: float, *, share: float, samplerate: int) -> np.ndarray:
    """What `--pauses first` makes of pauses that have grown by this share, 0 to 1, of what they can; never less than words do."""
    edges = np.minimum(2 * round(EDGE_SECONDS * samplerate), lengths)
    most = np.maximum(lengths / rate, np.minimum(LONGEST_GROWTH * lengths, edges / rate + (lengths - edges) / SLOWEST))
    return lengths / rate + share * (most - lengths / rate)


def _shortest(lengths: np.ndarray, edges: np.ndarray, rate: float) -> np.ndarray:
    """The shortest that a time map can make of pauses whose edges are played like words."""
    return edges / rate + (lengths - edges) / FASTEST


def _knots(pause: Pause, before: tuple[float, float], law: Law, rate: float, samplerate: int) -> tuple[list[float], list[float]]:
    """The three knots that a pause adds to a map: where its middle begins, where that ends, and its own end.

    Args:
        pause: longer than its edges.
        before: input and output position of the knot before it.
        law: of its length.
        rate: of words.
        samplerate: in Hz.
    """
    edge = round(EDGE_SECONDS * samplerate)
    if pause.end - pause.start <= 2 * edge:
        return [], []
    out = float(law(np.array([pause.end - pause.start], np.float64), rate)[0])
    middle_begins = before[1] + (pause.start + edge - before[0]) / rate
    middle_ends = middle_begins + out - 2 * edge / rate
    return [pause.start + edge, pause.end - edge, pause.end], [middle_begins, middle_ends, middle_ends + edge / rate]


def _map(pauses: Sequence[Pause], law: Law, rate: float, samplerate: int) -> GrowingTimeMap:
    """The map, in samples, that plays words at a rate and pauses by a law."""
    x, y = [0.0, rate], [0.0, 1.0]
    for pause in pauses:
        xs, ys = _knots(pause, (x[-1], y[-1]), law, rate, samplerate)
        x, y = x + xs, y + ys
    return GrowingTimeMap(x, y)


def shorten(pauses: Sequence[Pause], keep: float, rate: float, samplerate: int) -> TimeMap:
    """A map that plays everything at a rate, and of pauses keeps a share.

    Args:
        pauses: as `PauseFinder` gives them.
        keep: 0 to 1.
        rate: of words, and of what is kept of pauses.
        samplerate: in Hz.

    Returns:
        A map in samples.
    """
    return _map(pauses, partial(_kept, keep=keep, samplerate=samplerate), rate, samplerate)


def shorten_to(pauses: Sequence[Pause], keep: float, frames: int, output_frames: int, samplerate: int) -> TimeMap:
    """The same, at the rate of words that makes the output as long as this.

    Raises:
        UsageError: no rate of words from 0.05 to 20 does.
    """
    law = partial(_kept, keep=keep, samplerate=samplerate)
    return _exact(pauses, law, _rate_for(pauses, law, frames, output_frames, samplerate), frames, output_frames, samplerate)


def give_way_first(pauses: Sequence[Pause], frames: int, output_frames: int, samplerate: int) -> TimeMap:
    """A map to an exact length for which words change their rate as little as possible: pauses change first.

    Pauses give all that is needed if they can. Otherwise they give all that they can, and words share the rest evenly.

    Args:
        pauses: as `PauseFinder` gives them, whole.
        frames: samples per channel of the input.
        output_frames: those of the output.
        samplerate: in Hz.

    Returns:
        A map in samples whose `output_length(frames)` is `output_frames`.

    Raises:
        UsageError: no rate of words from 0.05 to 20 does that.
    """
    law = partial(_given_way if output_frames <= frames else _grown, samplerate=samplerate)
    lengths = _lengths(pauses)
    change = float(np.sum(law(lengths, 1.0, share=1.0) - lengths))
    wanted = output_frames - frames
    if abs(change) >= abs(wanted):
        share = wanted / change if change else 0.0
        return _exact(pauses, partial(law, share=share), 1.0, frames, output_frames, samplerate)
    all_of_it = partial(law, share=1.0)
    rate = _rate_for(pauses, all_of_it, frames, output_frames, samplerate)
    return _exact(pauses, all_of_it, rate, frames, output_frames, samplerate)


def _lengths(pauses: Sequence[Pause]) -> np.ndarray:
    return np.array([pause.end - pause.start for pause in pauses], np.float64)


def _rate_for(pauses: Sequence[Pause], law: Law, frames: int, output_frames: int, samplerate: int) -> float:
    """The rate of words that, with pauses by a law, makes the output as long as this."""
    from scipy.optimize import brentq

    TimeMap.from_lengths(frames, output_frames)
    lengths = _lengths(pauses)
    lengths = lengths[lengths > 2 * round(EDGE_SECONDS * samplerate)]
    words = frames - float(lengths.sum())

    def surplus(rate: float) -> float:
        return words / rate + float(np.sum(law(lengths, rate))) - output_frames

    if surplus(SLOWEST) < 0 or surplus(FASTEST) > 0:
        possible = f"rates from {SLOWEST} to {FASTEST:g} are possible"
        raise UsageError(f"No rate of words makes the output {output_frames / samplerate:.3f} s long with these pauses; {possible}.")
    return float(brentq(surplus, SLOWEST, FASTEST, xtol=1e-12, rtol=1e-12))


def _exact(pauses: Sequence[Pause], law: Law, rate: float, frames: int, output_frames: int, samplerate: int) -> TimeMap:
    """The map whose length is right to the sample: what rounding has left is spread over all of it."""
    x, y = _map(pauses, law, rate, samplerate).knots
    if x[-1] < frames:
        x, y = np.append(x, frames), np.append(y, y[-1] + (frames - x[-1]) / rate)
    else:
        # The recording ends within its last pause's end.
        behind = x < frames
        x, y = np.append(x[behind], frames), np.append(y[behind], np.interp(frames, x, y))
    return TimeMap.from_samples(x, np.clip(y * (output_frames / y[-1]), 0, None))


def find_pauses(blocks: Iterator[np.ndarray], samplerate: int, channels: int) -> tuple[list[Pause], int]:
    """The pauses of a recording, a long one in pieces, and how many samples per channel the recording has."""
    finder, found, frames = PauseFinder(samplerate, channels), [], 0
    for block in blocks:
        found += finder.process(block)
        frames += block.shape[1]
    return found + finder.flush(), frames


def _given(pauses: Sequence[Pause], time_map: TimeMap, samplerate: int) -> PauseTime:
    """What pauses give in a map that is in samples."""
    starts = np.array([pause.start for pause in pauses], np.float64)
    out = time_map.output_at(starts + _lengths(pauses)) - time_map.output_at(starts)
    return PauseTime(len(joined(list(pauses))), float(_lengths(pauses).sum() - out.sum()) / samplerate)


class _Growing(Plan):
    """A plan for a recording that is read once: it hears what comes, and holds it back until its map is known."""

    grows = True

    def __init__(self, keep: float, rate: float, samplerate: int, channels: int) -> None:
        self._law = partial(_kept, keep=keep, samplerate=samplerate)
        self._rate, self._samplerate = rate, samplerate
        self._finder = PauseFinder(samplerate, channels)
        self._found: list[Pause] = []
        self._growing = _map([], self._law, rate, samplerate)
        super().__init__(self._growing)

    @property
    def pauses(self) -> PauseTime:
        return _given(self._found, self._growing, self._samplerate)

    def blocks(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        held: deque[np.ndarray] = deque()
        passed = 0
        for block in blocks:
            held.append(block)
            self._extend(self._finder.process(block))
            while held and passed < self._finder.known:
                ready, rest = np.split(held.popleft(), [self._finder.known - passed], axis=1)
                if rest.shape[1]:
                    held.appendleft(rest)
                passed += ready.shape[1]
                yield ready
        self._extend(self._finder.flush())
        yield from held

    def _extend(self, found: list[Pause]) -> None:
        for pause in found:
            x, y = self._growing.knots
            self._growing.extend(*_knots(pause, (x[-1], y[-1]), self._law, self._rate, self._samplerate))
        self._found += found


@dataclass(frozen=True)
class Shortened:
    """Pauses keep a share of their length; words go at a rate, or at the rate that makes the output as long as asked for."""

    keep: float
    speed: Rate | Duration

    @property
    def label(self) -> str:
        own = f"pauses{self.keep:g}"
        return own if self.speed == Rate(1.0) else f"{self.speed.label}-{own}"

    def plan(self, passage: Passage) -> Plan:
        info = passage.info
        if isinstance(self.speed, Rate) and not passage.can_be_read_again:
            return _Growing(self.keep, self.speed.rate, info.samplerate, info.channels)
        pauses, frames = _heard(passage, "--pauses with --duration")
        if isinstance(self.speed, Rate):
            time_map = shorten(pauses, self.keep, self.speed.rate, info.samplerate)
        else:
            time_map = shorten_to(pauses, self.keep, frames, round(self.speed.seconds * info.samplerate), info.samplerate)
        return Plan(time_map, pauses=_given(pauses, time_map, info.samplerate))


@dataclass(frozen=True)
class First:
    """The output is as long as the rate or the duration says, and pauses change before words do."""

    speed: Rate | Duration

    @property
    def label(self) -> str:
        return f"{self.speed.label}-pauses-first"

    def plan(self, passage: Passage) -> Plan:
        samplerate = passage.info.samplerate
        found, frames = _heard(passage, "--pauses first")
        pauses = joined(found)
        speed = self.speed
        output_frames = round(frames / speed.rate if isinstance(speed, Rate) else speed.seconds * samplerate)
        time_map = give_way_first(pauses, frames, output_frames, samplerate)
        return Plan(time_map, pauses=_given(pauses, time_map, samplerate))


def _heard(passage: Passage, wanted: str) -> tuple[list[Pause], int]:
    with passage.again(wanted) as heard:
        return find_pauses(heard.blocks(), passage.info.samplerate, passage.info.channels)
