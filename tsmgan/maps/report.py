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
from tsmgan.storage.names import join, parent, stem, suffix

ENDINGS = (".csv", ".json")
DIGITS = 6
"""Behind the point of times and rates."""


def require_report_name(place: str) -> None:
    """Raise UsageError unless a report's ending says how it is written, or is all that is given."""
    if place not in ENDINGS and suffix(place).lower() not in ENDINGS:
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
    """The follower that writes a report. It needs no map: the lines are known before.

    Args:
        place: path or URL; an ending alone puts the report beside the output, with its name.
        lines: what there is to tell.
    """

    def __init__(self, place: str, lines: Sequence[Line]) -> None:
        self._place, self._lines = place, lines

    def targets(self, source: AudioInfo, output: str) -> list[str]:
        """See `Follower`."""
        if self._place in ENDINGS:
            if output == "-":
                raise UsageError(f"A pipe has no name that a report could lie beside; give --report FILE{self._place}.")
            folder, name = parent(output), f"{stem(output)}{self._place}"
            self._place = name if folder == "." else join(folder, name)
        return [self._place]

    def follow(self, moved: Moved) -> Followed:
        """See `Follower`."""
        return Followed({self._place: report_bytes(self._lines, self._place)})
