"""The recordings that critics hear, and whose they are: the talkers or tunes that must not be in both halves."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.evaluation.compositions import composition_renderings
from tsmgan.evaluation.methods import Method, Ourselves
from tsmgan.evaluation.pair_files import find_recordings
from tsmgan.evaluation.pairs import read_recording
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate, fit_length
from tsmgan.evaluation.world import world_renderings
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
    score: int | None = None
    """The seed of a composition, which is no file."""


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

    def make() -> np.ndarray:
        y, samplerate = _section(path)
        return at_rate(_stretched(method, y, samplerate, rate), samplerate, SPEECH_RATE)

    known = identity(method)
    key = f"{known} {rate!r} {checksum(str(path))}" if known else None
    return _kept(cache, key, make)


def exact_pair(source: Source, rate: float, cache: Path | None = None) -> np.ndarray:
    """A sound, and what it becomes at a rate, both exact: (2, samples) float32 at 16 kHz, the shorter one padded with zeros.

    A voice is synthesised by WORLD at both speeds, from the same parameters; a score is rendered at both.

    Raises:
        UsageError: pyworld is not installed.
        AudioError: the recording cannot be read, or no voice is found in it.
    """

    def make() -> np.ndarray:
        if source.score is not None:
            pair = [each[0] for each in composition_renderings(source.score, [1.0, rate], channels=1, samplerate=SPEECH_RATE)]
        else:
            pair = world_renderings(natural_sound(source.path), SPEECH_RATE, [1.0, rate])
        return np.stack([fit_length(each, max(map(len, pair))) for each in pair])

    return _kept(cache, f"exact {rate!r} {source.score if source.score is not None else checksum(str(source.path))}", make)


def stretched_exact(source: Source, method: Method, rate: float, cache: Path | None = None) -> np.ndarray:
    """The first of an exact pair, stretched by a method: float32 (samples,) at 16 kHz. Raises as `stretched_sound`."""
    known = identity(method)
    key = f"exact {known} {rate!r} {source.score if source.score is not None else checksum(str(source.path))}" if known else None
    return _kept(cache, key, lambda: _stretched(method, exact_pair(source, 1.0, cache)[:1], SPEECH_RATE, rate))


def _stretched(method: Method, y: np.ndarray, samplerate: int, rate: float) -> np.ndarray:
    """What a method makes of y (1, samples): float32 (samples,)."""
    out = np.asarray(method.stretch(y, samplerate, rate), np.float32)
    if not np.all(np.isfinite(out)):
        raise TsmganError(f"{method.name} gave samples that are not numbers.")
    return out[0] if out.ndim == 2 else out


def _kept(cache: Path | None, key: str | None, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What `make` gives, from the cache if it is there. Without a cache or a key it is made anew."""
    if cache is None or key is None:
        return make()
    file = cache / "sounds" / f"{hashlib.sha256(f'{FORMAT} {MOST_SECONDS_EACH} {key}'.encode()).hexdigest()[:32]}.npy"
    if file.is_file():
        return np.load(file)
    made, buffer = make(), io.BytesIO()
    np.save(buffer, made)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, buffer.getvalue())
    return made


def scores(count: int) -> list[Source]:
    """So many pieces of music by seed, each a tune of its own."""
    return [Source(Path(f"score-{seed:03d}"), f"score-{seed:03d}", seed) for seed in range(count)]


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
