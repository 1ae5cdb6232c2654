"""`tsmgan listen report`: answers that pages saved, summed up with intervals."""

import json

import pytest

from tsmgan import cli
from tsmgan.errors import UsageError
from tsmgan.listening.answers import FORMAT, read_answers, summarise_answers


def answers(preferences=(), ratings=(), listener=""):
    """What a page saves: preferences as (first, second, chosen), ratings as {method: score}."""
    return {
        "format": FORMAT,
        "recording": "talk.wav",
        "rate": 0.6,
        "listener": listener,
        "methods": ["tsmgan", "sonic"],
        "preferences": [{"first": a, "second": b, "chosen": chosen} for a, b, chosen in preferences],
        "ratings": [[{"method": name, "score": score} for name, score in each.items()] for each in ratings],
    }


def test_preferences_are_counted_whichever_side_a_method_was_on():
    documents = [answers([("tsmgan", "sonic", "tsmgan"), ("sonic", "tsmgan", "tsmgan"), ("sonic", "tsmgan", None)])]
    (found,) = summarise_answers(documents).preferences
    assert (found.first, found.second, found.for_first, found.for_second, found.undecided) == ("sonic", "tsmgan", 0, 2, 1)
    assert found.share == pytest.approx(0.5 / 3)


def test_the_interval_is_wilsons_and_the_test_is_exact():
    """15 of 20: Wilson's interval is 0.531 to 0.888; two-sided binomial p is 0.0414."""
    documents = [answers([("a", "b", "a" if k < 15 else "b")], listener=f"l{k}") for k in range(20)]
    report = summarise_answers(documents)
    (found,) = report.preferences
    assert report.listeners == 20
    assert (found.low, found.high) == (pytest.approx(0.531, abs=0.001), pytest.approx(0.888, abs=0.001))
    assert found.p == pytest.approx(0.0414, abs=0.0001)


def test_nobody_decided_means_that_everything_is_possible():
    (found,) = summarise_answers([answers([("a", "b", None)])]).preferences
    assert (found.share, found.low, found.high, found.p) == (0.5, 0, 1, 1)


def test_ratings_have_means_with_intervals_over_listeners():
    documents = [answers(ratings=[{"tsmgan": 70 + k, "sonic": 40}], listener=f"l{k}") for k in range(11)]
    ratings = summarise_answers(documents).ratings
    assert ratings["tsmgan"].mean == pytest.approx(75) and 72 < ratings["tsmgan"].low < 75 < ratings["tsmgan"].high < 78
    assert ratings["sonic"].low == ratings["sonic"].high == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "holds no answers"),
        ("[]", "holds no answers"),
        ("[" * 100_000, "holds no answers"),
        (json.dumps(answers([("a", "b", "c")])), "damaged"),
        (json.dumps(answers(ratings=[{"a": 101}])), "damaged"),
        (json.dumps({"format": FORMAT}), "damaged"),
    ],
)
def test_files_that_hold_no_good_answers_are_refused_with_a_sentence(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_answers(path)


def test_the_command_prints_both_tables(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(answers([("tsmgan", "sonic", "tsmgan")], [{"tsmgan": 80, "sonic": 60}])))
    assert cli.run(["listen", "report", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "1 : 0 : 0" in shown.replace("sonic", "") or "0 : 1 : 0" in shown
    assert "80" in shown and "60" in shown


@pytest.mark.parametrize("arguments", [["report", "missing.json"], ["dance", "a.json"]])
def test_a_wrong_word_or_a_missing_file_ends_with_a_sentence(arguments, capsys):
    assert cli.run(["listen", *arguments]) == 2
    assert "Error" in capsys.readouterr().err


def test_answers_without_any_answer_are_refused(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(answers()))
    assert cli.run(["listen", "report", str(path)]) == 2
    assert "hold no answers" in capsys.readouterr().err
