"""Items: inputs with known right answers, as the stretcher would see them.

No recording exists at two speeds. A *paired* item takes a real recording y as the answer and an inverse stretch of it as the input: the
generator, asked to undo the stretch, must give y back. An *unpaired* item takes the recording itself as the input, at any rate; no answer
is known, and the critics judge against the same recording at its own speed.

Item i depends on the seed, i and the recordings alone, whichever process makes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features
from tsmgan.core.geometry import geometry
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import AudioError
from tsmgan.training import augment
from tsmgan.training.inverse import INVERSE_STRETCHERS, ONE_RATE_ONLY, WORLD, world_is_there, world_pair
from tsmgan.training.recipe import DataRecipe, Recipe, first_match
from tsmgan.training.recordings import SAMPLERATE, Recording, Skipped, folder_weights, read_piece

DRAWS = 25
"""Recordings that are tried for one item before the folder is given up on."""


class Item(NamedTuple):
    """One input and its answer, in T frames."""

    spectra: np.ndarray
    """X, (T, bins), complex64."""
    grains: np.ndarray
    """Spectra of the frames' grains, (T, bins), complex64."""
    source: np.ndarray
    """(T, bins), int16."""
    horizontal: np.ndarray
    vertical: np.ndarray
    attack_delay: np.ndarray
    """(T,), float32; 0 where no attack is moved."""
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
    """paired, exact (neither input nor answer has been stretched), bandwidth in Hz, folder, file, stretcher."""


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


class _Pieces:
    """Pieces of recordings, drawn at random."""

    def __init__(self, recordings: list[Recording], recipe: Recipe, generator: np.random.Generator, skipped: list[Skipped]) -> None:
        self._data, self._augment, self._generator, self._skipped = recipe.data, recipe.augment, generator, skipped
        self._folders, self._probabilities = folder_weights(recordings, recipe.data.weights)
        self._members = {f: [r for r in recordings if r.folder == f] for f in self._folders}

    def draw(self) -> tuple[Recording, np.ndarray, float]:
        """A recording, samples of it, and their bandwidth in Hz. Recordings that turn out to be unusable are noted as skipped."""
        generator, shortest = self._generator, round(self._data.shortest * 0.75 * SAMPLERATE)
        for _ in range(DRAWS):
            members = self._members[self._folders[int(generator.choice(len(self._folders), p=self._probabilities))]]
            recording = members[int(generator.integers(len(members)))]
            speed = 1.0
            if generator.random() < self._augment.resample:
                low, high = np.log(self._augment.resample_range)
                speed = float(np.exp(generator.uniform(low, high)))
            try:
                y, bandwidth = read_piece(recording, self._data.seconds, speed, generator)
            except AudioError as error:
                self._skipped.append(Skipped(recording.path, str(error)))
                continue
            if len(y) >= shortest:
                return recording, y, bandwidth
        last = f"; the last, {Path(self._skipped[-1].path).name}, {self._skipped[-1].reason}" if self._skipped else ""
        raise AudioError(f"{DRAWS} recordings in a row could not be used{last}.")


def make_item(recordings: list[Recording], number: int, recipe: Recipe, skipped: list[Skipped]) -> Item:
    """Item `number` of a set. A recording that turns out to be unusable is appended to skipped, and another one is drawn.

    Raises:
        AudioError: 25 draws in a row were unusable.
    """
    data, augmentation = recipe.data, recipe.augment
    generator = np.random.default_rng([recipe.seed, number])
    pieces = _Pieces(recordings, recipe, generator, skipped)
    recording, y, bandwidth = pieces.draw()
    mixed = generator.random() < augmentation.mix
    if mixed:
        _, other, others_bandwidth = pieces.draw()
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
    name = _stretcher(data, recording.folder, generator, one_rate=len(inputs) == 2, mixed=mixed)
    return _paired(y, inputs, outputs, name, notes)


def _stretcher(data: DataRecipe, folder: str, generator: np.random.Generator, *, one_rate: bool, mixed: bool) -> str:
    """The name of the inverse stretcher of an item, drawn by the recipe's shares."""
    shares = {k: v for k, v in first_match(data.stretchers, folder).items() if v > 0}
    names = [n for n in sorted(shares) if one_rate or n not in ONE_RATE_ONLY] or ["coherent", "incoherent"]
    if mixed or not world_is_there():
        names = [n for n in names if n != WORLD] or ["coherent", "incoherent"]
    weight = np.array([shares.get(n, 1.0) for n in names])
    return names[int(generator.choice(len(names), p=weight / weight.sum()))]


def _paired(y: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, name: str, notes: dict[str, Any]) -> Item:
    """The item whose answer is y (or, of WORLD, y's synthesis) and whose input is an inverse stretch of it."""
    time_map, notes = TimeMap.from_samples(inputs, outputs), notes | {"paired": True, "stretcher": name}
    if name == WORLD:
        try:
            x, answer = world_pair(y, SAMPLERATE, inputs[1] / outputs[1])
            return _analysed(x, time_map, answer, notes | {"exact": True})
        except AudioError:  # no voice in this piece
            name = "coherent"
    x = INVERSE_STRETCHERS[name](y, SAMPLERATE, TimeMap.from_samples(outputs, inputs))
    return _analysed(x, time_map, y, notes | {"stretcher": name})


def _analysed(x: np.ndarray, time_map: TimeMap, answer: np.ndarray, notes: dict[str, Any]) -> Item:
    """Frames of x at the map's instants, as the stretcher would see them."""
    g = geometry(SAMPLERATE)
    count = time_map.output_length(len(x)) // g.hop
    if notes["paired"]:
        count = min(count, len(answer) // g.hop)
    positions, rates = time_map.instants(0, count, g.hop)
    frames = Analyser(g, 1)(x[None].astype(np.float32), 0, positions, rates)
    start = np.arange(count) * g.hop if notes["paired"] else frames.instants
    return Item(
        frames.spectra[0], frames.grains(np.arange(count))[0], frames.source.astype(np.int16), frames.horizontal, frames.vertical,
        np.nan_to_num(frames.attack_delay), frames.attack_share.astype(np.float16), frame_features(frames, g),
        np.log(rates).astype(np.float32), start, answer.astype(np.float32), notes,
    )  # fmt: skip
