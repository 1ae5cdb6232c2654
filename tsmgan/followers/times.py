"""Times as they stand in a text: read, moved, and written in the form that they had."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from tsmgan.core.timemap import TimeMap
from tsmgan.errors import UsageError
from tsmgan.followers.follower import Moved

WHOLE = r"\d{1,9}"
"""Digits of a whole number. No time has more; as a floating point number it could be infinite."""
CLOCK = rf"-?(?:{WHOLE}:)?{WHOLE}:\d{{1,2}}(?:[.,]\d{{1,18}})?"
"""Hours, minutes and seconds, or minutes and seconds, with either decimal mark. To be used with re.ASCII."""
NUMBER = r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?"
"""Seconds, or milliseconds, with either decimal mark."""
_CLOCK = re.compile(rf"(?P<sign>-?)(?:(?P<h>{WHOLE}):)?(?P<m>{WHOLE}):(?P<s>\d{{1,2}})(?:(?P<point>[.,])(?P<rest>\d{{1,18}}))?", re.ASCII)
NUMBER_DECIMALS = 6
"""Digits behind the point that a moved number has at least: a microsecond of seconds."""
SAME = 1e-9
"""Seconds that a time may move by rounding alone."""


class Clock(NamedTuple):
    """A time of hours, minutes and seconds with the form in which it is written."""

    written: str
    sign: int
    hours: str | None
    """Its digits; None where only minutes and seconds are written."""
    minutes: str
    seconds: str
    point: str
    """What stands before the fraction."""
    rest: str
    """Digits of the fraction; empty without one."""

    @classmethod
    def read(cls, written: str) -> Clock:
        """Take a text apart that fits the pattern CLOCK."""
        found = _CLOCK.fullmatch(written)
        assert found is not None, written
        sign = -1 if found["sign"] else 1
        return cls(written, sign, found["h"], found["m"], found["s"], found["point"] or ".", found["rest"] or "")

    @property
    def second(self) -> float:
        """The time in seconds."""
        whole = 3600 * int(self.hours or 0) + 60 * int(self.minutes) + int(self.seconds)
        return self.sign * (whole + (int(self.rest) / 10 ** len(self.rest) if self.rest else 0.0))

    def at(self, second: float, *, least_decimals: int = 0, long_minutes: bool = False) -> str:
        """Another time in this form: as many digits, the same decimal mark. The same time is written as it was.

        Args:
            second: to write.
            least_decimals: digits of the fraction that a moved time has at least.
            long_minutes: minutes go on beyond 59 where no hours are written; else hours are added when they are needed.
        """
        if abs(second - self.second) <= SAME:
            return self.written
        decimals = max(len(self.rest), least_decimals)
        units = round(abs(second) * 10**decimals)
        if decimals == len(self.rest) and units == round(abs(self.second) * 10**decimals) and (second < 0) == (self.sign < 0):
            return self.written
        whole, fraction = divmod(units, 10**decimals)
        minutes, seconds = divmod(whole, 60)
        head = ""
        if self.hours is not None or (minutes >= 60 and not long_minutes):
            hours, minutes = divmod(minutes, 60)
            head = f"{hours:0{len(self.hours or '00')}d}:"
        tail = f"{self.point}{fraction:0{decimals}d}" if decimals else ""
        return f"{'-' if second < 0 and units else ''}{head}{minutes:0{len(self.minutes)}d}:{seconds:0{len(self.seconds)}d}{tail}"


def read_number(written: str) -> float:
    """A number that fits the pattern NUMBER.

    Raises:
        UsageError: it is too large for a floating point number.
    """
    value = float(written.replace(",", "."))
    if not math.isfinite(value):
        raise UsageError(f"it holds a number that no time is: {written[:40]}")
    return value


def number_at(written: str, value: float) -> str:
    """Another number in the form of one that fits the pattern NUMBER: the same decimal mark, and as many digits behind it or more."""
    old = read_number(written)
    if abs(value - old) <= SAME * max(1.0, abs(old)):
        return written
    mantissa = re.split("[eE]", written)[0]
    decimals = len(re.split("[.,]", mantissa)[1]) if re.search("[.,]", mantissa) else 0
    return f"{value:.{max(decimals, NUMBER_DECIMALS)}f}".replace(".", "," if "," in mantissa else ".")


@dataclass
class Times:
    """Where the times of one text go, and how many of its entries have no place there.

    Args:
        moved: what has become of the recording's time.
        end: second of the recording at which the passage was cut off; None where it was not.
    """

    moved: Moved
    end: float | None = None
    entries: int = field(default=0, init=False)
    """Cues, labels or rows that were found."""
    left_out: int = field(default=0, init=False)
    """Entries outside the stretched passage."""
    beyond: int = field(default=0, init=False)
    """Entries that begin when the recording is over. They go on as its last part does."""
    notes: list[str] = field(default_factory=list, init=False)

    @classmethod
    def still(cls) -> Times:
        """Times that stay where they are, to read a text through."""
        return cls(Moved(TimeMap([0.0, 1.0], [0.0, 1.0]), 0.0, float("inf"), float("inf")))

    def at(self, second: float) -> float:
        """Where a second of the recording is heard in the output, in seconds. What was cut off is at the nearer end of the passage."""
        inside = second - self.moved.start
        if self.moved.start > 0:
            inside = max(inside, 0.0)
        if self.end is not None:
            inside = min(inside, self.moved.input_seconds)
        return float(self.moved.time_map.output_at(inside))

    def holds(self, begin: float, end: float) -> bool:
        """Count an entry, and say whether any of it is left. A point has the same begin and end."""
        self.entries += 1
        last = self.moved.start + self.moved.input_seconds
        before = self.moved.start > 0 and (end < self.moved.start or (begin < end == self.moved.start))
        behind = self.end is not None and begin >= last
        self.left_out += before or behind
        self.beyond += self.end is None and begin > last + SAME
        return not (before or behind)


class Edits:
    """Replacements in a text, given in any order and applied at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._edits: list[tuple[int, int, str]] = []
        self._removed: list[tuple[int, int]] = []

    def replace(self, first: int, behind: int, new: str) -> None:
        """Put something else in the place of text[first:behind]."""
        self._edits.append((first, behind, new))

    def remove(self, first: int, behind: int) -> None:
        """Leave text[first:behind] out, with whatever is replaced in it."""
        self._removed.append((first, behind))

    def applied(self) -> str:
        """The edited text."""
        removed = sorted(self._removed)
        starts = [first for first, _ in removed]

        def is_removed(position: int) -> bool:
            k = bisect_right(starts, position) - 1
            return k >= 0 and position < removed[k][1]

        kept = [edit for edit in self._edits if not is_removed(edit[0])]
        pieces, position = [], 0
        for first, behind, new in sorted([*kept, *((first, behind, "") for first, behind in removed)]):
            pieces += [self._text[position:first], new]
            position = behind
        return "".join([*pieces, self._text[position:]])
