"""Subtitles and lyrics: SubRip, WebVTT, SubStation Alpha and LRC. Only times are written anew, in their places in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tsmgan.errors import UsageError
from tsmgan.followers.times import CLOCK, WHOLE, Clock, Edits, Times

_START = r"(?:^|(?<=\r))"
"""The beginning of a line. A lone carriage return ends a line, too."""
_BREAK = r"(?:\r\n|\r|\n)"
_TIMING = rf"[ \t]*(?P<begin>{CLOCK})[ \t]*-->[ \t]*(?P<end>{CLOCK})(?![\w:.,])"
SUBRIP_CUE = re.compile(rf"{_START}(?:[ \t]*(?P<number>{WHOLE})[ \t]*{_BREAK})?{_TIMING}", re.MULTILINE | re.ASCII)
WEBVTT_CUE = re.compile(rf"{_START}(?:(?P<number>[^\r\n]*\S[^\r\n]*){_BREAK})?{_TIMING}", re.MULTILINE | re.ASCII)
_ARROW = re.compile(rf"{_START}[^\r\n]*?\d:\d[^\r\n]*-->[^\r\n]*", re.MULTILINE | re.ASCII)
_INSIDE = re.compile(rf"<({CLOCK})>", re.ASCII)
_LIKE_A_TIME = r"[ \t]*\d+[ \t]*:[ \t]*\d[\d:., \t]*"
"""What looks like a time between brackets, whether it can be read or not."""
_LIKE_INSIDE = re.compile(rf"<{_LIKE_A_TIME}>", re.ASCII)
_BLANK = re.compile(rf"{_BREAK}[ \t]*(?:{_BREAK}|$)")


def move_subrip(text: str, times: Times) -> str:
    """SubRip (.srt): the two times of each cue."""
    return _move_cues(text, times, SUBRIP_CUE, decimals=3)


def move_webvtt(text: str, times: Times) -> str:
    """WebVTT (.vtt): the two times of each cue, and those within its text. Notes, styles and regions are no cues.

    Source: https://www.w3.org/TR/webvtt1/
    """
    return _move_cues(text, times, WEBVTT_CUE, decimals=3)


def _move_cues(text: str, times: Times, pattern: re.Pattern[str], decimals: int) -> str:
    edits = Edits(text)
    cues = list(pattern.finditer(text))
    _require_all_read(text, cues)
    for cue, following in zip(cues, [*cues[1:], None]):
        begin, end = Clock.read(cue["begin"]), Clock.read(cue["end"])
        behind = following.start() if following is not None else len(text)
        if pattern is WEBVTT_CUE:
            blank = _BLANK.search(text, cue.end(), behind)
            behind = blank.end() if blank is not None else behind
        if not times.holds(begin.second, end.second):
            edits.remove(cue.start(), behind)
            continue
        for name, clock in (("begin", begin), ("end", end)):
            edits.replace(*cue.span(name), clock.at(times.at(clock.second), least_decimals=decimals))
        if pattern is WEBVTT_CUE:
            for found in _LIKE_INSIDE.finditer(text, cue.end(), behind):
                inside = _INSIDE.fullmatch(text, *found.span())
                if inside is None:
                    raise _unreadable(text, found.start(), found[0])
                clock = Clock.read(inside[1])
                edits.replace(*inside.span(1), clock.at(times.at(clock.second), least_decimals=decimals))
    return edits.applied()


def _require_all_read(text: str, cues: list[re.Match[str]]) -> None:
    """Refuse a text in which a line looks like the times of a cue and cannot be read; it would be left where it was."""
    ends = {cue.end("end") for cue in cues}
    for line in _ARROW.finditer(text):
        if not any(line.start() <= end <= line.end() for end in ends.intersection(range(line.start(), line.end() + 1))):
            raise UsageError(f"line {line_number(text, line.start())} holds times that cannot be read: {line[0].strip()[:60]!r}")


def _unreadable(text: str, position: int, written: str) -> UsageError:
    return UsageError(f"line {line_number(text, position)} holds a time that cannot be read: {written.strip()[:60]!r}")


def line_number(text: str, position: int) -> int:
    """The number of the line that a position is in, counted from 1."""
    return len(re.findall(_BREAK, text[:position])) + 1


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Every line without its end, and the position at which it begins. Only carriage returns and line feeds end lines."""
    position = 0
    for found in re.finditer(_BREAK, text):
        yield position, text[position : found.start()]
        position = found.end()
    yield position, text[position:]


# SubStation Alpha.

_FIELDS = re.compile(r"Format[ \t]*:(.*)", re.IGNORECASE | re.DOTALL)
_EVENT = re.compile(r"(?:Dialogue|Comment)[ \t]*:", re.IGNORECASE)
_BLOCK = re.compile(r"\{[^}]*\}")
_KARAOKE = re.compile(rf"\\(?P<kind>kt|k[fo]?|K[fo]?)(?P<cs>{WHOLE})(?!\d)", re.ASCII)
_SPAN = re.compile(rf"\\t[ \t]*\([ \t]*(?P<a>{WHOLE})[ \t]*,[ \t]*(?P<b>{WHOLE})[ \t]*,", re.ASCII)
_MOVE = re.compile(rf"\\move[ \t]*\((?:[^,()]*,){{4}}[ \t]*(?P<a>{WHOLE})[ \t]*,[ \t]*(?P<b>{WHOLE})[ \t]*\)", re.ASCII)
_FADE = re.compile(rf"\\fad[ \t]*\([ \t]*(?P<a>{WHOLE})[ \t]*,[ \t]*(?P<b>{WHOLE})[ \t]*\)", re.ASCII)
_LONG_FADE = re.compile(
    rf"\\fade[ \t]*\((?:[^,()]*,){{3}}[ \t]*(?P<a>{WHOLE})[ \t]*,[ \t]*(?P<b>{WHOLE})[ \t]*,"
    rf"[ \t]*(?P<c>{WHOLE})[ \t]*,[ \t]*(?P<d>{WHOLE})[ \t]*\)",
    re.ASCII,
)
_UNREADABLE_TAG = re.compile(r"\\(?:(?:kt|k[fo]?|K[fo]?)|(?:t|move|fade?)[ \t]*\([^()\\]*?(?<![\d.]))\d{10,}", re.ASCII)
"""A tag with a whole number that has more digits than WHOLE."""
EVENT_CLOCK = re.compile(rf"(?<!\d){WHOLE}:\d{{1,2}}:\d{{1,2}}(?:[.,]\d{{1,18}})?(?!\d)", re.ASCII)


def move_substation(text: str, times: Times) -> str:
    r"""SubStation Alpha (.ass, .ssa): begin and end of dialogue lines and comments, and what counts from them: karaoke syllables (`\k`),
    animations (`\t`, `\move`) and fades.

    Source: http://www.tcax.org/docs/ass-specs.htm, and https://aegisub.org/docs/latest/ass_tags/ for the units.
    """
    edits, fields, in_events = Edits(text), ["layer", "start", "end"], False
    for position, line in lines_of(text):
        if line.startswith("["):
            in_events = line.strip().lower() == "[events]"
        elif not in_events:
            continue
        elif heading := _FIELDS.match(line):
            fields = [name.strip().lower() for name in heading[1].split(",")]
        elif event := _EVENT.match(line):
            _move_event(text, position, position + event.end(), position + len(line), fields, edits, times)
    return edits.applied()


def _move_event(text: str, line: int, first: int, behind: int, fields: list[str], edits: Edits, times: Times) -> None:
    """One line of a script: `line` is its position, and its fields lie between `first` and `behind`."""
    cells, position = {}, first
    for name in fields[:-1]:
        comma = text.find(",", position, behind)
        if comma < 0:
            break
        cells[name] = (position, comma)
        position = comma + 1
    clocks = {}
    for name in ("start", "end"):
        found = EVENT_CLOCK.search(text, *cells[name]) if name in cells else None
        if found is None:
            raise UsageError(f"line {line_number(text, line)} holds no {name} that can be read: {text[line:behind][:60]!r}")
        clocks[name] = (found.span(), Clock.read(found[0]))
    begin, end = clocks["start"][1].second, clocks["end"][1].second
    if not times.holds(begin, end):
        after = re.compile(_BREAK).match(text, behind)
        edits.remove(line, after.end() if after is not None else behind)
        return
    for span, clock in clocks.values():
        edits.replace(*span, clock.at(times.at(clock.second), least_decimals=2))
    _move_tags(text, position, behind, begin, end, edits, times)


def _move_tags(text: str, first: int, behind: int, begin: float, end: float, edits: Edits, times: Times) -> None:
    """Times within a line: centiseconds of karaoke follow one another, milliseconds of the others count from its begin or end."""
    base, sung = times.at(begin), 0

    def since(milliseconds: str) -> str:
        return str(round(1000 * (times.at(begin + int(milliseconds) / 1000) - base)))

    for block in _BLOCK.finditer(text, first, behind):
        if unreadable := _UNREADABLE_TAG.search(text, *block.span()):
            raise _unreadable(text, unreadable.start(), unreadable[0])
        for tag in _KARAOKE.finditer(text, *block.span()):
            if tag["kind"] == "kt":
                sung = int(tag["cs"])
                edits.replace(*tag.span("cs"), str(round(100 * (times.at(begin + sung / 100) - base))))
                continue
            # Rounding both ends keeps the sum of the syllables right.
            ends = [round(100 * (times.at(begin + at / 100) - base)) for at in (sung, sung + int(tag["cs"]))]
            sung += int(tag["cs"])
            edits.replace(*tag.span("cs"), _padded(tag["cs"], ends[1] - ends[0]))
        for pattern in (_SPAN, _MOVE, _LONG_FADE):
            for tag in pattern.finditer(text, *block.span()):
                for name in tag.groupdict():
                    edits.replace(*tag.span(name), _padded(tag[name], int(since(tag[name]))))
        for tag in _FADE.finditer(text, *block.span()):
            out = 1000 * (times.at(end) - times.at(end - int(tag["b"]) / 1000))
            edits.replace(*tag.span("a"), _padded(tag["a"], int(since(tag["a"]))))
            edits.replace(*tag.span("b"), _padded(tag["b"], round(out)))


def _padded(written: str, value: int) -> str:
    return written if int(written) == value else str(value)


# LRC.

_STAMP = re.compile(rf"(?P<open>[\[<])(?P<m>{WHOLE}):(?P<s>\d{{1,2}})(?:(?P<point>[.:])(?P<rest>\d{{1,3}}))?[\]>]", re.ASCII)
_LIKE_STAMP = re.compile(rf"\[{_LIKE_A_TIME}\]", re.ASCII)
_HEAD = re.compile(rf"(?:[ \t]*\[{_LIKE_A_TIME}\])+", re.ASCII)
_TAG = re.compile(r"[ \t]*\[(?P<name>offset|length)[ \t]*:[ \t]*(?P<value>[-+]?[\d:.]+)[ \t]*\]", re.ASCII | re.IGNORECASE)


def move_lyrics(text: str, times: Times) -> str:
    """LRC (.lrc): the stamps of lines and words, and the stated length. `[offset:+500]` makes all lines half a second earlier."""
    edits, early = Edits(text), 0.0
    lines = list(lines_of(text))
    for _, line in lines:
        tag = _TAG.match(line)
        if tag and tag["name"].lower() == "offset":
            try:
                early = float(tag["value"]) / 1000
            except ValueError:
                raise UsageError(f"the offset {tag['value']!r} is no number of milliseconds") from None
    for (position, line), (following, _) in zip(lines, [*lines[1:], (len(text), "")]):
        if head := _HEAD.match(line):
            for found in (*_LIKE_STAMP.finditer(head[0]), *_LIKE_INSIDE.finditer(line)):
                if _STAMP.fullmatch(line, *found.span()) is None:
                    raise _unreadable(text, position, found[0])
            stamps = list(_STAMP.finditer(line, 0, head.end()))
            kept = [times.holds(second := _lyric_clock(each).second - early, second) for each in stamps]
            if not any(kept):
                edits.remove(position, following)
                continue
            for each, keep in zip(stamps, kept):
                if not keep:
                    edits.remove(position + each.start(), position + each.end())
            for each in _STAMP.finditer(line):
                _move_lyric(position, each, early, edits, times)
        elif (tag := _TAG.match(line)) and tag["name"].lower() == "length":
            if not re.fullmatch(CLOCK, tag["value"], re.ASCII):
                raise _unreadable(text, position, tag[0])
            clock = Clock.read(tag["value"])
            first, behind = tag.span("value")
            moved = clock.at(times.at(clock.second), long_minutes=True)
            edits.replace(position + first, position + behind, moved)
    return edits.applied()


def _lyric_clock(stamp: re.Match[str]) -> Clock:
    written = stamp[0][1:-1]
    return Clock(written, 1, None, stamp["m"], stamp["s"], stamp["point"] or ".", stamp["rest"] or "")


def _move_lyric(position: int, stamp: re.Match[str], early: float, edits: Edits, times: Times) -> None:
    clock = _lyric_clock(stamp)
    second = max(0.0, times.at(clock.second - early) + early)
    edits.replace(position + stamp.start() + 1, position + stamp.end() - 1, clock.at(second, least_decimals=2, long_minutes=True))
