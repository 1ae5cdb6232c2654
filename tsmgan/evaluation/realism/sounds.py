"""The recordings that critics hear, and whose they are: the talkers or tunes that must not be in both halves."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.evaluation.methods import Method, Ourselves
from tsmgan.evaluation.pair_files import find_recordings
from tsmgan.evaluation.pairs import read_recording
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate
from tsmgan.storage.atomic import replace_file
from tsmgan.storage.places import checksum

FORMAT = 1
"""Raise it when the same stretcher and file would give other sounds, so that an old cache is not used."""
FEWEST_TALKERS = 3
"""One to learn from, one to stop by, one to be tested on."""
MOST_SECONDS_EACH = 8.0
"""Of one recording: a long one would count for many, and its moments resemble each other."""
MOST_SECONDS = 480.0
"""Of all recordings. More of them barely move the result and cost time."""


@dataclass(frozen=True)
class Source:
    """A recording, and the talker or tune that it belongs to."""

    path: Path
    talker: str


def _talker(path: Path, folder: Path) -> str:
    """Whose a recording in a folder is: its first sub-folder, else what its name begins with, else the folder."""
    inner = path.relative_to(folder).parts
    if len(inner) > 1:
        return str(folder / inner[0])
    beginning = re.split(r"[-_@ ]", path.stem)[0]
    named = beginning if beginning != path.stem else path.stem.rstrip("0123456789")
    return str(folder / named) if named else str(folder)


def find_sources(places: Sequence[str | Path]) -> list[Source]:
    """All recordings of files and folders, with their talkers (or tunes), in the order of their names.

    A recording in a sub-folder belongs to the talker of that name, in whatever depth. In a folder itself, the name up to its first `-`,
    `_`, `@` or space, or up to the number at its end, is the talker; where names are mere numbers, the folder is. A file that is named by
    itself is a talker of its own.

    Raises:
        AudioError: a folder does not exist or holds no recordings.
        UsageError: there are fewer than three talkers.
    """
    found: dict[Path, Source] = {}
    for place in map(Path, places):
        if place.is_file():
            found[place] = Source(place, str(place))
            continue
        for path in find_recordings(place):
            found.setdefault(path, Source(path, _talker(path, place)))
    talkers = len({source.talker for source in found.values()})
    if talkers < FEWEST_TALKERS:
        raise UsageError(
            f"{talkers} talker{'' if talkers == 1 else 's'} or tunes were found, and {FEWEST_TALKERS} are needed. Give each a sub-folder, "
            "or name files one by one (FOLDER/*) if each is a talker or tune of its own."
        )
    return sorted(found.values(), key=lambda source: str(source.path))


def choose(sources: Sequence[Source], most_seconds: float = MOST_SECONDS) -> list[Source]:
    """At most `most_seconds` of recordings, taken in turn from each talker in an order that is arbitrary but always the same."""
    import soundfile

    def shuffled(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    queues: dict[str, list[Source]] = {}
    for source in sorted(sources, key=lambda source: shuffled(source.path.name)):
        queues.setdefault(source.talker, []).append(source)
    waiting = [queues[name] for name in sorted(queues, key=lambda name: shuffled(Path(name).name))]
    chosen: list[Source] = []
    seconds = 0.0
    while waiting and seconds < most_seconds:
        for queue in waiting:
            source = queue.pop()
            chosen.append(source)
            try:
                seconds += min(MOST_SECONDS_EACH, soundfile.info(source.path).duration)
            except soundfile.SoundFileError as error:
                raise AudioError(f"{source.path} cannot be read: {error}") from error
            if seconds >= most_seconds:
                break
        waiting = [queue for queue in waiting if queue]
    return chosen


def _section(path: Path) -> tuple[np.ndarray, int]:
    """The middle of a recording, mixed to mono, float32 (1, samples), and its sample rate in Hz."""
    y, samplerate = read_recording(path)
    most = round(MOST_SECONDS_EACH * samplerate)
    first = max(0, y.shape[1] - most) // 2
    return np.ascontiguousarray(y[:, first : first + most].mean(axis=0, keepdims=True)), samplerate


def natural_sound(path: Path) -> np.ndarray:
    """The middle of a recording as critics hear it, float32 (samples,) at 16 kHz.

    Raises:
        AudioError: it cannot be read.
    """
    y, samplerate = _section(path)
    return at_rate(y[0], samplerate, SPEECH_RATE)


def stretched_sound(path: Path, method: Method, rate: float, cache: Path | None = None) -> np.ndarray:
    """The same, stretched by a method before anything else is done to it. Kept in the cache, if there is one and the method can be named.

    Raises:
        AudioError: the recording cannot be read.
        TsmganError: the method fails, or its output holds samples that are not numbers.
    """
    known = identity(method)
    name = hashlib.sha256(f"{FORMAT} {known} {rate!r} {MOST_SECONDS_EACH} {checksum(str(path))}".encode()).hexdigest()[:32]
    kept = cache / "sounds" / f"{name}.npy" if cache is not None and known is not None else None
    if kept is not None and kept.is_file():
        return np.load(kept)
    y, samplerate = _section(path)
    out = np.asarray(method.stretch(y, samplerate, rate), np.float32)
    out = out[0] if out.ndim == 2 else out
    if not np.all(np.isfinite(out)):
        raise TsmganError(f"{method.name} gave samples that are not numbers.")
    out = at_rate(out, samplerate, SPEECH_RATE)
    if kept is not None:
        buffer = io.BytesIO()
        np.save(buffer, out)
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_file(kept, buffer.getvalue())
    return out


def identity(method: Method) -> str | None:
    """What changes whenever the method's sound may: for ourselves the code and the weights, for a peer its program or package; None for
    any other function."""
    from tsmgan.evaluation.peers import PEERS

    if isinstance(method.stretch, Ourselves):
        return f"{method.name} {_code()} {_weights(dict(method.stretch.options).get('model', 'default'))}"
    peer = PEERS.get(method.name)
    if peer is None:
        return None
    if peer.program:
        path = shutil.which(peer.program)
        return f"{peer.command(Path('in'), Path('out'), 1.0)} {checksum(path) if path else ''}"
    return f"{method.name} {importlib.metadata.version(_distribution(peer.package or ''))}"


def _distribution(package: str) -> str:
    """The name under which a package is installed: `python-stretch` has the module `python_stretch`."""
    return (importlib.metadata.packages_distributions().get(package) or [package])[0]


def _code() -> str:
    import tsmgan

    folder = Path(tsmgan.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*(folder / "core").rglob("*.py"), folder / "api.py", folder / "models.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _weights(model: str) -> str:
    from tsmgan.models import find_model

    found = find_model(model)
    return " ".join(checksum(str(path)) for path in (found.path, found.path / "config.json", found.onnx) if path.is_file())


def default_cache() -> Path:
    """The folder `tsmgan/realism` of the user's cache."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache") / "tsmgan" / "realism"
