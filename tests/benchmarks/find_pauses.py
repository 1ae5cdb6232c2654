"""Precision and recall of the pauses that are found, and the weights that tell speech from music.

    python tests/benchmarks/find_pauses.py SPEECH_FOLDER... [--music FOLDER]         # measure
    python tests/benchmarks/find_pauses.py --labels LABELS.csv [--audio FOLDER]      # measure against labels made by hand
    python tests/benchmarks/find_pauses.py SPEECH_FOLDER... --music FOLDER --fit     # print SPEECH_WEIGHTS and SPEECH_BIAS

A folder of speech holds recordings of one voice. They are trimmed, made equally loud, and joined with gaps of 0.16 to 1.4 s, clean and in
white and pink noise. A pause that is found is right if the recording without noise is 30 dB softer than its mean in at least half of it. A
gap is found if at least half of it is. Of music, pieces are counted in which anything at all is found.

A line of LABELS.csv is `file,begin,end,kind` in seconds, of a file below FOLDER. The kind is `pause`, or `either` for what may be found or
not: breaths, ends that die away, closures of about 0.15 s. A pause that lies mostly within those counts neither way. A recording without
pauses has one line without times. Measure with recordings that are not those
that weights were fitted on.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from tsmgan import pauses
from tsmgan.maps import pause_finder

SNRS = (None, 30, 20, 10, 0)
"""Decibels of a recording's mean power above that of the noise; None for no noise."""
GAPS = (0.16, 0.2, 0.3, 0.45, 0.7, 1.2)
SOFT_DB = -30.0
SECONDS = 35.0
DENSE_WEIGHT = 0.2
"""Of speech without gaps among what weights are fitted on. There is little to find in it, and it must not be taken for music."""
Spans = Sequence[tuple[float, float]]


def read(path: Path) -> tuple[np.ndarray, int]:
    """The mean of the channels, (samples,), and the sample rate."""
    y, samplerate = soundfile.read(path, dtype="float32", always_2d=True)
    return y.mean(axis=1), samplerate


def recordings(folder: Path) -> list[Path]:
    """What lies in a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".opus", ".flac", ".wav", ".ogg"))


def joined(paths: Sequence[Path], rng: np.random.Generator | None) -> tuple[np.ndarray, int, list[tuple[float, float]]]:
    """SECONDS of recordings with gaps between them, or as they are: samples, sample rate, and where the gaps lie in seconds."""
    parts, gaps, position, common = [], [], 0, 0
    for path in paths:
        y, samplerate = read(path)
        common = common or samplerate
        if samplerate != common or not np.any(y):
            continue
        gap = 0
        if rng is not None:
            loud = np.flatnonzero(np.convolve(y**2, np.ones(480), "same") > 1e-4 * 480 * np.max(y**2))
            y = 0.05 * y[loud[0] : loud[-1] + 1] / np.sqrt(np.mean(y**2))
            gap = round(rng.choice(GAPS) * rng.uniform(1, 1.15) * samplerate)
        parts += [y, np.zeros(gap, np.float32)]
        position += len(y)
        gaps.append((position / samplerate, (position + gap) / samplerate))
        position += gap
        if position > SECONDS * samplerate:
            break
    # Nothing is heard behind the last gap.
    return np.concatenate(parts), common, gaps[:-1]


def noisy(y: np.ndarray, snr: float | None, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The sound without noise, or in white and in pink noise."""
    if snr is None:
        yield y
        return
    power = 10 ** (-snr / 20) * np.sqrt(np.mean(y[y != 0] ** 2))
    white = rng.standard_normal(len(y))
    spectrum = np.fft.rfft(rng.standard_normal(len(y)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(y))
    for noise in (white, pink / pink.std()):
        yield (y + power * noise).astype(np.float32)


def covered(span: tuple[float, float], spans: Spans) -> float:
    """Seconds of a span that lie within others."""
    return sum(max(0.0, min(span[1], end) - max(span[0], begin)) for begin, end in spans)


class Count:
    """Right ones among those that were found, and found ones among those that are there."""

    def __init__(self) -> None:
        self.right = self.found = self.hit = self.there = 0

    def add(self, right: Sequence[bool], hit: Sequence[bool]) -> None:
        self.right, self.found = self.right + sum(right), self.found + len(right)
        self.hit, self.there = self.hit + sum(hit), self.there + len(hit)

    def __str__(self) -> str:
        precision, recall = self.right / max(1, self.found), self.hit / max(1, self.there)
        return f"precision {precision:.3f} ({self.right} of {self.found}), recall {recall:.3f} ({self.hit} of {self.there})"


def level(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Decibels below the mean power, every 10 ms."""
    hop = round(0.01 * samplerate)
    window = np.hanning(2 * hop) / np.hanning(2 * hop).sum()
    return 10 * np.log10(np.convolve(y**2, window, "same")[::hop] / np.mean(y[y != 0] ** 2) + 1e-12)


def measure_gaps(folders: Sequence[Path]) -> None:
    """Print what is found of gaps, of all and of those of 0.2 s and more."""
    rng = np.random.default_rng(0)
    made = [joined(list(rng.permutation(recordings(folder))), rng) for folder in folders for _ in range(2)]
    for snr in SNRS:
        every, longer = Count(), Count()
        for y, samplerate, gaps in made:
            soft = level(y, samplerate) < SOFT_DB
            for heard in noisy(y, snr, rng):
                found = [(float(begin), float(end)) for begin, end in pauses(heard, samplerate)]
                right = [bool(np.mean(soft[int(100 * begin) : int(100 * end) + 1]) >= 0.5) for begin, end in found]
                every.add(right, [covered(gap, found) >= 0.5 * (gap[1] - gap[0]) for gap in gaps])
                longer.add([], [covered(gap, found) >= 0.5 * (gap[1] - gap[0]) for gap in gaps if gap[1] - gap[0] >= 0.2])
        print(f"{_name(snr)}: {every}; of 0.2 s and more {longer.hit} of {longer.there}", flush=True)


def measure_labels(table: Path, audio: Path) -> None:
    """Print what is found of pauses that were labelled by hand, three noises of each colour, and how often each recording has a mistake."""
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for snr in SNRS:
        count, rng = Count(), np.random.default_rng(0)
        mistakes: dict[str, int] = {}
        for name in dict.fromkeys(row["file"] for row in rows):
            spans = [(row["kind"], (float(row["begin"]), float(row["end"]))) for row in rows if row["file"] == name and row["begin"]]
            real, either = ([span for kind, span in spans if kind == wanted] for wanted in ("pause", "either"))
            y, samplerate = read(audio / name)
            for _ in range(1 if snr is None else 3):
                for heard in noisy(y, snr, rng):
                    found = [(float(begin), float(end)) for begin, end in pauses(heard, samplerate)]
                    counted = [span for span in found if covered(span, either) <= 0.5 * (span[1] - span[0])]
                    right = [covered(span, real) >= 0.5 * (span[1] - span[0] - covered(span, either)) for span in counted]
                    hit = [covered(span, found) >= 0.5 * (span[1] - span[0]) for span in real]
                    count.add(right, hit)
                    mistakes[name] = mistakes.get(name, 0) + right.count(False) + hit.count(False)
        print(f"{_name(snr)}: {count}; mistakes: { ({name: number for name, number in mistakes.items() if number}) }", flush=True)


def measure_music(folder: Path) -> None:
    """Print in how many pieces of music anything is found."""
    pieces = recordings(folder)
    moved = [path.name for path in pieces if len(pauses(*read(path)))]
    print(f"music: something is found in {len(moved)} of {len(pieces)} pieces {moved}")


def evidence_of(y: np.ndarray, samplerate: int) -> np.ndarray:
    """What the finder goes by in each of its windows, (windows, 8)."""
    seen: list[np.ndarray] = []
    inner = pause_finder.evidence

    def heard(*arguments: np.ndarray) -> np.ndarray | None:
        found = inner(*arguments)
        seen.extend([] if found is None else [found])
        return found

    pause_finder.evidence = heard
    try:
        pauses(y, samplerate)
    finally:
        pause_finder.evidence = inner
    return np.array(seen).reshape(len(seen), -1)


def fit(folders: Sequence[Path], music: Path) -> None:
    """Print weights: logistic regression with a small penalty, in which speech and music weigh the same, and each recording too."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    sets: list[tuple[np.ndarray, bool, float]] = [(evidence_of(*read(path)), False, 1.0) for path in recordings(music)]
    for folder in folders:
        paths = list(rng.permutation(recordings(folder)))
        y, samplerate, _ = joined(paths, rng)
        for snr in SNRS[:-1]:
            sets += [(evidence_of(heard, samplerate), True, 1.0) for heard in noisy(y, snr, rng)]
        y, samplerate, _ = joined(paths[len(paths) // 2 :], None)
        dense = [y, *noisy(y, 20, rng), *(read(path)[0] for path in paths[-5:])]
        sets += [(evidence_of(heard, samplerate), True, DENSE_WEIGHT) for heard in dense]
    sets = [each for each in sets if len(each[0])]
    x = np.concatenate([seen for seen, _, _ in sets])
    speech = np.repeat([is_speech for _, is_speech, _ in sets], [len(seen) for seen, _, _ in sets])
    weight = np.concatenate([np.full(len(seen), share / len(seen)) for seen, _, share in sets])
    for kind in (speech, ~speech):
        weight[kind] /= weight[kind].sum()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / deviation

    def loss(v: np.ndarray) -> float:
        return float(weight @ np.logaddexp(0, -(z @ v[:-1] + v[-1]) * np.where(speech, 1, -1)) + 5e-4 * (v[:-1] ** 2).sum())

    v = minimize(loss, np.zeros(x.shape[1] + 1), method="BFGS").x
    weights = v[:-1] / deviation
    print("SPEECH_WEIGHTS", weights.round(2).tolist(), "SPEECH_BIAS", round(float(v[-1] - weights @ mean), 2))


def _name(snr: float | None) -> str:
    return "no noise" if snr is None else f"{snr} dB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", nargs="*", type=Path)
    parser.add_argument("--music", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--audio", type=Path, help="the folder that the files of the labels are in; default: that of the labels")
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    if given.fit:
        return fit(given.speech, given.music)
    if given.speech:
        measure_gaps(given.speech)
    if given.music is not None:
        measure_music(given.music)
    if given.labels is not None:
        measure_labels(given.labels, given.audio or given.labels.parent)


if __name__ == "__main__":
    main()
