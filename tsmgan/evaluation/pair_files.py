"""Writes pairs that anybody can make: WORLD pairs of their own voices, and renderings of compositions, in a folder for `read_pairs`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.evaluation.compositions import SAMPLERATE, composition_renderings
from tsmgan.evaluation.pairs import COLUMNS, PITCH, read_recording
from tsmgan.evaluation.world import world_renderings

RATES = (0.5, 0.75, 1.25, 1.5, 2.0)
PEAK = 0.9
"""The loudest sample of a voice's renderings where the synthesis would clip."""
SUBTYPE = "PCM_16"


def find_recordings(folder: str | Path) -> list[Path]:
    """Every file below a folder that libsndfile can read, sorted.

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


def _new_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty; name a new folder.")
    except OSError as error:
        raise AudioError(f"{out} cannot be written: {error.strerror}.") from error


def _write(
    out: Path,
    stem: str,
    kind: str,
    rates: Sequence[float],
    pitches: Sequence[float],
    renderings: Sequence[np.ndarray],
    samplerate: int,
) -> list[tuple[str, ...]]:
    """Write the renderings (..., samples) as recorded and at the rates and pitches, and return the lines of the list that name them.

    Raises:
        AudioError: the folder cannot be written.
    """
    names = [f"{stem}.flac", *(f"{stem}@{rate:g}{f'{pitch:+g}st' if pitch else ''}.flac" for rate, pitch in zip(rates, pitches))]
    for name, rendering in zip(names, renderings):
        try:
            soundfile.write(out / name, rendering.T, samplerate, subtype=SUBTYPE)
        except (soundfile.SoundFileError, OSError) as error:
            raise AudioError(f"{out / name} cannot be written: {error}") from error
    return [(names[0], name, f"{rate:g}", kind, f"{pitch:g}") for name, rate, pitch in zip(names[1:], rates, pitches)]


def _voice(path: Path, rates: Sequence[float], pitches: Sequence[float]) -> tuple[list[np.ndarray], int]:
    """WORLD's renderings of a recording, mixed to mono, without clipping: as recorded, and at the rates and pitches; and its rate in Hz."""
    y, samplerate = read_recording(path)
    try:
        renderings = world_renderings(y.mean(axis=0), samplerate, [1.0, *rates], [0.0, *pitches])
    except AudioError as error:
        raise AudioError(f"{path}: {error}.") from error
    loudest = max(float(np.abs(rendering).max()) for rendering in renderings)
    gain = min(1.0, PEAK / loudest) if loudest > 0 else 1.0
    return [gain * rendering for rendering in renderings], samplerate


def write_pairs(
    out: str | Path,
    recordings: Sequence[Path] = (),
    *,
    compositions: int = 0,
    rates: Sequence[float] | None = None,
    pitches: Sequence[float] = (),
    channels: int = 2,
    seed: int = 0,
) -> Iterator[str | None]:
    """Write FLAC files and `pairs.csv` into a new folder.

    Yields, for each recording and then for each composition, None or the reason why it gave no pairs.

    Existing files are never touched: the folder must be new or empty.

    Args:
        out: the folder.
        recordings: voices, which become pairs of the kind speech, mixed to mono.
        compositions: how many of them become pairs of the kind music, 48 kHz.
        rates: those of the references; without it, RATES, or 1 where there are pitches.
        pitches: those of the references in semitones, each at each rate.
        channels: how many the music has, 1 or 2.
        seed: the seed of the first composition; each further one has the next seed.

    Raises:
        UsageError: pyworld is not installed, or the folder is not empty.
        AudioError: the folder cannot be written.
    """
    out = Path(out)
    both = [(rate, pitch) for rate in rates or ((1.0,) if pitches else RATES) for pitch in pitches or (0.0,)]
    rates, pitches = [rate for rate, _ in both], [pitch for _, pitch in both]
    _new_folder(out)
    lines: list[tuple[str, ...]] = []
    for number, path in enumerate(recordings):
        try:
            renderings, samplerate = _voice(path, rates, pitches)
        except UsageError:
            raise
        except TsmganError as error:
            yield str(error)
            continue
        lines += _write(out, f"{number:03d}-{path.stem}", "speech", rates, pitches, renderings, samplerate)
        yield None
    for piece in range(seed, seed + compositions):
        renderings = composition_renderings(piece, [1.0, *rates], [0.0, *pitches], channels=channels)
        lines += _write(out, f"score-{piece:03d}", "music", rates, pitches, renderings, SAMPLERATE)
        yield None
    with (out / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([(*COLUMNS, PITCH), *lines])
