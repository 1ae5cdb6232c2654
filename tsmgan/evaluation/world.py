"""WORLD pairs from anyone's voice recordings: an exact reference at any rate.

A recording is taken apart into pitch, spectral envelope and aperiodicity; the same parameters are synthesised at the original speed (the
input) and, read faster or slower, at others (the references). What a stretcher makes of the input can then be compared with the reference.

Source: Morise, Yokomori and Ozawa, "WORLD: A Vocoder-Based High-Quality Speech Synthesis System" (2016), package `pyworld`.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.evaluation.pairs import COLUMNS, read_recording

RATES = (0.5, 0.75, 1.25, 1.5, 2.0)
FRAME_PERIOD_MS = 5.0
PEAK = 0.9
"""Loudest sample of a pair, when the synthesis would clip."""


def find_recordings(folder: str | Path) -> list[Path]:
    """Every file below a folder that libsndfile has a reader for, sorted.

    Raises:
        AudioError: there is no such folder, or no recording in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioError(f"{folder} is not a folder; give one that holds recordings of voices.")
    known = {name.lower() for name in soundfile.available_formats()} | {"mp3", "aif", "opus", "oga"}
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix[1:].lower() in known)
    if not found:
        raise AudioError(f"{folder} holds no recordings.")
    return found


def _between(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rows of values (frames, ...) at fractional positions, linear between frames, the last one held."""
    below = np.minimum(np.floor(positions).astype(int), len(values) - 1)
    above = np.minimum(below + 1, len(values) - 1)
    weight = (positions - np.floor(positions)).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - weight) * values[below] + weight * values[above]


def world_renderings(y: np.ndarray, samplerate: int, rates: Sequence[float]) -> list[np.ndarray]:
    """WORLD's synthesis of a voice y (samples,) at each rate: float32, round(n / rate) samples, n being what rate 1 has, len(y).

    Unvoiced and voiced stay as they are; pitch is interpolated between frames that are both voiced, the rest between any two.

    Raises:
        UsageError: pyworld is not installed.
        AudioError: no voice is found in y.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own use of pkg_resources
            import pyworld
    except ImportError:
        raise UsageError("WORLD pairs need the package pyworld; install it with `pip install pyworld`.") from None
    y = np.ascontiguousarray(y, dtype=np.float64)
    f0, instants = pyworld.harvest(y, samplerate, frame_period=FRAME_PERIOD_MS)
    if not np.any(f0 > 0):
        raise AudioError("no voice was found")
    envelope = pyworld.cheaptrick(y, f0, instants, samplerate)
    aperiodicity = pyworld.d4c(y, f0, instants, samplerate)
    renderings = []
    for rate in rates:
        length = round(len(y) / rate)
        frames = int(np.ceil(1000 * length / samplerate / FRAME_PERIOD_MS)) + 1
        positions = np.minimum(np.arange(frames) * rate, len(f0) - 1)
        nearest = f0[np.round(positions).astype(int)]
        both = (f0[np.floor(positions).astype(int)] > 0) & (f0[np.minimum(np.floor(positions).astype(int) + 1, len(f0) - 1)] > 0)
        pitch = np.where(both, _between(f0, positions), nearest)
        out = pyworld.synthesize(
            pitch,
            np.ascontiguousarray(np.exp(_between(np.log(envelope), positions))),
            np.ascontiguousarray(_between(aperiodicity, positions)),
            samplerate,
            FRAME_PERIOD_MS,
        )
        renderings.append(np.pad(out, (0, max(0, length - len(out))))[:length].astype(np.float32))
    return renderings


def make_world_pairs(recordings: Sequence[Path], out: str | Path, rates: Sequence[float] | None = None) -> Iterator[str | None]:
    """Write FLAC files and `pairs.csv` into a new folder; for each recording None, or the reason why it gave no pairs.

    Recordings are mixed to mono. Existing files are never touched: the folder must be new or empty.

    Raises:
        UsageError: pyworld is not installed, or the folder is not empty.
        AudioError: the folder cannot be written.
    """
    out, rates = Path(out), list(rates or RATES)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty; name a new folder.")
    except OSError as error:
        raise AudioError(f"{out} cannot be written: {error.strerror}.") from error
    rows = []
    for number, path in enumerate(recordings):
        try:
            y, samplerate = read_recording(path)
            renderings = world_renderings(y.mean(axis=0), samplerate, [1.0, *rates])
        except UsageError:
            raise
        except TsmganError as error:
            yield str(error) if str(path) in str(error) else f"{path}: {error}."
            continue
        loudest = max(float(np.abs(rendering).max()) for rendering in renderings)
        gain = min(1.0, PEAK / loudest) if loudest > 0 else 1.0
        stem = f"{number:03d}-{path.stem}"
        names = [f"{stem}.flac", *(f"{stem}@{rate:g}.flac" for rate in rates)]
        for name, rendering in zip(names, renderings):
            soundfile.write(out / name, gain * rendering, samplerate, subtype="PCM_16")
        rows += [(names[0], name, f"{rate:g}", "speech") for name, rate in zip(names[1:], rates)]
        yield None
    with (out / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
