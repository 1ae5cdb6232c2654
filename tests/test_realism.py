"""Realism in bits: what fresh critics say of stretched sound. Voices here are synthetic: pulses and noise through formants."""

import json
from functools import partial

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from tsmgan import cli
from tsmgan.errors import TsmganError, UsageError

pytest.importorskip("torch", reason="critics need PyTorch (the extra train)")

from tsmgan.evaluation.methods import Method, find_method
from tsmgan.evaluation.realism import find_sources, measure_realism, realism_of_folders, realism_of_function
from tsmgan.evaluation.realism.bound import split
from tsmgan.evaluation.realism.critic import bits
from tsmgan.evaluation.realism.moments import Moments
from tsmgan.evaluation.realism.sounds import choose, stretched_sound

SAMPLERATE = 16000
QUICK = {"seeds": 2, "steps": 50}
"""Games that are long enough for plain differences."""
SHORTEST = {"seeds": 1, "steps": 5}
"""Games whose result does not matter."""


def voice(talker: int, sentence: int, seconds: float = 1.0) -> np.ndarray:
    """Pulses of a wandering pitch, with a little noise, through two formants that wander: (samples,)."""
    rng = np.random.default_rng([talker, sentence])
    t = np.arange(round(seconds * SAMPLERATE)) / SAMPLERATE
    f0 = (90 + 15 * talker) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 3) * t + rng.uniform(0, 6)))
    phase = np.cumsum(f0) / SAMPLERATE
    y = np.diff(np.floor(phase), prepend=0) + 0.02 * rng.standard_normal(len(t))
    for hz in (rng.uniform(400, 800), rng.uniform(1200, 2200)):
        y = lfilter([1], [1, -2 * 0.97 * np.cos(2 * np.pi * hz / SAMPLERATE), 0.97**2], y)
    return (0.3 * y / np.abs(y).max()).astype(np.float32)


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Ten talkers with four sentences each, in a folder for each talker."""
    folder = tmp_path_factory.mktemp("voices")
    for talker in range(10):
        (folder / f"t{talker}").mkdir()
        for sentence in range(4):
            soundfile.write(folder / f"t{talker}" / f"{sentence}.wav", voice(talker, sentence), SAMPLERATE)
    return folder


def scattered(y, samplerate, rate):
    """Each 20 ms with phases of their own: a hollow voice."""
    rng = np.random.default_rng(0)
    length = 320
    frames = y[0, : y.shape[1] // length * length].reshape(-1, length)
    spectra = np.abs(np.fft.rfft(frames)) * np.exp(2j * np.pi * rng.random((len(frames), length // 2 + 1)))
    return np.fft.irfft(spectra, length).reshape(1, -1).astype(np.float32)


def test_sound_that_is_natural_is_no_bits_from_nature(voices):
    assert realism_of_function(lambda y, samplerate, rate: y, [voices], 1.0, **QUICK).bits < 0.03


def test_scattered_phases_are_far_from_nature_on_talkers_that_the_critics_never_heard(voices):
    found = realism_of_function(scattered, [voices], 1.0, **QUICK)
    assert found.bits > 0.3 and found.accuracy > 0.8


def test_the_bound_of_the_best_critic_is_the_jensen_shannon_divergence():
    """Of two normal distributions a standard deviation apart, against numerical integration."""
    rng = np.random.default_rng(0)
    natural, stretched = rng.normal(0.5, 1, 400000), rng.normal(-0.5, 1, 400000)  # the log ratio of their densities is x itself
    x = np.linspace(-10, 10, 20001)
    p, q = (np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi) for mean in (0.5, -0.5))
    exact = np.trapezoid(0.5 * p * np.log2(2 * p / (p + q)) + 0.5 * q * np.log2(2 * q / (p + q)), x)
    assert bits(natural, stretched) == pytest.approx(exact, abs=0.002)
    assert bits(3 * natural, 3 * stretched) < exact  # a critic that is too sure gives less
    assert bits(np.zeros(5), np.zeros(5)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_talkers_and_recordings_never_serve_two_purposes(voices, seed):
    sources = find_sources([voices])
    parts = split(sources, seed).parts
    talkers = [{source.talker for side in part for source in side} for part in parts]
    assert all(talkers) and sum(map(len, talkers)) == len(set.union(*talkers)) == 10
    used = [source.path for part in parts for side in part for source in side]
    assert len(used) == len(set(used)) == len(sources)
    for natural, stretched in parts:
        assert {source.talker for source in natural} == {source.talker for source in stretched}


def test_seeds_draw_other_talkers_and_other_halves(voices):
    splits = [split(find_sources([voices]), seed) for seed in range(4)]
    assert len({frozenset(source.talker for source in s.parts[2][0]) for s in splits}) > 1
    assert len({frozenset(s.stretched) for s in splits}) == 4


def test_talkers_are_sub_folders_or_beginnings_of_names_or_single_files(tmp_path):
    for name in ("ann/a/1.wav", "ann/b/2.wav", "bob-1.wav", "bob-2.wav", "carol7.wav", "003.wav", "004.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.ones(100), 8000)
    found = {source.path.relative_to(tmp_path).as_posix(): source.talker for source in find_sources([tmp_path])}
    assert found["ann/a/1.wav"] == found["ann/b/2.wav"]
    assert found["bob-1.wav"] == found["bob-2.wav"]
    assert found["003.wav"] == found["004.wav"]
    assert len(set(found.values())) == 4
    single = find_sources([tmp_path / "003.wav", tmp_path / "004.wav", tmp_path / "bob-1.wav"])
    assert len({source.talker for source in single}) == 3


def test_every_talker_has_a_turn_before_one_has_a_second(voices):
    chosen = choose(find_sources([voices]), most_seconds=12.9)
    counts = [sum(source.talker.endswith(f"t{talker}") for source in chosen) for talker in range(10)]
    assert sorted(counts) == [1] * 7 + [2] * 3


def test_critics_hear_loud_moments_only_and_all_at_one_level():
    loud, soft = voice(0, 0), 1e-3 * voice(1, 0)
    moments = Moments([np.concatenate([loud, soft, np.zeros(16000, np.float32)])], 0.04)
    heard = moments.spread(50)
    assert heard.shape[1] == 640
    assert np.allclose(np.sqrt((heard**2).mean(1)), 1, atol=1e-3)
    starts = moments._starts[0]
    assert starts.max() < len(loud)


def test_a_method_that_fails_is_named_and_the_others_go_on(voices):
    def broken(y, samplerate, rate):
        raise ValueError("no such speed")

    control, bad, good = measure_realism([Method("broken", broken), Method("same", lambda y, s, r: y)], [voices], [2.0], **SHORTEST)
    assert control.method == "natural" and not control.problems
    assert bad.problems == ["no such speed"] and not bad.trials
    assert len(good.trials) == 1


def test_stretched_sound_is_kept_and_made_anew_for_other_weights(voices, tmp_path):
    path = voices / "t0" / "0.wav"
    handmade = find_method("tsmgan:model=handmade")
    first = stretched_sound(path, handmade, 0.5, tmp_path)
    (kept,) = (tmp_path / "sounds").iterdir()
    np.save(kept, np.zeros(7, np.float32))
    assert len(stretched_sound(path, handmade, 0.5, tmp_path)) == 7
    assert np.array_equal(stretched_sound(path, handmade, 0.5), first)
    stretched_sound(path, find_method("tsmgan"), 0.5, tmp_path)
    stretched_sound(path, handmade, 0.75, tmp_path)
    assert len(list((tmp_path / "sounds").iterdir())) == 3


def test_recordings_that_somebody_else_stretched_are_found_by_their_names(voices, tmp_path):
    for path in voices.rglob("*.wav"):
        y, _ = soundfile.read(path, dtype="float32")
        target = tmp_path / path.relative_to(voices).with_name(f"{path.stem}@1.wav")
        target.parent.mkdir(exist_ok=True)
        soundfile.write(target, scattered(y[np.newaxis], SAMPLERATE, 1.0)[0], SAMPLERATE)
    found = realism_of_folders([voices], tmp_path, 1.0, seeds=1, steps=50)
    assert found.bits > 0.3
    with pytest.raises(TsmganError, match="holds no recording whose name"):
        realism_of_folders([voices], tmp_path / "t0", 1.0)


def test_too_few_talkers_are_told_with_what_to_do(voices):
    with pytest.raises(UsageError, match=r"2 talkers or tunes were found.*sub-folder"):
        find_sources([voices / "t0", voices / "t1"])


def test_the_command_prints_a_table_and_writes_every_game(voices, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tsmgan.evaluation.realism.measure_realism", partial(measure_realism, steps=SHORTEST["steps"]))
    arguments = ["evaluate", "--realism", str(voices), "-m", "tsmgan:model=handmade", "--rates", "2", "--seeds", "1"]
    assert (
        cli.run([*arguments, "-j", "1", "--cache", str(tmp_path), "--json", str(tmp_path / "r.json"), "--csv", str(tmp_path / "r.csv")])
        == 0
    )
    assert "natural (control)" in capsys.readouterr().out
    control, cell = json.loads((tmp_path / "r.json").read_text())["realism"]
    assert (control["method"], cell["method"], cell["rate"]) == ("natural", "tsmgan:model=handmade", 2)
    assert len(cell["trials"]) == 1 and cell["bits"] == max(0, cell["raw_bits"]) and cell["standard_error"] is None
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 3


def repeated(y, samplerate, rate):
    """Pieces of 100 ms, each played 1 / rate times: every moment is natural, and the whole is not."""
    length = samplerate // 10
    pieces = y[0, : y.shape[1] // length * length].reshape(-1, 1, length)
    return np.repeat(pieces, round(1 / rate), axis=1).reshape(1, -1)


@pytest.mark.slow
def test_a_stretcher_that_repeats_pieces_of_100_ms_is_found_out_at_the_long_scale():
    methods = [Method("repeated", repeated), find_method("tsmgan:model=handmade")]
    control, bad, good = measure_realism(methods, [], [0.5], scale="0.3s", kind="music", seeds=2)
    assert control.bits < 0.02
    assert bad.bits > 0.3 and bad.bits > good.bits + 0.1


@pytest.mark.slow
def test_voices_at_the_long_scale_are_compared_with_exact_ones(voices):
    pytest.importorskip("pyworld", reason="exact voices need pyworld")
    found = realism_of_function(repeated, [voices], 0.5, scale="0.3s", seeds=1, steps=100)
    assert len(found.trials) == 1 and found.accuracy > 0.6


def test_an_unknown_scale_or_kind_is_refused_with_those_that_there_are(voices):
    with pytest.raises(UsageError, match=r"40ms, 0\.3s"):
        next(measure_realism([], [voices], [0.5], scale="1s"))
    with pytest.raises(UsageError, match="speech, music"):
        next(measure_realism([], [voices], [0.5], kind="birds"))
