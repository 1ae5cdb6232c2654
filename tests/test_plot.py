"""`tsmgan plot`: the picture, and the arrays that it shows."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import soundfile

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from tsmgan.api import stretch
from tsmgan.cli import run
from tsmgan.core.field import BANDS
from tsmgan.core.geometry import geometry
from tsmgan.errors import AudioError
from tsmgan.listening import picture as plotting
from tsmgan.listening.excerpt import read_excerpt
from tsmgan.listening.field import bands_below, stretch_and_watch
from tsmgan.listening.scales import FIELD_COLOURS, SPECTROGRAM_COLOURS

SAMPLERATE = 16000


def tone(seconds: float = 1.0, hz: float = 1000.0, channels: int = 2) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLERATE)) / SAMPLERATE
    return np.stack([0.3 * np.sin(2 * np.pi * hz * t)] * channels).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that holds in.wav, a second of stereo."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", tone().T, SAMPLERATE)
    return tmp_path


def pixels(path):
    import matplotlib.image

    return matplotlib.image.imread(path)


def test_a_png_with_the_rate_in_its_name_is_the_default(folder, capsys):
    assert run(["plot", "in.wav", "--rate", "0.5"]) == 0
    picture = pixels("in@0.5.png")
    assert picture.shape[0] > 900 and picture.shape[1] > 1400 and picture.std() > 0.05
    assert capsys.readouterr().err.startswith("in@0.5.png: mean coherence ")


def test_an_svg_is_well_formed_and_names_what_it_shows(folder):
    assert run(["plot", "in.wav", "-o", "in.svg", "-q"]) == 0
    root = ElementTree.parse("in.svg").getroot()
    assert root.tag.endswith("svg")
    assert "spectrogram" in (folder / "in.svg").read_text()
    assert (folder / "in.svg").stat().st_size < 2_000_000


@pytest.mark.parametrize(("coherence", "colour"), [(0.0, FIELD_COLOURS[0]), (1.0, FIELD_COLOURS[-1])])
def test_a_field_has_the_colours_of_the_comparison_page(coherence, colour):
    _, field = stretch_and_watch(tone(), SAMPLERATE, 1.0, coherence=coherence)
    picture = np.rint(255 * pixels(io.BytesIO(plotting.plot(tone(), SAMPLERATE, field)))[:, :, :3])
    shares = [(np.abs(picture - [int(each[at : at + 2], 16) for at in (1, 3, 5)]).max(axis=2) <= 1).mean() for each in FIELD_COLOURS]
    assert shares[FIELD_COLOURS.index(colour)] > 0.15 and sum(share > 0.15 for share in shares) == 1


def test_the_silence_of_a_spectrogram_has_the_colour_of_the_comparison_page():
    y = tone() * (np.arange(SAMPLERATE) < 2000)
    picture = np.rint(255 * pixels(io.BytesIO(plotting.plot(y, SAMPLERATE, stretch_and_watch(y, SAMPLERATE, 1.0)[1])))[:, :, :3])
    lowest = [int(SPECTROGRAM_COLOURS[0][at : at + 2], 16) for at in (1, 3, 5)]
    assert (picture == lowest).all(axis=2).mean() > 0.15


def test_the_same_input_gives_the_same_png(folder):
    for name in "ab":
        assert run(["plot", "in.wav", "-o", f"{name}.png", "-q", "--length", "0.3"]) == 0
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["in.wav", "-o", "in.jpg"], 2, "neither a .png nor an .svg"),
        (["missing.wav"], 1, "missing.wav"),
        (["in.wav", "--start", "5"], 1, "there is nothing from 5 s on"),
        (["in.wav", "--rate", "100"], 2, "0.05"),
        (["in.wav", "-o", "nowhere/out.png"], 1, "does not exist"),
        (["in.wav", "-o", "taken.png"], 1, "--force"),
        (["in.wav", "--model", "nobody"], 1, "nobody"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_writes_nothing(folder, capsys, arguments, code, message):
    (folder / "taken.png").write_text("precious")
    assert run(["plot", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error and error.startswith("Error: ") and error.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["in.wav", "taken.png"]
    assert (folder / "taken.png").read_text() == "precious"


def test_force_replaces_a_picture_but_never_the_input(folder, capsys):
    (folder / "taken.png").write_text("precious")
    assert run(["plot", "in.wav", "-o", "taken.png", "--force", "-q", "--length", "0.2"]) == 0
    assert pixels("taken.png").size
    (folder / "link.png").hardlink_to("in.wav")
    assert run(["plot", "in.wav", "-o", "link.png", "--force"]) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_a_tone_is_loudest_at_its_bin_in_every_column():
    decibels = plotting.spectrogram(tone(), SAMPLERATE, 50)
    assert decibels.shape == (geometry(SAMPLERATE).bins, 50) and decibels.max() == pytest.approx(0, abs=1e-4)
    loudest = geometry(SAMPLERATE).frequencies()[decibels[:, 2:-2].argmax(axis=0)]
    assert np.all(np.abs(loudest - 1000) <= geometry(SAMPLERATE).bin_hz)


def test_a_click_is_seen_however_long_the_recording_is():
    y = np.zeros((2, 1_000_000), np.float32)
    y[1, 777_777] = -0.7
    low, high = plotting.extremes(y, 100)
    assert len(low) == 100 and low.min() == pytest.approx(-0.7) and np.flatnonzero(low).tolist() == [77] and not high.any()


def test_watching_does_not_change_the_stretch_and_sees_every_frame():
    y = tone(0.7)
    output, field = stretch_and_watch(y, SAMPLERATE, 0.8, coherence=0.25)
    np.testing.assert_array_equal(output, stretch(y, SAMPLERATE, 0.8, coherence=0.25))
    assert field.coherence.shape == field.alpha_mix.shape == (geometry(SAMPLERATE).frames_for(output.shape[1]), BANDS)
    assert np.all(field.coherence == np.float32(0.25))


@pytest.mark.parametrize(("start", "length", "expected"), [(0, None, (0, 16000)), (0.25, 0.5, (4000, 12000)), (0.9, 5, (14400, 16000))])
def test_an_excerpt_is_exactly_what_was_asked_for(folder, start, length, expected):
    whole = soundfile.read("in.wav", dtype="float32", always_2d=True)[0].T
    y, samplerate, goes_on = read_excerpt("in.wav", start=start, length=length)
    np.testing.assert_array_equal(y, whole[:, slice(*expected)])
    assert samplerate == SAMPLERATE and goes_on == (expected[1] < 16000)


def test_an_excerpt_after_the_end_is_refused(folder):
    with pytest.raises(AudioError, match=r"1\.00 s long"):
        read_excerpt("in.wav", start=2)


def test_bands_above_half_the_sample_rate_are_left_out():
    assert bands_below(48000) == BANDS > bands_below(8000) > 0
