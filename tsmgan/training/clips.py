"""Clips: batches that are drawn at random from the items of a set.

Row r of step s depends on the seed, s and r alone, however many processes train. So there is no sampler state to save.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsmgan.core.features import COLUMNS, silence
from tsmgan.core.frames import GRAIN_BLOCK
from tsmgan.core.geometry import HOPS_PER_WINDOW, geometry
from tsmgan.training.recordings import SAMPLERATE
from tsmgan.training.shards import FRAME_COLUMNS

EDGE_FRAMES = HOPS_PER_WINDOW - 1
"""A clip of T frames gives (T - EDGE_FRAMES) H samples that all overlapping windows reach."""


class Rows(NamedTuple):
    """A batch of clips: B rows of T frames as NumPy arrays. Columns are as in Item unless stated otherwise."""

    spectra: np.ndarray
    grains: np.ndarray
    source: np.ndarray
    horizontal: np.ndarray
    vertical: np.ndarray
    attack_delay: np.ndarray
    attack_share: np.ndarray
    features: np.ndarray
    """(B, context + T + context, FEATURES): the clip's frames, and those on either side that the generator's decisions depend on."""
    log_rate_around: np.ndarray
    """(B, context + T + context)."""
    answer: np.ndarray
    """(B, (T - EDGE_FRAMES) H) samples, which the stage's output is compared with."""
    noise: np.ndarray
    """z, (B, context + T + context, noise)."""
    white: np.ndarray
    """White noise from which the stage mixes its own, (B, (T + EDGE_FRAMES) H)."""
    paired: np.ndarray
    """(B,) bool."""
    exact: np.ndarray
    """(B,) bool: the input was not made by a stretcher."""
    bandwidth: np.ndarray
    """(B,) Hz."""
    item: np.ndarray
    """(B,) number of the item in the set."""


class Clips:
    """A set of items on disk, from which clips are drawn.

    Args:
        folder: of shards.
        noise: channels of the generator's noise.
        context: frames that the generator looks to either side; silence stands beyond an item's ends.
        count: the first so many items are taken; None means all that are there.
    """

    def __init__(self, folder: Path, noise: int, context: int, count: int | None = None) -> None:
        self._noise, self._context = noise, context
        self._silence = silence(1)
        self._hop = geometry(SAMPLERATE).hop
        self.items: list[dict[str, Any]] = []
        self._places: list[tuple[dict[str, np.ndarray], int, int]] = []
        for shard in sorted(folder.glob("shard-*")):
            if count is not None and len(self.items) >= count:
                break
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
        """Rows `numbers` of the batch of a step. For each, an item and two of its clips are drawn at random; the louder one is taken.

        Clips begin with blocks of grains.
        """
        picked = []
        for row in numbers:
            generator = np.random.default_rng([seed, 1, step, row])
            while True:
                item = int(generator.integers(len(self.items)))
                spare = self.items[item]["frames"] - frames
                if spare >= 0:
                    break
            picked.append(self._clip(item, GRAIN_BLOCK * generator.integers(0, spare // GRAIN_BLOCK + 1, 2), frames, generator))
        return Rows(*(np.stack(column) for column in zip(*picked)))

    def clip(self, item: int, first: int, frames: int, seed: int = 0) -> Rows:
        """One clip as a batch of one row. It begins with the block of grains that frame `first` is in."""
        first -= first % GRAIN_BLOCK
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
            columns["spectra"][cut], columns["grains"][cut], columns["source"][cut], columns["horizontal"][cut], columns["vertical"][cut],
            columns["attack_delay"][cut], columns["attack_share"][cut], features, log_rate,
            answer, generator.standard_normal((len(log_rate), self._noise), dtype=np.float32),
            generator.standard_normal((frames + EDGE_FRAMES) * self._hop, dtype=np.float32),
            np.array(entry["paired"]), np.array(entry["exact"]), np.array(entry["bandwidth"], np.float32), np.array(item),
        )  # fmt: skip
