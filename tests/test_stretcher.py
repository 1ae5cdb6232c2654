"""Promises of the whole way from samples to samples."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tsmgan
from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features
from tsmgan.core.field import BANDS, Field
from tsmgan.core.frames import RUN
from tsmgan.core.geometry import geometry
from tsmgan.core.grains import Grains
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.runs import Run, Surroundings
from tsmgan.core.stretcher import Stretcher
from tsmgan.core.vocoder import Vocoder
from tsmgan.errors import AudioError, UsageError
from tsmgan.models import find_model, open_decider

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


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    time_map = tsmgan.TimeMap.through([2, 4], [2, 6])
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
    # Two channels are 3 dB louder together, which the network hears.
    np.testing.assert_allclose(stereo[0], tsmgan.stretch(y, SECOND, 1.3, coherence=0.0), atol=1e-3)
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


def test_the_seed_and_the_frame_alone_decide_the_noise():
    def noise_of(seed, first):
        g = geometry(SECOND)
        frames = Analyser(g, 1)(noise(SECOND), 0, *tsmgan.TimeMap.from_rate(1.1).instants(first, RUN, g.hop))
        return Surroundings(0, 3, seed).see(Run(first, frames, frame_features(frames, g)), None).noise

    assert np.array_equal(noise_of(3, RUN), noise_of(3, RUN))
    assert not np.array_equal(noise_of(3, RUN), noise_of(4, RUN)) and not np.array_equal(noise_of(3, RUN), noise_of(3, 2 * RUN))


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


def test_a_long_block_is_rendered_by_one_other_thread_that_ends_with_the_call():
    rendered = set()
    before = threading.active_count()
    stretcher = tsmgan.Stretcher(SECOND, rate=0.8, observer=lambda run, field: rendered.add(threading.get_ident()))
    stretcher.process(noise(5 * SECOND))
    assert len(rendered) == 1 and threading.get_ident() not in rendered
    assert threading.active_count() == before


def test_an_observer_sees_the_field_of_every_frame_in_order():
    seen = []
    stretcher = tsmgan.Stretcher(SECOND, rate=0.8, coherence=0.3, observer=lambda *run_and_field: seen.append(run_and_field))
    stretcher.process(noise(5 * SECOND))
    stretcher.flush()
    firsts, lengths = [run.first for run, _ in seen], [len(field.coherence) for _, field in seen]
    assert firsts == [sum(lengths[:k]) for k in range(len(lengths))]
    assert sum(lengths) == geometry(SECOND).frames_for(round(5 * SECOND / 0.8))
    assert all((field.coherence == np.float32(0.3)).all() for _, field in seen)


def test_what_goes_wrong_while_rendering_is_told_by_the_call_that_asked_for_it():
    def fail(*arguments):
        raise AudioError("no")

    stretcher, before = tsmgan.Stretcher(SECOND, rate=0.8, observer=fail), threading.active_count()
    with pytest.raises(AudioError, match="no"):
        stretcher.process(noise(5 * SECOND))
    assert threading.active_count() == before


def test_a_stop_while_rendering_leaves_no_thread_behind():
    class Stop(BaseException):
        pass

    class StoppingMap(tsmgan.TimeMap):
        calls = 0

        def in_samples(self, samplerate):
            return self

        def instants(self, *arguments):
            self.calls += 1
            if self.calls == 12:
                raise Stop
            return super().instants(*arguments)

    before = threading.active_count()
    stretcher = tsmgan.Stretcher(SECOND, time_map=StoppingMap.from_samples([0, 4], [0, 5]))
    with pytest.raises(Stop):
        stretcher.process(noise(8 * SECOND))
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
        ({"rate": 1.2, "time_map": tsmgan.TimeMap.from_rate(2)}, "either a rate or a time map"),
        ({"time_map": [(0, 0), (1, 2)]}, "the type list; give a tsmgan.TimeMap"),
    ],
)
def test_wrong_arguments_are_usage_errors(arguments, message):
    with pytest.raises(UsageError, match=message):
        tsmgan.stretch(noise(1000)[0], SECOND, **arguments)


def test_wrong_signals_are_refused_with_the_reason():
    with pytest.raises(UsageError, match="dimensions"):
        tsmgan.stretch(np.zeros((1, 2, 3), np.float32), SECOND, 1.2)
    for wrong in (np.int64, np.uint16, np.complex64, bool, object):
        with pytest.raises(UsageError, match="float32 or float64"):
            tsmgan.stretch(np.zeros(100, wrong), SECOND, 1.2)
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
def test_runs_may_be_decided_together_as_on_a_gpu(batch):
    """With the CPU standing for a GPU: the same sound to rounding, and still the same for every division into blocks."""
    y = np.stack([voice(9 * SECOND), noise(9 * SECOND)[0]])
    expected = tsmgan.stretch(y, SECOND, 0.8)
    decider = open_decider(find_model(), "cpu")
    decider.batch = batch

    def stretched(block):
        stretcher = Stretcher(SECOND, 2, tsmgan.TimeMap.from_rate(0.8), decider)
        pieces = [stretcher.process(y[:, at : at + block]) for at in range(0, y.shape[1], block)]
        return np.concatenate([*pieces, stretcher.flush()], axis=1)

    together = stretched(y.shape[1])
    np.testing.assert_allclose(together, expected, atol=2e-4)
    assert np.array_equal(stretched(50000), together)


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


@pytest.mark.parametrize("shape", [(412800, 2), (1025, 5000), (100, 2), (9, 8)])
def test_a_transposed_array_is_refused_before_memory_is_taken_for_its_channels(shape):
    with pytest.raises(UsageError, match=r"looks transposed; give y\.T"):
        tsmgan.stretch(np.zeros(shape, np.float32), SECOND, 1.2)


def test_a_stream_has_at_most_1024_channels():
    with pytest.raises(UsageError, match="1 to 1024"):
        tsmgan.Stretcher(SECOND, 1025, rate=1.2)
    assert tsmgan.stretch(np.zeros((8, 3), np.float32), SECOND, 1.5).shape == (8, 2)


@pytest.mark.parametrize("block", [1, 500, 4096])
@pytest.mark.parametrize("rate", [0.7, 1.0, 1.5])
def test_a_caller_may_fill_one_array_again_for_every_block(rate, block):
    y = noise(30000, 2)[:, : 30000 // block * block] if block > 1 else noise(3000, 2)
    expected = tsmgan.stretch(y, SECOND, rate)
    stretcher, buffer, pieces = tsmgan.Stretcher(SECOND, 2, rate=rate), np.empty((2, block), np.float32), []
    for at in range(0, y.shape[1], block):
        buffer[:] = y[:, at : at + block]
        pieces.append(stretcher.process(buffer))
        buffer[:] = np.nan
    pieces.append(stretcher.flush())
    assert np.array_equal(np.concatenate(pieces, axis=1), expected)


@pytest.mark.parametrize(("dtype", "soundfile_type"), [("<i2", "int16"), (">i2", "int16"), ("<i4", "int32"), (">i4", "int32")])
def test_integers_are_scaled_as_soundfile_scales_them(tmp_path, dtype, soundfile_type):
    scale = 1 << (8 * np.dtype(dtype).itemsize - 1)
    integers = np.rint(noise(9000)[0].astype(np.float64) * scale).astype(soundfile_type)
    soundfile.write(tmp_path / "x.wav", integers, SECOND, subtype={"int16": "PCM_16", "int32": "PCM_32"}[soundfile_type])
    floats, _ = soundfile.read(tmp_path / "x.wav", dtype="float64")
    expected = tsmgan.stretch(floats if soundfile_type == "int32" else floats.astype(np.float32), SECOND, 1.3)
    out = tsmgan.stretch(integers.astype(dtype), SECOND, 1.3)
    assert out.dtype == expected.dtype and np.array_equal(out, expected)


@pytest.mark.parametrize("model", ["default", "handmade"])
@pytest.mark.parametrize("rate", [0.33, 0.5, 0.75])
def test_fresh_noise_keeps_the_level_and_the_balance_of_the_channels(rate, model):
    left = noise(60000)[0]
    out = tsmgan.stretch(np.stack([left, 0.5 * np.roll(left, 3)]), SECOND, rate, model=model)[:, 4000:-4000]
    loudness = 20 * np.log10(out.std(1) / left.std())
    assert abs(loudness[0]) < 0.2 and abs(loudness[0] - loudness[1] - 6.02) < 0.05


def test_unsigned_bytes_and_foreign_floats_are_taken():
    y = noise(6000)[0]
    expected = tsmgan.stretch(y, SECOND, 0.8)
    assert np.array_equal(tsmgan.stretch(y.astype(">f4"), SECOND, 0.8), expected)
    assert tsmgan.stretch(y.astype(np.float16), SECOND, 0.8).dtype == np.float32
    assert tsmgan.stretch(np.full(6000, 128, np.uint8), SECOND, 0.8).any() == 0
    half = tsmgan.stretch(np.full(6000, 192, np.uint8), SECOND, 0.8)
    assert np.allclose(half[2000:4000], 0.5, atol=0.01)


def mains_hum(seconds=1.2, samplerate=SECOND):
    t = np.arange(int(seconds * samplerate)) / samplerate
    return (0.1 * sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 12))).astype(np.float32)


def frame_levels(y, instants, width):
    """Largest level of y over frames of `width` samples, Hann-weighted as the stretcher sees them, around the instants."""
    padded, window = np.pad(y, width), np.hanning(width)
    return max(np.sqrt((padded[i + width - width // 2 :][:width] ** 2 * window**2).sum() / (window**2).sum()) for i in instants)


SOUNDS = {
    "tone": lambda: tone(440, 1.2),
    "offset": lambda: np.full(int(1.2 * SECOND), 0.1, np.float32),
    "voice with an offset": lambda: voice(int(1.2 * SECOND)) + np.float32(0.1),
    "hum": mains_hum,
    "hum in noise": lambda: mains_hum() + 0.01 * noise(int(1.2 * SECOND))[0],
    "tone in noise": lambda: tone(1000, 1.2) + 0.003 * noise(int(1.2 * SECOND))[0],
    "noise": lambda: noise(int(1.2 * SECOND))[0],
    "two tones": lambda: tone(440, 1.2) + tone(447, 1.2),
    "sweep": lambda: (0.3 * np.sin(2 * np.pi * 2000 * (np.arange(int(1.2 * SECOND)) / SECOND) ** 2)).astype(np.float32),
}


@pytest.mark.parametrize("model", ["default", "handmade"])
@pytest.mark.parametrize("rate", [0.05, 20.0, *(pytest.param(rate, marks=pytest.mark.slow) for rate in (0.1, 0.3, 3.0))])
@pytest.mark.parametrize("sound", SOUNDS)
def test_no_50_ms_are_more_than_3_db_louder_than_what_the_map_sees_there(sound, rate, model):
    y = SOUNDS[sound]()
    out = tsmgan.stretch(y, SECOND, rate, model=model)
    width, span = int(0.04 * SECOND), int(0.05 * SECOND)
    for start in range(0, max(1, len(out) - span), span // 2):
        piece = out[start : start + span]
        first, last = start * rate - width // 2, (start + len(piece)) * rate + width // 2
        seen = frame_levels(y, range(max(0, int(first)), min(int(last), len(y)) + 1, 48), width)
        assert np.sqrt((piece**2).mean()) < 10 ** (3 / 20) * seen + 1e-5


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3, 1.3, 3.0, 20.0])
@pytest.mark.parametrize("sound", ["tone", "offset", "hum", "tone in noise", "noise"])
def test_a_steady_sound_keeps_its_level_at_every_rate(sound, rate):
    y = SOUNDS[sound]()
    out = tsmgan.stretch(y, SECOND, rate)
    inner = out[len(out) // 4 : -len(out) // 4]
    assert abs(20 * np.log10(np.sqrt((inner**2).mean() / (y**2).mean()))) < 3


@pytest.mark.parametrize("rate", [0.5, 0.75, 1.5, 2.0])
@pytest.mark.parametrize("make", [lambda: tone(440, 1.5), lambda: noise(36000)[0], lambda: voice(36000)])
def test_the_output_follows_the_input_down_to_minus_100_db(make, rate):
    y = make()
    expected = tsmgan.stretch(y, SECOND, rate)
    for decibels in (-40, -80, -100):
        gain = np.float32(10 ** (decibels / 20))
        out = tsmgan.stretch(y * gain, SECOND, rate) / gain
        assert abs(10 * np.log10((out**2).mean() / (expected**2).mean())) < 0.25


@pytest.mark.parametrize("extreme", ["coherence", "alpha_mix", "log_gain", "texture", "noise_share", "window", "grain"])
@pytest.mark.parametrize("value", [1e30, -1e30])
def test_whatever_a_model_decides_the_vocoder_stage_stays_within_3_db(extreme, value):
    g, frames = geometry(SECOND), 40
    y = np.stack([voice(SECOND), noise(SECOND)[0]])
    instants = 4000 + np.arange(frames) * g.hop // 2
    analysed = Analyser(g, 2)(y, 0, instants, np.full(frames, 0.5))
    field = Field(*(np.full((frames, BANDS), value if name == extreme else 0.0, np.float32) for name in Field._fields))
    out = OverlapAdd(g, 2)(Grains(g)(Vocoder(g)(analysed, field), analysed, field), analysed)
    plain = Field(*(np.zeros((frames, BANDS), np.float32) for _ in Field._fields))
    expected = OverlapAdd(g, 2)(Vocoder(g)(analysed, plain), analysed)
    change = 10 * np.log10((out[:, g.window_length :] ** 2).mean(1) / (expected[:, g.window_length :] ** 2).mean(1))
    assert np.isfinite(out).all() and (change < 3.5).all()
