"""Promises of `--pauses`: which moments are pauses, how they give way, and that nothing else does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import tsmgan
from tsmgan.cli import run
from tsmgan.maps.pause_finder import DELAY_SECONDS, Pause, PauseFinder
from tsmgan.maps.pauses import LONGEST_GROWTH, find_pauses, give_way_first, shorten, shorten_to

EXAMPLES = Path(__file__).parents[1] / "examples"
SAMPLERATE = 24000
EDGE = 0.03


def voice() -> np.ndarray:
    """The first sentence of the example, without its pause."""
    y, samplerate = soundfile.read(EXAMPLES / "voice.flac", dtype="float32")
    assert samplerate == SAMPLERATE
    return y[int(0.03 * SAMPLERATE) : int(1.8 * SAMPLERATE)]


def talk(gaps: list[float], snr: float | None = 30.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The sentence again and again with these pauses (seconds) behind it, in noise; and where the pauses are, (pauses, 2) seconds."""
    said, rng = voice(), np.random.default_rng(seed)
    y = np.concatenate([part for gap in gaps for part in (said, np.zeros(round(gap * SAMPLERATE), np.float32))])
    ends = np.cumsum([len(said) / SAMPLERATE + gap for gap in gaps])
    if snr is not None:
        y = y + np.sqrt(np.mean(said**2)) * 10 ** (-snr / 20) * rng.standard_normal(len(y)).astype(np.float32)
    return y.astype(np.float32), np.stack([ends - gaps, ends], axis=1)


GAPS = [0.3, 0.8, 0.25, 0.5, 1.2, 0.4]


@pytest.mark.parametrize("snr", [None, 30.0, 20.0])
def test_the_pauses_between_sentences_are_found_to_a_few_hundredths_of_a_second(snr):
    y, labels = talk(GAPS, snr)
    found = tsmgan.pauses(y, SAMPLERATE)
    assert len(found) == len(labels)
    np.testing.assert_allclose(found, labels, atol=0.06)


def test_the_level_the_channel_and_an_offset_do_not_matter():
    y, _ = talk(GAPS)
    quiet = tsmgan.pauses(0.001 * y + 0.01, SAMPLERATE)
    one_side = tsmgan.pauses(np.stack([0 * y, y]), SAMPLERATE)
    for found in (quiet, one_side):
        np.testing.assert_allclose(found, tsmgan.pauses(y, SAMPLERATE), atol=0.011)


@given(st.lists(st.integers(1, 40000), min_size=1, max_size=8))
@settings(max_examples=4, deadline=None)
def test_what_is_found_does_not_depend_on_the_division_into_blocks(sizes):
    y, _ = talk(GAPS[:4])
    whole, frames = find_pauses(iter([y[None]]), SAMPLERATE, 1)
    edges = [*np.cumsum(sizes)[np.cumsum(sizes) < len(y)], len(y)]
    pieces = np.split(y[None], edges[:-1], axis=1)
    assert find_pauses(iter(pieces), SAMPLERATE, 1) == (whole, frames) and whole


def test_a_breath_in_a_pause_is_kept_and_both_sides_of_it_are_pauses():
    y, labels = talk([0.5, 1.6, 0.5, 0.6], snr=40)
    begin = labels[1, 0] + 0.6
    breath = slice(round(begin * SAMPLERATE), round((begin + 0.4) * SAMPLERATE))
    noise = np.random.default_rng(1).standard_normal(breath.stop - breath.start).astype(np.float32)
    y[breath] += 0.05 * np.std(voice()) * noise * np.hanning(len(noise)).astype(np.float32) ** 0.2
    found = tsmgan.pauses(y, SAMPLERATE)
    assert not any(start < begin + 0.35 and end > begin + 0.05 for start, end in found)
    assert sum(labels[1, 0] - 0.1 < start < labels[1, 1] for start, end in found) == 2


def _applause(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(2)
    y = np.zeros(round(seconds * SAMPLERATE), np.float32)
    clap = np.exp(-np.arange(600) / 90).astype(np.float32)
    for at in rng.integers(0, len(y) - 600, int(80 * seconds)):
        y[at : at + 600] += rng.uniform(0.2, 1) * clap * rng.standard_normal(600).astype(np.float32)
    return 0.1 * y


@pytest.mark.parametrize(
    "sound",
    [
        0.01 * np.random.default_rng(0).standard_normal(15 * SAMPLERATE).astype(np.float32),
        np.zeros(15 * SAMPLERATE, np.float32),
        _applause(15),
        np.zeros(100, np.float32),
        np.zeros(0, np.float32),
    ],
    ids=["room tone", "silence", "applause", "five milliseconds", "nothing"],
)
def test_room_tone_silence_and_applause_alone_have_no_pauses(sound):
    assert len(tsmgan.pauses(sound, SAMPLERATE)) == 0


@pytest.mark.parametrize("keep", ["first", "0.4"])
@pytest.mark.parametrize("sound", ["one pause", "no pause", "a word and one pause"])
def test_a_recording_that_is_one_pause_or_has_none_is_stretched_all_the_same(folder, capsys, sound, keep):
    y = {"one pause": np.zeros(3 * SAMPLERATE), "no pause": voice(), "a word and one pause": np.append(voice(), np.zeros(20 * SAMPLERATE))}
    soundfile.write("in.wav", y[sound], SAMPLERATE)
    assert run(["stretch", "in.wav", "--rate", "1.25", "--pauses", keep, "-o", "out.wav"]) == 0
    frames = soundfile.info("out.wav").frames
    expected = round(len(y[sound]) / 1.25)
    assert frames == expected if keep == "first" or sound != "a word and one pause" else frames < 0.7 * expected
    assert "Traceback" not in capsys.readouterr().err


def test_applause_after_a_talk_is_no_pause():
    y, labels = talk(GAPS)
    found = tsmgan.pauses(np.concatenate([y, _applause(8)]), SAMPLERATE)
    assert len(found) >= len(labels) - 1 and found[-1, 1] < len(y) / SAMPLERATE + 0.05


def test_nothing_in_music_moves(folder):
    done = tsmgan.stretch_file(EXAMPLES / "band.flac", "band.wav", rate=1.5, pauses="first")
    assert done.pauses == (0, 0.0) and done.frames_written == round(done.frames_read / 1.5)
    tsmgan.stretch_file(EXAMPLES / "band.flac", "uniform.wav", rate=1.5)
    assert Path("band.wav").read_bytes() == Path("uniform.wav").read_bytes()


def _detached_notes(seed: int) -> np.ndarray:
    """Eight seconds of short notes, some of them struck, with gaps of up to 0.17 s between them."""
    rng, parts = np.random.default_rng(seed), []
    while sum(map(len, parts)) < 8 * 16000:
        size = round(rng.uniform(0.12, 0.35) * 16000)
        t, hz = np.arange(size) / 16000, 110 * 2 ** (rng.integers(0, 24) / 12)
        decay, bright, partials = rng.uniform(2, 12), rng.uniform(0.5, 1.6), range(1, int(min(30, 7000 / hz)))
        note = sum(np.cos(2 * np.pi * hz * k * t + rng.uniform(0, 6)) * k**-bright for k in partials) * np.exp(-decay * t)
        if rng.random() < 0.3:
            note = 0.2 * note + rng.standard_normal(size) * np.exp(-30 * t)
        note *= np.clip(np.minimum(t, t[::-1]) * 200, 0, 1) * rng.uniform(0.3, 1) / np.abs(note).max()
        parts += [note, np.zeros(round(rng.choice([0.02, 0.05, 0.155, 0.17]) * 16000))]
    y = np.concatenate(parts)
    return (0.3 * y + 1e-5 * rng.standard_normal(len(y))).astype(np.float32)


def test_hardly_a_gap_between_detached_notes_is_taken_for_a_pause():
    notes = [_detached_notes(seed) for seed in range(12)]
    assert sum(len(tsmgan.pauses(each, 16000)) for each in notes) <= 3  # of more than 100 gaps of 0.155 s and more


def test_a_pause_of_minutes_is_known_within_the_stated_delay():
    y, _ = talk([0.4, 0.5, 0.4, 30.0])
    finder, frames = PauseFinder(SAMPLERATE), 0
    for block in np.array_split(y[None], 200, axis=1):
        finder.process(block)
        frames += block.shape[1]
        assert frames - finder.known <= DELAY_SECONDS * SAMPLERATE


@st.composite
def recordings(draw):
    """Pauses, and how many samples the recording has."""
    pauses, position = [], 0
    for words, pause in draw(st.lists(st.tuples(st.floats(0.2, 5), st.floats(0.15, 3)), max_size=8)):
        start = position + round(words * SAMPLERATE)
        position = start + round(pause * SAMPLERATE)
        pauses.append(Pause(start, position))
    return pauses, position + round(draw(st.floats(0.1, 5)) * SAMPLERATE)


def _outputs(pauses: list[Pause], time_map: tsmgan.TimeMap) -> np.ndarray:
    return np.array([float(time_map.output_at(p.end) - time_map.output_at(p.start)) for p in pauses])


def _rates_of_words(pauses: list[Pause], frames: int, time_map: tsmgan.TimeMap) -> np.ndarray:
    """Local rates outside of the middles of pauses."""
    edge = round(EDGE * SAMPLERATE)
    at = np.linspace(0.5, frames - 0.5, 500)
    inside = np.zeros(len(at), bool)
    for p in pauses:
        inside |= (at > p.start + edge) & (at < p.end - edge)
    return time_map.rate_at(time_map.output_at(at[~inside]))


@given(recordings(), st.floats(0.3, 4))
@settings(max_examples=60, deadline=None)
def test_first_is_exact_to_the_sample_and_words_change_evenly_and_no_more_than_without(recording, rate):
    pauses, frames = recording
    wanted = round(frames / rate)
    # What rounding to whole samples has made of it.
    rate = frames / wanted
    time_map = give_way_first(pauses, frames, wanted, SAMPLERATE)
    assert time_map.output_length(frames) == wanted
    words, out = _rates_of_words(pauses, frames, time_map), _outputs(pauses, time_map)
    lengths = np.array([p.end - p.start for p in pauses])
    assert np.ptp(words) < 1e-4 * words.mean()
    if rate >= 1:
        assert 1 - 1e-4 <= words.mean() <= rate * (1 + 1e-4)
        assert (out >= np.minimum(0.06 * SAMPLERATE, lengths / rate) - 2).all() and (out <= lengths + 2).all()
    else:
        assert rate * (1 - 1e-4) <= words.mean() <= 1 + 1e-4
        assert (out <= np.maximum(LONGEST_GROWTH * lengths, lengths / rate) + 2).all() and (out >= lengths - 2).all()


@given(recordings(), st.floats(0, 1), st.floats(0.5, 3))
@settings(max_examples=60, deadline=None)
def test_pauses_keep_their_share_at_least_60_ms_and_their_ends_and_words_keep_their_rate(recording, keep, rate):
    pauses, frames = recording
    time_map = shorten(pauses, keep, rate, SAMPLERATE)
    lengths = np.array([p.end - p.start for p in pauses], float)
    out = _outputs(pauses, time_map) * rate
    least = np.maximum(0.06 * SAMPLERATE, 2 * round(EDGE * SAMPLERATE) + (lengths - 2 * round(EDGE * SAMPLERATE)) * rate / 20)
    np.testing.assert_allclose(out, np.minimum(lengths, np.maximum(keep * lengths, least)), atol=2)
    np.testing.assert_allclose(_rates_of_words(pauses, frames, time_map), rate, rtol=1e-4)
    wanted = max(1, time_map.output_length(frames))
    assert shorten_to(pauses, keep, frames, wanted, SAMPLERATE).output_length(frames) == wanted


def test_the_summary_says_what_pauses_gave_and_the_output_is_named_after_them(folder, capsys):
    y, labels = talk(GAPS)
    soundfile.write("talk.wav", y, SAMPLERATE)
    assert run(["stretch", "talk.wav", "--pauses", "0,5"]) == 0
    gave = 0.5 * float(np.diff(labels, axis=1).sum())
    assert f"{len(GAPS)} pauses gave 0:01" in capsys.readouterr().err
    assert soundfile.info("talk@pauses0.5.wav").duration == pytest.approx(len(y) / SAMPLERATE - gave, abs=0.2)
    assert run(["stretch", "talk.wav", "--pauses", "first", "--rate", "1.3", "-q"]) == 0
    assert soundfile.info("talk@1.3-pauses-first.wav").frames == round(len(y) / 1.3)
    assert run(["stretch", "talk.wav", "--pauses", "first", "--duration", "9.5", "-q", "-o", "long.wav"]) == 0
    assert soundfile.info("long.wav").frames == round(9.5 * SAMPLERATE)
    assert run(["stretch", "talk.wav", "--pauses", "30%", "--duration", "7", "-q", "-o", "short.wav"]) == 0
    assert soundfile.info("short.wav").frames == 7 * SAMPLERATE


def test_a_pipe_gives_what_a_file_does(folder):
    y, _ = talk([*GAPS, *GAPS])
    soundfile.write("talk.wav", y, SAMPLERATE)
    options = ["--pauses", "0.3", "--rate", "1.2", "--quiet"]
    assert run(["stretch", "talk.wav", *options, "-o", "file.wav"]) == 0
    command = [sys.executable, "-m", "tsmgan", "stretch", "-", *options, "-o", "-"]
    piped = subprocess.run(command, input=Path("talk.wav").read_bytes(), capture_output=True, check=True).stdout
    expected = soundfile.read("file.wav", dtype="int16")[0]
    assert piped[44:] == expected.tobytes() and len(expected)


def test_what_needs_the_whole_recording_says_so_on_a_pipe(folder):
    y, _ = talk(GAPS[:2])
    soundfile.write("talk.wav", y, SAMPLERATE)
    command = [sys.executable, "-m", "tsmgan", "stretch", "-", "--pauses", "first", "--rate", "2", "-o", "-"]
    done = subprocess.run(command, input=Path("talk.wav").read_bytes(), capture_output=True, check=False)
    assert done.returncode == 2 and not done.stdout and b"--pauses first needs the whole recording" in done.stderr


def test_a_section_has_its_own_pauses(folder):
    y, labels = talk(GAPS)
    soundfile.write("talk.wav", y, SAMPLERATE)
    start, end = labels[0, 1], labels[3, 0]
    done = tsmgan.stretch_file("talk.wav", "part.wav", pauses=0.2, start=start, end=end)
    assert done.pauses.found == 2 and done.pauses.seconds == pytest.approx(0.8 * (GAPS[1] + GAPS[2]), abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pauses", "1.2"], "0 to 1, or first"),
        (["--pauses", "-0.1"], "0 to 1, or first"),
        (["--pauses", "some"], "or first"),
        (["--pauses", "first"], "exactly one"),
        (["--pauses", "0.5", "--time-map", "map.csv"], "goes with --rate or --duration"),
        (["--pauses", "0", "--duration", "0.1"], "No rate of words|rates from"),
    ],
)
def test_pauses_that_make_no_sense_are_refused(folder, capsys, arguments, words):
    y, _ = talk(GAPS)
    soundfile.write("talk.wav", y, SAMPLERATE)
    Path("map.csv").write_text("0,0\n1,2\n")
    assert run(["stretch", "talk.wav", *arguments]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_a_batch_makes_outputs_of_another_share_anew(folder):
    y, _ = talk(GAPS[:3])
    Path("talks").mkdir()
    soundfile.write("talks/one.wav", y, SAMPLERATE)
    made = []
    for keep in ("1", "0.2", "0.2"):
        assert run(["stretch", "talks", "-o", "out", "--pauses", keep, "-q", "--jobs", "1"]) == 0
        name = f"out/one@pauses{keep}.wav"
        made.append((Path(name).stat().st_mtime_ns, soundfile.info(name).frames))
    assert made[0][1] == len(y) > made[1][1] and made[1] == made[2]


def test_labels_follow_with_the_map_of_a_stretch_of_arrays():
    y, labels = talk(GAPS)
    out, time_map = tsmgan.stretch(y, SAMPLERATE, rate=1.25, pauses=0.4, return_map=True)
    assert len(out) == time_map.output_length(len(y), SAMPLERATE)
    moved = time_map.output_at(labels)
    found = tsmgan.pauses(out, SAMPLERATE)
    long_enough = np.diff(moved, axis=1)[:, 0] > 0.2
    assert all(np.abs(found - label).sum(axis=1).min() < 0.12 for label in moved[long_enough])
    with pytest.raises(tsmgan.UsageError, match="needs a rate"):
        tsmgan.stretch(y, SAMPLERATE, pauses="first")
    with pytest.raises(tsmgan.UsageError, match="go with a rate"):
        tsmgan.stretch(y, SAMPLERATE, pauses=0.5, time_map=time_map)
