"""Times as people write them, alone or in tables."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from tsmgan.errors import UsageError

_UNITS = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d*)?|\.\d+)s?)?")
_CLOCK = re.compile(r"(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+(?:\.\d*)?)")
_THOUSANDS = re.compile(r"\d+,\d{3}s?")
_SUBTITLE_TIME = re.compile(r"(?<!\d)(\d+:\d{2}:\d{2}),(\d{3})(?!\d)")
"""The comma of a subtitle's time divides nothing."""
ENCODINGS = ("utf-8-sig", "cp1252")
"""What tables are written in, where no mark at their beginning says UTF-16."""


def seconds_of(text: str, *, decimal_comma: bool = False) -> float:
    """Seconds of `90`, `90s`, `1:30.5`, `1:02:03.25`, `1m30s`, or of a subtitle's `00:01:30,500`. A decimal comma (`1:30,5`) is understood.

    Args:
        text: what somebody wrote.
        decimal_comma: whether a comma can only be a decimal one. Otherwise `1,500` is asked about.

    Raises:
        UsageError: the text is no time.
    """
    tidy = text.strip().lower().replace(" ", "")
    if _THOUSANDS.fullmatch(tidy) and not decimal_comma:
        whole, _, rest = tidy.rstrip("s").partition(",")
        raise UsageError(f"The duration {text!r} may mean {whole}.{rest} or {whole}{rest} seconds; write one of these.")
    if tidy.count(",") == 1:
        tidy = tidy.replace(",", ".")
    match = _CLOCK.fullmatch(tidy) or _UNITS.fullmatch(tidy)
    if match is None or not tidy:
        raise UsageError(f"{text!r} is no duration; write seconds (90), minutes and seconds (1:30.5) or hours too (1:02:03.25).")
    parts = match.groupdict()
    if ":" in tidy and (float(parts["s"]) >= 60 or (parts["h"] is not None and float(parts["m"]) >= 60)):
        raise UsageError(f"{text!r} is no duration: minutes and seconds after a colon go up to 59; 90 seconds are 90 or 1:30.")
    seconds = 3600 * float(parts["h"] or 0) + 60 * float(parts["m"] or 0) + float(parts["s"] or 0)
    if not math.isfinite(seconds):
        raise UsageError(f"The duration {text!r} is too long; give for example 1:30.5.")
    return seconds


def read_text(path: str | PathLike[str]) -> str:
    """A text file in UTF-8 or UTF-16, or as Windows wrote it.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is in none of these.
    """
    data = Path(path).read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode(ENCODINGS[0])
    except UnicodeDecodeError:
        return data.decode(ENCODINGS[1])


def time_rows(text: str) -> Iterator[tuple[int, list[str], bool]]:
    """The rows of a table of times, with commas, semicolons or tabs between its columns.

    Empty lines and those that begin with `#` are left out. The first line that is left shows which of the three divides the columns.

    Yields:
        The number of the line, its cells, and whether a comma within a cell can only be a decimal one.

    Raises:
        csv.Error: the text is no table.
    """
    lines = _SUBTITLE_TIME.sub(r"\1.\2", text).splitlines()
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    delimiter = next((mark for mark in ";\t" if mark in first), ",")
    rows = csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, skipinitialspace=True)
    for row in rows:
        if row and "".join(row).strip() and not row[0].lstrip().startswith("#"):
            yield rows.line_num, row, delimiter != ","
