"""Labels and annotations: Audacity's label tracks and Praat's TextGrids. Only times are written anew, in their places in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tsmgan.errors import UsageError
from tsmgan.followers.subtitles import line_number, lines_of
from tsmgan.followers.times import NUMBER, WHOLE, Edits, Times, number_at, read_number

_LABEL = re.compile(rf"(?P<begin>{NUMBER})(?:\t(?P<end>{NUMBER})(?=\t|$)|(?=\t|$))", re.ASCII)
_FREQUENCIES = re.compile(r"\\\t")
"""A second line of a label: the frequencies that a spectral selection lies between."""


def move_audacity(text: str, times: Times) -> str:
    """Audacity's labels (.txt): lines of begin, end and text with tabs between them.

    Source: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    edits, removing = Edits(text), False
    lines = list(lines_of(text))
    for (position, line), (following, _) in zip(lines, [*lines[1:], (len(text), "")]):
        if _FREQUENCIES.match(line):
            if removing:
                edits.remove(position, following)
            continue
        if not line.strip():
            continue
        label = _LABEL.match(line)
        if label is None:
            raise UsageError(
                f"line {line_number(text, position)} is no label of Audacity (begin, end and text with tabs between them): {line[:60]!r}"
            )
        begin = read_number(label["begin"])
        end = begin if label["end"] is None else read_number(label["end"])
        removing = not times.holds(begin, end)
        if removing:
            edits.remove(position, following)
            continue
        for name, second in (("begin", begin), ("end", end)):
            if label[name] is not None:
                first, behind = label.span(name)
                edits.replace(position + first, position + behind, number_at(label[name], times.at(second)))
    return edits.applied()


# Praat.

_TOKEN = re.compile(r'(?P<string>"(?:[^"]|"")*")|(?P<comment>(?:(?<=\s)|(?<![\s\S]))![^\r\n]*)|(?P<flag><\w+>)|(?P<word>[^\s"]+)', re.ASCII)
_FREE_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_NUMBERED = re.compile(r"\[(?P<number>\d+)\]", re.ASCII)


class _Token(NamedTuple):
    kind: str
    """string, flag or number."""
    text: str
    first: int
    behind: int


class _Tokens:
    """What counts in a text file of Praat: strings, flags and numbers that stand free. All else explains them to people.

    Source: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
    """

    def __init__(self, text: str) -> None:
        self._text, self._found, self._last = text, self._read(text), 0

    @staticmethod
    def _read(text: str) -> Iterator[_Token]:
        for found in _TOKEN.finditer(text):
            if found.lastgroup in ("string", "flag"):
                yield _Token(found.lastgroup, found[0], *found.span())
            elif found.lastgroup == "word" and _FREE_NUMBER.fullmatch(found[0]):
                yield _Token("number", found[0], *found.span())

    def next(self, kind: str) -> _Token:
        """The next token, which has to be of this kind."""
        found = next(self._found, None)
        if found is None:
            raise UsageError("it ends before all of its tiers and intervals are there")
        self._last = found.behind
        if found.kind != kind:
            raise UsageError(f"line {line_number(self._text, found.first)} has {found.text[:40]} where a {kind} should stand")
        return found

    def count(self) -> int:
        """The next number, which counts what follows."""
        token = self.next("number")
        if not re.fullmatch(WHOLE, token.text, re.ASCII):
            raise UsageError(f"line {line_number(self._text, token.first)} has {token.text[:40]} where a count should stand")
        return int(token.text)

    @property
    def position(self) -> int:
        """Behind the last token."""
        return self._last


def move_textgrid(text: str, times: Times) -> str:
    """Praat's TextGrid, in its long and its short text format: the times of the file, its tiers, intervals and points."""
    if text.startswith("ooBinaryFile"):
        raise UsageError("it is a binary TextGrid; save it as a text file in Praat")
    edits, tokens = Edits(text), _Tokens(text)
    kinds = [tokens.next("string").text for _ in range(2)]
    if kinds[1] != '"TextGrid"':
        raise UsageError(f"it is no TextGrid but {kinds[1]}; save one as a text file in Praat")
    _move_numbers([tokens.next("number") for _ in range(2)], edits, times)
    if tokens.next("flag").text != "<exists>":
        return edits.applied()
    for _ in range(tokens.count()):
        kind, _ = tokens.next("string"), tokens.next("string")
        if kind.text not in ('"IntervalTier"', '"TextTier"'):
            raise UsageError(f"line {line_number(text, kind.first)} has a tier of the kind {kind.text}, which Praat does not know")
        _move_numbers([tokens.next("number") for _ in range(2)], edits, times)
        _move_tier(text, tokens, 2 if kind.text == '"IntervalTier"' else 1, edits, times)
    return edits.applied()


def _move_tier(text: str, tokens: _Tokens, instants: int, edits: Edits, times: Times) -> None:
    """The entries of a tier: one number each, or two, and a text. The count and the numbers of entries change where some are left out."""
    size = tokens.count()
    size_behind, kept = tokens.position, 0
    for number in range(size):
        first = tokens.position
        found = [tokens.next("number") for _ in range(instants)]
        tokens.next("string")
        if not times.holds(read_number(found[0].text), read_number(found[-1].text)):
            edits.remove(first, tokens.position)
            continue
        _move_numbers(found, edits, times)
        kept += 1
        label = _NUMBERED.search(text, first, found[0].first)
        if label is not None and kept != number + 1:
            edits.replace(*label.span("number"), str(kept))
    if kept != size:
        edits.replace(size_behind - len(str(size)), size_behind, str(kept))


def _move_numbers(tokens: list[_Token], edits: Edits, times: Times) -> None:
    for token in tokens:
        edits.replace(token.first, token.behind, number_at(token.text, times.at(read_number(token.text))))
