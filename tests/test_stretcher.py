"""Promises of the whole way from samples to samples."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tsmgan
import tsmgan.stretcher
from tsmgan.errors import AudioError, UsageError

SECOND = 24000


def noise(samples, channels=1, seed=0, dtype=np.float32):
    return (0.1 * np.random.default_rng(seed).normal(size=(channels, samples))).astype(dtype)


def voice(samples, samplerate=SECOND):
    """A pulse train of gliding pitch through two resonances: a voice as far as the stretcher is concerned."""
    t = np.arange(samples) / samplerate
    phase = np.cumsum(120 + 25 * np.sin(2 * np.pi * 1.3 * t)) / samplerate
    pulses = np.diff(np.floor(phase), prepend=0)
    ring = sum(np.exp(-2 * np.pi * 80 * t[:1000]) * np.sin(2 * np.pi * f * t[:1000]) for f in (700, 1800))
    return (0.5 * np.convolve(pulses, ring)[:samples]).astype(np.float32)


def tone(hz, seconds=2.0, samplerate=SECOND, amplitude=0.3):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * samplerate)) / samplerate)).astype(np.float32)


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n=st.integers(0, 4000),
    rate=st.floats(0.05, 20),
    samplerate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]),
    channels=st.integers(1, 3),
)
def test_output_has_exactly_round_n_over_rate_samples(n, rate, samplerate, channels):
    out = tsmgan.stretch(noise(n, channels), samplerate, rate)
    assert out.shape == (channels, round(n / rate))
    assert np.isfinite(out).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("samplerate", [8000, 44100, 48000])
@pytest.mark.parametrize("coherence", [None, 0.0, 1.0])
def test_rate_one_gives_the_input_back_bit_for_bit(dtype, samplerate, coherence):
    y = noise(70001, 2, dtype=dtype)
    y[0, 1000:1010] = 1e-20  # what a transform would lose beside louder samples
    y[:, 30000:40000] = 0
    assert np.array_equal(tsmgan.stretch(y, samplerate, 1.0, coherence=coherence), y)


def test_a_piece_of_a_map_at_rate_one_is_copied_where_it_is_not_shifted():
    y = noise(4 * SECOND)[0]
    time_map = tsmgan.TimeMap.from_seconds([2, 4], [2, 6], SECOND)
    out = tsmgan.stretch(y, SECOND, time_map=time_map)
    assert len(out) == 6 * SECOND
    assert np.array_equal(out[: int(1.9 * SECOND)], y[: int(1.9 * SECOND)])
    assert not np.array_equal(out[2 * SECOND : 3 * SECOND], y[2 * SECOND : 3 * SECOND])


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("block", [1, 7, 1000, 50000, "random"])
def test_a_stream_equals_the_whole_for_every_block_size(rate, block):
    y = np.stack([voice(2 * SECOND), noise(2 * SECOND)[0]])
    y = y[:, : SECOND // 2] if block == 1 else y
    whole = tsmgan.stretch(y, SECOND, rate)
    stretcher, pieces, at = tsmgan.Stretcher(SECOND, 2, rate=rate), [], 0
    rng = np.random.default_rng(0)
    while at < y.shape[1]:
        size = int(rng.integers(0, 9000)) if block == "random" else block
        pieces.append(stretcher.process(y[:, at : at + size]))
        at += size
    pieces.append(stretcher.flush())
    assert np.array_equal(np.concatenate(pieces, axis=1), whole)


def test_a_stream_gives_output_while_input_still_comes():
    stretcher = tsmgan.Stretcher(SECOND, rate=1.25)
    got = [stretcher.process(noise(SECOND)).shape[1] for _ in range(20)]
    assert sum(got) > (20 - 5) * SECOND / 1.25


@pytest.mark.parametrize("coherence", [None, 0.0, 1.0])
@pytest.mark.parametrize("rate", [0.6, 1.4])
@pytest.mark.parametrize("hz", [110.3, 441.7, 3021.9])
def test_a_tone_keeps_its_frequency_and_its_level(hz, rate, coherence):
    out = tsmgan.stretch(tone(hz), SECOND, rate, coherence=coherence)
    middle = out[len(out) // 5 : -len(out) // 5].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.blackman(len(middle)), 2**20))
    measured = spectrum.argmax() * SECOND / 2**20
    assert measured == pytest.approx(hz, rel=5e-4)
    level = 20 * np.log10(np.sqrt(np.mean(middle**2)) / (0.3 / np.sqrt(2)))
    assert abs(level) < 0.2


@pytest.mark.parametrize("coherence", [None, 0.0, 1.0])
@pytest.mark.parametrize("rate", [0.7, 1.6])
def test_a_panned_source_keeps_its_place(rate, coherence):
    """Level within 0.1 dB and phase within 1 degree between channels, for a source that is louder, later and inverted on one side."""
    y = voice(2 * SECOND)
    later = np.roll(y, 5)  # 0.2 ms
    out = tsmgan.stretch(np.stack([y, -0.4 * later]), SECOND, rate, coherence=coherence)
    left, right = np.fft.rfft(out.astype(np.float64))
    hz = np.fft.rfftfreq(out.shape[1], 1 / SECOND)
    for low, high in ((200, 600), (600, 1200), (1500, 2500)):
        band = (hz >= low) & (hz < high)
        straight = right[band] * np.exp(2j * np.pi * hz[band] * 5 / SECOND)
        ratio = np.sum(straight * np.conj(left[band])) / np.sum(np.abs(left[band]) ** 2)
        assert abs(20 * np.log10(abs(ratio) / 0.4)) < 0.1
        assert abs(np.degrees(np.angle(-ratio))) < 1


def test_antiphase_stereo_survives():
    y = voice(SECOND)
    out = tsmgan.stretch(np.stack([y, -y]), SECOND, 1.3)
    assert np.array_equal(out[0], -out[1])
    assert 20 * np.log10(np.std(out[0]) / np.std(y)) == pytest.approx(0, abs=1)


def test_left_and_right_are_treated_alike():
    y = np.stack([voice(SECOND), noise(SECOND)[0]])
    assert np.array_equal(tsmgan.stretch(y, SECOND, 0.8)[::-1], tsmgan.stretch(y[::-1].copy(), SECOND, 0.8))


def test_two_equal_channels_sound_like_one():
    y = voice(SECOND)
    mono, stereo = tsmgan.stretch(y, SECOND, 1.3), tsmgan.stretch(np.stack([y, y]), SECOND, 1.3, coherence=0.0)
    assert np.array_equal(stereo[0], stereo[1])
    np.testing.assert_allclose(stereo[0], tsmgan.stretch(y, SECOND, 1.3, coherence=0.0), atol=1e-4)
    assert mono.ndim == 1


def test_clicks_land_where_the_map_says():
    y = np.zeros(60 * SECOND, np.float32)
    clicks = np.arange(1, 60) * SECOND
    y[clicks] = 0.9
    for rate in (0.73, 1.31):
        out = np.abs(tsmgan.stretch(y, SECOND, rate))
        for click in clicks[10:59:12]:
            expected = round(click / rate)
            reach = SECOND // 20
            energy = out[expected - reach : expected + reach] ** 2
            centre = np.sum(energy * np.arange(-reach, reach)) / energy.sum()
            assert abs(centre) / SECOND < 0.0015  # a block of the search for attacks, and what it is spread; nothing may drift


def test_coherence_one_keeps_pulses_that_coherence_zero_dissolves():
    y = voice(2 * SECOND)

    def crest(x):
        return np.mean(x.astype(np.float64) ** 4) / np.mean(x.astype(np.float64) ** 2) ** 2

    kept, dissolved = (crest(tsmgan.stretch(y, SECOND, 0.6, coherence=c)) for c in (1.0, 0.0))
    assert kept > 0.85 * crest(y)
    assert dissolved < 0.7 * kept


def test_the_seed_alone_decides_the_noise():
    from tsmgan.stretcher import Stretcher

    a, b, c = (Stretcher(SECOND, rate=1.1, seed=s)._noise(256) for s in (3, 3, 4))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_silence_stays_silent():
    assert not tsmgan.stretch(np.zeros((2, 30000), np.float32), SECOND, 1.7).any()


@pytest.mark.parametrize("y", [np.full(50000, 0.5), np.sign(np.sin(np.arange(50000) / 30)), np.full(50000, 1e-30), np.full(50000, 9e5)])
def test_extreme_signals_stay_finite(y):
    assert np.isfinite(tsmgan.stretch(y.astype(np.float32), SECOND, 0.7)).all()


def test_input_is_left_as_it_was():
    y = noise(30000, 2)
    copy = y.copy()
    tsmgan.stretch(y, SECOND, 1.2)
    assert np.array_equal(y, copy)


def test_several_threads_get_what_one_gets():
    inputs = [np.stack([voice(SECOND), noise(SECOND, seed=k)[0]]) for k in range(4)]
    expected = [tsmgan.stretch(y, SECOND, 1.3) for y in inputs]
    got = [None] * 4

    def work(k):
        got[k] = tsmgan.stretch(inputs[k], SECOND, 1.3)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(expected, got))


def test_a_long_block_is_analysed_and_rendered_by_two_threads_that_end_with_the_call(monkeypatch):
    analysed, rendered = set(), set()
    features, rotations = tsmgan.stretcher.frame_features, tsmgan.stretcher.Vocoder.rotations

    def seen_features(*arguments):
        analysed.add(threading.get_ident())
        return features(*arguments)

    def seen_rotations(*arguments):
        rendered.add(threading.get_ident())
        return rotations(*arguments)

    monkeypatch.setattr(tsmgan.stretcher, "frame_features", seen_features)
    monkeypatch.setattr(tsmgan.stretcher.Vocoder, "rotations", seen_rotations)
    before = threading.active_count()
    tsmgan.Stretcher(SECOND, rate=0.8).process(noise(5 * SECOND))
    assert analysed == {threading.get_ident()} and len(rendered) == 1 and not analysed & rendered
    assert threading.active_count() == before


def test_what_goes_wrong_while_rendering_is_told_by_the_call_that_asked_for_it(monkeypatch):
    def fail(*arguments):
        raise AudioError("no")

    stretcher, before = tsmgan.Stretcher(SECOND, rate=0.8), threading.active_count()
    monkeypatch.setattr(tsmgan.stretcher.Vocoder, "rotations", fail)
    with pytest.raises(AudioError, match="no"):
        stretcher.process(noise(5 * SECOND))
    assert threading.active_count() == before


def test_a_stop_while_rendering_leaves_no_thread_behind(monkeypatch):
    class Stop(BaseException):
        pass

    analyse, calls = tsmgan.stretcher.Analyser.__call__, []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise Stop
        return analyse(*arguments)

    monkeypatch.setattr(tsmgan.stretcher.Analyser, "__call__", stopped)
    before = threading.active_count()
    with pytest.raises(Stop):
        tsmgan.stretch(noise(5 * SECOND), SECOND, 0.8)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": 21}, "rate"),
        ({}, "either a rate or a time map"),
        ({"rate": 1.2, "coherence": 1.5}, "coherence"),
        ({"rate": 1.2, "seed": -1}, "seed"),
    ],
)
def test_wrong_arguments_are_usage_errors(arguments, message):
    with pytest.raises(UsageError, match=message):
        tsmgan.stretch(noise(1000)[0], SECOND, **arguments)


def test_wrong_signals_are_refused_with_the_reason():
    with pytest.raises(UsageError, match="dimensions"):
        tsmgan.stretch(np.zeros((1, 2, 3), np.float32), SECOND, 1.2)
    with pytest.raises(UsageError, match="float32 or float64"):
        tsmgan.stretch(np.zeros(100, np.int16), SECOND, 1.2)
    with pytest.raises(UsageError, match="sample rate"):
        tsmgan.stretch(np.zeros(100, np.float32), 10, 1.2)
    bad = noise(5000)
    bad[0, 1200] = np.inf
    with pytest.raises(AudioError, match=r"0\.0500 s"):
        tsmgan.stretch(bad, SECOND, 1.2)
    bad[0, 1200] = 1e18
    with pytest.raises(AudioError, match=r"1e\+18 times full scale"):
        tsmgan.stretch(bad, SECOND, 1.2)
    stretcher = tsmgan.Stretcher(SECOND, rate=1.2)
    stretcher.flush()
    with pytest.raises(UsageError, match="flushed"):
        stretcher.process(noise(10))


@pytest.mark.parametrize("batch", [2, 5])
def test_runs_may_be_decided_together_as_on_a_gpu(batch, monkeypatch):
    """With the CPU standing for a GPU: the same sound to rounding, and still the same for every division into blocks."""
    y = np.stack([voice(9 * SECOND), noise(9 * SECOND)[0]])
    expected = tsmgan.stretch(y, SECOND, 0.8)
    original = tsmgan.stretcher.Generator.__init__

    def init(self, *arguments):
        original(self, *arguments)
        self.batch = batch

    monkeypatch.setattr(tsmgan.stretcher.Generator, "__init__", init)
    together = tsmgan.stretch(y, SECOND, 0.8)
    np.testing.assert_allclose(together, expected, atol=2e-4)
    stretcher = tsmgan.Stretcher(SECOND, 2, rate=0.8)
    pieces = [stretcher.process(y[:, at : at + 50000]) for at in range(0, y.shape[1], 50000)]
    assert np.array_equal(np.concatenate([*pieces, stretcher.flush()], axis=1), together)


def test_samples_do_not_depend_on_how_many_cores_multiply_matrices():
    command = (
        "import hashlib, numpy, tsmgan; y = 0.1 * numpy.random.default_rng(0).standard_normal((2, 30000)).astype('f4');"
        "print(hashlib.sha256(tsmgan.stretch(y, 24000, 1.25).tobytes()).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", command], env=os.environ | {"OPENBLAS_NUM_THREADS": cores, "OMP_NUM_THREADS": cores}, capture_output=True
        ).stdout
        for cores in ("1", "2")
    ]
    assert found[0] == found[1] and len(found[0]) > 60
