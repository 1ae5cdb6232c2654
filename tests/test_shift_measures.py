"""Promises of `evaluate --pitch` and `compare --pitch`: references at another pitch, peers that shift, and what is measured of shifts."""

import csv
import json
import re

import numpy as np
import pytest
import soundfile

from tsmgan.cli import run
from tsmgan.errors import UsageError
from tsmgan.evaluation.compositions import composition_renderings
from tsmgan.evaluation.measures import MEASURES
from tsmgan.evaluation.measures.bursts import bursts, shifted_attack
from tsmgan.evaluation.measures.formants import FORMANT_ERROR
from tsmgan.evaluation.measures.tones import aliasing, tone_frequency, tone_level, tones
from tsmgan.evaluation.pairs import read_pairs
from tsmgan.evaluation.peers import PEERS, PeerError, default_peers

SAMPLERATE = 24000
SHIFTING = [name for name, peer in PEERS.items() if peer.shifts]


def strongest(y, samplerate=SAMPLERATE):
    """The frequency of the strongest component of y (samples,) in Hz."""
    middle = y[len(y) // 4 : -len(y) // 4]
    return np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 2**18)).argmax() * samplerate / 2**18


def two_tones(low, high=0.46 * SAMPLERATE, amplitude=0.25):
    t = np.arange(2 * SAMPLERATE) / SAMPLERATE
    return amplitude * np.sin(2 * np.pi * low * t) + (amplitude * np.sin(2 * np.pi * high * t) if high < SAMPLERATE / 2 else 0)


def vowel(f0, formants, samplerate=16000):
    """A second of pulses through resonances."""
    t = np.arange(samplerate) / samplerate
    pulses = np.diff(np.floor(f0 * t), prepend=0)
    y = pulses
    for centre in formants:
        ring = np.exp(-2 * np.pi * 50 * t[:800]) * np.sin(2 * np.pi * centre * t[:800])
        y = np.convolve(y, ring)[: len(t)]
    return (0.3 * y / np.abs(y).max()).astype(np.float32)


def test_a_score_in_another_key_has_all_its_tones_shifted_and_its_notes_where_they_were():
    plain, higher = composition_renderings(2, [1.0, 1.0], [0.0, 12.0], channels=1)
    assert plain.shape == higher.shape
    assert strongest(higher[0], 48000) == pytest.approx(2 * strongest(plain[0], 48000), rel=0.01)
    loudness = [np.sqrt(np.convolve(y[0] ** 2, np.ones(4800) / 4800, "same")) for y in (plain, higher)]
    assert np.corrcoef(loudness)[0, 1] > 0.9


def test_pairs_at_other_pitches_are_made_listed_and_measured(folder):
    assert run(["evaluate", "--scores", "1", "--mono", "--pitch", "-5,3", "-o", "pairs", "-q"]) == 0
    rows = list(csv.DictReader(open("pairs/pairs.csv")))
    assert [(row["rate"], row["pitch"], row["kind"]) for row in rows] == [("1", "-5", "music"), ("1", "3", "music")]
    asked = ["--methods", "tsmgan,tsmgan:formants=follow", "--measures", "log_mel,convergence", "--pitch", "3", "--jobs", "1"]
    assert run(["evaluate", "pairs/pairs.csv", *asked, "--json", "all.json", "--csv", "all.csv", "-q"]) == 0
    found = json.loads((folder / "all.json").read_text())["rows"]
    assert [row["pitch"] for row in found] == [3, 3] and not any(row["problems"] for row in found)
    source, _ = soundfile.read(folder / "pairs" / rows[1]["input"])
    assert all(row["figures"]["length_error"] == 0 and row["figures"]["log_mel"] < 1 for row in found), len(source)


def test_pairs_without_a_column_for_pitch_keep_it(folder):
    (folder / "pairs.csv").write_text("input,reference,rate,kind\na.wav,b.wav,2,music\n")
    assert [pair.pitch for pair in read_pairs(folder / "pairs.csv")] == [0.0]
    (folder / "pairs.csv").write_text("input,reference,rate,kind,pitch\na.wav,b.wav,2,music,high\n")
    with pytest.raises(UsageError, match="line 2: the pitch is high"):
        read_pairs(folder / "pairs.csv")


@pytest.mark.parametrize("name", SHIFTING)
def test_a_peer_that_shifts_gives_the_wanted_pitch_and_length(name):
    peer = PEERS[name]
    if reason := peer.missing():
        pytest.skip(reason)
    y = two_tones(440.0, SAMPLERATE)[np.newaxis, :SAMPLERATE].astype(np.float32)
    out = peer.stretch(y, SAMPLERATE, 1.0, 3.0, time_limit=280.0)
    assert out.shape[1] == pytest.approx(y.shape[1], rel=0.05)
    assert strongest(out[0]) == pytest.approx(440 * 2 ** (3 / 12), rel=0.01)


def test_peers_that_cannot_shift_say_so_and_are_left_out_by_default():
    with pytest.raises(PeerError, match="does not shift"):
        PEERS["atempo"].shift("a", "b", 1.0, 2.0)
    assert "atempo" not in default_peers(shifted=True) and "rubberband-r3-formant" in default_peers(shifted=True)
    assert "atempo" in default_peers(shifted=False) and "rubberband-r3-formant" not in default_peers(shifted=False)


@pytest.mark.parametrize("pitch", [-5, 4])
def test_the_right_answer_for_tones_reads_as_no_error_and_wrong_ones_as_theirs(pitch):
    source = tones(SAMPLERATE, 0)
    low, ratio = strongest(np.convolve(source, np.ones(8) / 8, "same")), 2 ** (pitch / 12)  # the mean hides the upper tone
    right = two_tones(low * ratio, 0.46 * SAMPLERATE * ratio)
    assert tone_frequency(source, right, SAMPLERATE, pitch) < 0.2
    assert abs(tone_level(source, right, SAMPLERATE, pitch)) < 0.05
    assert aliasing(source, right, SAMPLERATE, pitch) < -110
    sharp = two_tones(low * ratio * 1.01, 0.46 * SAMPLERATE * ratio, 0.125)
    assert tone_frequency(source, sharp, SAMPLERATE, pitch) == pytest.approx(1200 * np.log2(1.01), abs=0.5)
    assert tone_level(source, sharp, SAMPLERATE, pitch) == pytest.approx(-6.02, abs=0.1)
    dirty = right + 1e-3 * two_tones(5000.0, SAMPLERATE)
    assert aliasing(source, dirty, SAMPLERATE, pitch) == pytest.approx(-60, abs=0.5)


def test_bursts_that_a_shift_leaves_sharp_read_as_one_and_smeared_ones_as_less():
    source = bursts(SAMPLERATE, 0)
    assert shifted_attack(source, -0.5 * source, SAMPLERATE, 5.0) == pytest.approx(1.0)
    assert shifted_attack(source, np.convolve(source, np.ones(480) / 480, "same"), SAMPLERATE, 5.0) < 0.9


def test_moved_formants_are_seen_and_kept_ones_are_not():
    pytest.importorskip("parselmouth", reason="the package praat-parselmouth is not installed")
    reference = vowel(110, (600, 1500, 2500))
    assert FORMANT_ERROR.take(reference[None], vowel(140, (600, 1500, 2500))[None], 16000) < 4
    assert FORMANT_ERROR.take(reference[None], vowel(110, (672, 1680, 2800))[None], 16000) == pytest.approx(12, abs=4)


def test_a_page_of_shifted_pitches_says_by_how_much_and_measures_tones(folder):
    soundfile.write("in.wav", vowel(120, (600, 1500)), 16000)
    assert run(["compare", "in.wav", "--pitch", "+3", "--with", "tsmgan:formants=follow", "-q"]) == 0
    page = (folder / "in@1+3st.html").read_text("utf-8")
    assert "rate 1, +3 semitones" in page and "Aliasing" in page
    step = float(re.search(r'"step":([0-9.e-]+)', page)[1])
    assert step == pytest.approx(0.04 / 6 / 2 ** (3 / 12), rel=0.02)


def test_a_comparison_needs_a_rate_or_a_pitch(folder, capsys):
    soundfile.write("in.wav", vowel(120, (600,)), 16000)
    assert run(["compare", "in.wav"]) == 2
    assert "--rate, or how high with --pitch" in capsys.readouterr().err


def test_each_formants_error_is_its_own():
    pytest.importorskip("parselmouth", reason="the package praat-parselmouth is not installed")
    reference, moved = vowel(110, (600, 1500, 2500)), vowel(110, (600, 1650, 2500))
    errors = {
        name: MEASURES[name].take(reference[None], moved[None], 16000) for name in ("f1_error", "f2_error", "f3_error", "f2_error_hz")
    }
    assert errors["f1_error"] < 2 and errors["f3_error"] < 2
    assert errors["f2_error"] == pytest.approx(10, abs=2) and errors["f2_error_hz"] == pytest.approx(150, abs=30)
