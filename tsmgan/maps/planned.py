"""The map of a recording, as it would be stretched."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from tsmgan.audio import Reader, open_reader
from tsmgan.core.timemap import TimeMap
from tsmgan.maps.choice import choose
from tsmgan.maps.lines import Line
from tsmgan.maps.source import PauseTime
from tsmgan.options import StretchOptions
from tsmgan.recording import Passage, is_file

ROUNDING = 1e-9
"""Part by which rates that mean the same may differ."""


@dataclass(frozen=True)
class Planned:
    """A time map and the passage that it is for."""

    time_map: TimeMap
    """In seconds, counted from the passage's beginning."""
    samplerate: int
    frames: int
    """Samples per channel of the passage."""
    pauses: PauseTime | None
    notes: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    """Of captions that are fitted to slots: what becomes of each."""

    @property
    def input_seconds(self) -> float:
        """Length of the passage."""
        return self.frames / self.samplerate

    @property
    def output_seconds(self) -> float:
        """Length of the output, in whole samples."""
        return self.time_map.output_length(self.frames, self.samplerate) / self.samplerate

    @property
    def slowest(self) -> tuple[float, float]:
        """The lowest rate, and the first second of the passage that has it."""
        rates = self._pieces()[1]
        return self._extreme(int(np.argmax(rates <= rates.min() * (1 + ROUNDING))))

    @property
    def fastest(self) -> tuple[float, float]:
        """The highest rate, and the first second of the passage that has it."""
        rates = self._pieces()[1]
        return self._extreme(int(np.argmax(rates >= rates.max() * (1 - ROUNDING))))

    def mean_rates(self, parts: int) -> np.ndarray:
        """Mean rates of equal parts of the passage, (parts,)."""
        edges = np.linspace(0, self.input_seconds, parts + 1)
        return np.diff(edges) / np.diff(self.time_map.output_at(edges))

    def _pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the pieces of the passage begin, and their rates."""
        inner = self.time_map.knots[0]
        edges = np.unique(np.concatenate([[0.0], inner[(inner > 0) & (inner < self.input_seconds)], [self.input_seconds]]))
        return edges[:-1], self.time_map.rate_at(self.time_map.output_at((edges[:-1] + edges[1:]) / 2))

    def _extreme(self, piece: int) -> tuple[float, float]:
        begins, rates = self._pieces()
        return float(rates[piece]), float(begins[piece])


def plan_file(source: str | os.PathLike[str], options: StretchOptions) -> Planned:
    """The map that `stretch_file` would use for a recording.

    Args:
        source: path or URL.
        options: those of the map, and which section.

    Raises:
        UsageError: the options ask for no map, or for one that the recording does not suit.
        AudioError: the recording cannot be read.
    """

    def open_it() -> Reader:
        return open_reader(source, raw=options.raw, salvage=options.salvage)

    chosen = choose(options)
    with open_it() as reader:
        passage = Passage(reader, options.start, options.end, reopen=open_it if is_file(reader.info) else None)
        plan, samplerate = chosen.plan(passage), reader.info.samplerate
        if plan.grows or not passage.can_be_read_again:
            frames = sum(block.shape[1] for block in plan.blocks(passage.blocks()))
        else:
            frames = passage.count_frames("A map")
        return Planned(plan.time_map.in_seconds(samplerate), samplerate, frames, plan.pauses, plan.notes, plan.lines)
