"""Promises of fitting: lines get into their slots by pauses, free time and rates, in this order; what cannot fit is told."""

import json
import math
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import tsmgan
from tsmgan.cli import run
from tsmgan.errors import AudioError, UsageError
from tsmgan.maps.captions import read_captions
from tsmgan.maps.lines import Limits, Slot, Spoken, map_of, plan_lines

SAMPLERATE = 16000


@st.composite
def captions(draw):
    """Wanted times of random captions, and the sound of each line: a length, and pauses in it."""
    count = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    spacing, overlap = draw(st.sampled_from([0.2, 1.0, 4.0])), draw(st.sampled_from([0.0, 0.5]))
    begins = np.round(np.cumsum(rng.exponential(spacing, count) + 0.05), 3)
    ends = np.round(begins + rng.uniform(0.05, 1 + overlap, count) * np.append(np.diff(begins), 3.0), 3)
    lengths = np.maximum(0.1, (ends - begins) * np.exp(rng.normal(0.1, draw(st.sampled_from([0.1, 0.5, 1.0])), count)))
    return list(zip(begins, ends)), lengths, rng


def pauses_in(begin: float, end: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Up to three pauses that do not touch."""
    at = begin + (end - begin) * np.sort(rng.uniform(0.05, 0.95, 2 * rng.integers(0, 4)))
    return [(a, b) for a, b in at.reshape(-1, 2) if b - a > 0.02]


@settings(max_examples=200, deadline=None)
@given(captions())
def test_whatever_the_captions_are_lines_do_not_overlap_and_keep_every_limit(case):
    slots, lengths, rng = case
    limits = Limits(slowest=0.8, fastest=1.6)
    spoken = [Spoken(0.0, length, tuple(pauses_in(0.0, length, rng))) for length in lengths]
    lines = plan_lines(spoken, [Slot(*slot) for slot in slots], limits)
    assert len(lines) == len(slots)
    for line, sound in zip(lines, spoken):
        time_map = map_of(sound, line)
        words = time_map.rate_at(_middles_of_words(sound, time_map))
        assert np.allclose(words, line.rate, rtol=1e-4) and 0.8 - 1e-9 <= line.rate <= 1.6 + 1e-9
        assert float(time_map.output_at(sound.end - sound.begin)) == pytest.approx(line.end - line.begin, abs=1e-9)
    assert all(a.end <= b.begin + 1e-9 for a, b in pairwise(lines))
    for k, line in enumerate(lines):
        last = slots[k + 1][0] if k + 1 < len(slots) else math.inf
        fits = abs(line.begin - slots[k][0]) <= 1e-6 and line.end <= last + 1e-6
        assert fits == line.fits, "every line that does not fit is told, and no other"


def _middles_of_words(sound: Spoken, time_map) -> np.ndarray:
    edges = np.array([sound.begin, *np.ravel(sound.pauses), sound.end]).reshape(-1, 2)
    return time_map.output_at(np.array([(a + b) / 2 for a, b in edges if b - a > 1e-3]) - sound.begin)


@settings(max_examples=200, deadline=None)
@given(captions())
def test_one_map_of_a_recording_holds_every_line_at_its_place(case):
    slots, lengths, rng = case
    gaps = rng.uniform(0.02, 1.0, len(lengths))
    begins = np.cumsum(gaps) + np.append(0.0, np.cumsum(lengths)[:-1])
    own = list(zip(begins, begins + lengths))
    pauses = [pause for a, b in own for pause in pauses_in(a + 0.1, b - 0.1, rng) if b - a > 0.3]
    fitted = tsmgan.fit(own, slots, pauses=pauses, seconds=float(own[-1][1] + 1))
    x, y = fitted.time_map.knots
    assert (np.diff(x) > 0).all() and (np.diff(y) > 0).all() and x[-1] == own[-1][1] + 1
    assert all(a.end <= b.begin + 1e-9 for a, b in pairwise(fitted.lines))
    for line, slot in zip(fitted.lines, slots):
        assert float(fitted.time_map.output_at(line.input_begin)) == pytest.approx(line.begin, abs=1e-6)
        assert float(fitted.time_map.output_at(line.input_end)) == pytest.approx(line.end, abs=1e-6)
        assert 0.8 - 1e-9 <= line.rate <= 1.6 + 1e-9
        assert line.fits or line.problem.endswith(".")
        assert not line.fits or abs(line.begin - slot[0]) <= 1e-6
    assert fitted.problems == tuple(line for line in fitted.lines if not line.fits)


def plan(lengths, slots, *, pauses=None, **limits):
    pauses = pauses or [()] * len(lengths)
    return plan_lines([Spoken(0.0, n, tuple(p)) for n, p in zip(lengths, pauses)], [Slot(*slot) for slot in slots], Limits(**limits))


def test_a_line_that_is_as_long_as_its_slot_is_left_alone():
    (line,) = plan([2.0], [(1.0, 3.0)])
    assert (line.begin, line.end, line.rate, line.pauses) == (1.0, 3.0, 1.0, 0.0)


def test_pauses_give_way_before_anything_else():
    (line,) = plan([3.0], [(1.0, 3.5)], pauses=[[(1.0, 2.0)]])
    assert line.rate == 1.0 and line.pauses == pytest.approx(-0.5) and line.end == pytest.approx(3.5)


def test_free_time_is_used_before_words_are_sped_up():
    first, second = plan([2.5, 1.0], [(0.0, 2.0), (3.0, 4.0)])
    assert first.rate == 1.0 and first.end == pytest.approx(2.5) and first.free_time == pytest.approx(0.5) and first.fits
    assert second.begin == 3.0


def test_free_time_can_be_forbidden():
    first, _ = plan([2.5, 1.0], [(0.0, 2.0), (3.0, 4.0)], free_time=0.0)
    assert first.rate == pytest.approx(1.25) and first.end == pytest.approx(2.0)


def test_words_are_sped_up_only_as_far_as_needed():
    first, _ = plan([4.5, 1.0], [(0.0, 2.0), (3.0, 4.0)])
    assert first.rate == pytest.approx(1.5) and first.end == pytest.approx(3.0) and first.fits


def test_a_short_line_is_slowed_down_to_fill_its_slot_and_no_further_than_slowest():
    assert plan([2.0], [(0.0, 2.2)])[0].end == pytest.approx(2.2)
    (line,) = plan([2.0], [(0.0, 9.0)])
    assert line.rate == pytest.approx(0.8) and line.end == pytest.approx(2.5) and line.fits
    assert plan([2.0], [(0.0, 9.0)], slowest=1.0)[0].end == pytest.approx(2.0)


def test_pauses_grow_before_words_go_slower():
    (line,) = plan([2.0], [(0.0, 2.4)], pauses=[[(0.5, 1.0)]])
    assert line.rate == 1.0 and line.pauses == pytest.approx(0.4)


def test_a_line_that_no_rate_fits_ends_late_is_told_and_delays_the_next():
    first, second, third = plan([4.0, 1.0, 1.0], [(0.0, 1.0), (1.0, 2.0), (4.0, 5.0)])
    assert first.rate == 1.6 and first.end == pytest.approx(2.5) and first.needed == pytest.approx(4.0)
    assert first.problem == "It would need rate 4.00; at 1.6 it ends 1.50 s late."
    assert second.begin == pytest.approx(2.5) and "begins 1.50 s late" in second.problem and second.end <= 4.0
    assert third.begin == 4.0 and third.fits


def test_rates_of_neighbours_are_drawn_together():
    slots = [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    before, middle, after = plan([2.0, 3.0, 2.0], slots)
    assert middle.rate == pytest.approx(1.5)
    assert 1.0 < before.rate < 1.5 and before.rate == pytest.approx(after.rate)
    far, _, _ = plan([2.0, 3.0, 2.0], [(0.0, 2.0), (60.0, 62.0), (62.0, 64.0)])
    assert far.rate == pytest.approx(1.0), "lines far apart do not care for each other"


def test_no_neighbour_makes_a_line_run_on_that_could_end_in_time():
    first, _ = plan([2.0, 2.0], [(0.0, 2.0), (4.0, 6.6)])
    assert first.rate == 1.0 and first.end == 2.0


def test_where_nothing_has_to_be_fast_nothing_is():
    assert all(line.rate == pytest.approx(1.0) for line in plan([2.0, 1.9, 2.0], [(0.0, 2.0), (2.0, 3.9), (3.9, 6.0)], slowest=1.0))


@pytest.mark.parametrize(
    "limits, reason",
    [
        ({"slowest": 2.0}, "exchange them"),
        ({"fastest": 30.0}, "must be a rate from 0.05 to 20"),
        ({"slowest": math.nan}, "must be a rate"),
        ({"free_time": -1.0}, "zero or longer"),
    ],
)
def test_limits_out_of_range_are_refused(limits, reason):
    with pytest.raises(UsageError, match=reason):
        tsmgan.fit([(0, 1)], [(0, 1)], **limits)


@pytest.mark.parametrize(
    "own, wanted, reason",
    [
        ([(0, 1)], [(0, 1), (1, 2)], "each needs its counterpart"),
        ([(0, 1), (2, 3)], [(5, 6), (1, 2)], "a recording cannot go back"),
        ([(2, 3), (0, 1)], [(0, 1), (2, 3)], "a recording cannot go back"),
        ([(2, 1)], [(0, 1)], "its end must not be before"),
        ([(50, 51)], [(0, 1)], "None of the cues"),
        ([], [], "None of the cues"),
    ],
)
def test_captions_that_cannot_be_fitted_are_refused_in_a_sentence(own, wanted, reason):
    with pytest.raises(UsageError, match=reason):
        tsmgan.fit(own, wanted, seconds=10.0)


def test_captions_that_overlap_lie_beyond_or_hold_no_speech_are_told():
    own, wanted = [(1, 3), (2.5, 4), (5, 6), (20, 21)], [(1, 3), (2.5, 4), (5, 6), (20, 21)]
    fitted = tsmgan.fit(own, wanted, pauses=[(4.5, 6.5)], seconds=10.0)
    assert any("cue 2 begins before the one before is over" in note for note in fitted.notes)
    assert any("Cue 3 of the captions holds no speech." in note for note in fitted.notes)
    assert fitted.lines[3].problem == "Its cue in the captions begins when the recording is over, at 10.000 s."
    assert len(fitted.lines) == 4 and fitted.lines[0].begin == pytest.approx(1.0)


def test_a_pause_that_cannot_grow_as_far_is_told():
    _, second = tsmgan.fit([(0, 1), (1.1, 2)], [(0, 1), (60, 61)]).lines
    assert "early, because the pause before it cannot be made longer" in second.problem and second.begin < 60


def test_a_recording_that_begins_with_its_first_line_is_heard_after_silence():
    fitted = tsmgan.fit([(0, 1)], [(5, 6)])
    y = np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLERATE).astype(np.float32)
    out = tsmgan.stretch(y, SAMPLERATE, time_map=fitted.time_map)
    assert len(out) == 6 * SAMPLERATE and not out[: int(4.9 * SAMPLERATE)].any()
    assert np.abs(out[5 * SAMPLERATE :]).mean() > 0.1


CUES = [(0.5, 1.5, "one"), (2.0, 3.0, "two ; three")]


def write_captions(path: str, cues=CUES, encoding: str = "utf-8") -> str:
    def clock(t: float, mark: str) -> str:
        return f"{int(t // 3600):02d}:{int(t // 60) % 60:02d}:{int(t) % 60:02d}{mark}{round(t * 1000) % 1000:03d}"

    kind, mark = path.rpartition(".")[2], "," if path.endswith("srt") else "."
    if kind == "csv":
        text = "start;end;text\n" + "".join(f'{a};{b};"{t}"\n' for a, b, t in cues)
    elif kind == "ass":
        text = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n" + "".join(
            f"Dialogue: 0,{clock(a, '.')[1:-1]},{clock(b, '.')[1:-1]},Default,,0,0,0,,{{\\i1}}{t}\n" for a, b, t in cues
        )
    else:
        head = "WEBVTT\n\n" if kind == "vtt" else ""
        text = head + "".join(f"{k}\n{clock(a, mark)} --> {clock(b, mark)}\n{t}\n\n" for k, (a, b, t) in enumerate(cues, 1))
    Path(path).write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("ending", ["srt", "vtt", "ass", "csv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_captions_are_read_from_every_format_and_encoding(folder, ending, encoding):
    cues = [(0.5, 1.5, "Grüße aus Köln, schöne Straße"), (2.0, 3.25, "Ça va déjà très bien à côté")]
    found = read_captions(write_captions(f"a.{ending}", cues, encoding))
    assert [(slot.begin, slot.end, slot.text, slot.number) for slot in found] == [(*cue, k) for k, cue in enumerate(cues, 1)]


@pytest.mark.parametrize(
    "name, text, reason",
    [
        ("a.srt", "", "holds no cues"),
        ("a.srt", "1\n00:00:0x,000 --> 0:1\nx\n", "line 2 holds times that cannot be read"),
        ("a.srt", "1\n00:00:03,000 --> 00:00:02,000\nx\n", "ends before it begins"),
        ("a.csv", "start,end\n1,x\n", "row 1 holds no begin and end"),
        ("a.lrc", "[00:01.00]x\n", "give one of .srt"),
        ("a.srt", "1\n99:00:03,000 --> 99:00:04,000\nx\n", "lies at 99 hours"),
        ("a.csv", "start,end\n1,1e15\n", "up to 24 hours are possible"),
        ("a.srt", f"{'9' * 5000}\n00:00:01,000 --> 00:00:02,000\nx\n\n1\n99:00:00,000 --> 99:00:01,000\nx\n", "lies at 99 hours"),
    ],
)
def test_captions_that_cannot_be_read_are_refused_in_a_sentence(folder, name, text, reason):
    Path(name).write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_captions(name)


def burst(seconds: float, seed: int) -> np.ndarray:
    """Something like a line: noise whose first and last samples are loud."""
    return np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * SAMPLERATE)).astype(np.float32)


@pytest.fixture
def talk(folder):
    """Two lines of noise between silence, their captions, and other times for them."""
    sound = np.zeros(4 * SAMPLERATE, np.float32)
    for k, (begin, end, _) in enumerate(CUES):
        sound[round(begin * SAMPLERATE) : round(end * SAMPLERATE)] = burst(end - begin, k)
    soundfile.write("talk.wav", sound, SAMPLERATE)
    write_captions("talk.srt")
    write_captions("wanted.vtt", [(1.0, 1.8, "eins"), (4.0, 5.1, "zwei")])
    return folder


def loud(path: str) -> list[tuple[float, float]]:
    """Begins and ends of what is heard, in seconds, where 0.2 s of silence lie between."""
    sound, samplerate = soundfile.read(path, always_2d=True)
    heard = np.flatnonzero(np.abs(sound).max(axis=1) > 0.03)
    breaks = np.flatnonzero(np.diff(heard) > 0.2 * samplerate)
    firsts, lasts = heard[np.append(0, breaks + 1)], heard[np.append(breaks, len(heard) - 1)]
    return [(a / samplerate, (b + 1) / samplerate) for a, b in zip(firsts, lasts)]


def test_a_recording_is_heard_at_the_wanted_times_and_its_subtitles_too(talk):
    done = tsmgan.stretch_file("talk.wav", "dub.wav", slots="wanted.vtt", free_time=0, subtitles=["talk.srt"], report="dub.json")
    assert [line.fits for line in done.lines] == [True, True]
    assert [line.begin for line in done.lines] == [1.0, 4.0] and all(line.end <= line.slot_end + 1e-6 for line in done.lines)
    for heard, line, moved in zip(loud("dub.wav"), done.lines, read_captions("dub.srt"), strict=True):
        assert heard == pytest.approx((line.begin, line.end), abs=0.08)
        assert (moved.begin, moved.end) == pytest.approx((line.begin, line.end), abs=0.0006)
    told = json.loads(Path("dub.json").read_text())
    assert [row["rate"] for row in told] == [pytest.approx(line.rate, abs=1e-6) for line in done.lines]
    assert [row["text"] for row in told] == ["eins", "zwei"]


def test_the_command_shows_every_line_and_warns_of_those_that_do_not_fit(talk, capsys):
    write_captions("tight.srt", [(1.0, 1.2, "eins"), (1.3, 2.0, "zwei")])
    assert run(["stretch", "talk.wav", "--slots", "tight.srt", "--captions", "talk.srt", "-o", "dub.wav", "--report", "r.csv"]) == 0
    out, err = capsys.readouterr()
    assert "eins" in out and "zwei" in out and "It would need rate" in " ".join(out.split())
    assert "2 of 2 lines do not fit" in err and Path("r.csv").read_text().count("\n") == 3


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--slots", "wanted.vtt", "--rate", "2"], "leave out --rate"),
        (["--slots", "wanted.vtt", "--start", "3.2"], "None of the cues of"),
        (["--slots", "none.srt"], "none.srt cannot be read"),
        (["--slots", "wanted.vtt", "--captions", "wanted.vtt", "--report", "r.txt"], "end with .csv or .json"),
        (["--rate", "2", "--captions", "talk.srt"], "go with --slots"),
    ],
)
def test_a_wrong_command_is_answered_with_a_sentence_and_leaves_nothing(talk, capsys, arguments, reason):
    before = sorted(talk.iterdir())
    assert run(["stretch", "talk.wav", "-o", "dub.wav", *arguments]) in (1, 2)
    assert reason in capsys.readouterr().err and sorted(talk.iterdir()) == before


def test_a_recording_without_captions_beside_it_asks_for_them(talk):
    Path("talk.srt").unlink()
    with pytest.raises(UsageError, match="--captions own"):
        tsmgan.stretch_file("talk.wav", "dub.wav", slots="wanted.vtt")


def test_a_section_has_its_own_lines_and_its_output_begins_with_sound(talk):
    whole = tsmgan.stretch_file("talk.wav", "whole.wav", slots="wanted.vtt")
    done = tsmgan.stretch_file("talk.wav", "part.wav", slots="wanted.vtt", start=1.75, subtitles=["talk.srt"])
    (line,) = done.lines
    # The second line begins at 2 s, so 0.25 s of the recording come before it; its slot is as long as ever.
    assert line.number == 2 and line.fits and line.begin == pytest.approx(0.25) and line.slot_end - line.slot_begin == pytest.approx(1.1)
    assert line.rate == pytest.approx(whole.lines[1].rate, abs=0.05)
    ((begin, end),) = loud("part.wav")
    assert (begin, end) == pytest.approx((line.begin, line.end), abs=0.08)
    (moved,) = read_captions("part.srt")
    assert (moved.begin, moved.end) == pytest.approx((line.begin, line.end), abs=0.001)
    first = tsmgan.stretch_file("talk.wav", "first.wav", slots="wanted.vtt", end=1.8).lines
    assert [(each.number, each.begin) for each in first] == [(1, whole.lines[0].begin)]


def test_of_a_line_that_reaches_over_the_end_of_a_section_the_part_within_gets_its_part_of_the_slot(talk):
    (line,) = tsmgan.stretch_file("talk.wav", "part.wav", slots="wanted.vtt", start=2.25, end=2.75).lines
    assert (line.input_begin, line.input_end) == pytest.approx((0.0, 0.5))
    assert line.begin == 0 and line.slot_end - line.slot_begin == pytest.approx(0.55)


def test_a_map_of_slots_is_the_one_that_a_stretch_follows(talk, capsys):
    assert run(["map", "talk.wav", "--slots", "wanted.vtt", "--csv", "map.csv"]) == 0
    told = capsys.readouterr().out
    assert "eins" in told and "zwei" in told and "length" in told
    tsmgan.stretch_file("talk.wav", "by-slots.wav", slots="wanted.vtt")
    tsmgan.stretch_file("talk.wav", "by-map.wav", time_map="map.csv")
    assert Path("by-slots.wav").read_bytes() == Path("by-map.wav").read_bytes()
    assert run(["map", "talk.wav", "--rate", "2", "--captions", "talk.srt"]) == 2 and "go with --slots" in capsys.readouterr().err


@pytest.fixture
def talks(talk):
    """Two recordings with their captions in `talks`, and their wanted times in `wanted`."""
    for name, wanted in (("a", [(1.0, 1.8, "eins"), (4.0, 5.1, "zwei")]), ("b", [(0.5, 0.6, "eins"), (2.0, 3.0, "zwei")])):
        Path("talks").mkdir(exist_ok=True), Path("wanted").mkdir(exist_ok=True)
        shutil.copy("talk.wav", f"talks/{name}.wav"), shutil.copy("talk.srt", f"talks/{name}.srt")
        write_captions(f"wanted/{name}.vtt", wanted)
    return talk


def test_a_batch_fits_each_recording_to_the_captions_of_its_name(talks, capsys):
    command = ["stretch", "talks", "-o", "dubs", "--slots", "wanted/", "--report", ".json", "--jobs", "1"]
    assert run([*command, "--fastest", "1.2"]) == 0
    assert "2 of 2 made" in capsys.readouterr().err
    for name in ("a", "b"):
        tsmgan.stretch_file(f"talks/{name}.wav", "one.wav", slots=f"wanted/{name}.vtt", fastest=1.2, force=True)
        assert Path(f"dubs/{name}@wanted.wav").read_bytes() == Path("one.wav").read_bytes()
        assert len(json.loads(Path(f"dubs/{name}@wanted.json").read_text())) == 2
    made = {path.name: path.stat().st_mtime_ns for path in Path("dubs").glob("*.wav")}
    write_captions("wanted/b.vtt", [(0.5, 1.5, "eins"), (2.5, 3.5, "zwei")])
    assert run([*command, "--fastest", "1.2", "-q"]) == 0
    again = {path.name: path.stat().st_mtime_ns for path in Path("dubs").glob("*.wav")}
    assert again["a@wanted.wav"] == made["a@wanted.wav"] and again["b@wanted.wav"] != made["b@wanted.wav"]


def test_a_batch_says_which_line_of_which_recording_does_not_fit(talks):
    write_captions("wanted/b.vtt", [(0.5, 0.6, "eins"), (0.7, 0.8, "zwei")])
    assert run(["stretch", "talks", "-o", "dubs", "--slots", "wanted/", "--jobs", "1", "-q"]) == 0
    entries = [json.loads(line) for line in Path("dubs/manifest.jsonl").read_text().splitlines()]
    notes = {entry["output"]: entry["notes"] for entry in entries if "started" not in entry}
    assert notes["a@wanted.wav"] == [] and any(note.startswith("Cue 1 does not fit. It would need") for note in notes["b@wanted.wav"])


@pytest.mark.parametrize(
    "arguments, code, reason",
    [
        (["--slots", "wanted.vtt"], 2, "is the file of a single recording"),
        (["--slots", "wanted", "--rate", "2"], 2, "leave out --rate"),
        (["--slots", "wanted", "--report", "all.csv"], 2, "one beside each output"),
        (["--slots", "talks"], 3, "and none lies beside it"),
    ],
)
def test_slots_that_do_not_suit_a_batch_are_refused(talks, capsys, arguments, code, reason):
    assert run(["stretch", "talks", "-o", "dubs", "--jobs", "1", *arguments]) == code
    assert reason in " ".join(capsys.readouterr().err.split())


def test_a_report_whose_name_is_taken_stops_everything(talk):
    Path("r.csv").write_text("mine")
    with pytest.raises(AudioError, match=r"r\.csv exists already"):
        tsmgan.stretch_file("talk.wav", "dub.wav", slots="wanted.vtt", report="r.csv")
    assert Path("r.csv").read_text() == "mine" and not Path("dub.wav").exists()


def test_a_report_and_subtitles_of_one_name_are_refused(talk):
    write_captions("own.csv")
    with pytest.raises(UsageError, match=r"Two files would be called dub\.csv"):
        tsmgan.stretch_file("talk.wav", "dub.wav", slots="wanted.vtt", captions="own.csv", subtitles=["own.csv"], report="dub.csv")
    assert not Path("dub.wav").exists() and not Path("dub.csv").exists()


@pytest.fixture
def spoken(folder):
    """Four lines as recordings, and captions for them."""
    Path("lines").mkdir()
    for k, seconds in enumerate([1.0, 1.5, 0.9, 2.0], 1):
        soundfile.write(f"lines/{k}.wav", burst(seconds, k), SAMPLERATE)
    write_captions("cues.srt", [(1.0, 2.0, "a"), (3.0, 4.2, "b"), (6.0, 7.0, "c"), (8.0, 10.0, "d")])
    return folder


def test_lines_begin_with_their_cues_and_end_within_them_to_the_sample(spoken):
    done = tsmgan.fit_lines("lines", "cues.srt", "dub.wav", free_time=0.0)
    sound, samplerate = soundfile.read("dub.wav")
    assert samplerate == SAMPLERATE and len(sound) == 10 * SAMPLERATE and all(line.fits for line in done.lines)
    inside = np.zeros(len(sound), bool)
    for line in done.lines:
        inside[round(line.slot_begin * SAMPLERATE) : round(line.slot_end * SAMPLERATE)] = True
        assert np.abs(sound[round(line.begin * SAMPLERATE) :][:80]).max() > 0.03, "it begins at once"
    assert not sound[~inside].any()
    assert np.array_equal(sound[8 * SAMPLERATE :], soundfile.read("lines/4.wav")[0]), "a line that fits is not touched"


def test_a_line_without_a_recording_is_told_as_missing_and_not_as_too_long(spoken, capsys):
    Path("lines/2.wav").unlink()
    assert run(["fit", "lines", "cues.srt", "-o", "dub.wav"]) == 0
    err = capsys.readouterr().err
    assert "1 of 4 lines is not heard (2); the table says what is missing." in err and "fit" not in err.split("Warning:")[1].split("\n")[0]
    assert "shorten" not in err


def test_a_line_that_comes_too_early_is_not_told_to_be_shorter(talk, capsys):
    write_captions("late.srt", [(1.0, 2.0, "eins"), (300.0, 301.0, "zwei")])
    assert run(["stretch", "talk.wav", "--slots", "late.srt", "--captions", "talk.srt", "-o", "dub.wav"]) == 0
    err = capsys.readouterr().err
    assert "1 of 2 lines does not fit (2); the table says why; give them other times." in err


def test_lines_belong_to_cues_by_number_or_by_order(spoken):
    Path("lines/2.wav").unlink()
    done = tsmgan.fit_lines("lines", "cues.srt", "dub.wav")
    assert [Path(line.name).name for line in done.lines] == ["1.wav", "", "3.wav", "4.wav"]
    assert done.lines[1].problem == "There is no recording of it." and not done.lines[1].is_heard
    for name in ("a", "b10", "b9", "c"):
        soundfile.write(f"lines/{name}.wav", burst(1.0, 0), SAMPLERATE)
    for k in (1, 3, 4):
        Path(f"lines/{k}.wav").unlink()
    done = tsmgan.fit_lines("lines", "cues.srt", "dub.wav", force=True)
    assert [Path(line.name).stem for line in done.lines] == ["a", "b9", "b10", "c"]


def test_mono_lines_become_stereo_beside_stereo_lines(spoken):
    soundfile.write("lines/3.wav", np.stack([burst(0.9, 3)] * 2, axis=1), SAMPLERATE)
    tsmgan.fit_lines("lines", "cues.srt", "dub.flac")
    sound, _ = soundfile.read("dub.flac")
    assert sound.shape[1] == 2 and np.array_equal(sound[: 2 * SAMPLERATE, 0], sound[: 2 * SAMPLERATE, 1])


def test_lines_that_do_not_belong_together_are_refused_and_nothing_is_written(spoken):
    soundfile.write("lines/x.wav", burst(1.0, 0), SAMPLERATE)
    with pytest.raises(UsageError, match=r"x\.wav has no number of a cue"):
        tsmgan.fit_lines("lines", "cues.srt", "dub.wav")
    Path("lines/x.wav").unlink()
    soundfile.write("lines/4.wav", burst(1.0, 0), 8000)
    with pytest.raises(UsageError, match="one sample rate"):
        tsmgan.fit_lines("lines", "cues.srt", "dub.wav")
    with pytest.raises(UsageError, match="is no folder"):
        tsmgan.fit_lines("none", "cues.srt", "dub.wav")
    assert not Path("dub.wav").exists()


def test_the_command_fit_lays_lines_and_says_how_many_fit(spoken, capsys):
    assert run(["fit", "lines/", "cues.srt", "-o", "dub.wav", "--report", "dub.csv"]) == 0
    out, err = capsys.readouterr()
    assert "0:03.000" in out and "4 of 4 lines fit -> dub.wav" in err and Path("dub.csv").exists()
    assert run(["fit", "lines/", "-o", "dub.wav"]) == 2 and run(["fit", "lines/", "cues.srt"]) == 2
    assert run(["fit", "lines/", "cues.srt", "-o", "dub.wav"]) == 1, "it exists already"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("count", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_spoken_lines_lie_each_within_its_slot_to_a_millisecond(folder, count):
    Path("lines").mkdir()
    rng, cues, at = np.random.default_rng(0), [], 0.5
    words = "one two three four five six seven eight nine ten, then we stop. And go on".split()
    for k in range(1, count + 1):
        text = " ".join(rng.choice(words, rng.integers(2, 9)))
        subprocess.run(["espeak-ng", "-w", f"lines/{k:03d}.wav", text], check=True)
        slot = soundfile.info(f"lines/{k:03d}.wav").duration * rng.uniform(0.7, 1.3)
        cues.append((round(at, 3), round(at + slot, 3), text))
        at += slot + rng.uniform(0.0, 0.3)
    write_captions("cues.srt", cues)
    done = tsmgan.fit_lines("lines", "cues.srt", "dub.wav", free_time=0.0)
    sound, samplerate = soundfile.read("dub.wav")
    inside = np.zeros(len(sound), bool)
    for line, (begin, end, _) in zip(done.lines, cues, strict=True):
        assert line.fits and abs(line.begin - begin) < 1e-6 and line.end <= end + 1e-6 and 0.8 <= line.rate <= 1.6
        inside[round((begin - 0.001) * samplerate) : round((end + 0.001) * samplerate)] = True
    assert not sound[~inside].any()
