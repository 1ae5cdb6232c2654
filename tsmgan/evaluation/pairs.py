"""Pairs: a recording and what it should sound like at another speed or pitch.

A list of pairs is a CSV file with the columns input, reference, rate, kind (speech or music) and, if need be, pitch (semitones); paths are
relative to the file. Stretching `input` at `rate` and shifting it by `pitch` should give `reference`, sample for sample in length.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tsmgan.errors import AudioError, UsageError
from tsmgan.limits import MOST_SEMITONES

COLUMNS = ("input", "reference", "rate", "kind")
PITCH = "pitch"
"""A further column, of semitones. Where it is missing, or empty, the pitch stays."""
KINDS = ("speech", "music")
LENGTH_TOLERANCE = 0.05
"""Seconds by which a reference may be longer or shorter than input / rate, since the last notes of renderings decay differently."""
SILENCE = 1e-4
"""A signal whose largest sample is below this (-80 dB of full scale) is silent."""


@dataclass(frozen=True)
class Pair:
    """One line of the list. `item` and `target` are input and reference as the list names them; pairs of one item at several rates are not
    independent of each other."""

    input: Path
    reference: Path
    rate: float
    kind: str
    item: str
    target: str
    pitch: float = 0.0
    """Semitones by which the reference is higher than the input."""


@dataclass(frozen=True)
class PairAudio:
    """Samples of a pair, float32 (channels, samples) each, at one sample rate in Hz."""

    input: np.ndarray
    reference: np.ndarray
    samplerate: int


def read_pairs(path: str | Path) -> list[Pair]:
    """All pairs of a list, in its order.

    Raises:
        AudioError: the file cannot be read.
        UsageError: a column is missing, a rate is no number within 0.05 to 20, a pitch none within -24 to 24, or a kind is unknown.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            rows = list(table)
            missing = [column for column in COLUMNS if column not in (table.fieldnames or [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"The list of pairs {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if missing:
        raise UsageError(f"{path} lacks the column {', '.join(missing)}; a list of pairs has the columns {', '.join(COLUMNS)}.")
    pairs = []
    for number, row in enumerate(rows, start=2):
        try:
            rate = float(row["rate"])
        except (TypeError, ValueError):
            rate = math.nan
        if not 0.05 <= rate <= 20:
            raise UsageError(f"{path}, line {number}: the rate is {row['rate']}; it must be a number from 0.05 to 20.")
        if row["kind"] not in KINDS:
            raise UsageError(f"{path}, line {number}: the kind is {row['kind']}; it must be {' or '.join(KINDS)}.")
        if not row["input"] or not row["reference"]:
            raise UsageError(f"{path}, line {number}: the input or the reference is empty.")
        pitch = _pitch(row.get(PITCH) or "0")
        if pitch is None:
            raise UsageError(f"{path}, line {number}: the pitch is {row[PITCH]}; it must be semitones from -24 to 24.")
        files = path.parent / row["input"], path.parent / row["reference"]
        pairs.append(Pair(*files, rate, row["kind"], row["input"], row["reference"], pitch))
    if not pairs:
        raise UsageError(f"{path} lists no pairs.")
    return pairs


def _pitch(text: str) -> float | None:
    """Semitones; None where the text is none that are possible."""
    try:
        return float(text) if abs(float(text)) <= MOST_SEMITONES else None
    except ValueError:
        return None


def read_recording(path: Path) -> tuple[np.ndarray, int]:
    """Samples, float32 (channels, samples), and sample rate in Hz of a whole file.

    Raises:
        AudioError: it is unreadable, empty or silent, or holds samples that are not numbers.
    """
    try:
        y, samplerate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path} cannot be read: {getattr(error, 'error_string', None) or error}".rstrip(".") + ".") from error
    y = np.ascontiguousarray(y.T)
    if not np.all(np.isfinite(y)):
        raise AudioError(f"{path} holds samples that are not numbers.")
    if not y.size or np.abs(y).max() < SILENCE:
        raise AudioError(f"{path} is {'silent' if y.size else 'empty'}.")
    return y, samplerate


def read_pair(pair: Pair) -> PairAudio:
    """The samples of a pair.

    Raises:
        AudioError: a file is unreadable, empty or silent, or sample rates, channels or lengths disagree.
    """
    (y, samplerate), (reference, other) = read_recording(pair.input), read_recording(pair.reference)
    if samplerate != other:
        raise AudioError(f"{pair.reference} has {other} Hz, its input {samplerate} Hz.")
    if len(y) != len(reference):
        raise AudioError(f"{pair.reference} has {len(reference)} channels, its input {len(y)}.")
    expected = y.shape[1] / pair.rate
    if abs(reference.shape[1] - expected) > max(1.0, LENGTH_TOLERANCE * samplerate):
        raise AudioError(
            f"{pair.reference} is {reference.shape[1] / samplerate:.3f} s long; "
            f"its input at rate {pair.rate:g} is {expected / samplerate:.3f} s."
        )
    return PairAudio(y, reference, samplerate)
