"""CUE sheets: where the tracks of a recording begin. Only times and the recording's name are written anew, in their places in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tsmgan.errors import UsageError
from tsmgan.followers.subtitles import line_number, lines_of
from tsmgan.followers.times import WHOLE, Edits, Times
from tsmgan.storage.names import suffix

FRAMES = 75
"""Of a compact disc in a second, the unit of CUE sheets."""
_FILE = re.compile(r'[ \t]*FILE[ \t]+(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))(?:[ \t]+(?P<kind>\w+))?', re.IGNORECASE | re.ASCII)
_TRACK = re.compile(r"[ \t]*TRACK[ \t]+\d+", re.IGNORECASE | re.ASCII)
_INDEX = re.compile(
    rf"[ \t]*INDEX[ \t]+(?P<number>{WHOLE})[ \t]+(?P<time>(?P<m>{WHOLE}):(?P<s>\d{{1,2}}):(?P<f>\d{{1,2}}))", re.IGNORECASE | re.ASCII
)
_BAD_INDEX = re.compile(r"[ \t]*INDEX\b", re.IGNORECASE | re.ASCII)
KINDS = {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}
"""What a CUE sheet calls a file by its ending; all others are WAVE there."""


@dataclass
class _Track:
    first: int
    indices: list[re.Match[str]] = field(default_factory=list)
    behind: int = 0

    def second(self) -> float:
        """When it begins: index 1 is its music, an earlier one the gap before it."""
        return _second(max(self.indices[:2], key=lambda index: int(index["number"]) == 1))


def _second(index: re.Match[str]) -> float:
    return 60 * int(index["m"]) + int(index["s"]) + int(index["f"]) / FRAMES


def move_cue_sheet(text: str, times: Times, source: str, output: str) -> str:
    """A CUE sheet (.cue): the indices of the tracks of one recording, and its name.

    Args:
        text, times: the sheet, and where times go.
        source, output: names of the recording and of the output, without folders.

    Raises:
        UsageError: an index cannot be read, or the sheet is about several recordings and none of them is this one.
    """
    edits = Edits(text)
    tracks = _tracks(text, source, output, edits)
    for track, following in zip(tracks, [*tracks[1:], None]):
        begin = track.second()
        end = following.second() if following is not None else times.moved.start + times.moved.input_seconds
        if not times.holds(begin, max(begin, end)):
            edits.remove(track.first, track.behind)
            continue
        for index in track.indices:
            edits.replace(*index.span("time"), _written(index, times.at(_second(index))))
    return edits.applied()


def _tracks(text: str, source: str, output: str, edits: Edits) -> list[_Track]:
    """The tracks of the recording, in order. Its name is replaced on the way. Matches are of the whole text."""
    files = [(position, _FILE.match(text, position)) for position, line in lines_of(text) if _FILE.match(line)]
    named = [found for _, found in files if found is not None and _name(found) == source]
    if len(files) > 1 and not named:
        raise UsageError(f"it is about several recordings, and {source} is none of them")
    ours = {found.start() for found in named} or {position for position, _ in files}
    tracks: list[_Track] = []
    is_ours = not files
    for position, line in lines_of(text):
        found = _FILE.match(text, position) if _FILE.match(line) else None
        if found is not None:
            is_ours = position in ours
            if is_ours:
                _rename(found, output, edits)
        elif is_ours and _TRACK.match(line):
            tracks.append(_Track(position))
        elif is_ours and tracks and _BAD_INDEX.match(line):
            index = _INDEX.match(text, position)
            if index is None:
                raise UsageError(f"line {line_number(text, position)} holds no time as minutes:seconds:frames: {line.strip()[:60]!r}")
            tracks[-1].indices.append(index)
        if is_ours and tracks:
            tracks[-1].behind = position + len(line)
    for track in tracks:
        ending = re.compile(r"\r\n|\r|\n").match(text, track.behind)
        track.behind = ending.end() if ending is not None else track.behind
    return [track for track in tracks if track.indices]


def _name(found: re.Match[str]) -> str:
    name = found["quoted"] if found["quoted"] is not None else found["plain"]
    return re.split(r"[/\\]", name)[-1]


def _rename(found: re.Match[str], output: str, edits: Edits) -> None:
    name = "quoted" if found["quoted"] is not None else "plain"
    if _name(found) == output:
        return
    edits.replace(*found.span(name), output if name == "quoted" else f'"{output}"')
    if found["kind"] is not None and suffix(_name(found)).lower() != suffix(output).lower():
        edits.replace(*found.span("kind"), KINDS.get(suffix(output).lower(), "WAVE"))


def _written(index: re.Match[str], second: float) -> str:
    frames = round(max(0.0, second) * FRAMES)
    if frames == round(_second(index) * FRAMES):
        return index["time"]
    minutes, rest = divmod(frames, 60 * FRAMES)
    return f"{minutes:0{len(index['m'])}d}:{rest // FRAMES:02d}:{rest % FRAMES:02d}"
