"""`tsmgan compare`: measures, sounds, the page, and the page in a browser."""

from __future__ import annotations

import html
import io
import json
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.cli import run
from tsmgan.errors import UsageError
from tsmgan.evaluation import peers
from tsmgan.evaluation.measures import RUN_MEASURES, SYNTHETIC_MEASURES, USUAL_MEASURES
from tsmgan.evaluation.methods import Method, find_method
from tsmgan.evaluation.peers import PEERS, Peer
from tsmgan.listening.comparison import attacks, render
from tsmgan.listening.loudness import loudness
from tsmgan.listening.page import Subject, build_page
from tsmgan.listening.scales import FIELD_COLOURS, SPECTROGRAM_COLOURS
from tsmgan.listening.sound import encode, playable

SAMPLERATE = 16000
FOUR_PEERS = ("rubberband-r3", "soundtouch", "sonic", "sox")
BROWSER_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --mute-audio --window-size=1280,1000"
).split()


def voice(seconds: float, samplerate: int = SAMPLERATE, channels: int = 2) -> np.ndarray:
    """Pulses, hits and a little noise, (samples, channels)."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * samplerate)) / samplerate
    phase = 2 * np.pi * np.cumsum(110 * (1 + 0.1 * np.sin(2 * np.pi * 0.3 * t))) / samplerate
    pulses = sum(np.cos(k * phase) / k for k in range(1, 25))
    hits = rng.standard_normal(len(t)) * np.exp(-12 * (t % 0.5))
    y = [(0.06 - 0.01 * c) * pulses + 0.1 * hits + 0.002 * rng.standard_normal(len(t)) for c in range(channels)]
    return np.stack(y, axis=1).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that holds in.wav, a second of stereo."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", voice(1.0), SAMPLERATE)
    return tmp_path


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


class Crashing(Peer):
    name, program = "crashing", "false"

    def command(self, source, target, rate):
        return ["false"]


class Absent(Peer):
    name, program = "absent", "no-such-stretcher"


class TestLoudness:
    @pytest.mark.parametrize("samplerate", [16000, 44100, 48000])
    def test_a_sine_has_the_loudness_of_the_standard(self, samplerate):
        sine = np.sin(2 * np.pi * 997 * np.arange(3 * samplerate) / samplerate)[None]
        assert loudness(sine, samplerate) == pytest.approx(-3.01, abs=0.05)
        assert loudness(0.1 * sine, samplerate) == pytest.approx(-23.01, abs=0.05)

    def test_pauses_do_not_make_it_softer(self):
        sine = np.sin(2 * np.pi * 997 * np.arange(5 * 48000) / 48000)[None]
        assert loudness(np.pad(sine, [(0, 0), (0, 20 * 48000)]), 48000) == pytest.approx(-3.01, abs=0.3)

    @pytest.mark.parametrize("samplerate", [8000, 22050, 48000])
    def test_a_recording_shorter_than_a_gating_block_has_the_loudness_of_a_longer_one(self, samplerate):
        sine = np.sin(2 * np.pi * 997 * np.arange(samplerate) / samplerate)[None]
        assert loudness(sine[:, : samplerate // 5], samplerate) == pytest.approx(loudness(sine, samplerate), abs=0.1)

    def test_channels_add_up(self):
        sine = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)[None]
        assert loudness(np.concatenate([sine, sine]), 48000) == pytest.approx(loudness(sine, 48000) + 3.01, abs=0.01)

    def test_silence_has_none(self):
        assert loudness(np.zeros((2, 48000)), 48000) == loudness(np.zeros((1, 0)), 48000) == -np.inf


class TestSounds:
    def test_what_fits_is_lossless_and_keeps_its_length(self):
        y = voice(0.5).T
        sounds = encode([y, 4 * y / np.abs(y).max()], SAMPLERATE)
        assert sounds.mime == "audio/flac" and sounds.scales == [1.0, pytest.approx(4.0)]
        for file, original, scale in zip(sounds.files, (y, 4 * y / np.abs(y).max()), sounds.scales):
            decoded, samplerate = soundfile.read(io.BytesIO(file), dtype="float64")
            assert samplerate == SAMPLERATE and decoded.shape == original.T.shape
            assert np.abs(decoded * scale - original.T).max() <= scale / 2**15

    def test_what_does_not_fit_becomes_opus_within_the_budget(self):
        y, samplerate = playable(voice(4.0, 44100).T, 44100)
        sounds = encode([y, y], samplerate, budget=150_000)
        assert sounds.mime == "audio/ogg; codecs=opus" and sum(map(len, sounds.files)) <= 150_000
        decoded, rate = soundfile.read(io.BytesIO(sounds.files[0]))
        assert rate == sounds.samplerate == 48000 and abs(len(decoded) / 48000 - 4.0) < 0.001
        assert np.corrcoef(decoded[:, 0], np.interp(np.arange(len(decoded)) / 48000, np.arange(len(y[0])) / 44100, y[0]))[0, 1] > 0.97

    @pytest.mark.parametrize(("channels", "samplerate", "kept"), [(1, 4000, (1, 8000)), (2, 96000, (2, 48000)), (6, 44100, (1, 44100))])
    def test_rare_formats_become_ones_that_browsers_play(self, channels, samplerate, kept):
        y, rate = playable(voice(0.2, samplerate, channels).T, samplerate)
        assert (len(y), rate) == kept and y.shape[1] == round(0.2 * rate)


class TestRendering:
    def test_an_exact_copy_gets_every_ideal(self):
        y = voice(1.0).T
        result = render(Method("copy", lambda y, samplerate, rate: y), y, SAMPLERATE, 1.0, synthetic=False)
        ideal = {"peakiness": 1, "level": 0, "length_error": 0, "channel_correlation": 0, "channel_level": 0}
        assert {key: result.figures[key] for key in ideal} == pytest.approx(ideal, abs=1e-5)
        assert result.figures["speed"] > 0 and result.problem is None

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda y, samplerate, rate: 1 / 0, "ZeroDivisionError"),
            (lambda y, samplerate, rate: np.full_like(y, np.nan), "not numbers"),
            (lambda y, samplerate, rate: y[:, :0], "no samples"),
        ],
    )
    def test_a_method_that_fails_says_so_and_gives_no_sound(self, function, message):
        result = render(Method("bad", function), voice(0.2).T, SAMPLERATE, 1.0)
        assert message in result.problem and result.samples is None

    def test_ours_brings_its_field(self):
        result = render(find_method("tsmgan:coherence=1"), voice(0.5).T, SAMPLERATE, 0.5, synthetic=False)
        assert result.samples.shape == (2, 16000) and np.all(result.field.coherence == 1)

    def test_attacks_are_found_where_sounds_begin(self):
        y = np.zeros((1, 2 * SAMPLERATE), np.float32)
        for second in (0.5, 1.2):
            y[0, round(second * SAMPLERATE) :][:2000] = 0.3 * np.random.default_rng(0).standard_normal(2000)
        assert attacks(y, SAMPLERATE) == pytest.approx([0.5, 1.2], abs=0.02)
        assert len(attacks(0 * y, SAMPLERATE)) == 0


class TestPage:
    def test_nothing_in_it_points_to_a_network(self, folder):
        assert run(["compare", "in.wav", "--rate", "0.5", "--with", "none", "--no-synthetic", "-q"]) == 0
        page = (folder / "in@0.5.html").read_text()
        assert not re.search(r"https?:|//[a-z]+\.[a-z]|@import|url\(", page) and "default-src 'none'" in page
        data = data_of(page)
        assert [track["name"] for track in data["tracks"]] == ["original", "tsmgan"]
        assert data["tracks"][1]["seconds"] == 2.0 and data["tracks"][1]["field"]["bands"] == len(data["bands"])

    def test_names_cannot_break_the_page(self):
        name = "</script><b>\"&'.wav"
        result = render(Method(name, lambda y, samplerate, rate: y), voice(0.2).T, SAMPLERATE, 1.0, synthetic=False)
        page = build_page(Subject(name, voice(0.2).T, SAMPLERATE, 1.0, np.zeros(0)), [result])
        assert name not in page and data_of(page)["tracks"][1]["name"] == name

    def test_a_softer_method_is_played_louder_by_as_much(self):
        half = render(Method("half", lambda y, samplerate, rate: 0.5 * y), voice(1.0).T, SAMPLERATE, 1.0, synthetic=False)
        page = build_page(Subject("in.wav", voice(1.0).T, SAMPLERATE, 1.0, np.zeros(0)), [half])
        assert [track["gain"] for track in data_of(page)["tracks"]] == [0.0, pytest.approx(6.02, abs=0.01)]

    def test_the_best_figure_is_marked_unless_all_are_equal(self):
        def scaled(name, factor):
            return render(Method(name, lambda y, samplerate, rate: factor * y), voice(0.5).T, SAMPLERATE, 1.0, synthetic=False)

        page = build_page(Subject("in.wav", voice(0.5).T, SAMPLERATE, 1.0, np.zeros(0)), [scaled("half", 0.5), scaled("near", 0.9)])
        level = re.findall(r'<td data-label="Level"( class="best")?>(-?[\d.]+)', page)
        assert level == [("", "0"), ("", "-6.02"), (' class="best"', "-0.92")]
        assert 'data-label="Length error" class="best"' not in page

    def test_every_measure_that_needs_no_other_reference_is_in_a_table_with_its_explanation(self):
        noise = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
        copy = render(Method("copy", lambda y, samplerate, rate: y), noise, SAMPLERATE, 1.0)
        page = html.unescape(build_page(Subject("in.wav", noise, SAMPLERATE, 1.0, np.zeros(0)), [copy]))
        unaligned = [measure for measure in USUAL_MEASURES if not measure.aligned]
        for measure in (*unaligned, *RUN_MEASURES, *SYNTHETIC_MEASURES):
            assert measure.name in copy.figures and f"<b>{measure.title}.</b> {measure.explanation}" in page

    def test_silence_is_compared_without_figures_that_it_cannot_have(self, folder):
        soundfile.write("silent.wav", np.zeros((8000, 2)), SAMPLERATE)
        assert run(["compare", "silent.wav", "--rate", "0.8", "--with", "none", "--no-synthetic", "-o", "silent.html", "-q"]) == 0
        page = (folder / "silent.html").read_text()
        assert "Length error" in page and "Pulse peakiness" not in page and "NaN" not in page

    def test_a_missing_method_is_named_and_a_crash_fails_the_run_behind_the_page(self, folder, monkeypatch, capsys):
        monkeypatch.setitem(peers.PEERS, "absent", Absent())
        assert run(["compare", "in.wav", "-r", "2", "--with", "absent", "--no-synthetic", "-o", "a.html"]) == 0
        assert "Note: absent is skipped" in capsys.readouterr().err
        assert "<b>absent</b>: skipped, since the program no-such-stretcher" in (folder / "a.html").read_text()
        monkeypatch.setitem(peers.PEERS, "crashing", Crashing())
        assert run(["compare", "in.wav", "-r", "2", "--with", "crashing", "--no-synthetic", "-o", "b.html"]) == 1
        assert "some results of crashing are missing" in capsys.readouterr().err
        assert "<b>crashing</b>: crashing ended with code 1" in (folder / "b.html").read_text()

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["in.wav", "--rate", "fast"], 2, "'fast' is no rate"),
            (["in.wav", "--rate", "0"], 2, "0.05"),
            (["in.wav"], 2, "--rate"),
            (["in.wav", "--rate", "2", "--with", "nobody"], 2, "There is no method nobody"),
            (["in.wav", "--rate", "2", "--with", ",".join(f"tsmgan:seed={n}" for n in range(9))], 2, "a page holds 7"),
            (["in.wav", "--rate", "2", "--start", "3"], 1, "there is nothing from 3 s on"),
            (["in.wav", "--rate", "2", "--length", "0"], 2, "not longer than nothing"),
            (["missing.wav", "--rate", "2"], 1, "missing.wav"),
            (["in.wav", "--rate", "2", "-o", "taken.html"], 1, "--force"),
            (["in.wav", "--rate", "2", "-o", "in.wav", "--force"], 2, "never overwritten"),
            (["in.wav", "--rate", "2", "-o", "nowhere/a.html"], 1, "does not exist"),
        ],
    )
    def test_what_cannot_be_is_one_sentence_and_writes_nothing(self, folder, capsys, arguments, code, message):
        (folder / "taken.html").write_text("precious")
        before = (folder / "in.wav").read_bytes()
        assert run(["compare", *arguments]) == code
        error = capsys.readouterr().err
        assert message in error and error.startswith("Error: ") and error.count("\n") == 1
        assert sorted(path.name for path in folder.iterdir()) == ["in.wav", "taken.html"]
        assert (folder / "taken.html").read_text() == "precious" and (folder / "in.wav").read_bytes() == before

    def test_an_excerpt_is_named_in_the_page(self, folder):
        arguments = ["compare", "in.wav", "--rate", "2", "--start", "0.25", "--length", "0.5", "--with", "none", "--no-synthetic"]
        assert run([*arguments, "-o", "part.html", "-q"]) == 0
        page = (folder / "part.html").read_text()
        assert "the part from 0:00.250 to 0:00.750" in page and data_of(page)["tracks"][0]["seconds"] == 0.5


def write_report(folder, seconds: float, names) -> tuple:
    """A page of stereo against those peers that are installed, and their names."""
    soundfile.write(folder / "in.wav", voice(seconds, 44100), 44100)
    there = [name for name in names if PEERS[name].missing() is None]
    arguments = ["compare", str(folder / "in.wav"), "--rate", "0.6", "--with", ",".join(there) or "none", "--no-synthetic", "-q"]
    assert run([*arguments, "-o", str(folder / "report.html")]) == 0
    return folder / "report.html", there


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of 6 s against four peers."""
    return write_report(tmp_path_factory.mktemp("report"), 6.0, FOUR_PEERS)


@pytest.fixture(scope="module")
def small_report(tmp_path_factory):
    """A page of 3 s, which loads faster."""
    return write_report(tmp_path_factory.mktemp("small"), 3.0, FOUR_PEERS[1:3])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A headless Chromium, driven through chromedriver."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium or chromedriver is not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*BROWSER_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    session.set_script_timeout(30)
    yield session
    session.quit()


def wait_for(browser, expression: str) -> None:
    """Wait until something has come about that the page does when it finds the time: a picture, a sound that begins."""
    deadline = time.monotonic() + 60
    while not browser.execute_script(f"return {expression}"):
        assert time.monotonic() < deadline, f"never came true: {expression}"
        time.sleep(0.05)


DRAWN = "report.views.isDrawn"


def open_page(chromium, page):
    chromium.get(page.as_uri())
    wait_for(chromium, "document.documentElement.dataset.ready === 'true'")
    yield chromium
    assert chromium.get_log("browser") == []


@pytest.fixture
def opened(chromium, report):
    """The page of 6 s, freshly loaded; whatever a test does with it, its console must stay empty."""
    yield from open_page(chromium, report[0])


@pytest.fixture
def small(chromium, small_report):
    """The page of 3 s, likewise."""
    yield from open_page(chromium, small_report[0])


def press(browser, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def state(browser, name: str):
    return browser.execute_script(f"return window.report.{name}")


def test_the_page_holds_the_time_map_of_every_method_and_that_of_pauses_that_give_way(tmp_path):
    y, samplerate = soundfile.read(Path(__file__).parents[1] / "examples" / "voice.flac", dtype="float32")
    y = np.concatenate([y, np.zeros(samplerate // 2, np.float32)] * 2)[None]
    renderings = [render(find_method(name), y, samplerate, 1.5, synthetic=False) for name in ("tsmgan", "tsmgan:pauses=first")]
    original, uniform, first = data_of(build_page(Subject("in.wav", y, samplerate, 1.5, attacks(y, samplerate)), renderings))["tracks"]
    assert original["map"] is None and uniform["map"] == [[0.0, 1.5]]
    begins, rates = np.array(first["map"]).T
    ends = np.append(begins[1:], first["seconds"])
    assert first["seconds"] == uniform["seconds"] and rates.min() < 1.5 < rates.max()
    assert float(((ends - begins) * rates).sum()) == pytest.approx(y.shape[1] / samplerate, rel=0.01)
    with pytest.raises(UsageError, match="must be first"):
        find_method("tsmgan:pauses=0.5")


@pytest.mark.slow
def test_a_report_of_20_s_of_stereo_against_four_peers_is_under_12_mb(tmp_path):
    page, there = write_report(tmp_path, 20.0, FOUR_PEERS)
    if len(there) < len(FOUR_PEERS):
        pytest.skip(f"only {', '.join(there) or 'none'} of the four peers is installed")
    assert page.stat().st_size < 12_000_000
    assert [track["name"] for track in data_of(page.read_text())["tracks"]] == ["original", "tsmgan", *FOUR_PEERS]


class TestBrowser:
    def test_the_time_map_stands_above_the_spectrogram_and_says_its_rates(self, small):
        panels = small.execute_script("return [...report.views.panels.values()].map((panel) => [panel.map, panel.spectrum])")
        (drawn, spectrum), (without, _) = panels
        assert without is None, "the original has no map"
        assert drawn.get_attribute("aria-label").startswith("Time map of tsmgan: rate 0.6 throughout")
        assert 0 < drawn.rect["y"] + drawn.rect["height"] < spectrum.rect["y"]
        pixels = "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        colours = small.execute_script(pixels, drawn)
        assert len({tuple(colours[k : k + 4]) for k in range(0, len(colours), 4)}) > 1, "a line is drawn"

    def test_numbers_choose_methods_and_space_plays_from_the_same_position(self, opened):
        from selenium.webdriver.common.keys import Keys

        press(opened, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
        assert state(opened, "player.position") == pytest.approx(2.0)
        press(opened, " ")  # a page may not play before somebody has pressed a key
        wait_for(opened, "report.player.playing")
        found = opened.execute_script(  # in one go: a machine that is busy may play to the end between two commands
            "const places = [], names = [], { player } = report; player.seek(2);"
            "player.addEventListener('change', () => places.push(player.position));"
            "for (const key of ['1', '2', ' ']) {"
            "  document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));"
            "  names.push([player.selected, document.getElementById('live').textContent]); }"
            "return { places, names, after: player.position };"
        )
        assert found["names"][:2] == [[0, "1, original"], [1, "2, tsmgan"]]
        assert len(found["places"]) == 3 and sorted([2.0, *found["places"], found["after"]]) == [2.0, *found["places"], found["after"]]
        assert found["after"] < 3, "switching does not move the position"
        assert state(opened, "player.selected") == 1 and not state(opened, "player.playing")
        assert opened.find_element("css selector", '#tracks [aria-pressed="true"] b').text == "tsmgan"

    def test_every_track_is_decoded_to_its_length_and_equally_loud(self, opened, report):
        tracks = opened.execute_script("return report.player.tracks.map(t => [t.seconds, t.buffer.duration, t.gain, t.scale])")
        assert len(tracks) == 2 + len(report[1])
        assert all(abs(stated - decoded) < 0.001 for stated, decoded, _, _ in tracks)
        levels = opened.execute_script(
            "return report.player.tracks.map((t, i) => { const d = t.buffer.getChannelData(0); let s = 0; for (const x of d) s += x * x;"
            "return 10 * Math.log10(s / d.length) + 20 * Math.log10(report.player._matchedGains[i]); })"
        )
        assert max(levels) - min(levels) < 1.0

    def test_zoom_keys_and_buttons_reach_single_pulses_and_attacks(self, small):
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        press(small, Keys.ARROW_RIGHT, "p")
        assert state(small, "views.to") - state(small, "views.from") == pytest.approx(0.06)
        press(small, "-", "+", "+")
        assert state(small, "views.to") - state(small, "views.from") == pytest.approx(0.03)
        ActionChains(small).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
        assert state(small, "views.from") == pytest.approx(state(small, "player.position"), abs=1e-6)
        small.find_element("id", "whole").click()
        assert state(small, "views.from") == 0 and state(small, "views.to") == pytest.approx(3 / 0.6, abs=0.1)
        small.find_element("id", "attack").click()
        assert state(small, "player.position") in state(small, "views.data.attacks")

    def test_waveforms_spectrograms_and_the_field_are_drawn(self, small):
        small.execute_script(
            "document.getElementById('shown').value = 'all'; document.getElementById('shown').dispatchEvent(new Event('change'))"
        )
        small.execute_script(  # counted on a copy: reading a canvas again and again earns a warning
            "window.colourCounts = () => [...document.querySelectorAll('canvas.wave, canvas.spectrum, #field, #overview')].map(c => {"
            "const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true }); copy.drawImage(c, 0, 0);"
            "return new Set(new Uint32Array(copy.getImageData(0, 0, c.width, c.height).data.buffer)).size; })"
        )
        wait_for(small, DRAWN)
        counts = small.execute_script("return colourCounts()")
        assert len(counts) == 2 * len(state(small, "player.tracks.map(t => t.name)")) + 2
        assert all(count >= 3 for count in counts), counts

    def test_an_abx_test_hides_the_answer_and_ends_with_a_score_and_its_probability(self, opened, report):
        if not report[1]:
            pytest.skip("no peer is installed to test against")
        from selenium.webdriver.support.select import Select

        Select(opened.find_element("id", "abx-rounds")).select_by_visible_text("5")
        opened.find_element("id", "abx-start").click()
        assert not opened.find_element("id", "listen").is_displayed() and not opened.find_element("id", "see").is_displayed()
        drawn = set()
        for turn in range(5):
            assert opened.find_element("id", "abx-round").text == f"Round {turn + 1} of 5"
            press(opened, "a", "b", "x")
            assert opened.find_element("id", "now").text == "X"
            x = state(opened, "abx.x")
            drawn.add(x)
            assert state(opened, "player.selected") == state(opened, "abx.pair")[x]
            wait_for(opened, "report.player.playing")
            press(opened, "AB"[x if turn else 1 - x])
        assert opened.find_element("id", "abx-score").text == "4 of 5 right, p = 0.188"
        assert opened.find_element("id", "listen").is_displayed() and not state(opened, "player.playing")

    def test_a_sound_that_is_asked_for_twice_plays_once_and_one_that_is_paused_before_it_begins_never_plays(self, opened):
        opened.execute_script(
            "document.addEventListener('keydown', () => { report.player.play(); report.player.pause(); }, { once: true })"
        )
        press(opened, "q")  # a page may not play before somebody has pressed a key
        settled = "let p = report.player; p._context.resume().then(() => setTimeout(() => arguments[0](p.playing), 50))"
        assert opened.execute_async_script(settled) is False
        opened.execute_script(
            "window.begun = 0; const start = AudioBufferSourceNode.prototype.start;"
            "AudioBufferSourceNode.prototype.start = function (...all) { window.begun++; start.apply(this, all); };"
            "report.player._context.suspend().then(() => { report.player.play(); report.player.play(); })"
        )
        wait_for(opened, "report.player.playing")
        assert opened.execute_async_script(settled) is True
        assert opened.execute_script("return window.begun") == 1

    def test_preferences_and_ratings_are_asked_blindly_and_saved_as_answers_that_can_be_summed_up(self, opened, report, tmp_path):
        if not report[1]:
            pytest.skip("no peer is installed to test against")
        from tsmgan.listening.answers import read_answers, summarise_answers

        names = state(opened, "player.tracks.map(t => t.name)")[1:]
        opened.execute_script("document.getElementById(arguments[0]).click()", "opinion-pairs")
        assert not opened.find_element("id", "listen").is_displayed() and not opened.find_element("id", "blind").is_displayed()
        while state(opened, "opinion.running"):
            opened.find_element("id", "opinion-second").send_keys("\n")  # a page may not play before somebody has pressed a key
            assert opened.find_element("id", "now").text == "second"
            wait_for(opened, "report.player.playing")
            first, second = state(opened, "opinion.pair")
            assert state(opened, "player.selected") == second
            nearer = "first" if first < second else "second"  # always the method that stands earlier
            opened.execute_script("document.getElementById(arguments[0]).click()", f"opinion-is-{nearer}")
        opened.execute_script("document.getElementById(arguments[0]).click()", "opinion-sliders")
        assert not opened.find_element("id", "opinion-done").is_enabled()
        opened.execute_script(
            "report.opinion.order.forEach((track, i) => { const s = document.querySelectorAll('#opinion-rows input')[i];"
            "s.value = 10 * track; s.dispatchEvent(new Event('input')); })"
        )
        opened.execute_script("document.getElementById(arguments[0]).click()", "opinion-done")
        opened.find_element("id", "opinion-listener").send_keys("Ann p")  # keys of the page have no effect there
        assert opened.find_element("id", "listen").is_displayed() and opened.find_element("id", "opinion-save").is_enabled()
        path = tmp_path / "answers.json"
        path.write_text(json.dumps(state(opened, "opinion.answers")))
        document = read_answers(path)
        found = summarise_answers([document])
        assert document["listener"] == "Ann p" and document["methods"] == names
        assert len(found.preferences) == len(names) * (len(names) - 1) / 2
        assert all((each.for_first == 1) == (names.index(each.first) < names.index(each.second)) for each in found.preferences)
        assert {name: rating.mean for name, rating in found.ratings.items()} == {name: 10 * (k + 1) for k, name in enumerate(names)}

    def test_the_probability_is_the_binomial_one(self, small):
        found = small.execute_script("return [[0, 10], [9, 10], [10, 10], [12, 16]].map(([a, b]) => guessingProbability(a, b))")
        assert found == pytest.approx([1.0, 0.010742, 0.000977, 0.038406], abs=1e-6)

    def test_everything_that_can_be_operated_has_a_name(self, small):
        unnamed = small.execute_script(
            "return [...document.querySelectorAll('button, input, select, canvas[role]')].filter(e => e.checkVisibility())"
            ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML.slice(0, 80))"
        )
        assert unnamed == []

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_a_phone_needs_no_sideways_scrolling_and_text_keeps_its_contrast(self, small, theme):
        with emulated(small, 360, theme):
            wait_for(small, DRAWN)
            assert small.execute_script("return document.documentElement.scrollWidth") <= 360
            colours = small.execute_script(
                "const s = getComputedStyle(document.documentElement);"
                "return ['--ink', '--soft', '--accent', '--paper'].map(n => s.getPropertyValue(n).trim())"
            )
            *inks, paper = (luminance(colour) for colour in colours)
            assert (paper < 0.1) == (theme == "dark")
            assert all((max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5 for ink in inks)

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [360, 1280])
    def test_labels_of_axes_are_whole_and_legible_whatever_is_drawn_below_them(self, small, width, theme):
        with emulated(small, width, theme):
            for button in ("pulses", "whole"):
                small.execute_script("document.getElementById(arguments[0]).click()", button)
                wait_for(small, DRAWN)
                labels = small.execute_script(LABELS)
                assert sum(label["kind"] == "hertz" for label in labels) >= 8 and sum(label["kind"] == "second" for label in labels) >= 4
                assert {"100 Hz", "1 kHz"} <= {label["text"] for label in labels if label["picture"] == "field"}
                assert all(label["inside"] for label in labels), labels
                for label in labels:
                    ink, (*ground, alpha) = colour_parts(label["colour"])[:3], colour_parts(label["ground"])
                    below = [[alpha * part + (1 - alpha) * picture for part in ground] for picture in (0, 255)]
                    assert min(contrast(ink, mixed) for mixed in below) >= 4.5, label

    def test_labels_of_axes_are_whole_in_every_picture_of_a_screen_that_changes_its_width(self, small):
        wait_for(small, DRAWN)
        small.execute_script(  # this observer is asked after the page's own, before the screen shows anything of the new width
            f"window.seen = []; const labels = () => {{{LABELS}}};"
            "new ResizeObserver(() => seen.push(labels())).observe(document.getElementById('panels'))"
        )
        for width in (360, 900, 500, 640, 641, 360):
            before = small.execute_script("return seen.length")
            with emulated(small, width, "light"):
                wait_for(small, f"seen.length > {before} && {DRAWN}")
                assert small.execute_script("return [...document.querySelectorAll('.tick.second')].length") >= 4
        assert [label for labels in small.execute_script("return seen") for label in labels if not label["inside"]] == []

    def test_a_phone_shows_no_hints_on_keys_and_a_keyboard_does(self, small):
        shown = "return [...document.querySelectorAll('kbd, .keyboard')].filter(e => e.checkVisibility()).map(e => e.textContent)"
        small.execute_script("document.querySelectorAll('details').forEach(e => (e.open = true))")
        assert len(small.execute_script(shown)) > 10
        with emulated(small, 360, "light"):
            assert small.execute_script(shown) == []
            assert "drag to scroll, pinch to zoom" in small.find_element("id", "see").text

    def test_a_desktop_shows_the_tables_whole(self, small):
        with emulated(small, 1280, "light"):
            cut = "return [...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth)"
            assert small.execute_script(cut) == [0] and len(small.find_elements("css selector", "#measures thead th")) == 7

    @pytest.mark.parametrize("width", [320, 360, 1280])
    def test_names_of_methods_end_their_lines_between_words(self, chromium, tmp_path, width):
        names = ["rubberband-r3", "soundtouch", "signalsmith", "tsmgan:coherence=0", "tsmgan:model=handmade"]
        copies = [render(Method(name, lambda y, samplerate, rate: y), voice(0.2).T, SAMPLERATE, 1.0, synthetic=False) for name in names]
        (tmp_path / "names.html").write_text(build_page(Subject("in.wav", voice(0.2).T, SAMPLERATE, 1.0, np.zeros(0)), copies))
        with emulated(chromium, width, "light"):
            for browser in open_page(chromium, tmp_path / "names.html"):
                lines = browser.execute_script(LINES)
                assert [re.sub(r"\n", "", name) for name in lines] == ["original", *names]
                assert [name for name in lines if re.search(r"\w\n", name)] == []

    def test_the_colours_are_those_that_plots_have(self, small):
        ends = small.execute_script(
            "return [report.views.fieldColours, report.views.heat].map(table => [0, 255].map(at => "
            "'#' + [0, 8, 16].map(shift => (table[at] >> shift & 255).toString(16).padStart(2, '0')).join('')))"
        )
        assert ends == [[colours[0], colours[-1]] for colours in (FIELD_COLOURS, SPECTROGRAM_COLOURS)]


LABELS = """
return [...document.querySelectorAll(".tick")].filter((label) => label.checkVisibility()).map((label) => {
  const canvas = label.parentElement.querySelector("canvas"), style = getComputedStyle(label);
  const inner = label.getBoundingClientRect(), outer = canvas.getBoundingClientRect();
  return {
    text: label.textContent, kind: label.classList[1], picture: canvas.id || canvas.className,
    colour: style.color, ground: style.backgroundColor,
    inside: inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom,
  };
});
"""
"""Every label in a picture that is shown."""
LINES = r"""
return [...document.querySelectorAll("#tracks b")].map((name) => {
  let text = "", last = null;
  for (const node of [...name.childNodes].filter((n) => n.nodeType === 3)) {
    for (let at = 0; at < node.length; at++) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      const top = range.getBoundingClientRect().top;
      text += (last !== null && top > last ? "\n" : "") + node.data[at];
      last = top;
    }
  }
  return text;
});
"""
"""The methods' names, with their line ends."""


@contextmanager
def emulated(browser, width: int, theme: str):
    """A screen of that width; narrow ones belong to phones, which are touched."""
    is_phone = width < 600
    screen = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": is_phone}
    arrived = (
        f"Math.round(innerWidth * visualViewport.scale) === {width} && matchMedia('(prefers-color-scheme: {theme})').matches"
        f" && matchMedia('(pointer: coarse)').matches === {str(is_phone).lower()}"
    )
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": is_phone})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    wait_for(browser, arrived)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def colour_parts(text: str) -> list[float]:
    """Red, green, blue (0 to 255) and alpha (0 to 1) of a computed colour, rgb(...) or rgba(...)."""
    parts = [float(part) for part in re.findall(r"[\d.]+", text)]
    return [*parts, 1.0] if len(parts) == 3 else parts


def contrast(one, other) -> float:
    """Of two colours of parts from 0 to 255 (WCAG 2): 1 to 21."""
    low, high = sorted(luminance("#" + "".join(f"{round(part):02x}" for part in colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return float(np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])
