"""What a batch is to do: which recordings, at which rates, and what each output is called."""

from __future__ import annotations

import codecs
import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import BinaryIO, NamedTuple

from tsmgan.audio.formats import SUFFIXES
from tsmgan.audio.opening import READABLE_SUFFIXES
from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.maps.speeds import rate_label
from tsmgan.options import StretchOptions
from tsmgan.storage.names import WEB, Stamp, absolute, is_url, join, parent, scheme, stem, suffix
from tsmgan.storage.places import is_folder, stamp

LARGEST_LIST_BYTES = 1 << 26
"""Of a list of names: what has no end would take all memory."""
DEFAULT_NAME = "{stem}@{rate}{pitch}.{ext}"
FIELDS = ("stem", "rate", "pitch", "ext", "input_ext", "folder")
"""What a name template may hold: the input's name without its ending, the rate, the pitch (+2st, or nothing), the output's ending, the
input's ending, and the input's folder in its tree."""
UNREADABLE = {".raw", ".pcm"}
"""Endings whose files have no header, so that a batch cannot know what is in them."""


class Source(NamedTuple):
    """A recording to read."""

    path: str
    folder: str
    """Where it lies in the tree that is mirrored, "" at the top."""
    size: int | None = None
    """In bytes, where the search has told it."""


@dataclass(frozen=True)
class Task:
    """One output to make. Everything that a worker needs, and small enough to send to one."""

    input: str
    root: str
    """The folder that no output may leave."""
    output: str
    """Below the root, with forward slashes."""
    options: StretchOptions
    """With the output's rate among them."""
    version: str = ""
    """Stands for the program and the model's weights: outputs of others are made anew."""
    replace: bool = False
    """Whether an existing output is overwritten."""
    adopt: bool = False
    """Whether an existing output is taken for this one if it holds the very same sound."""
    size: int = 0
    """Of the input in bytes, as far as known."""

    @property
    def target(self) -> str:
        """The output's path or URL."""
        return join(self.root, self.output)

    @property
    def rate(self) -> float:
        """Speed; 1 where slots say how fast."""
        return 1.0 if self.options.rate is None else self.options.rate

    def _followers(self) -> list[object]:
        """Size and version of each file that moves with the recording. Nothing where none is asked for."""
        options = self.options
        if not (options.subtitles or options.with_subtitles):
            return []
        from tsmgan.followers.text import companions

        places = [*options.subtitles, *(companions(self.input) if options.with_subtitles else ())]
        return [[place, *_stamp(place)] for place in places]

    def _slots(self) -> list[object]:
        """The limits of lines, and size and version of both files of captions. Nothing where none are asked for."""
        options = self.options
        if options.slots is None:
            return []
        from tsmgan.maps.slots import Slots

        try:
            places = Slots(options).files(self.input)
        except TsmganError:
            # That is told when its turn comes.
            places = (os.fspath(options.slots), "")
        return [options.slowest, options.fastest, options.free_time, options.report, *([place, *_stamp(place)] for place in places)]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change whenever the sound may, apart from the rate."""
        options = self.options
        # The network's sums are rounded in another order by more threads, and by other devices.
        network = (options.model, self.version, options.device, options.threads or 1)
        # Only what is asked for counts, so that outputs of earlier versions are still known.
        timing = (() if options.pauses is None else (options.pauses,)) + (("loop",) if options.loop else ())
        output: tuple[object, ...] = (options.gain, options.subtype, options.bitrate, options.salvage, options.start, options.end)
        if options.track is not None:
            output = (*output, "track", options.track)
        heard = (
            *network,
            *timing,
            options.coherence,
            options.seed,
            options.pitch,
            options.formants,
            *output,
            *self._followers(),
            *self._slots(),
        )
        return hashlib.sha256(json.dumps(heard).encode()).hexdigest()[:16]


def is_pattern(text: str) -> bool:
    """Whether a source is a pattern such as `talks/**/*.wav` and not the name of a file that happens to look like one."""
    return glob.has_magic(text) and scheme(text) not in WEB and not os.path.lexists(text)


def find_sources(arguments: Iterable[str], listed: Iterable[str] = (), *, outside: str | None = None) -> list[Source]:
    """Collect the recordings that arguments name, paths or URLs, each once, in a fixed order.

    Args:
        arguments: files, folders and patterns. A folder and the fixed beginning of a pattern are the tops of trees to mirror.
        listed: files out of a list, mirrored below the folder that all of them share.
        outside: a folder that trees are not followed into: the outputs', which may lie within the inputs'.

    Raises:
        AudioError: a folder holds no recording, or a pattern fits none.
        UsageError: standard input is among them, or nothing is.
    """
    sources: list[Source] = []
    avoided = os.path.realpath(outside) if outside is not None else None
    for text in arguments:
        if text == "-":
            raise UsageError("Standard input is a single recording; stretch it by itself, or give the names of files.")
        if is_pattern(text):
            found = list(_matches_behind(text, outside) if is_url(text) else _matches(text, avoided))
            if not found:
                raise AudioError(f"No recording fits {text}; check the pattern.")
        elif is_folder(text):
            found = list(_walk_behind(text, outside) if is_url(text) else _walk(text, avoided))
            if not found:
                raise AudioError(f"{text} is a folder without recordings; name another, or files of any ending one by one.")
        else:
            found = [Source(text, "")]
        sources += found
    sources += _below_common_folder(list(listed))
    if not sources:
        raise UsageError("There is nothing to stretch; name recordings, folders or patterns.")
    return list({absolute(source.path): source for source in sources}.values())


def _is_recording(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in READABLE_SUFFIXES


def _walk(top: str, avoided: str | None) -> Iterator[Source]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and os.path.realpath(os.path.join(folder, f)) != avoided)
        relative = os.path.relpath(folder, top)
        for name in sorted(filter(_is_recording, names)):
            path = os.path.join(folder, name)
            # A named pipe would be waited for without end.
            if os.path.isfile(path):
                yield Source(path, "" if relative == "." else Path(relative).as_posix())


def _matches(pattern: str, avoided: str | None) -> Iterator[Source]:
    parts = Path(pattern).parts
    fixed = next(k for k, part in enumerate(parts) if glob.has_magic(part))
    top = str(Path(*parts[:fixed])) if fixed else "."
    for path in sorted(glob.iglob(pattern, recursive=True)):
        within = avoided is not None and Path(avoided) in Path(os.path.realpath(path)).parents
        if os.path.isfile(path) and not within:
            relative = os.path.relpath(os.path.dirname(path) or ".", top)
            yield Source(path, "" if relative == "." else Path(relative).as_posix())


def _walk_behind(url: str, avoided: str | None) -> Iterator[Source]:
    from tsmgan.storage import remote

    for name, size in remote.find(url).items():
        if not any(part.startswith(".") for part in name.split("/")) and _is_recording(name.rpartition("/")[2]):
            yield from _outside(Source(join(url, name), name.rpartition("/")[0], size), avoided)


def _matches_behind(pattern: str, avoided: str | None) -> Iterator[Source]:
    from tsmgan.storage import remote

    fixed = pattern[: next(k for k, character in enumerate(pattern) if glob.has_magic(character))]
    top = parent(fixed)
    for name, size in remote.match(pattern, top).items():
        yield from _outside(Source(join(top, name), name.rpartition("/")[0], size), avoided)


def _outside(source: Source, avoided: str | None) -> Iterator[Source]:
    """The source, unless it lies below the folder."""
    if avoided is None or not source.path.startswith(avoided.rstrip("/") + "/"):
        yield source


def _below_common_folder(paths: list[str]) -> list[Source]:
    if not paths:
        return []
    if any(is_url(path) for path in paths):
        return _below_common_url(paths)
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    try:
        top = os.path.commonpath(folders)
    except ValueError:  # several drives
        return [Source(path, "") for path in paths]
    relatives = [os.path.relpath(folder, top) for folder in folders]
    return [Source(path, "" if r == "." else Path(r).as_posix()) for path, r in zip(paths, relatives)]


def _below_common_url(paths: list[str]) -> list[Source]:
    folders = [parent(absolute(path)).split("/") for path in paths]
    shared = next((k for k, parts in enumerate(zip(*folders)) if len(set(parts)) > 1), min(map(len, folders)))
    # Scheme, nothing and host or bucket: places that share less are no tree.
    return [Source(path, "/".join(folder[shared:]) if shared > 2 else "") for path, folder in zip(paths, folders)]


def read_list(file: BinaryIO) -> list[str]:
    """File names, one a line; empty lines and those that begin with # are left out.

    Windows marks the encoding of its text files in their first bytes, and PowerShell writes UTF-16.

    Raises:
        UsageError: the file holds what no name has, or is longer than any list.
    """
    data = file.read(LARGEST_LIST_BYTES + 1)
    if len(data) > LARGEST_LIST_BYTES:
        raise UsageError(f"The list has more than {LARGEST_LIST_BYTES >> 20} MB; give a text file with one name a line.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        text = os.fsdecode(data.removeprefix(codecs.BOM_UTF8))
    names = [line.removesuffix("\r") for line in text.split("\n")]
    for number, name in enumerate(names, 1):
        if "\0" in name:
            raise UsageError(f"Line {number} of the list holds a NUL byte, which no file name has; write one name a line.")
    return [name for name in names if name.strip() and not name.startswith("#")]


def check_template(template: str, rates: int) -> str:
    """Return the template of output names, or say what is wrong with it.

    Raises:
        UsageError: an unknown field, a name that is empty, absolute or leads upwards, or several rates and no {rate}.
    """
    example = 'for example --name "{stem}@{rate}.{ext}"'
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise UsageError(f"The name template {template!r} has a brace too many or too few; give {example}.") from None
    fields = []
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS or form or conversion:
            raise UsageError(f"The name template knows {{{'}, {'.join(FIELDS)}}} and not {{{field}}}; give {example}.")
        fields.append(field)
    if rates > 1 and "rate" not in fields:
        raise UsageError(f"With several rates the name template needs {{rate}}, else outputs would overwrite each other; give {example}.")
    literal = "".join(text for text, *_ in parts)
    if "\0" in literal or "\\" in literal or template.startswith("/") or ":" in literal or ".." in literal.split("/"):
        raise UsageError(f"The name template {template!r} leads out of the output folder; give {example}.")
    if not template or template.endswith("/"):
        raise UsageError(f"The name template {template!r} names no file; give {example}.")
    return template


def output_name(template: str, source: Source, label: str, pitch: str = "") -> str:
    """The output's name below the output folder, with forward slashes.

    Raises:
        UsageError: the name would leave the output folder.
    """
    ending = suffix(source.path)
    ext = ending[1:] if ending.lower() in SUFFIXES and ending.lower() not in UNREADABLE else "wav"
    name = template.format(stem=stem(source.path), rate=label, pitch=pitch, ext=ext, input_ext=ending[1:], folder=source.folder)
    if "{folder}" not in template:
        name = f"{source.folder}/{name}"
    pure = PurePosixPath(name.lstrip("/"))
    if ".." in pure.parts or not pure.name or (os.sep == "\\" and any(c in name for c in "\\:")):
        raise UsageError(f"The output of {source.path} would be {name!r}, which leads out of the output folder; change --name.")
    return str(pure)


def make_tasks(
    sources: Sequence[Source],
    rates: Sequence[float],
    template: str,
    root: str | None,
    options: StretchOptions,
    version: str = "",
    labels: Mapping[float, str] | None = None,
) -> list[Task]:
    """Every output that the batch shall leave, largest input first, so that no long one is left to a single process at the end.

    Args:
        sources: see `find_sources`.
        rates: speeds; a single one, which is not used, where slots say how fast.
        template: checked by `check_template`.
        root: the output folder; None puts each output beside its input.
        options: of all of them; their rate is not used.
        version: see `Task`.
        labels: what {rate} stands for in names, by rate; None for the rates themselves.

    Raises:
        UsageError: two outputs would have the same name, or one would leave the output folder or overwrite an input.
    """
    tasks: list[Task] = []
    inputs = {absolute(source.path) for source in sources}
    taken: set[tuple[str, str]] = set()
    for source in sources:
        place = root if root is not None else parent(source.path)
        flat = source if root is not None else Source(source.path, "")
        size = source.size if source.size is not None else _stamp(source.path).bytes
        for rate in rates:
            name = output_name(template, flat, rate_label(rate) if labels is None else labels[rate], options.pitch_label)
            if (place, name) in taken:
                raise UsageError(
                    f"Two recordings would become {name}, {source.path} one of them; tell them apart with --name, "
                    'for example --name "{folder}/{stem}.{input_ext}@{rate}.{ext}", or stretch them into two folders.'
                )
            taken.add((place, name))
            task = Task(source.path, place, name, replace(options, rate=None if options.slots is not None else rate), version, size=size)
            if absolute(task.target) in inputs:
                raise UsageError(f"The output {task.target} is one of the inputs, and none is overwritten; name a folder with -o.")
            tasks.append(task)
    return sorted(tasks, key=lambda task: -task.size)


def _stamp(place: str) -> Stamp:
    """Size and version of a file, 0 bytes of one that is not there: that is told when its turn comes."""
    try:
        return stamp(place)
    except OSError:
        return Stamp(0, "")


@lru_cache(maxsize=4096)
def _stays_inside(folder: str, root: str) -> bool:
    real, top = os.path.realpath(folder), os.path.realpath(root)
    return real == top or real.startswith(top.rstrip(os.sep) + os.sep)


def require_inside(task: Task) -> None:
    """Raise AudioError when a symbolic link leads the output out of the output folder. Behind URLs there are none."""
    target = task.target
    if is_url(task.root):
        return
    if not _stays_inside(os.path.dirname(target), task.root) or (os.path.islink(target) and not _leads_inside(target, task.root)):
        raise AudioError(
            f"{target} lies behind a symbolic link that leads out of {task.root}; remove the link, or write elsewhere with -o."
        )


def _leads_inside(target: str, root: str) -> bool:
    return os.path.realpath(target).startswith(os.path.realpath(root).rstrip(os.sep) + os.sep)
