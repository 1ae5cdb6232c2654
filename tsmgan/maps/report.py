"""What became of captions that were fitted to slots, as a file."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

from tsmgan.audio import AudioInfo
from tsmgan.errors import UsageError
from tsmgan.followers.follower import Followed, Moved
from tsmgan.maps.lines import Line
from tsmgan.storage.names import suffix

DIGITS = 6
"""Behind the point of times and rates."""


def require_report_name(place: str) -> None:
    """Raise UsageError unless a report's ending says how it is written."""
    if suffix(place).lower() not in (".csv", ".json"):
        raise UsageError(f"The report {place} has to end with .csv or .json.")


def report_rows(lines: Sequence[Line]) -> list[dict[str, object]]:
    """One row for each line: numbers in seconds, and rates."""

    def rounded(value: float) -> float | None:
        return round(value, DIGITS) if math.isfinite(value) else None

    return [
        {
            "cue": line.number,
            "file": line.name,
            "slot_begin": rounded(line.slot_begin),
            "slot_end": rounded(line.slot_end),
            "begin": rounded(line.begin),
            "end": rounded(line.end),
            "input_begin": rounded(line.input_begin),
            "input_end": rounded(line.input_end),
            "rate": rounded(line.rate),
            "needed_rate": rounded(line.needed),
            "pauses": rounded(line.pauses),
            "free_time": rounded(line.free_time),
            "fits": line.fits,
            "problem": line.problem,
            "text": line.text,
        }
        for line in lines
    ]


def report_bytes(lines: Sequence[Line], place: str) -> bytes:
    """A report as its name's ending says: a table, or a list of objects."""
    rows = report_rows(lines)
    if suffix(place).lower() == ".json":
        return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["cue"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


class Report:
    """The follower that writes a report. It needs no map: the lines are known before."""

    def __init__(self, place: str, lines: Sequence[Line]) -> None:
        self._place, self._lines = place, lines

    def targets(self, source: AudioInfo, output: str) -> list[str]:
        """See `Follower`."""
        return [self._place]

    def follow(self, moved: Moved) -> Followed:
        """See `Follower`."""
        return Followed({self._place: report_bytes(self._lines, self._place)})
