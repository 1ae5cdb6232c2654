"""The follower for text: subtitles, lyrics, labels, tables of times and CUE sheets lie beside the output with their times moved."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tsmgan.audio import AudioInfo
from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.followers import labels, subtitles, tables, textfile
from tsmgan.followers.cuesheets import move_cue_sheet
from tsmgan.followers.follower import Followed, Moved
from tsmgan.followers.textfile import TextFile
from tsmgan.followers.times import Times
from tsmgan.storage.names import absolute, is_url, join, parent, plain, stem, suffix

Move = Callable[[str, Times], str]


class Format(NamedTuple):
    """One kind of text with times in it."""

    name: str
    move: Move | None
    """Gives a text with its times moved; None of CUE sheets, which name the recording as well."""


FORMATS = {
    ".srt": Format("SubRip subtitles", subtitles.move_subrip),
    ".vtt": Format("WebVTT subtitles", subtitles.move_webvtt),
    ".ass": Format("SubStation Alpha subtitles", subtitles.move_substation),
    ".ssa": Format("SubStation Alpha subtitles", subtitles.move_substation),
    ".lrc": Format("LRC lyrics", subtitles.move_lyrics),
    ".txt": Format("Audacity labels", labels.move_audacity),
    ".textgrid": Format("a TextGrid of Praat", labels.move_textgrid),
    ".csv": Format("a table of times", tables.move_table),
    ".tsv": Format("a table of times", tables.move_table),
    ".cue": Format("a CUE sheet", None),
}
"""Every kind by its ending, in lower case."""
UNSURE = {".txt", ".csv", ".tsv"}
"""Endings of files that may lie beside a recording and hold no times."""


def require_known(place: str) -> Format:
    """The format of a file by its ending.

    Raises:
        UsageError: none has this ending.
    """
    found = FORMATS.get(suffix(place).lower())
    if found is None:
        raise UsageError(f"{place} is of no kind whose times can be moved; the endings {', '.join(FORMATS)} are known.")
    return found


def companions(recording: str) -> list[str]:
    """Files beside a recording that have its stem and a known ending: `talk.srt` and `talk.en.vtt` beside `talk.wav`, in order.

    Raises:
        AudioError: the store of a URL cannot be asked.
    """
    folder, name = parent(recording), stem(recording)
    if is_url(recording):
        from tsmgan.storage import remote

        names = remote.names_in(folder)
    else:
        try:
            names = os.listdir(folder)
        except OSError:
            names = []
    fitting = [each for each in sorted(names) if each.startswith(f"{name}.") and suffix(each).lower() in FORMATS]
    found = [each if folder == "." else join(folder, each) for each in fitting]
    return [place for place in found if is_url(place) or os.path.isfile(place)]


@dataclass(frozen=True)
class _Text:
    """One text on its way."""

    file: TextFile
    target: str
    move: Move

    def moved(self, times: Times) -> bytes:
        return self.file.encoded(self.move(self.file.text, times))


class Texts:
    """Moves the times of text files. All other bytes stay as they are.

    Args:
        places: paths or URLs of files.
        beside: whether files beside the recording that have its stem follow as well. One of them that cannot be read is left out and noted.
        end: second of the recording at which the stretched passage is cut off; None where it is not.

    Raises:
        AudioError: a file cannot be read.
        UsageError: a file is of no kind whose times can be moved.
    """

    def __init__(self, places: Sequence[str], *, beside: bool = False, end: float | None = None) -> None:
        self._places, self._beside, self._end = [plain(os.fspath(place)) for place in places], beside, end
        for place in self._places:
            require_known(place)
        self._files = {place: textfile.read(place) for place in self._places}
        self._texts: list[_Text] = []
        self._notes: list[str] = []

    def targets(self, source: AudioInfo, output: str) -> list[str]:
        """See `Follower`. Each text is read through, so that one that cannot be moved is told of before the stretch.

        Raises:
            UsageError: a text is not what its ending says, the output is a pipe, or a file would be written over itself.
        """
        self._texts, self._notes = [], []
        recording = source.path
        places = {absolute(place): (place, True) for place in self._places}
        if self._beside and recording is not None:
            places |= {absolute(place): (place, False) for place in companions(recording) if absolute(place) not in places}
        if places and output == "-":
            raise UsageError("Subtitles are written beside the output, and standard output has no place for them; name a file with -o.")
        taken: set[str] = set()
        for place, is_asked_for in places.values():
            try:
                text = self._prepared(place, source, output, taken)
            except (UsageError, AudioError) as error:
                if is_asked_for:
                    raise
                if suffix(place).lower() not in UNSURE:
                    self._notes.append(f"{str(error).rstrip('.')}; it was left where it is.")
                continue
            taken.add(text.target)
            self._texts.append(text)
        return [text.target for text in self._texts]

    def _prepared(self, place: str, source: AudioInfo, output: str, taken: set[str]) -> _Text:
        file = self._files.get(place) or textfile.read(place)
        move = require_known(place).move or (lambda text, times: _move_cue_sheet(file, text, times, source, output))
        target = target_name(place, source.path, output, taken)
        if absolute(target) == absolute(place) or (not is_url(target) and _is_same_file(target, place)):
            raise UsageError(f"{place} would be written over itself; name another output with -o.")
        text = _Text(file, target, move)
        still = Times.still()
        with named(place, "moved"):
            text.moved(still)
            if not still.entries and file.text.strip():
                raise UsageError(f"nothing of {FORMATS[suffix(place).lower()].name} is in it")
        return text

    def follow(self, moved: Moved) -> Followed:
        """See `Follower`."""
        files, notes = {}, list(self._notes)
        for text in self._texts:
            times = Times(moved, self._end)
            files[text.target] = text.moved(times)
            name = os.path.basename(text.file.name)
            notes += [f"{name} {note}" for note in times.notes]
            if times.left_out:
                notes.append(f"{_count(times.left_out, 'entry', 'entries')} of {name} {_lie(times.left_out)} outside --start and --end.")
            if times.beyond:
                begin = "begins" if times.beyond == 1 else "begin"
                notes.append(f"{_count(times.beyond, 'entry', 'entries')} of {name} {begin} when the recording is over.")
        return Followed(files, tuple(notes))


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _lie(number: int) -> str:
    return "was left out, because it lies" if number == 1 else "were left out, because they lie"


class named:
    """Puts the name of a file before what is wrong with its text."""

    def __init__(self, place: str, done: str) -> None:
        self._place, self._done = place, done

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TsmganError):
            message = str(error).rstrip(".")
            raise UsageError(f"{self._place} cannot be {self._done}: {message}. Mend the file, or leave it out.") from None


def _move_cue_sheet(file: TextFile, text: str, times: Times, source: AudioInfo, output: str) -> str:
    """A CUE sheet names the recording in its own encoding, in which bytes stand for characters here."""
    names = [os.path.basename(source.path or source.name), os.path.basename(output)]
    if file.codec == "latin-1":
        names = [os.fsencode(name).decode("latin-1") for name in names]
    return move_cue_sheet(text, times, names[0], names[1])


def target_name(place: str, recording: str | None, output: str, taken: set[str]) -> str:
    """Where the moved text lies: beside the output, with its stem. What follows the recording's stem stays: `talk.en.srt` of `talk.wav`
    becomes `fast.en.srt` beside `fast.wav`. Of two files that would have one name the second keeps its own name in it.
    """
    folder, name = parent(output), os.path.basename(place)
    if is_url(place):
        name = stem(place) + suffix(place)
    base = None if recording is None else stem(recording)
    ending = name[len(base) :] if base is not None and name.startswith(f"{base}.") else suffix(name)
    for each in (stem(output) + ending, f"{stem(output)}.{name}"):
        target = each if folder == "." and not output.startswith("." + os.sep) else join(folder, each)
        if target not in taken:
            return target
    raise UsageError(f"{place} is named twice, or another file of its name is; name each once.")


def _is_same_file(target: str, place: str) -> bool:
    try:
        return os.path.samefile(target, place)
    except OSError:
        return False
