"""Promises of the README, of the other pages and of the examples: what they show works."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.cli import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/README.md")])


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def beside_the_examples(folder):
    """An empty folder, the current one, in which the examples can be named as the README names them."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def test_the_python_of_the_readme_stretches_arrays_and_streams(beside_the_examples):
    names = {}
    exec(blocks("python")[0], names)
    samples = names["y"].shape[0]
    assert names["slow"].shape == (2, round(samples / 0.75))
    assert names["mapped"].shape == (2, round(13.2 * names["samplerate"]))
    assert sum(block.shape[1] for block in names["blocks"]) == round(samples / 1.25)


def test_the_python_of_the_readme_stretches_a_file(beside_the_examples):
    exec(blocks("python")[1], {})
    before, after = soundfile.info("examples/voice.flac"), soundfile.info("voice-fast.flac")
    assert (after.frames, after.samplerate, after.subtype) == (round(before.frames / 1.5), before.samplerate, before.subtype)


def test_the_first_command_of_the_readme_stretches_the_bundled_example(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    command = next(block for block in blocks("sh") if "voice.flac" in block).split("&&")[-1]
    arguments = shlex.split(command)[1:]
    arguments[arguments.index("-o") + 1] = str(tmp_path / "out.flac")
    assert run(arguments) == 0
    before, after = soundfile.info("examples/voice.flac"), soundfile.info(tmp_path / "out.flac")
    assert (after.frames, after.samplerate, after.subtype) == (round(before.frames / 1.5), before.samplerate, before.subtype)


def test_the_time_map_of_the_examples_fits_its_recording(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert run(["stretch", "examples/band.flac", "--time-map", "examples/practice.csv", "-o", str(tmp_path / "p.flac")]) == 0
    assert soundfile.info(tmp_path / "p.flac").duration == pytest.approx(13.2, abs=1e-4)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_exists(page, capsys):
    """Commands and options that a page shows are understood, whatever files they name."""
    text = page.read_text(encoding="utf-8")
    shown = [line.split("#")[0] for block in blocks("sh", text) for line in block.splitlines()] + re.findall(r"`(tsmgan [^`]*)`", text)
    calls = [part for line in shown for part in re.split(r"[|;>]|&&", line) if part.strip().startswith("tsmgan ")]
    for call in calls:
        arguments = shlex.split(call)[1:]
        assert run([arguments[0], "--help"] if not arguments[0].startswith("-") else ["--help"]) == 0
        understood = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        for option in arguments[1:]:
            if re.fullmatch(r"--?[a-z][a-z-]*", option) and option != "-":
                assert option in understood, f"{call} uses {option}"


def test_the_readme_shows_every_command(capsys):
    assert run(["--help"]) == 0
    listed = re.findall(r"^│ ([a-z][a-z-]+) ", re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out), re.MULTILINE)
    assert "stretch" in listed and [name for name in listed if f"tsmgan {name} " not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file_of_the_project(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["voice", "band"])
def test_the_example_recordings_are_made_by_their_script(name):
    made = getattr(load("make_audio"), name)()
    shipped, samplerate = soundfile.read(ROOT / "examples" / f"{name}.flac", dtype="float32")
    assert samplerate == (24000 if name == "voice" else 48000)
    np.testing.assert_allclose(made.T, shipped, atol=2 / 32768)


def test_the_streaming_example_gives_what_a_stretch_gives(tmp_path):
    import tsmgan

    load("stream").main(str(ROOT / "examples" / "voice.flac"), str(tmp_path / "out.flac"), 1.3)
    y, samplerate = soundfile.read(ROOT / "examples" / "voice.flac", dtype="float32")
    streamed, _ = soundfile.read(tmp_path / "out.flac", dtype="float32")
    np.testing.assert_allclose(streamed, tsmgan.stretch(y, samplerate, 1.3), atol=2 / 32768)


def test_the_waveform_example_gives_what_a_stretch_gives(tmp_path):
    import tsmgan
    from tsmgan.evaluation.measures.log_mel import log_mel_distance
    from tsmgan.models import find_model

    model, source = str(find_model().onnx), ROOT / "examples" / "voice.flac"
    load("onnx_stretch").main(str(source), str(tmp_path / "out.wav"), model, 0.7)
    y, samplerate = soundfile.read(source, dtype="float32")
    out, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    expected = tsmgan.stretch(y, samplerate, 0.7)
    # The two draw different values of the noise, so waveforms differ, and spectra hardly do.
    assert out.shape == expected.shape and log_mel_distance(expected, out, samplerate) < 0.15
    assert abs(10 * np.log10(np.square(out).mean() / np.square(expected).mean())) < 0.1


def test_the_feature_example_shows_the_decisions_of_a_model(capsys):
    from tsmgan.core.field import BANDS
    from tsmgan.models import find_model

    field = load("onnx_features").main(str(ROOT / "examples" / "voice.flac"), str(find_model().onnx), 1.5)
    assert field["coherence"].shape == (402, BANDS) and len(capsys.readouterr().out.splitlines()) == BANDS
    assert 0.2 < field["coherence"].mean() < 0.8, "a voice is neither a mere phase vocoder nor moved whole"


def test_the_waveform_example_is_as_short_as_the_readme_says():
    assert "in 40 lines" in README and len((ROOT / "examples" / "onnx_stretch.py").read_text().splitlines()) <= 40


def test_the_example_of_lines_fits_each_into_its_slot(tmp_path):
    done = load("fit_lines").main(str(tmp_path / "dub.wav"))
    assert [line.fits for line in done.lines] == [True] * 3 and soundfile.info(tmp_path / "dub.wav").duration >= 5.8


def test_the_example_of_pauses_shortens_each_of_them_by_more_than_the_words(tmp_path):
    moved = load("pauses").main(str(tmp_path / "talk.wav"), str(tmp_path / "quick.wav"))
    before, after = (soundfile.info(tmp_path / f"{name}.wav").frames for name in ("talk", "quick"))
    assert after == round(before / 2) and len(moved) >= 3
    assert all(end - begin > 2.5 * (ends - begins) for (begin, end), (begins, ends) in moved)
