"""Pairs: inputs with known right answers, made once by worker processes and kept in shards on disk.

No recording exists at two speeds. A *paired* item takes a real recording y as the answer and an inverse stretch of it as the input: the
generator, asked to undo the stretch, must give y back. An *unpaired* item takes the recording itself as the input, at any rate; no answer
is known, and the critics judge against the same recording at its own speed.

A shard is a folder of plain `.npy` columns, read through memory maps, and an `index.json`. It appears under its name only when whole.
Item i depends on the seed, i and the recordings alone, whichever process makes it; row r of step s depends on the seed, s and r alone,
however many processes train. So there is no sampler state to save.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsmgan.batch.executor import Died, Done
from tsmgan.batch.pool import Pool
from tsmgan.core.analysis import Analyser
from tsmgan.core.features import COLUMNS, FEATURES, frame_features, silence
from tsmgan.core.geometry import HOPS_PER_WINDOW, geometry
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import AudioError, TsmganError
from tsmgan.limits import processor_count
from tsmgan.training import augment
from tsmgan.training.inverse import INVERSE_STRETCHERS, ONE_RATE_ONLY, WORLD, world_is_there, world_pair
from tsmgan.training.recipe import Recipe, first_match
from tsmgan.training.recordings import SAMPLERATE, Recording, Skipped, folder_weights, read_piece

FORMAT = 3
"""Raise it when an item's meaning changes, so that old caches are not used."""
ITEMS_PER_SHARD = 24
DRAWS = 25
"""Recordings that are tried for one item before the folder is given up on."""
FRAME_COLUMNS = ("spectra", "source", "horizontal", "vertical", "attack_offset", "attack_share", "features", "log_rate", "start")
EDGE_FRAMES = HOPS_PER_WINDOW - 1
"""A clip of T frames gives (T - EDGE_FRAMES) H samples that all overlapping windows reach."""


class Item(NamedTuple):
    """One input and its answer; T frames."""

    spectra: np.ndarray
    """X, (T, bins), complex64."""
    source: np.ndarray
    """(T, bins), int16."""
    horizontal: np.ndarray
    vertical: np.ndarray
    attack_offset: np.ndarray
    """(T,), float32."""
    attack_share: np.ndarray
    """(T, bins), float16."""
    features: np.ndarray
    """(T, FEATURES), float32."""
    log_rate: np.ndarray
    """Local log rate, (T,), float32."""
    start: np.ndarray
    """Where in `signal` each frame's answer stands, (T,), int64."""
    signal: np.ndarray
    """The answer (paired) or the input at its own speed (unpaired), float32."""
    notes: dict[str, Any]
    """paired, exact (input and answer are free of stretching), bandwidth in Hz, folder, file, stretcher."""


def random_knots(samples: int, generator: np.random.Generator, rates: tuple[float, float], varying: float) -> tuple[np.ndarray, np.ndarray]:
    """Input and output positions of the knots of a map over `samples` output samples: one log-uniform rate, or (with probability varying)
    one that changes every 0.3 to 1 s."""
    low, high = np.log(rates[0]), np.log(rates[1])
    centre = generator.uniform(low, high)
    if generator.random() >= varying:
        return np.array([0.0, samples * np.exp(centre)]), np.array([0.0, samples])
    knots = [0.0]
    while knots[-1] < samples:
        knots.append(knots[-1] + SAMPLERATE * generator.uniform(0.3, 1.0))
    speeds = np.exp(np.clip(centre + generator.normal(0, 0.25, len(knots) - 1), low, high))
    return np.concatenate([[0.0], np.cumsum(np.diff(knots) * speeds)]), np.array(knots)


def make_item(recordings: list[Recording], number: int, recipe: Recipe, skipped: list[Skipped]) -> Item:
    """Item `number` of a set; recordings that turn out to be unusable are appended to skipped and another is drawn.

    Raises:
        AudioError: 25 draws in a row were unusable.
    """
    data, augmentation = recipe.data, recipe.augment
    generator = np.random.default_rng([recipe.seed, number])
    folders, probabilities = folder_weights(recordings, data.weights)
    by_folder = {f: [r for r in recordings if r.folder == f] for f in folders}
    shortest = round(data.shortest * 0.75 * SAMPLERATE)

    def draw() -> tuple[Recording, np.ndarray, float]:
        for _ in range(DRAWS):
            members = by_folder[folders[int(generator.choice(len(folders), p=probabilities))]]
            recording = members[int(generator.integers(len(members)))]
            speed = 1.0
            if generator.random() < augmentation.resample:
                low, high = np.log(augmentation.resample_range)
                speed = float(np.exp(generator.uniform(low, high)))
            try:
                y, bandwidth = read_piece(recording, data.seconds, speed, generator)
            except AudioError as error:
                skipped.append(Skipped(recording.path, str(error)))
                continue
            if len(y) >= shortest:
                return recording, y, bandwidth
        last = f"; the last, {Path(skipped[-1].path).name}, {skipped[-1].reason}" if skipped else ""
        raise AudioError(f"{DRAWS} recordings in a row could not be used{last}.")

    recording, y, bandwidth = draw()
    mixed = generator.random() < augmentation.mix
    if mixed:
        _, other, others_bandwidth = draw()
        y, bandwidth = augment.mix(y, bandwidth, generator, other, others_bandwidth)
    for name, transform in (("noise", augment.noise), ("band_limit", augment.band_limit), ("level", augment.level)):
        if generator.random() < getattr(augmentation, name):
            y, bandwidth = transform(y, bandwidth, generator)

    notes: dict[str, Any] = {"folder": recording.folder, "file": Path(recording.path).name, "bandwidth": bandwidth, "exact": False}
    rates = (data.rates[0], data.rates[1])
    if generator.random() < data.unpaired:
        inputs, outputs = random_knots(round(len(y) / rates[0]), generator, rates, data.varying)
        return _analysed(y, TimeMap.from_samples(inputs, outputs), y, notes | {"paired": False, "stretcher": ""})
    inputs, outputs = random_knots(len(y), generator, rates, data.varying)
    shares = {k: v for k, v in first_match(data.stretchers, recording.folder).items() if v > 0}
    names = [n for n in sorted(shares) if len(inputs) == 2 or n not in ONE_RATE_ONLY] or ["coherent", "incoherent"]
    if mixed or not world_is_there():
        names = [n for n in names if n != WORLD] or ["coherent", "incoherent"]
    weight = np.array([shares.get(n, 1.0) for n in names])
    name = names[int(generator.choice(len(names), p=weight / weight.sum()))]
    if name == WORLD:
        try:
            x, answer = world_pair(y, SAMPLERATE, inputs[1] / outputs[1])
            return _analysed(x, TimeMap.from_samples(inputs, outputs), answer, notes | {"paired": True, "stretcher": name, "exact": True})
        except AudioError:  # no voice in this piece
            name = "coherent"
    x = INVERSE_STRETCHERS[name](y, SAMPLERATE, TimeMap.from_samples(outputs, inputs))
    return _analysed(x, TimeMap.from_samples(inputs, outputs), y, notes | {"paired": True, "stretcher": name})


def _analysed(x: np.ndarray, time_map: TimeMap, answer: np.ndarray, notes: dict[str, Any]) -> Item:
    """Frames of x at the map's instants, as the stretcher would see them."""
    g = geometry(SAMPLERATE)
    count = time_map.output_length(len(x)) // g.hop
    if notes["paired"]:
        count = min(count, len(answer) // g.hop)
    instants, rates = time_map.instants(0, count, g.hop)
    frames = Analyser(g, 1)(x[None].astype(np.float32), 0, instants, rates)
    start = np.arange(count) * g.hop if notes["paired"] else instants
    return Item(
        frames.spectra[0], frames.source.astype(np.int16), frames.horizontal, frames.vertical,
        frames.attack_offset, frames.attack_share.astype(np.float16), frame_features(frames, g),
        np.log(rates).astype(np.float32), start, answer.astype(np.float32), notes,
    )  # fmt: skip


def _make_shard(folder: Path, name: str, recordings: list[Recording], numbers: range, recipe: Recipe) -> list[Skipped]:
    skipped: list[Skipped] = []
    items = [make_item(recordings, k, recipe, skipped) for k in numbers]
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for column in FRAME_COLUMNS:
            np.save(temporary / f"{column}.npy", np.concatenate([getattr(i, column) for i in items]))
        np.save(temporary / "signal.npy", np.concatenate([i.signal for i in items]))
        index = {
            "items": [i.notes | {"frames": len(i.log_rate), "samples": len(i.signal)} for i in items],
            "skipped": [s.__dict__ for s in skipped],
        }
        (temporary / "index.json").write_text(json.dumps(index))
        os.replace(temporary, folder / name)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TsmganError(
            f"Pairs cannot be written to {folder}: {error.strerror or error}. Free some space, or give another --cache."
        ) from error
    return skipped


def cache_key(recordings: list[Recording], count: int, recipe: Recipe) -> str:
    """A short name for the set of items that these recordings and this recipe make."""
    what = [
        FORMAT,
        FEATURES,
        world_is_there(),
        recipe.seed,
        count,
        {k: v for k, v in asdict(recipe.data).items() if k != "workers"},
        asdict(recipe.augment),
    ]
    files = [(r.folder, Path(r.path).name, r.samplerate, r.frames) for r in recordings]
    return hashlib.sha256(json.dumps([what, files], sort_keys=True).encode()).hexdigest()[:16]


def make_pairs(
    cache: Path,
    recordings: list[Recording],
    count: int,
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, list[Skipped]]:
    """Make the items that are not there yet; returns the folder of shards and the recordings that turned out to be unusable.

    progress is called with the number of items that are there and the number wanted.

    Raises:
        AudioError: the recordings hold nothing usable. TsmganError: the cache cannot be written.
    """
    folder = cache / cache_key(recordings, count, recipe)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TsmganError(f"Pairs cannot be written to {cache}: {error.strerror or error}.") from error
    shards = {f"shard-{k // ITEMS_PER_SHARD:05d}": range(k, min(k + ITEMS_PER_SHARD, count)) for k in range(0, count, ITEMS_PER_SHARD)}
    missing = {name: numbers for name, numbers in shards.items() if not (folder / name / "index.json").is_file()}
    done = count - sum(map(len, missing.values()))
    progress(done, count)
    workers = min(recipe.data.workers or processor_count(), len(missing))
    if workers <= 1:
        for name, numbers in missing.items():
            _make_shard(folder, name, recordings, numbers, recipe)
            done += len(numbers)
            progress(done, count)
    else:
        tasks = [(folder, name, recordings, numbers, recipe) for name, numbers in missing.items()]
        with Pool(_try_shard, workers, environment={"OMP_NUM_THREADS": "1"}) as pool:
            for event in pool.run(tasks):
                if isinstance(event, Died):
                    raise TsmganError(f"A process that made training pairs died ({event.reason}); the same command goes on from there.")
                if isinstance(event, Done):
                    if event.result is not None:
                        raise event.result
                    done += len(event.task[3])
                    progress(done, count)
    skipped: dict[str, Skipped] = {}
    for name in shards:
        for entry in json.loads((folder / name / "index.json").read_text())["skipped"]:
            skipped.setdefault(entry["path"], Skipped(**entry))
    return folder, list(skipped.values())


def _try_shard(task: tuple[Path, str, list[Recording], range, Recipe], report: Callable[[float], None]) -> Exception | None:
    """Make a shard in a process of its own; returns what went wrong."""
    try:
        _make_shard(*task)
    except Exception as error:
        return error
    return None


class Rows(NamedTuple):
    """A batch of clips: B rows of T frames, as numpy arrays; columns as in Item where nothing is said."""

    spectra: np.ndarray
    source: np.ndarray
    horizontal: np.ndarray
    vertical: np.ndarray
    attack_offset: np.ndarray
    attack_share: np.ndarray
    features: np.ndarray
    """(B, context + T + context, FEATURES): with the frames on either side that the generator's decisions depend on."""
    log_rate_around: np.ndarray
    """(B, context + T + context)."""
    answer: np.ndarray
    """(B, (T - EDGE_FRAMES) H) samples: what the stage's output is to be compared with."""
    noise: np.ndarray
    """z, (B, context + T + context, noise)."""
    paired: np.ndarray
    """(B,) bool."""
    exact: np.ndarray
    """(B,) bool: no stretcher has had a hand in the input."""
    bandwidth: np.ndarray
    """(B,) Hz."""
    item: np.ndarray
    """(B,) number of the item in the set."""


class Pairs:
    """A set of items on disk, from which clips are drawn.

    Args:
        folder: of shards.
        noise: channels of the generator's noise.
        context: frames that the generator looks to either side; silence stands beyond an item's ends.
    """

    def __init__(self, folder: Path, noise: int, context: int) -> None:
        self._noise, self._context = noise, context
        self._silence = silence(1)
        self._hop = geometry(SAMPLERATE).hop
        self.items: list[dict[str, Any]] = []
        self._places: list[tuple[dict[str, np.ndarray], int, int]] = []
        for shard in sorted(folder.glob("shard-*")):
            columns = {name: np.load(shard / f"{name}.npy", mmap_mode="r") for name in (*FRAME_COLUMNS, "signal")}
            first_frame = first_sample = 0
            for entry in json.loads((shard / "index.json").read_text())["items"]:
                self.items.append(entry)
                self._places.append((columns, first_frame, first_sample))
                first_frame += entry["frames"]
                first_sample += entry["samples"]

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, seed: int, step: int, numbers: range, frames: int) -> Rows:
        """Rows `numbers` of the batch of a step: each an item and a clip drawn at random, of two clips the louder."""
        picked = []
        for row in numbers:
            generator = np.random.default_rng([seed, 1, step, row])
            while True:
                item = int(generator.integers(len(self.items)))
                spare = self.items[item]["frames"] - frames
                if spare >= 0:
                    break
            picked.append(self._clip(item, generator.integers(0, spare + 1, 2), frames, generator))
        return Rows(*(np.stack(column) for column in zip(*picked)))

    def clip(self, item: int, first: int, frames: int, seed: int = 0) -> Rows:
        """One clip as a batch of one row."""
        return Rows(*(np.stack([c]) for c in self._clip(item, np.array([first]), frames, np.random.default_rng([seed, 2, item]))))

    def usable(self, frames: int) -> list[int]:
        """Items that hold a clip of that many frames."""
        return [k for k, entry in enumerate(self.items) if entry["frames"] >= frames]

    def _clip(self, item: int, firsts: np.ndarray, frames: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        columns, first_frame, first_sample = self._places[item]
        entry = self.items[item]
        loudness = [columns["features"][first_frame + s : first_frame + s + frames, COLUMNS["loudness"]].mean() for s in firsts]
        cut = slice(first_frame + int(firsts[int(np.argmax(loudness))]), None)
        cut = slice(cut.start, cut.start + frames)
        length = (frames - EDGE_FRAMES) * self._hop
        # The first block begins half a window before its frame, and the clip where the last of those that reach it begins.
        start = int(columns["start"][cut.start]) + (EDGE_FRAMES - HOPS_PER_WINDOW // 2) * self._hop
        start = first_sample + max(0, min(start, entry["samples"] - length))
        answer = np.zeros(length, np.float32)
        there = columns["signal"][start : min(start + length, first_sample + entry["samples"])]
        answer[: len(there)] = there
        first = cut.start - first_frame
        before, after = min(self._context, first), min(self._context, entry["frames"] - first - frames)
        around = slice(cut.start - before, cut.stop + after)
        missing = (self._context - before, self._context - after)
        features = np.concatenate([self._silence.repeat(missing[0], 0), columns["features"][around], self._silence.repeat(missing[1], 0)])
        log_rate = np.pad(columns["log_rate"][around], missing)
        return (
            columns["spectra"][cut], columns["source"][cut], columns["horizontal"][cut], columns["vertical"][cut],
            columns["attack_offset"][cut], columns["attack_share"][cut], features, log_rate,
            answer, generator.standard_normal((len(log_rate), self._noise), dtype=np.float32),
            np.array(entry["paired"]), np.array(entry["exact"]), np.array(entry["bandwidth"], np.float32), np.array(item),
        )  # fmt: skip
