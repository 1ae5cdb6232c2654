"""Captions as slots of time: when each cue begins and ends, what it says, and which number it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tsmgan.errors import UsageError
from tsmgan.followers import textfile
from tsmgan.followers.subtitles import SUBRIP_CUE, move_subrip, move_substation, move_webvtt
from tsmgan.followers.tables import columns_of, rows_of
from tsmgan.followers.text import companions, named
from tsmgan.followers.textfile import TextFile
from tsmgan.followers.times import Times
from tsmgan.maps.lines import Slot
from tsmgan.storage.names import absolute, join, stem, suffix

CHECKS = {".srt": move_subrip, ".vtt": move_webvtt, ".ass": move_substation, ".ssa": move_substation}
"""Endings that pysubs2 reads, and what finds a line of such a text that cannot be read. pysubs2 passes over these."""
TABLES = (".csv", ".tsv")
ENDINGS = (*CHECKS, *TABLES)
MOST_SECONDS = 86400.0
"""A day. A cue that lies behind it has a slip of the pen in it, and would fill a disk with silence."""


def read_captions(place: str) -> list[Slot]:
    """The cues of a file (.srt, .vtt, .ass, .ssa) or the rows of a table with begins and ends (.csv, .tsv), in their order.

    Args:
        place: path or URL, in any encoding.

    Raises:
        AudioError: the file cannot be read.
        UsageError: it holds no cues, one of them ends before it begins or behind MOST_SECONDS, or its ending is unknown.
    """
    ending = suffix(place).lower()
    if ending not in ENDINGS:
        raise UsageError(f"{place} holds no captions by its ending; give one of {', '.join(ENDINGS)}.")
    file = textfile.read(place)
    with named(place, "read"):
        found = _rows(file) if ending in TABLES else _cues(file, ending)
        if not found:
            raise UsageError("it holds no cues")
    for slot in found:
        if not slot.end <= MOST_SECONDS:
            raise UsageError(
                f"Cue {slot.number} of {place} lies at {slot.end / 3600:.0f} hours, and times up to {MOST_SECONDS / 3600:g} hours are "
                "possible; mend its times."
            )
        if slot.end < slot.begin:
            raise UsageError(f"Cue {slot.number} of {place} ends before it begins, at {slot.end:g} and {slot.begin:g} s; mend its times.")
    return found


def captions_of(recording: str, folder: str | None = None, *, without: str | None = None) -> str:
    """The file of captions that has a recording's stem: path or URL.

    Args:
        recording: path or URL.
        folder: where to look; None for beside the recording.
        without: a file that is not meant.

    Raises:
        UsageError: there is none, or there are several.
    """
    there = recording if folder is None else join(folder.rstrip("/"), f"{stem(recording)}.wav")
    found = [place for place in companions(there) if suffix(place).lower() in ENDINGS]
    found = [place for place in found if without is None or absolute(place) != absolute(without)]
    if len(found) != 1:
        where = "beside it" if folder is None else f"in {folder}"
        what = f"none lies {where}" if not found else f"there are several {where}: {', '.join(found)}"
        raise UsageError(f"{recording} needs a file of captions with its name, and {what}.")
    return found[0]


def _cues(file: TextFile, ending: str) -> list[Slot]:
    import pysubs2

    CHECKS[ending](file.text, Times.still())
    text = file.legible().replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    try:
        read = pysubs2.SSAFile.from_string(text, format_=ending[1:])
    except Exception as error:
        # pysubs2 raises errors of many kinds.
        raise UsageError(f"pysubs2 finds fault with it ({' '.join(str(error).split())[:200]})") from None
    events = [event for event in read if not event.is_comment]
    if ending in (".ass", ".ssa"):
        # Their lines are in the order in which they are drawn.
        events.sort(key=lambda event: event.start)
    numbers = _numbers(text, len(events)) if ending == ".srt" else range(1, len(events) + 1)
    return [Slot(e.start / 1000, e.end / 1000, " ".join(e.plaintext.split()), number) for e, number in zip(events, numbers)]


def _numbers(text: str, count: int) -> Sequence[int]:
    """The numbers that stand before the cues, if each has one of its own; else 1, 2, 3 ..."""
    written = [cue["number"] for cue in SUBRIP_CUE.finditer(text)]
    if len(written) == count and all(written) and len(set(map(int, written))) == count:
        return [int(number) for number in written]
    return range(1, count + 1)


def _rows(file: TextFile) -> list[Slot]:
    text = TextFile(file.name, file.legible(), b"", "utf-8").text
    rows = rows_of(text)
    columns = columns_of(rows)
    found = []
    for number, row in enumerate(rows[columns.is_headed :], 1):
        begin = columns.second(row, columns.begin)
        end = columns.second(row, columns.ends[0]) if columns.ends else None
        length = columns.second(row, columns.lengths[0]) if columns.lengths else None
        if end is None and begin is not None and length is not None:
            end = begin + length
        if begin is None or end is None:
            raise UsageError(f"its row {number} holds no begin and end; give two columns of times")
        words = columns.text if columns.text is not None else (2 if not columns.is_headed else None)
        told = row[words].text if words is not None and words < len(row) else ""
        found.append(Slot(begin, end, re.sub(r"\s+", " ", told), number))
    return found


def require_forward(slots: Sequence[Slot], place: str) -> None:
    """Raise UsageError where a cue begins before the one that it follows."""
    for before, slot in pairwise(slots):
        if slot.begin < before.begin:
            raise UsageError(
                f"Cue {slot.number} of {place} begins at {slot.begin:g} s, before cue {before.number}, and a recording cannot go back; "
                "put the cues in the order of time."
            )
