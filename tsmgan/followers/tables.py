"""CSV files of times: in which columns they stand, and where they go. Only times are written anew, in their places in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tsmgan.errors import UsageError
from tsmgan.followers.subtitles import line_number
from tsmgan.followers.times import CLOCK, NUMBER, Clock, Edits, Times, number_at, read_number

BEGINS = {"start", "begin", "beginning", "from", "in", "onset", "time", "times", "t", "timestamp", "tmin", "xmin", "position", "cuein"}
"""Headings of columns that hold when something begins or happens, in lower case, without units and other characters than letters."""
ENDS = {"end", "stop", "to", "out", "until", "offset", "tmax", "xmax", "cueout", "finish"}
LENGTHS = {"duration", "length", "dur"}
_WORDS = {"time", "second", "seconds", "sec", "s", "ms", "msec", "milliseconds", "millisecond", "timecode", "clip", "cue", "marker"}
"""What a heading may say besides: `start_time`, `End (s)`, `onset_ms`."""
_MILLISECONDS = {"ms", "msec", "milliseconds", "millisecond"}
_UNKNOWN_UNITS = {"samples", "sample", "frames", "frame", "smp"}
_LIKE_A_TIME = re.compile(r"[-+]?[.,]?\d[\d:;.,]*", re.ASCII)
"""What looks like a time, whether it can be read or not."""
_TIME = re.compile(rf"(?P<clock>{CLOCK})|(?P<number>{NUMBER})", re.ASCII)


@dataclass(frozen=True)
class Cell:
    """One field of a row."""

    text: str
    """Without quotation marks and blanks around it."""
    first: int
    behind: int
    """Where this text stands in the file."""

    @property
    def second(self) -> float | None:
        """The time that it holds, as seconds; None where it holds none."""
        found = _TIME.fullmatch(self.text)
        if found is None:
            return None
        return Clock.read(self.text).second if found["clock"] else read_number(self.text)

    def at(self, second: float) -> str:
        """Another time in this form."""
        if re.fullmatch(CLOCK, self.text, re.ASCII):
            clock = Clock.read(self.text)
            return clock.at(second, least_decimals=3, long_minutes=int(clock.minutes) >= 60)
        return number_at(self.text, second)


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold times."""

    begin: int | None
    ends: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    milliseconds: frozenset[int] = frozenset()
    text: int | None = None
    """The column of words, where a heading says so."""
    is_headed: bool = True

    def scale(self, column: int) -> float:
        """Units of a column in one second."""
        return 1000.0 if column in self.milliseconds else 1.0

    def second(self, row: list[Cell], column: int | None) -> float | None:
        """The time in a column of a row, in seconds; None where there is none.

        Raises:
            UsageError: what stands there looks like a time and cannot be read. It would be left where it was.
        """
        if column is None or column >= len(row):
            return None
        cell = row[column]
        if cell.second is None and _LIKE_A_TIME.fullmatch(cell.text):
            raise UsageError(f"it holds a time that cannot be read: {cell.text[:60]!r}")
        return None if cell.second is None else cell.second / self.scale(column)


def rows_of(text: str) -> list[list[Cell]]:
    """The rows of a table with the places of their cells. Commas, semicolons or tabs divide them; empty lines and comments (#) are none."""
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not line.lstrip().startswith("#")]
    divider = next((each for each in "\t;" if lines and each in lines[0]), ",")
    cell = re.compile(rf' *(?:"(?P<quoted>(?:[^"]|"")*)"[^{divider}\r\n]*|(?P<plain>[^{divider}\r\n]*))')
    rows, position = [], 0
    while position < len(text):
        row: list[Cell] = []
        while True:
            found = cell.match(text, position)
            assert found is not None
            name = "quoted" if found["quoted"] is not None else "plain"
            content = found[name]
            first = found.start(name) + len(content) - len(content.lstrip())
            row.append(Cell(content.strip(), first, first + len(content.strip())))
            position = found.end()
            if position >= len(text) or text[position] != divider:
                break
            position += 1
        position += 2 if text[position : position + 2] == "\r\n" else 1
        if any(each.text for each in row) and not row[0].text.startswith("#"):
            rows.append(row)
    return rows


def columns_of(rows: list[list[Cell]], longest: float | None = None) -> Columns:
    """Which columns hold times: those whose headings say so; without headings the first one, and the second where it can be the end.

    Args:
        rows: of the whole table.
        longest: seconds that an end may have at most; None where it is not known.

    Raises:
        UsageError: no column does, or one counts samples or frames.
    """
    if not rows:
        raise UsageError("it holds no rows")
    if rows[0][0].second is not None:
        seconds = [[cell.second for cell in row[:2]] for row in rows]
        if any(row[0] is None for row in seconds):
            raise UsageError(f"row {1 + next(k for k, row in enumerate(seconds) if row[0] is None)} does not begin with a time")
        has_ends = all(len(row) == 2 and row[1] is not None and row[1] >= (row[0] or 0.0) for row in seconds)
        has_ends = has_ends and (longest is None or all((row[1] or 0.0) <= longest for row in seconds))
        return Columns(0, (1,) if has_ends else (), is_headed=False)
    return _headed(rows[0])


def _headed(heading: list[Cell]) -> Columns:
    begins: list[int] = []
    ends: list[int] = []
    lengths: list[int] = []
    milliseconds: set[int] = set()
    for column, cell in enumerate(heading):
        words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", cell.text).lower())
        for names, found in ((BEGINS, begins), (ENDS, ends), (LENGTHS, lengths)):
            named = [word for word in words if word in names]
            if named and all(word in names or word in _WORDS or word in _UNKNOWN_UNITS for word in words):
                if _UNKNOWN_UNITS.intersection(words):
                    raise UsageError(f"its column {cell.text!r} counts samples or frames; give seconds or milliseconds")
                found.append(column)
                milliseconds.update({column} if _MILLISECONDS.intersection(words) else ())
                break
    if not begins and not ends:
        raise UsageError("no heading of it says which columns hold times; call them start and end, for example")
    told = next((k for k, cell in enumerate(heading) if cell.text.lower() in ("text", "label", "caption", "line", "words", "name")), None)
    begin = begins[0] if begins else None
    return Columns(begin, (*begins[1:], *ends), tuple(lengths), frozenset(milliseconds), told)


def move_table(text: str, times: Times) -> str:
    """A CSV file of times (.csv, .tsv): begins, ends and lengths."""
    edits, rows = Edits(text), rows_of(text)
    columns = columns_of(rows, times.moved.start + times.moved.input_seconds + 1)
    if not columns.is_headed:
        which = "first and second columns were" if columns.ends else "first column was"
        times.notes.append(f"has no heading: its {which} taken for times.")
    for row, following in zip(rows[columns.is_headed :], [*rows[1 + columns.is_headed :], None]):
        _move_row(text, row, len(text) if following is None else following[0].first, columns, edits, times)
    return edits.applied()


def _move_row(text: str, row: list[Cell], behind: int, columns: Columns, edits: Edits, times: Times) -> None:
    places = [place for place in (columns.begin, *columns.ends) if place is not None]
    instants = {place: second for place in places if (second := columns.second(row, place)) is not None}
    if not instants:
        return
    begin, end = min(instants.values()), max(instants.values())
    for column in columns.lengths:
        length = columns.second(row, column)
        if length is not None:
            end = max(end, begin + length)
            moved = times.at(begin + length) - times.at(begin)
            edits.replace(row[column].first, row[column].behind, row[column].at(moved * columns.scale(column)))
    if not times.holds(begin, end):
        first = max(text.rfind("\n", 0, row[0].first), text.rfind("\r", 0, row[0].first)) + 1
        breaks = re.compile(r"\r\n|\r|\n").search(text, row[-1].behind)
        edits.remove(first, min(breaks.end(), behind) if breaks is not None else len(text))
        return
    for where, second in instants.items():
        edits.replace(row[where].first, row[where].behind, row[where].at(times.at(second) * columns.scale(where)))


def row_number(text: str, row: list[Cell]) -> int:
    """The number of the line that a row stands in."""
    return line_number(text, row[0].first)
