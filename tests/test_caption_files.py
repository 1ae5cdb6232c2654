"""Promises of caption files as people have them: any format and encoding, overlapping, out of order, too long, or without speech."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.cli import run
from tsmgan.maps.captions import read_captions

SAMPLERATE, SECONDS = 8000, 8.0
SLOWEST, FASTEST = 0.8, 1.6
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")
WORDS = "Grüße aus Köln, schöne Straße; voilà: ça va déjà 12 3.5 -- und Schluss".split()
ONE_MILLISECOND = 0.0011
"""What a time may be wrong by that is written with three digits; times of .ass have two."""


@dataclass
class Case:
    """Two files of captions, of which the second says when the lines of the first shall be heard."""

    own: str
    wanted: str
    cues: list[tuple[float, float]]
    slots: list[tuple[float, float]]

    def is_forward(self) -> bool:
        """Whether both files, as they are read, go forward. The lines of .ass files are put in order."""
        both = ((self.own, self.cues), (self.wanted, self.slots))
        return all(name.endswith("ass") or all(a[0] <= b[0] for a, b in pairwise(cues)) for name, cues in both)

    def heard(self) -> int:
        """How many cues begin within the recording, and have a length."""
        return sum(begin < SECONDS and end > begin for begin, end in self.cues)


def clock(seconds: float, mark: str, digits: int) -> str:
    units = round(seconds * 10**digits)
    whole, rest = divmod(units, 10**digits)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{rest:0{digits}d}"


def written(kind: str, cues: list[tuple[float, float]], texts: list[str]) -> str:
    """Captions as a text of one kind."""
    if kind == "csv":
        return "start;end;text\n" + "".join(f'{a:.3f};{b:.3f};"{text}"\n' for (a, b), text in zip(cues, texts))
    if kind == "ass":
        head = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        times = [(clock(a, ".", 2)[1:], clock(b, ".", 2)[1:]) for a, b in cues]
        return head + "".join(f"Dialogue: 0,{a},{b},Default,,0,0,0,,{{\\i1}}{text}\n" for (a, b), text in zip(times, texts))
    mark = "," if kind == "srt" else "."
    times = [f"{clock(a, mark, 3)} --> {clock(b, mark, 3)}" for a, b in cues]
    return ("WEBVTT\n\n" if kind == "vtt" else "") + "".join(f"{k}\n{t}\n{text}\n\n" for k, (t, text) in enumerate(zip(times, texts), 1))


def random_case(seed: int) -> tuple[Case, np.ndarray]:
    """Captions of random faults, written into the working folder, and sound that does not care for them."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 9))
    faults = set(rng.choice(["overlap", "unsorted", "beyond", "tight", "instant"], rng.integers(0, 3), replace=False))

    def times(span: float, fault_scale: float) -> list[tuple[float, float]]:
        # Hundredths, which every format can hold.
        begins = np.sort(rng.integers(0, int(100 * span), count)) / 100
        room = np.append(np.diff(begins), 1.0)
        lengths = room * rng.uniform(0.3, 1.0, count) * fault_scale
        if "overlap" in faults:
            lengths = lengths * rng.uniform(1.0, 3.0, count)
        if "instant" in faults:
            lengths[rng.integers(count)] = 0.0
        pairs = [(float(a), float(np.round(a + length, 2))) for a, length in zip(begins, lengths)]
        return [pairs[k] for k in rng.permutation(count)] if "unsorted" in faults else pairs

    cues = times(SECONDS * (1.6 if "beyond" in faults else 0.95), 1.0)
    slots = times(rng.uniform(4, 20), 0.2 if "tight" in faults else 1.0)
    names = [f"{part}.{rng.choice(['srt', 'vtt', 'ass', 'csv'])}" for part in ("own", "wanted")]
    for name, pairs in zip(names, (cues, slots)):
        texts = [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in pairs]
        text = written(name[-3:], pairs, texts).replace("\n", str(rng.choice(["\n", "\r\n"])))
        Path(name).write_bytes(text.encode(str(rng.choice(ENCODINGS))))
    sound = 0.001 * rng.standard_normal(int(SECONDS * SAMPLERATE))
    for _ in range(6):
        begin, length = rng.uniform(0, SECONDS - 1), rng.uniform(0.2, 1.0)
        sound[int(begin * SAMPLERATE) : int((begin + length) * SAMPLERATE)] += 0.2 * rng.standard_normal()
    return Case(*names, cues, slots), sound.astype(np.float32)


def rows_of(report: str) -> list[dict[str, str]]:
    with open(report, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def require_fitted(case: Case, rows: list[dict[str, str]]) -> None:
    """Each cue has its line, no two overlap, all limits are kept, and just the lines that do not fit are told of."""
    assert len(rows) == len(case.cues)
    slots = sorted(case.slots) if case.wanted.endswith("ass") else case.slots
    present = [(k, row) for k, row in enumerate(rows) if float(row["end"]) > float(row["begin"])]
    assert len(present) <= len(rows) and len(rows) - len(present) <= len(rows) - case.heard()
    for (_, a), (_, b) in pairwise(present):
        assert float(a["end"]) <= float(b["begin"]) + 2e-6
    for k, row in enumerate(rows):
        assert (float(row["slot_begin"]), float(row["slot_end"])) == pytest.approx(slots[k], abs=1e-6)
        assert (row["fits"] == "True") == (row["problem"] == "") and (not row["problem"] or row["problem"].endswith("."))
    for position, (k, row) in enumerate(present):
        assert SLOWEST - 1e-6 <= float(row["rate"]) <= FASTEST + 1e-6
        last = np.inf
        if position + 1 < len(present):
            following, after = present[position + 1]
            # What lies between two lines can be made twenty times as short, and no shorter.
            last = slots[following][0] - max(0.0, float(after["input_begin"]) - float(row["input_end"])) / 20
        in_place = abs(float(row["begin"]) - slots[k][0]) < 3e-6 and float(row["end"]) <= last + 3e-6
        assert (row["fits"] == "True") == in_place, row
    for k in set(range(len(rows))) - {k for k, _ in present}:
        assert rows[k]["problem"], "a cue that is not heard is told of"


def require_in_order(before: str, after: str) -> None:
    """Cues that do not overlap do not overlap when they have moved."""
    tolerance = 0.011 if before.endswith("ass") else ONE_MILLISECOND
    pairs = sorted(zip(read_captions(before), read_captions(after), strict=True), key=lambda pair: pair[0].begin)
    for (a, moved_a), (b, moved_b) in pairwise(pairs):
        assert moved_a.begin <= moved_b.begin + tolerance
        if a.end <= b.begin:
            assert moved_a.end <= moved_b.begin + tolerance


@pytest.mark.parametrize(("first", "cases"), [(0, 12), pytest.param(12, 188, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_random_caption_files_are_fitted_without_overlap_and_within_every_limit_or_refused(folder, capsys, first, cases):
    refused = fitted = 0
    for seed in range(first, first + cases):
        case, sound = random_case(seed)
        soundfile.write("talk.wav", sound, SAMPLERATE)
        given = f"--slots {case.wanted} --captions {case.own} --subtitles {case.own} --report told.csv"
        code = run(f"stretch talk.wav -o dub.wav --force -m handmade {given}".split())
        told = " ".join(capsys.readouterr().err.split())
        if case.is_forward() and case.heard():
            assert code == 0, (seed, told)
            require_fitted(case, rows_of("told.csv"))
            require_in_order(case.own, f"dub.{case.own[-3:]}")
            unfit = sum(row["fits"] == "False" for row in rows_of("told.csv"))
            counted = re.findall(r"(\d+) of (\d+) lines (?:is|are|does|do) not", told)
            assert sum(int(some) for some, _ in counted) == unfit, (seed, told)
            assert all(int(every) == len(case.cues) for _, every in counted), (seed, told)
            fitted += 1
        else:
            assert code == 2 and ("before cue" in told or "None of the cues" in told), (seed, told)
            assert not Path("dub.wav").exists() and not Path("told.csv").exists()
            refused += 1
        for place in Path().iterdir():
            place.unlink()
    assert fitted > cases / 2 and refused > 0


@pytest.mark.parametrize(("first", "cases"), [(0, 12), pytest.param(12, 188, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_random_caption_files_come_out_byte_for_byte_at_rate_1(folder, first, cases):
    for seed in range(first, first + cases):
        case, sound = random_case(seed)
        soundfile.write("talk.wav", sound, SAMPLERATE)
        files = [case.own, case.wanted]
        subtitles = [word for name in files for word in ("--subtitles", name)]
        # Two of one kind would have the same name beside the output.
        for name in files if case.own[-3:] == case.wanted[-3:] else [None]:
            given = subtitles if name is None else ["--subtitles", name]
            assert run(["stretch", "talk.wav", "--rate", "1", *given, "-o", "same.wav", "--force", "-q", "-m", "handmade"]) == 0
            for each in files if name is None else [name]:
                assert Path(f"same.{each[-3:]}").read_bytes() == Path(each).read_bytes(), (seed, each)
        for place in Path().iterdir():
            place.unlink()
