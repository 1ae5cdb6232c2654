"""The shipped model's figures on four pairs, so that a change of sound is noticed. The model's card has the figures of the long lists."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from tsmgan.cli import run

VOICE = Path(__file__).parents[1] / "examples" / "voice.flac"
RATES = (0.75, 1.5)

SPEECH = {"log_mel": (0.1971, 0.1938), "estoi": (0.9186, 0.9591), "peakiness": (0.9801, 0.9594)}
MUSIC = {"log_mel": (0.3081, 0.4855), "convergence": (0.3795, 0.4261), "onset": (0.959, 0.9657)}
"""What `tsmgan evaluate` said of the default model at each of the rates."""
PITCHES = (-5, 5)
SHIFTED = {"log_mel": (0.2762, 0.2698), "peakiness": (0.6662, 1.2257)}
"""The same with `formants=keep` at each of the shifts in semitones."""
TOLERANCES = {"log_mel": 0.003, "estoi": 0.002, "peakiness": 0.02, "convergence": 0.002, "onset": 0.005}
"""How far a figure may move before it counts as a change of sound."""


def figures(folder: Path, making: list[str], measures: list[str], pitches: tuple[int, ...] = ()) -> dict[float, dict[str, float]]:
    """Make pairs at both rates, or pitches, and measure the default model on them; the figures by the rate, or pitch, and the measure."""
    changes = ["--pitch", ",".join(map(str, pitches))] if pitches else ["--rates", ",".join(map(str, RATES))]
    assert run(["evaluate", *making, *changes, "-o", str(folder / "pairs"), "-q"]) == 0
    method = "tsmgan:formants=keep" if pitches else "tsmgan"
    asked = ["--methods", method, "--measures", ",".join(measures), "--jobs", "1", "--json", str(folder / "figures.json"), "-q"]
    assert run(["evaluate", str(folder / "pairs" / "pairs.csv"), *asked]) == 0
    rows = json.loads((folder / "figures.json").read_text())["rows"]
    assert [row["problems"] for row in rows] == [[], []]
    return {row["pitch" if pitches else "rate"]: row["figures"] for row in rows}


def require_near(found: dict[float, dict[str, float]], expected: dict[str, tuple[float, ...]]) -> None:
    """Both have their figures in one order: that of the rates, or of the pitches."""
    for name, values in expected.items():
        assert [figures[name] for figures in found.values()] == pytest.approx(values, abs=TOLERANCES[name]), name


def test_a_voice_sounds_as_it_did_when_the_model_was_measured(tmp_path):
    pytest.importorskip("pyworld", reason="pairs of a voice are made by WORLD")
    (tmp_path / "voices").mkdir()
    shutil.copy(VOICE, tmp_path / "voices")
    expected = {name: values for name, values in SPEECH.items() if name != "estoi" or importlib.util.find_spec("pystoi")}
    require_near(figures(tmp_path, ["--make-pairs", str(tmp_path / "voices"), "--scores", "0"], list(expected)), expected)


def test_music_sounds_as_it_did_when_the_model_was_measured(tmp_path):
    require_near(figures(tmp_path, ["--scores", "1"], list(MUSIC)), MUSIC)


def test_a_shifted_voice_sounds_as_it_did_when_it_was_measured(tmp_path):
    pytest.importorskip("pyworld", reason="pairs of a voice are made by WORLD")
    (tmp_path / "voices").mkdir()
    shutil.copy(VOICE, tmp_path / "voices")
    making = ["--make-pairs", str(tmp_path / "voices"), "--scores", "0"]
    require_near(figures(tmp_path, making, list(SHIFTED), pitches=PITCHES), SHIFTED)
