"""Word errors of a recogniser on fast speech: all of it faster, against pauses that give way first.

    python tests/benchmarks/word_errors.py RECORDING... --model FOLDER --reference FOLDER [--language en] --csv ROWS.csv
    python tests/benchmarks/word_errors.py --csv ROWS.csv --only kathleen                 # the table of rows that are there

Recordings are stretched one by one and heard in groups of half a minute, which is what Whisper hears at once, with half a second between
them. A row is a group; one that is in the table already is not measured again. What was said is what the reference model understands at the
recordings' own rate. `--model` and `--reference` are folders of Whisper models for faster-whisper; the default reference is the same model.
Models are for this measurement only. Nothing else uses them. Errors are those of all words together, and their standard errors come from
drawing groups again and again (bootstrap).
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

import tsmgan

RATES = (1.5, 2.0, 2.5, 3.0)
HOW = ("uniform", "first")
COLUMNS = ("files", "recordings", "words", "1", *(f"{rate:g} {how}" for rate in RATES for how in HOW))
WHISPER_RATE = 16000
WINDOW_SECONDS, GAP_SECONDS = 29.0, 0.5
DRAWS = 10_000


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.findall(r"[\w']+", text.lower())


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Levenshtein's distance: words that were exchanged, left out or added."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def recogniser(folder: str, language: str) -> Callable[[np.ndarray], list[str]]:
    """A function from samples of WHISPER_RATE to the words that a model understands."""
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)

    def recognise(y: np.ndarray) -> list[str]:
        # Without other temperatures nothing is drawn by chance.
        segments, _ = model.transcribe(y, language=language, beam_size=5, temperature=0.0, condition_on_previous_text=False)
        return words(" ".join(segment.text for segment in segments))

    return recognise


def groups(paths: Sequence[str]) -> Iterator[list[str]]:
    """Recordings that follow one another, as many as fit into what is heard at once."""
    group: list[str] = []
    length = 0.0
    for path in paths:
        seconds = soundfile.info(path).duration + GAP_SECONDS
        if group and length + seconds > WINDOW_SECONDS:
            yield group
            group, length = [], 0.0
        group, length = [*group, path], length + seconds
    if group:
        yield group


def heard(group: Sequence[str], rate: float, how: str) -> np.ndarray:
    """Recordings at a rate, one after the other, at WHISPER_RATE."""
    parts = []
    for path in group:
        y, samplerate = soundfile.read(path, dtype="float32", always_2d=True)
        out = tsmgan.stretch(y.mean(axis=1), samplerate, rate=rate, pauses="first" if how == "first" else None)
        parts += [soxr.resample(out, samplerate, WHISPER_RATE), np.zeros(round(GAP_SECONDS * WHISPER_RATE))]
    return np.concatenate(parts).astype(np.float32)


def measure(group: Sequence[str], recognise: Callable, refer: Callable) -> dict[str, object]:
    """A row: the words of a group, and how many are wrong at each rate."""
    sound = heard(group, 1.0, "uniform")
    reference = refer(sound)
    row: dict[str, object] = {"files": " ".join(group), "recordings": len(group), "words": len(reference)}
    row["1"] = word_errors(reference, recognise(sound))
    for rate in RATES:
        for how in HOW:
            row[f"{rate:g} {how}"] = word_errors(reference, recognise(heard(group, rate, how)))
    return row


def show(rows: list[dict[str, str]]) -> None:
    """Print the table, in percent of all words."""
    table = np.array([[float(row[column]) for column in COLUMNS[2:]] for row in rows])
    said, wrong = table[:, 0], table[:, 1:]
    drawn = np.random.default_rng(0).integers(len(rows), size=(DRAWS, len(rows)))
    again = 100 * wrong[drawn].sum(axis=1) / said[drawn].sum(axis=1)[:, None]
    rates = 100 * wrong.sum(axis=0) / said.sum()
    recordings = sum(int(row["recordings"]) for row in rows)
    print(f"{recordings} recordings in {len(rows)} groups, {said.sum():.0f} words; {rates[0]:.1f} % +- {again[:, 0].std():.1f} at rate 1")
    for k, rate in enumerate(RATES):
        uniform, first = 1 + 2 * k, 2 + 2 * k
        parts = [f"{how} {rates[c]:.1f} % +- {again[:, c].std():.1f}" for how, c in zip(HOW, (uniform, first))]
        less = again[:, uniform] - again[:, first]
        print(f"{rate:g}: {', '.join(parts)}; less by {rates[uniform] - rates[first]:.1f} +- {less.std():.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="*")
    parser.add_argument("--model")
    parser.add_argument("--reference")
    parser.add_argument("--language", default="en")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--only", default="", help="count only groups in whose files' names this text is")
    given = parser.parse_args()
    if not given.csv.exists():
        given.csv.write_text(",".join(COLUMNS) + "\n")
    with open(given.csv, newline="") as file:
        rows = list(csv.DictReader(file))
    done = {row["files"] for row in rows}
    waiting = [group for group in groups(given.recordings) if " ".join(group) not in done]
    if waiting:
        if given.model is None:
            parser.error("--model is needed to measure recordings")
        recognise = recogniser(given.model, given.language)
        refer = recognise if given.reference is None else recogniser(given.reference, given.language)
        for group in waiting:
            row = measure(group, recognise, refer)
            with open(given.csv, "a", newline="") as file:
                csv.DictWriter(file, COLUMNS).writerow(row)
            rows.append({name: str(value) for name, value in row.items()})
            print(row["files"], row["words"], flush=True)
    show([row for row in rows if given.only in row["files"]])


if __name__ == "__main__":
    main()
