"""`tsmgan evaluate`: lists of pairs, rows, intervals, reports, the command."""

import csv
import json
import math
import os
import re
import sys
import time

import numpy as np
import pytest
import soundfile

from tsmgan import cli
from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.evaluation import peers
from tsmgan.evaluation.measures import MEASURES, PAIR_MEASURES, PairMeasure
from tsmgan.evaluation.meter import read_meter, read_meters
from tsmgan.evaluation.methods import Method
from tsmgan.evaluation.pairs import read_pair, read_pairs
from tsmgan.evaluation.runner import mean_figures, measure_function, measure_pair, measure_pairs
from tsmgan.evaluation.statistics import bootstrap_mean
from tsmgan.evaluation.summary import summarise

SAMPLERATE = 16000
QUICK = [measure for measure in PAIR_MEASURES if measure.name in ("convergence", "log_mel", "level", "channel_correlation")]


def steady(seconds: float, seed: int = 0, channels: int = 1) -> np.ndarray:
    """Chords with hits, (samples, channels): about the same at every moment, so that any part of it may stand for the rest."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLERATE)) / SAMPLERATE
    y = sum(np.sin(2 * np.pi * hz * t) for hz in rng.uniform(200, 2000, 4)) * np.exp(-8 * (t % 0.25))
    return np.stack([0.1 * (channel + 1) * y for channel in range(channels)], axis=1).astype(np.float32)


def write_list(folder, rows, name="pairs.csv"):
    with (folder / name).open("w", newline="") as file:
        csv.writer(file).writerows([("input", "reference", "rate", "kind"), *rows])
    return folder / name


@pytest.fixture
def pairs(tmp_path):
    """Three recordings at two rates; the reference is the recording's beginning, or the recording twice."""
    rows = []
    for number in range(3):
        y = steady(1.0, number)
        soundfile.write(tmp_path / f"{number}.wav", y, SAMPLERATE)
        for rate, reference in ((0.5, np.concatenate([y, y])), (2.0, y[: len(y) // 2])):
            soundfile.write(tmp_path / f"{number}@{rate}.wav", reference, SAMPLERATE)
            rows.append((f"{number}.wav", f"{number}@{rate}.wav", rate, "music"))
    return write_list(tmp_path, rows)


def repeat(y, samplerate, rate):
    """The right answer for the fixture's pairs."""
    return np.tile(y, 2)[:, : round(y.shape[1] / rate)]


def made_up(name, function):
    return PairMeasure(name=name, title=name, ideal=0.0, explanation="It is made up.", function=function)


def half_level(y, samplerate, rate):
    return 0.5 * repeat(y, samplerate, rate)


def crash(y, samplerate, rate):
    raise RuntimeError("out of luck")


class TestPairs:
    def test_paths_are_relative_to_the_list(self, pairs):
        found = read_pairs(pairs)
        assert [pair.rate for pair in found] == [0.5, 2.0] * 3
        assert found[0].input == pairs.parent / "0.wav" and found[0].item == "0.wav"
        assert read_pair(found[0]).reference.shape == (1, 2 * SAMPLERATE)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("input,rate,kind\na,1,speech\n", "lacks the column reference"),
            ("input,reference,rate,kind\n", "lists no pairs"),
            ("input,reference,rate,kind\na,b,fast,speech\n", "line 2: the rate is fast"),
            ("input,reference,rate,kind\na,b,nan,speech\n", "line 2: the rate"),
            ("input,reference,rate,kind\na,b,1,speech\na,b,-1,speech\n", "line 3: the rate"),
            ("input,reference,rate,kind\na,b,1,noise\n", "the kind is noise"),
            ("input,reference,rate,kind\n,b,1,speech\n", "is empty"),
            ("", "lacks the column"),
        ],
    )
    def test_a_list_that_cannot_be_right_is_refused_with_its_line(self, tmp_path, text, message):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(UsageError, match=message):
            read_pairs(tmp_path / "bad.csv")

    @pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x81"])
    def test_a_list_that_cannot_be_read_is_refused(self, tmp_path, content):
        if content is not None:
            (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(AudioError, match=r"bad\.csv cannot be read"):
            read_pairs(tmp_path / "bad.csv")

    @pytest.mark.parametrize(
        ("y", "samplerate", "message"),
        [
            (steady(0.5), 8000, "8000 Hz"),
            (steady(0.7), SAMPLERATE, "0.700 s long"),
            (steady(0.5, channels=2), SAMPLERATE, "2 channels"),
            (0 * steady(0.5), SAMPLERATE, "silent"),
            (steady(0.0), SAMPLERATE, "empty"),
            (steady(0.5) * np.nan, SAMPLERATE, "not numbers"),
        ],
    )
    def test_a_pair_that_does_not_agree_is_refused_with_the_reason(self, tmp_path, y, samplerate, message):
        soundfile.write(tmp_path / "in.wav", steady(1.0), SAMPLERATE)
        soundfile.write(tmp_path / "ref.wav", y, samplerate, subtype="FLOAT")
        (pair,) = read_pairs(write_list(tmp_path, [("in.wav", "ref.wav", 2.0, "music")]))
        with pytest.raises(AudioError, match=message):
            read_pair(pair)

    def test_a_reference_may_be_longer_by_a_little(self, tmp_path):
        soundfile.write(tmp_path / "in.wav", steady(1.0), SAMPLERATE)
        soundfile.write(tmp_path / "ref.wav", steady(0.54), SAMPLERATE)
        (pair,) = read_pairs(write_list(tmp_path, [("in.wav", "ref.wav", 2.0, "music")]))
        assert read_pair(pair).reference.shape == (1, round(0.54 * SAMPLERATE))


class TestRows:
    def test_the_right_answer_gets_every_ideal(self, pairs):
        for rows in measure_pairs(read_pairs(pairs), [Method("repeat", repeat)], QUICK):
            figures = rows[0].figures
            assert not rows[0].problems
            assert figures["convergence"] == figures["log_mel"] == figures["length_error"] == 0
            assert figures["level"] == pytest.approx(0, abs=1e-6) and figures["speed"] > 0
            assert "channel_correlation" not in figures

    def test_stereo_has_figures_of_its_image(self, tmp_path):
        soundfile.write(tmp_path / "in.wav", steady(1.0, channels=2), SAMPLERATE)
        soundfile.write(tmp_path / "ref.wav", steady(1.0, channels=2)[: SAMPLERATE // 2], SAMPLERATE)
        (pair,) = read_pairs(write_list(tmp_path, [("in.wav", "ref.wav", 2.0, "music")]))
        flat = Method("flat", lambda y, sr, rate: np.tile(repeat(y, sr, rate).mean(axis=0), (2, 1)))
        right, mono = measure_pair(pair, [Method("repeat", repeat), flat])
        assert right.figures["channel_level"] == pytest.approx(0, abs=1e-6) and right.figures["channel_correlation"] == 0
        assert mono.figures["channel_level"] == pytest.approx(6.02, abs=0.01)

    def test_a_length_that_is_wrong_is_measured_and_then_cut_or_padded(self, pairs):
        (row,) = measure_pair(read_pairs(pairs)[0], [Method("long", lambda y, sr, rate: np.tile(y, 3))], QUICK)
        assert row.figures["length_error"] == 1000 and row.figures["convergence"] == 0

    def test_a_method_that_fails_has_a_problem_and_the_others_have_figures(self, pairs):
        nan = Method("nan", lambda y, sr, rate: np.nan * repeat(y, sr, rate))
        rows = measure_pair(read_pairs(pairs)[0], [Method("crash", crash), nan, Method("repeat", repeat)], QUICK)
        assert rows[0].problems == ["RuntimeError: out of luck"] and not rows[0].figures
        assert "not numbers" in rows[1].problems[0]
        assert rows[2].figures and not rows[2].problems

    def test_a_measure_without_an_answer_leaves_the_others(self, pairs):
        (row,) = measure_pair(read_pairs(pairs)[0], [Method("mute", lambda y, sr, rate: 0 * repeat(y, sr, rate))], QUICK)
        assert row.figures["convergence"] == 1 and "level" not in row.figures
        assert row.problems == ["Level: one of the signals is silent."]

    def test_a_measure_that_does_not_apply_is_left_out_and_is_no_problem(self, pairs):
        nan = made_up("nan", lambda reference, output, samplerate: float("nan"))
        (row,) = measure_pair(read_pairs(pairs)[0], [Method("repeat", repeat)], [nan, *QUICK])
        assert "nan" not in row.figures and "log_mel" in row.figures and not row.problems

    def test_two_processes_give_the_rows_of_one_in_their_order(self, pairs):
        methods = [Method("repeat", repeat), Method("half", lambda y, sr, rate: 0.5 * repeat(y, sr, rate))]

        def table(jobs):
            rows = [row for found in measure_pairs(read_pairs(pairs), methods, QUICK, jobs=jobs) for row in found]
            return [(row.method, row.pair, {name: value for name, value in row.figures.items() if name != "speed"}) for row in rows]

        assert table(1) == table(2)

    def test_a_method_that_crashes_or_hangs_is_a_problem_of_its_row_and_the_run_goes_on(self, pairs):
        methods = [
            Method("dying", lambda y, sr, rate: os.abort()),
            Method("hanging", lambda y, sr, rate: time.sleep(600), time_limit=0.5),
            Method("repeat", repeat),
        ]
        found = list(measure_pairs(read_pairs(pairs)[:2], methods, QUICK, jobs=2))
        assert len(found) == 2
        for dying, hanging, fine in found:
            assert dying.problems == ["dying crashed: its process ended without an answer."] and not dying.figures
            assert hanging.problems == ["hanging took longer than 0.5 s and was stopped."] and not hanging.figures
            assert not fine.problems and fine.figures["convergence"] == 0

    def test_a_measure_that_kills_its_process_is_a_problem_of_its_row(self, pairs):
        deadly = made_up("deadly", lambda reference, output, samplerate: os.abort())
        ((row,),) = measure_pairs(read_pairs(pairs)[:1], [Method("repeat", repeat)], [deadly], jobs=2)
        assert "crashed" in row.problems[0] and row.figures["length_error"] == 0

    def test_score_is_the_mean_for_any_function_and_raises_for_a_pair_it_cannot_measure(self, pairs):
        found = read_pairs(pairs)
        assert measure_function(half_level, found, QUICK)["music"]["convergence"] == pytest.approx(0.5, abs=1e-3)
        with pytest.raises(TsmganError, match="out of luck"):
            measure_function(crash, found, QUICK)


class TestIntervals:
    def test_equal_values_have_an_interval_of_no_width(self):
        estimate = bootstrap_mean([2.0] * 6, list("aabbcc"))
        assert (estimate.mean, estimate.low, estimate.high, estimate.count) == (2, 2, 2, 6)

    def test_the_interval_is_that_of_the_normal_distribution_for_many_items(self):
        values = np.random.default_rng(0).standard_normal(400) + 5
        estimate = bootstrap_mean(values, [str(number) for number in range(400)])
        half = 1.96 * values.std() / 20
        assert estimate.low == pytest.approx(values.mean() - half, abs=0.015)
        assert estimate.high == pytest.approx(values.mean() + half, abs=0.015)

    def test_saying_everything_twice_about_one_item_makes_nothing_more_certain(self):
        once = bootstrap_mean([1, 2, 3, 4], list("abcd"))
        twice = bootstrap_mean([1, 1, 2, 2, 3, 3, 4, 4], list("aabbccdd"))
        assert (twice.mean, twice.low, twice.high) == (once.mean, once.low, once.high)

    def test_one_item_has_no_interval(self):
        estimate = bootstrap_mean([1, 3], ["a", "a"])
        assert estimate.mean == 2 and math.isnan(estimate.low) and not estimate.excludes_zero

    def test_one_seed_gives_one_answer(self):
        values, items = np.arange(10.0), list("abcdefghij")
        assert bootstrap_mean(values, items, seed=3) == bootstrap_mean(values, items, seed=3)

    def test_a_paired_difference_is_sharper_than_the_means_it_comes_from(self, pairs):
        methods = [Method("whole", repeat), Method("half", half_level)]
        rows = [row for found in measure_pairs(read_pairs(pairs), methods, QUICK) for row in found]
        summaries = {(s.method, s.measure, s.rate): s for s in summarise(rows, baseline="whole", per_rate=True)}
        change = summaries["half", "level", None].difference
        assert change.mean == pytest.approx(-6.02, abs=0.01) and change.excludes_zero and change.count == 6
        assert summaries["whole", "level", None].difference is None
        assert summaries["half", "level", 2.0].estimate.count == 3


class TestMeter:
    def test_a_stretcher_that_does_nothing_at_rate_one_reads_ideal(self):
        reading = read_meter(Method("same", lambda y, sr, rate: y), 1.0, seeds=2)
        assert reading.figures["attack"] == (1, 0) and reading.figures["noise_level"] == (0, 0)

    def test_a_failing_method_is_told_and_the_next_is_read(self):
        readings = list(read_meters([Method("crash", crash), Method("same", lambda y, sr, rate: y)], [1.0], seeds=2))
        assert readings[0].problems == ["RuntimeError: out of luck"] and not readings[0].figures
        assert readings[1].figures

    def test_a_method_that_dies_or_hangs_is_told_and_the_next_is_read(self):
        dying, hanging = Method("dying", lambda y, sr, rate: os.abort()), Method("hanging", lambda y, sr, rate: time.sleep(600), None, 0.5)
        readings = list(read_meters([dying, hanging, Method("same", lambda y, sr, rate: y)], [1.0], seeds=2, jobs=2))
        assert [reading.method for reading in readings] == ["dying", "hanging", "same"]
        assert "dying crashed" in readings[0].problems[0] and "hanging took longer than 0.5 s" in readings[1].problems[0]
        assert readings[2].figures["attack"] == (1, 0) and not readings[2].problems

    @pytest.mark.slow
    def test_a_phase_vocoder_loses_level_in_noise_and_the_meter_shows_it(self):
        from tsmgan.evaluation.methods import find_method

        mean, error = read_meter(find_method("librosa"), 2.0, seeds=2).figures["noise_level"]
        assert mean < -2 and error < 0.1

    def test_tsmgan_keeps_the_level_of_noise_within_half_a_decibel(self):
        from tsmgan.evaluation.methods import find_method

        for rate in (0.5, 2.0):
            mean, error = read_meter(find_method("tsmgan"), rate, seeds=3).figures["noise_level"]
            assert abs(mean) < 0.5 and error < 0.1


class TestCommand:
    def test_tables_csv_and_json_tell_the_same(self, pairs, tmp_path, capsys):
        arguments = ["evaluate", str(pairs), "-m", "tsmgan,tsmgan:coherence=0", "--baseline", "tsmgan", "--jobs", "1"]
        code = cli.run([*arguments, "--csv", str(tmp_path / "rows.csv"), "--json", str(tmp_path / "all.json"), "--per-rate"])
        out = capsys.readouterr().out
        assert code == 0
        assert "means over 6 pairs" in out and "difference from tsmgan" in out and "rate 0.5" in out
        document = json.loads((tmp_path / "all.json").read_text())
        with (tmp_path / "rows.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(document["rows"]) == 12
        assert float(rows[0]["log_mel"]) == document["rows"][0]["figures"]["log_mel"]
        for name in document["rows"][0]["figures"]:
            told = document["measures"][name]
            assert (told["title"], told["ideal"]) == (MEASURES[name].title, MEASURES[name].ideal) and told["explanation"]
        mean = next(s for s in document["summary"] if (s["method"], s["measure"], s["rate"]) == ("tsmgan", "log_mel", None))
        assert mean["mean"] == pytest.approx(np.mean([float(row["log_mel"]) for row in rows if row["method"] == "tsmgan"]))
        assert mean["low"] < mean["mean"] < mean["high"]

    def test_broken_pairs_are_told_and_the_run_goes_on_to_exit_code_one(self, pairs, tmp_path, capsys):
        (tmp_path / "text.wav").write_text("no sound")
        soundfile.write(tmp_path / "silent.wav", 0 * steady(1.0), SAMPLERATE)
        rows = [
            ("text.wav", "0.wav", 1, "music"),
            ("silent.wav", "0.wav", 1, "music"),
            ("0.wav", "1@2.0.wav", 2, "music"),
            ("0.wav", "1.wav", 2, "music"),
        ]
        code = cli.run(
            ["evaluate", str(write_list(tmp_path, rows, "mixed.csv")), "-m", "tsmgan", "-j", "1", "--json", str(tmp_path / "x.json")]
        )
        told = capsys.readouterr()
        assert code == 1
        assert "text.wav cannot be read" in told.err and "silent.wav is silent" in told.err and "1.000 s long" in told.err
        assert "3 of 4 rows" in told.err and "means over 1 pair" in told.out
        assert [bool(row["problems"]) for row in json.loads((tmp_path / "x.json").read_text())["rows"]] == [True, True, False, True]

    def test_a_missing_peer_is_named_and_skipped(self, pairs, capsys, monkeypatch):
        class Nowhere(peers.Peer):
            name, program = "nowhere", "no-such-stretcher"

        monkeypatch.setitem(peers.PEERS, "nowhere", Nowhere())
        code = cli.run(["evaluate", str(pairs), "-m", "nowhere,tsmgan", "-j", "1", "--measures", "log_mel", "--rates", "2"])
        assert code == 0 and "nowhere is skipped: the program no-such-stretcher" in capsys.readouterr().err
        assert cli.run(["evaluate", str(pairs), "-m", "nowhere"]) == 1

    @pytest.mark.parametrize(
        ("script", "time_limit", "message"),
        [
            ("import time; time.sleep(600)", "0.2", "broken took longer than 0.2 s"),
            ("import os; os.abort()", "60", "broken ended with code -6"),
            ("pass", "60", "broken left no readable output"),
        ],
    )
    def test_a_peer_that_hangs_or_crashes_is_told_and_the_others_have_their_rows(
        self, pairs, tmp_path, capsys, monkeypatch, script, time_limit, message
    ):
        class Broken(peers.Peer):
            name = "broken"

            def command(self, source, target, rate):
                return [sys.executable, "-c", script]

        monkeypatch.setitem(peers.PEERS, "broken", Broken())
        arguments = ["-m", "broken,tsmgan", "-j", "1", "--measures", "log_mel", "--rates", "2", "--time-limit", time_limit]
        assert cli.run(["evaluate", str(pairs), *arguments, "--csv", str(tmp_path / "rows.csv")]) == 1
        told = capsys.readouterr()
        assert message in told.err and "3 of 6 rows" in told.err and "tsmgan" in told.out
        with (tmp_path / "rows.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert all((message in row["problems"]) == (row["method"] == "broken") for row in rows)
        assert all(bool(row["log_mel"]) == (row["method"] == "tsmgan") for row in rows)

    def test_a_method_of_our_own_process_that_hangs_is_stopped_too(self, pairs, capsys, monkeypatch):
        hanging = Method("hanging", lambda y, sr, rate: time.sleep(600), time_limit=0.3)
        monkeypatch.setattr("tsmgan.evaluation.methods.find_method", lambda name, time_limit: hanging)
        assert cli.run(["evaluate", str(pairs), "-m", "hanging", "-j", "2", "--measures", "log_mel", "--rates", "2"]) == 1
        assert "hanging took longer than 0.3 s and was stopped" in capsys.readouterr().err

    def test_the_artefact_meter_needs_no_pairs(self, capsys):
        code = cli.run(["evaluate", "--artefacts", "-m", "tsmgan", "--rates", "2", "--seeds", "2", "-j", "1"])
        out = capsys.readouterr().out
        assert code == 0 and "artefact meter, rate 2" in out and "pre echo" in out and "standard error over seeds" in out
        assert re.search(r"tsmgan\s+│ +\d\.\d+ ± \d\.\d+ ", out)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "Give a list of pairs"),
            (["PAIRS", "--rates", "fast"], "'fast' is no rate; give a number, for example --rates 1.5"),
            (["PAIRS", "--rates", "0"], "from 0.05 to 20"),
            (["PAIRS", "--rates", "1.1"], "No pair is left"),
            (["PAIRS", "--kinds", "birds"], "no kind birds"),
            (["PAIRS", "--measures", "beauty"], "no measure beauty"),
            (["PAIRS", "-m", "nobody"], "no method nobody"),
            (["PAIRS", "--baseline", "nobody"], "no method nobody"),
            (["PAIRS", "--csv", "PAIRS"], "is the list of pairs itself"),
            (["PAIRS", "--json", "no/such/folder/a.json"], "cannot be written"),
            (["--make-pairs", "recordings"], "-o OUT"),
            (["--scores", "2"], "-o OUT"),
            (["PAIRS", "--scores", "2", "-o", "out"], "without a list of pairs"),
            (["--scores", "0", "-o", "out"], "nothing to make pairs of"),
            (["PAIRS", "-o", "out"], "results go to --csv"),
        ],
    )
    def test_a_wrong_command_is_told_before_any_work(self, pairs, capsys, arguments, message):
        code = cli.run(["evaluate", *(str(pairs) if argument == "PAIRS" else argument for argument in arguments)])
        assert code == 2 and message in capsys.readouterr().err


class TestPeers:
    """The peers' order on made pairs is the one that is known for such pieces and voices, whatever the seed."""

    @pytest.fixture
    def means(self):
        from tsmgan.evaluation.compositions import composition_renderings
        from tsmgan.evaluation.methods import find_method

        def means(folder, names, rates):
            methods = [find_method(name) for name in names]
            for method in methods:
                if method.missing:
                    pytest.skip(method.missing)
            rows = []
            for seed in (11, 12):
                renderings = composition_renderings(seed, [1.0, *rates], channels=1, samplerate=SAMPLERATE)
                for rate, rendering in zip([1, *rates], renderings):
                    soundfile.write(folder / f"{seed}@{rate}.wav", rendering.T, SAMPLERATE)
                rows += [(f"{seed}@1.wav", f"{seed}@{rate}.wav", rate, "music") for rate in rates]
            found = [row for rows in measure_pairs(read_pairs(write_list(folder, rows)), methods) for row in rows]
            assert not any(row.problems for row in found)
            return {name: mean_figures([row for row in found if row.method == name]) for name in names}

        return means

    def test_attacks_of_music_survive_phase_vocoders_better_than_overlapped_segments(self, tmp_path, means):
        figures = means(tmp_path, ["tsmgan:coherence=0", "rubberband-r3", "sox", "soundtouch"], [0.75, 1.5])
        for vocoder in ("tsmgan:coherence=0", "rubberband-r3"):
            for segments in ("sox", "soundtouch"):
                assert figures[vocoder]["onset"] > figures[segments]["onset"] + 0.2
                assert figures[vocoder]["log_mel"] < figures[segments]["log_mel"]


class TestWorld:
    @pytest.fixture(autouse=True)
    def _pyworld(self):
        pytest.importorskip("pyworld", reason="the package pyworld is not installed")

    def _vowel(self, seconds: float = 1.0) -> np.ndarray:
        """A voice that glides from 100 to 200 Hz."""
        t = np.arange(round(seconds * SAMPLERATE)) / SAMPLERATE
        phase = 2 * np.pi * np.cumsum(100 * 2 ** (t / seconds)) / SAMPLERATE
        y = sum(np.cos(k * phase) / k for k in range(1, 30)) + 0.01 * np.random.default_rng(0).standard_normal(len(t))
        return (0.1 * y).astype(np.float32)

    def test_pairs_have_exact_lengths_and_the_pitch_of_the_instant_they_came_from(self, tmp_path, capsys):
        (tmp_path / "voices").mkdir()
        soundfile.write(tmp_path / "voices" / "glide.wav", self._vowel(), SAMPLERATE)
        assert (
            cli.run(
                ["evaluate", "--make-pairs", str(tmp_path / "voices"), "-o", str(tmp_path / "out"), "--rates", "0.6,1.7", "--scores", "0"]
            )
            == 0
        )
        found = read_pairs(tmp_path / "out" / "pairs.csv")
        assert [(pair.rate, pair.kind) for pair in found] == [(0.6, "speech"), (1.7, "speech")]
        from tsmgan.evaluation.measures.pitch import pitch

        for pair in found:
            audio = read_pair(pair)
            assert audio.reference.shape[1] == round(audio.input.shape[1] / pair.rate)
            for moment in (0.3, 0.7):
                hz = pitch(audio.reference[0], SAMPLERATE)
                assert hz[int(moment * len(hz))] == pytest.approx(100 * 2**moment, rel=0.03)

    def test_a_folder_that_is_not_empty_or_holds_no_recordings_is_refused(self, tmp_path, capsys):
        (tmp_path / "voices").mkdir()
        assert cli.run(["evaluate", "--make-pairs", str(tmp_path / "voices"), "-o", str(tmp_path / "out")]) == 1
        soundfile.write(tmp_path / "voices" / "a.wav", self._vowel(), SAMPLERATE)
        assert cli.run(["evaluate", "--make-pairs", str(tmp_path / "voices"), "-o", str(tmp_path / "voices")]) == 2
        assert "is not empty" in capsys.readouterr().err

    def test_a_recording_without_a_voice_is_told_and_the_others_are_used(self, tmp_path, capsys):
        (tmp_path / "voices").mkdir()
        soundfile.write(tmp_path / "voices" / "a.wav", self._vowel(0.5), SAMPLERATE)
        (tmp_path / "voices" / "b.wav").write_text("no sound")
        assert (
            cli.run(["evaluate", "--make-pairs", str(tmp_path / "voices"), "-o", str(tmp_path / "out"), "--rates", "2", "--scores", "0"])
            == 1
        )
        assert "b.wav cannot be read" in capsys.readouterr().err
        assert len(read_pairs(tmp_path / "out" / "pairs.csv")) == 1
