"""How spoken lines are fitted to slots of time: pauses give way first, then free time is used, then words go faster or slower.

Numbers only: what a line or a slot comes from is known elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tsmgan.core.timemap import FASTEST, SLOWEST, TimeMap
from tsmgan.errors import UsageError

PAUSE_EDGE = 0.03
"""Seconds at the begin and end of a pause that go as the words do, so that no plosive loses its closure and no breath is cut."""
LEAST_OF_A_PAUSE, LEAST_SECONDS = 0.1, 0.03
"""Part of the rest of a pause that is always kept, and seconds of it where there are so many: with its edges it has about 60 ms."""
MOST_OF_A_PAUSE = 2.0
"""Times its length that a pause grows to before words go slower."""
SMOOTHNESS = 1.0
"""Weight of the difference between neighbours' rates against that between a line's rate and the one that it needs."""
NEARNESS_SECONDS = 2.0
"""Time between two lines at which their weight on each other has fallen to 1/e."""
ROUNDS = 200
"""Of smoothing. The error falls at least to two thirds in each, so nothing is left to gain."""
EXACT = 1e-6
"""Seconds that count as none."""
SPARE = 1e-6
"""Part that stays between a piece's rate and the limits of a map."""


@dataclass(frozen=True)
class Limits:
    """How far lines may be changed.

    Raises:
        UsageError: a value is out of its range.
    """

    slowest: float = 0.8
    fastest: float = 1.6
    """Rates of words, 0.05 to 20."""
    free_time: float = math.inf
    """Seconds that a line may run on after its slot, before the next one begins."""

    def __post_init__(self) -> None:
        for name in ("slowest", "fastest"):
            if not SLOWEST <= getattr(self, name) <= FASTEST:
                raise UsageError(f"--{name} is {getattr(self, name):g}; it must be a rate from {SLOWEST} to {FASTEST:g}.")
        if self.slowest > self.fastest:
            raise UsageError(f"--slowest {self.slowest:g} is faster than --fastest {self.fastest:g}; exchange them.")
        if not self.free_time >= 0:
            raise UsageError(f"The free time is {self.free_time:g} seconds; it must be zero or longer.")


@dataclass(frozen=True)
class Spoken:
    """The sound of one line."""

    begin: float
    end: float
    """In seconds of its recording."""
    pauses: tuple[tuple[float, float], ...] = ()
    """Begin and end of what may give way in each pause within it, in order, in seconds of the recording."""

    @property
    def pause_seconds(self) -> np.ndarray:
        """(pauses,) float64."""
        return np.array([end - begin for begin, end in self.pauses], dtype=np.float64)

    @property
    def word_seconds(self) -> float:
        """What is no pause."""
        return max(0.0, self.end - self.begin - float(self.pause_seconds.sum()))

    def pause_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest length of each pause, in seconds."""
        lengths = self.pause_seconds
        return np.maximum(lengths * LEAST_OF_A_PAUSE, np.minimum(lengths, LEAST_SECONDS)), lengths * MOST_OF_A_PAUSE


@dataclass(frozen=True)
class Slot:
    """The time that a line shall fit in."""

    begin: float
    end: float
    """In seconds of the output."""
    text: str = ""
    number: int = 0
    """Of its cue."""


@dataclass(frozen=True)
class Line:
    """What became of one line. All times are in seconds."""

    number: int
    text: str
    name: str
    """Of its recording, where each line has one."""
    slot_begin: float
    slot_end: float
    input_begin: float
    input_end: float
    """In its recording."""
    begin: float
    end: float
    """In the output."""
    rate: float
    """Of its words."""
    needed: float
    """Rate of its words with which it would have fitted, free time included; infinite where none would."""
    pauses: float
    """Seconds by which its pauses became longer; negative where they became shorter."""
    problem: str = ""
    """Why it does not fit, a sentence; empty where it does."""

    @property
    def is_heard(self) -> bool:
        """Whether there is sound of it in the output."""
        return self.end > self.begin

    @property
    def fits(self) -> bool:
        """Whether it begins with its slot and ends before the next one, within all limits."""
        return not self.problem

    @property
    def free_time(self) -> float:
        """Seconds that it runs on after its slot."""
        return max(0.0, self.end - self.slot_end)


@dataclass
class _Place:
    """A line on its way to its place."""

    spoken: Spoken
    slot: Slot
    begin: float
    last: float
    """When it has to be over."""
    words: float
    least: float
    most: float
    """Seconds of its words at rate 1, and of all its pauses at least and at most."""
    needed: float = 1.0
    lowest: float = 1.0
    target: float = 1.0
    rate: float = 1.0
    end: float = 0.0

    def aim(self, limits: Limits) -> None:
        """The rate that it needs so as to be over in time, and the one that suits it best by itself."""
        slot = min(self.slot.end, self.last) - self.begin
        self.needed = _rate(self.words, self.last - self.begin - self.least)
        if self.needed > 1:
            self.target = self.needed
        else:
            # Pauses have filled the slot as far as they may; then words go slower.
            self.target = min(1.0, _rate(self.words, slot - self.most))
        self.target = min(max(self.target, limits.slowest), limits.fastest)
        # No neighbour makes a line run on into free time that does not have to.
        lowest = max(self.needed, min(1.0, _rate(self.words, slot - self.least)))
        self.lowest = min(max(lowest, limits.slowest), limits.fastest)

    def pause_seconds(self) -> float:
        """What its pauses get so that it fills its slot."""
        return min(max(min(self.slot.end, self.last) - self.begin - self.words / self.rate, self.least), self.most)


def _rate(words: float, room: float) -> float:
    if words <= EXACT:
        return 0.0 if room >= -EXACT else math.inf
    return words / room if room > 0 else math.inf


def plan_lines(
    spoken: Sequence[Spoken],
    slots: Sequence[Slot],
    limits: Limits,
    *,
    names: Sequence[str] = (),
    gaps: Sequence[float] | None = None,
) -> list[Line]:
    """Find the place and the rate of every line.

    A line begins with its slot. Where it is too long for it, its pauses become shorter; then it runs on into the free time before the next
    slot; then its words go faster. Where it is too short, its pauses become longer and then its words go slower. The rates of
    neighbours are drawn together, as far as every line still fits. A line that does not fit at the fastest rate is not cut: it ends late,
    and the next one begins when it is over.

    Args:
        spoken, slots: as many of each, in the order of time.
        limits: of all of them.
        names: of the lines' recordings; none where they are of one recording.
        gaps: seconds of the recording between neighbouring lines, one fewer than lines, where one map has to hold all of them: then so much
            becomes at least a twentieth of itself, and at most twenty times as long. None where silence can lie between them.

    Returns:
        One for each, with the same order. None overlaps another.
    """
    places = _places(spoken, slots, limits, gaps)
    _smooth(places, limits)
    return _laid(places, limits, names or [""] * len(places), gaps)


def _places(spoken: Sequence[Spoken], slots: Sequence[Slot], limits: Limits, gaps: Sequence[float] | None) -> list[_Place]:
    """Begin and last moment of each line. One that does not fit even at the fastest rate delays the next."""
    places: list[_Place] = []
    earliest = 0.0
    for k, (line, slot) in enumerate(zip(spoken, slots)):
        between = _least_gap(gaps, k)
        last = slot.end + limits.free_time
        if k + 1 < len(slots):
            last = min(last, slots[k + 1].begin - between)
        least, most = line.pause_limits()
        place = _Place(line, slot, max(slot.begin, earliest), last, line.word_seconds, float(least.sum()), float(most.sum()))
        place.aim(limits)
        quickest = place.begin + place.words / limits.fastest + place.least
        earliest = quickest + between if place.needed > limits.fastest else 0.0
        places.append(place)
    return places


def _least_gap(gaps: Sequence[float] | None, k: int) -> float:
    return gaps[k] / (FASTEST * (1 - SPARE)) if gaps is not None and k < len(gaps) else 0.0


def _smooth(places: list[_Place], limits: Limits) -> None:
    """Draw the rates of neighbours together: the least sum of squared differences of their logarithms from each other and from what each
    line needs, where no line becomes slower than it has to be. Jacobi's method, kept within the bounds; the matrix is diagonally dominant.
    """
    if not places:
        return
    target = np.log([place.target for place in places])
    lowest = np.log([place.lowest for place in places])
    highest = math.log(limits.fastest)
    apart = np.array([max(0.0, b.slot.begin - a.slot.end) for a, b in pairwise(places)])
    weights = SMOOTHNESS * np.exp(-apart / NEARNESS_SECONDS)
    left, right = np.append(0.0, weights), np.append(weights, 0.0)
    rates = target.copy()
    for _ in range(ROUNDS):
        pull = left * np.append(0.0, rates[:-1]) + right * np.append(rates[1:], 0.0)
        before, rates = rates, np.clip((target + pull) / (1 + left + right), lowest, highest)
        if np.abs(rates - before).max() < 1e-12:
            break
    for place, rate in zip(places, np.exp(rates)):
        # The logarithm has rounded it.
        place.rate = float(min(max(rate, place.lowest), limits.fastest))


def _laid(places: list[_Place], limits: Limits, names: Sequence[str], gaps: Sequence[float] | None) -> list[Line]:
    """The lines where they come to lie, and what is wrong with those that do not fit."""
    lines: list[Line] = []
    for k, (place, name) in enumerate(zip(places, names)):
        if gaps is not None and k:
            furthest = lines[-1].end + gaps[k - 1] * FASTEST * (1 - SPARE)
            place.begin = min(place.begin, furthest)
        pauses = place.pause_seconds()
        place.end = place.begin + place.words / place.rate + pauses
        lines.append(
            Line(
                number=place.slot.number or k + 1,
                text=place.slot.text,
                name=name,
                slot_begin=place.slot.begin,
                slot_end=place.slot.end,
                input_begin=place.spoken.begin,
                input_end=place.spoken.end,
                begin=place.begin,
                end=place.end,
                rate=place.rate,
                needed=place.needed,
                pauses=pauses - float(place.spoken.pause_seconds.sum()),
                problem=_problem(place, limits),
            )
        )
    return lines


def _problem(place: _Place, limits: Limits) -> str:
    if place.end > place.last + EXACT:
        needed = f"It would need rate {place.needed:.2f}" if math.isfinite(place.needed) else "No rate is fast enough for its slot"
        return f"{needed}; at {limits.fastest:g} it ends {place.end - place.last:.2f} s late."
    if place.begin > place.slot.begin + EXACT:
        return f"The line before is too long, so it begins {place.begin - place.slot.begin:.2f} s late."
    if place.begin < place.slot.begin - EXACT:
        early = place.slot.begin - place.begin
        return f"It begins {early:.2f} s early, because the pause before it cannot be made longer than {FASTEST:g} times its length."
    return ""


def knots_of(spoken: Spoken, line: Line) -> tuple[list[float], list[float]]:
    """The points of a map that lays a line in its place: input seconds of its recording, and output seconds."""
    lengths = spoken.pause_seconds
    least, most = spoken.pause_limits()
    total, natural = float(lengths.sum()) + line.pauses, float(lengths.sum())
    if total <= natural:
        share = (total - float(least.sum())) / max(natural - float(least.sum()), 1e-12)
        pauses = least + min(max(share, 0.0), 1.0) * (lengths - least)
    else:
        pauses = lengths + (total - natural) / max(float(most.sum()) - natural, 1e-12) * (most - lengths)
    x, y = [spoken.begin], [line.begin]
    for (begin, end), length in zip(spoken.pauses, pauses):
        y += [y[-1] + (begin - x[-1]) / line.rate, 0.0]
        y[-1] = y[-2] + float(length)
        x += [begin, end]
    x.append(spoken.end)
    # The same sum as that of the line's length, up to rounding, which no piece shall show.
    y.append(line.end)
    steps = [k for k in range(1, len(x) - 1) if x[k] - x[k - 1] > EXACT and x[-1] - x[k] > EXACT]
    return [x[0], *(x[k] for k in steps), x[-1]], [y[0], *(y[k] for k in steps), y[-1]]


def without_edges(pauses: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What may give way in pauses, given and returned as begins and ends in seconds."""
    return [(begin + PAUSE_EDGE, end - PAUSE_EDGE) for begin, end in pauses if end - begin > 2 * PAUSE_EDGE + EXACT]


def map_of(spoken: Spoken, line: Line) -> TimeMap:
    """The map of a recording that is one line, from its beginning to its end, in seconds."""
    x, y = knots_of(spoken, line)
    return TimeMap([each - x[0] for each in x], [each - y[0] for each in y])
