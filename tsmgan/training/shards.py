"""Shards: the items of a set, made once by worker processes and kept on disk.

A shard is a folder of plain `.npy` columns, which are read through memory maps, and an `index.json`. It appears under its name only when
it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tsmgan.batch.executor import Died, Done
from tsmgan.batch.pool import Pool
from tsmgan.core.features import FEATURES
from tsmgan.errors import TsmganError
from tsmgan.limits import processor_count
from tsmgan.training.inverse import world_is_there
from tsmgan.training.items import make_item
from tsmgan.training.recipe import Recipe
from tsmgan.training.recordings import Recording, Skipped

FORMAT = 6
"""Raise it when an item's meaning changes, so that old caches are not used."""
ITEMS_PER_SHARD = 24
FRAME_COLUMNS = (
    "spectra", "grains", "source", "horizontal", "vertical", "attack_delay", "attack_share", "features", "log_rate", "start",
)  # fmt: skip
"""Columns with an entry for each frame; `signal` has one for each sample."""


class Shards(NamedTuple):
    """A set of items on disk."""

    folder: Path
    items: int
    """So many of the set are there, from the first on."""
    skipped: list[Skipped]
    """Recordings that turned out to be unusable."""


Task = tuple[Path, str, list[Recording], range, Recipe]
"""Folder of shards, a shard's name, recordings, numbers of the items, recipe."""


def make_shards(
    cache: Path,
    recordings: list[Recording],
    count: int,
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
    used: int = 0,
    enough: Callable[[], bool] = lambda: False,
) -> Shards:
    """Make the items of a set that are not there yet.

    Args:
        cache: where the folder of shards is kept.
        recordings: what the items are made from.
        count: items of the whole set.
        recipe: how they are made.
        progress: called with the number of items that are there and the number wanted, before the first is made and after each shard.
        used: the first so many of the set are wanted; 0: all.
        enough: asked before and after each shard; once it is true, no more than the first is made.

    Raises:
        AudioError: the recordings hold nothing usable.
        TsmganError: the cache cannot be written.
    """
    folder = cache / cache_key(recordings, count, recipe)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TsmganError(f"Pairs cannot be written to {cache}: {error.strerror or error}.") from error
    shards = {
        f"shard-{k // ITEMS_PER_SHARD:05d}": range(k, min(k + ITEMS_PER_SHARD, count))
        for k in range(0, min(used or count, count), ITEMS_PER_SHARD)
    }
    wanted = sum(map(len, shards.values()))
    missing = {name: numbers for name, numbers in shards.items() if not (folder / name / "index.json").is_file()}
    done = wanted - sum(map(len, missing.values()))
    if missing:
        progress(done, wanted)
    tasks = [(folder, name, recordings, numbers, recipe) for name, numbers in missing.items()]
    workers = min(recipe.data.workers or processor_count(), len(missing))
    first = folder / next(iter(shards)) / "index.json"
    with closing(_make([] if first.is_file() and enough() else tasks, workers)) as making:
        for number in making:
            done += number
            progress(done, wanted)
            if first.is_file() and enough():
                break
    there, skipped = 0, dict[str, Skipped]()
    for name, numbers in shards.items():
        if not (folder / name / "index.json").is_file():
            break
        there += len(numbers)
        for entry in json.loads((folder / name / "index.json").read_text())["skipped"]:
            skipped.setdefault(entry["path"], Skipped(**entry))
    return Shards(folder, there, list(skipped.values()))


def _make(tasks: list[Task], workers: int) -> Generator[int, None, None]:
    """Make shards, in worker processes where there are several; yields the number of items of each as it is done."""
    if workers <= 1:
        yield from map(_make_shard, tasks)
        return
    with Pool(_try_shard, workers, environment={"OMP_NUM_THREADS": "1"}) as pool:
        for event in pool.run(tasks):
            if isinstance(event, Died):
                raise TsmganError(f"A process that made training pairs died ({event.reason}). Give the same command again to continue.")
            if isinstance(event, Done):
                if isinstance(event.result, Exception):
                    raise event.result
                yield event.result


def _try_shard(task: Task, report: Callable[[float], None]) -> int | Exception:
    """Make a shard in a process of its own; returns what went wrong, or the number of its items."""
    try:
        return _make_shard(task)
    except Exception as error:
        return error


def _make_shard(task: Task) -> int:
    """Make a shard; returns the number of its items."""
    folder, name, recordings, numbers, recipe = task
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
    return len(numbers)


def cache_key(recordings: list[Recording], count: int, recipe: Recipe) -> str:
    """A short name for the set of items that these recordings and this recipe make."""
    what = [
        FORMAT,
        FEATURES,
        world_is_there(),
        recipe.seed,
        count,
        {k: v for k, v in asdict(recipe.data).items() if k not in ("workers", "used")},
        asdict(recipe.augment),
    ]
    files = [(r.folder, Path(r.path).name, r.samplerate, r.frames) for r in recordings]
    return hashlib.sha256(json.dumps([what, files], sort_keys=True).encode()).hexdigest()[:16]
