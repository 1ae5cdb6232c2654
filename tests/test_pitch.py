"""Promises of shifts in pitch."""

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tsmgan
from tsmgan.cli import run
from tsmgan.core.geometry import SYNTHESIS_SHARE
from tsmgan.core.pitch import PitchShifter
from tsmgan.core.rule import Rule, for_pitch, rule
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import UsageError

SECOND = 24000
SHIFTS = (-12, -5, -0.5, 2, 7)


def tone(hz, seconds=2.0, samplerate=SECOND):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * samplerate)) / samplerate)).astype(np.float32)


def noise(samples, channels=1, seed=0):
    return (0.1 * np.random.default_rng(seed).normal(size=(channels, samples))).astype(np.float32)


def voice(samples, samplerate=SECOND):
    """A pulse train of gliding pitch through two resonances."""
    t = np.arange(samples) / samplerate
    phase = np.cumsum(120 + 25 * np.sin(2 * np.pi * 1.3 * t)) / samplerate
    pulses = np.diff(np.floor(phase), prepend=0)
    ring = sum(np.exp(-2 * np.pi * 80 * t[:1000]) * np.sin(2 * np.pi * f * t[:1000]) for f in (700, 1800))
    return (0.5 * np.convolve(pulses, ring)[:samples]).astype(np.float32)


def spectrum(y, samplerate=SECOND):
    """Frequencies in Hz and power in dB below the strongest, of the middle of y."""
    middle = y[len(y) // 5 : -len(y) // 5].astype(np.float64)
    power = np.abs(np.fft.rfft(middle * np.kaiser(len(middle), 20), 2**20)) ** 2
    return np.fft.rfftfreq(2**20, 1 / samplerate), 10 * np.log10(power / power.max() + 1e-30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n=st.integers(0, 3000),
    rate=st.floats(0.05, 20),
    pitch=st.floats(-24, 24),
    samplerate=st.sampled_from([1000, 8000, 44100, 768000]),
    channels=st.integers(1, 3),
)
def test_the_length_is_the_maps_whatever_the_pitch(n, rate, pitch, samplerate, channels):
    out = tsmgan.stretch(noise(n, channels), samplerate, rate, pitch=pitch)
    assert out.shape == (channels, round(n / rate))
    assert np.isfinite(out).all()


@pytest.mark.parametrize("rate", [None, 1.4])
@pytest.mark.parametrize("pitch", SHIFTS)
def test_a_tone_has_the_wanted_frequency_and_keeps_its_level(pitch, rate):
    out = tsmgan.stretch(tone(441.7), SECOND, rate, pitch=pitch)
    hz, power = spectrum(out)
    assert hz[power.argmax()] == pytest.approx(441.7 * 2 ** (pitch / 12), rel=5e-4)
    middle = out[len(out) // 5 : -len(out) // 5]
    assert abs(20 * np.log10(np.std(middle) * np.sqrt(2) / 0.3)) < 0.3


def test_no_pitch_at_rate_one_gives_the_input_back_bit_for_bit():
    y = noise(50001, 2)
    assert np.array_equal(tsmgan.stretch(y, SECOND, 1.0, pitch=0.0), y)


def test_a_shift_follows_a_time_map_and_keeps_time_with_it():
    """Two notes whose change is heard where the map puts it, at the pitch that was asked for."""
    y = np.concatenate([tone(400, 1.0), tone(600, 1.0)])
    out = tsmgan.stretch(y, SECOND, time_map=tsmgan.TimeMap([0, 1, 2], [0, 0.5, 2]), pitch=3)
    assert len(out) == 2 * SECOND
    for part, hz in ((out[: SECOND // 2], 400), (out[SECOND // 2 :], 600)):
        frequencies, power = spectrum(part)
        assert frequencies[power.argmax()] == pytest.approx(hz * 2 ** (3 / 12), rel=2e-3)
    before, after = (np.abs(np.fft.rfft(out[at - 1200 : at + 1200])) for at in (SECOND // 2 - 1400, SECOND // 2 + 1400))
    assert before.argmax() == pytest.approx(47.6, abs=1) and after.argmax() == pytest.approx(71.4, abs=1)


@pytest.mark.parametrize(("pitch", "samplerate"), [(-7.3, SECOND), (5.1, SECOND), (5.1, 48000), (12, 48000)])
@pytest.mark.parametrize("block", [7, 1000, 50000])
def test_a_shifted_stream_equals_the_whole_for_every_block_size(pitch, samplerate, block):
    y = np.stack([voice(SECOND, samplerate), noise(SECOND)[0]])
    stretcher = tsmgan.Stretcher(samplerate, 2, rate=0.8, pitch=pitch)
    pieces = [stretcher.process(y[:, at : at + block]) for at in range(0, y.shape[1], block)]
    pieces.append(stretcher.flush())
    assert np.array_equal(np.concatenate(pieces, axis=1), tsmgan.stretch(y, samplerate, 0.8, pitch=pitch))


@pytest.mark.parametrize("samplerate", [SECOND, 48000])
@pytest.mark.parametrize("pitch", [3, 12])
def test_what_an_upward_shift_moves_out_of_the_band_is_gone_and_does_not_come_back_as_an_alias(pitch, samplerate):
    out = tsmgan.stretch(tone(500, 2.0, samplerate) + tone(0.46 * samplerate, 2.0, samplerate), samplerate, pitch=pitch)
    hz, power = spectrum(out, samplerate)
    far = np.abs(hz - 500 * 2 ** (pitch / 12)) > 150
    assert power[far & (hz > 4000)].max() < -90


@pytest.mark.parametrize(("samplerate", "pitch"), [(SECOND, 4), (48000, 4), (48000, 12)])
def test_an_upward_shift_keeps_what_the_sample_rate_can_hold(samplerate, pitch):
    out = tsmgan.stretch(noise(4 * samplerate)[0], samplerate, pitch=pitch)
    power = np.abs(np.fft.rfft(out.astype(np.float64))) ** 2
    share = np.fft.rfftfreq(len(out))
    top, middle = (power[(share > low) & (share < high)].mean() for low, high in ((0.40, 0.445), (0.17, 0.25)))
    assert abs(10 * np.log10(top / middle)) < 1


@pytest.mark.parametrize("pitch", [-5, 5])
def test_a_panned_source_keeps_its_place_under_a_shift(pitch):
    y = voice(2 * SECOND)
    left, right = tsmgan.stretch(np.stack([y, -0.4 * y]), SECOND, pitch=pitch).astype(np.float64)
    ratio = np.sum(right * left) / np.sum(left**2)
    assert abs(20 * np.log10(abs(ratio) / 0.4)) < 0.1
    assert np.std(right - ratio * left) < np.sin(np.radians(1)) * np.std(right)


@pytest.mark.parametrize("pitch", [-5, 5])
def test_clicks_land_where_the_map_says_under_a_shift(pitch):
    y = np.zeros(20 * SECOND, np.float32)
    y[SECOND::SECOND] = 0.9
    out = np.abs(tsmgan.stretch(y, SECOND, 1.31, pitch=pitch))
    for second in (1, 10, 18):
        expected, reach = round(second * SECOND / 1.31), SECOND // 20
        energy = out[expected - reach : expected + reach] ** 2
        centre = np.sum(energy * np.arange(-reach, reach)) / energy.sum()
        assert abs(centre) / SECOND < 0.002


def test_a_shift_by_the_rate_itself_is_a_change_of_speed_as_on_tape():
    out = tsmgan.stretch(voice(SECOND), SECOND, 2.0, pitch=12, formants="follow")
    expected = voice(SECOND)  # halved by an ideal low-pass
    folded = np.fft.irfft(np.fft.rfft(expected)[: SECOND // 4 + 1] / 2, SECOND // 2)
    assert np.max(np.abs(out - folded)[500:-500]) < 0.02 * np.max(np.abs(folded))


@pytest.mark.parametrize("signal", ["silence", "noise", "chord", "8 kHz"])
@pytest.mark.parametrize("pitch", [-24, 24])
def test_the_widest_shifts_of_anything_stay_finite_and_no_louder(signal, pitch):
    y = {
        "silence": np.zeros(SECOND, np.float32),
        "noise": noise(SECOND)[0],
        "chord": sum(tone(hz, 1.0) for hz in (220, 277, 330)) / 3,
        "8 kHz": voice(8000, 8000),
    }[signal]
    out = tsmgan.stretch(y, 8000 if signal == "8 kHz" else SECOND, pitch=pitch)
    assert out.shape == y.shape and np.isfinite(out).all()
    assert np.std(out) <= 1.5 * np.std(y)


def test_a_pitch_that_leaves_no_audible_band_gives_silence():
    """All of the recording would lie above half the sample rate."""
    out = tsmgan.stretch(tone(9000), SECOND, pitch=12)
    assert out.shape == (2 * SECOND,)
    assert np.abs(out[SECOND // 2 : -SECOND // 2]).max() < 3e-5


def test_a_telephone_voice_an_octave_up_keeps_its_formants_and_its_level():
    y = voice(16000, 8000)
    out = tsmgan.stretch(y, 8000, pitch=12, formants="keep")
    assert abs(20 * np.log10(np.std(out) / np.std(y))) < 3
    before, after = (np.abs(np.fft.rfft(each[4000:12000] * np.hanning(8000))) ** 2 for each in (y, out))
    loudest, between = slice(500, 900), slice(1000, 1500)  # of hertz
    assert after[loudest].sum() > 3 * after[between].sum() and before[loudest].sum() > 3 * before[between].sum()


@pytest.mark.parametrize("pitch", [24.5, -25, float("nan"), float("inf")])
def test_shifts_beyond_two_octaves_are_refused_with_the_range(pitch):
    with pytest.raises(UsageError, match=r"-24 to \+24"):
        tsmgan.stretch(tone(400), SECOND, pitch=pitch)


@pytest.mark.parametrize(
    ("arguments", "ratio", "name"),
    [
        (["--pitch", "+2"], 2 ** (2 / 12), "in@1+2st.wav"),
        (["--pitch", "-0.5"], 2 ** (-0.5 / 12), "in@1-0.5st.wav"),
        (["--pitch", "3/2"], 1.5, "in@1+7.02st.wav"),
        (["--tune", "440:432"], 432 / 440, "in@1-0.3177st.wav"),
        (["--pitch", "12", "--tune", "440:432", "--rate", "1.25"], 2 * 432 / 440, "in@1.25+11.68st.wav"),
    ],
)
def test_the_command_takes_semitones_ratios_and_tunings(folder, arguments, ratio, name):
    soundfile.write("in.wav", tone(441.7), SECOND, subtype="FLOAT")
    assert run(["stretch", "in.wav", *arguments, "-q"]) == 0
    y, _ = soundfile.read(name)
    hz, power = spectrum(y)
    assert hz[power.argmax()] == pytest.approx(441.7 * ratio, rel=5e-4)
    assert len(y) == round(2 * SECOND / (1.25 if "1.25" in arguments else 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pitch", "high"], "is no pitch; give semitones"),
        (["--pitch", "3/0"], "is no pitch"),
        (["--pitch", "25"], "-24 to +24"),
        (["--tune", "440"], "is no tuning"),
        (["--tune", "440:-1"], "is no tuning"),
        (["--tune", "nan:440"], "is no tuning"),
    ],
)
def test_a_wrong_pitch_says_what_to_write(folder, capsys, arguments, message):
    soundfile.write("in.wav", tone(440, 0.1), SECOND)
    assert run(["stretch", "in.wav", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_batch_names_the_pitch_and_makes_outputs_of_another_pitch_again(folder):
    (folder / "talks").mkdir()
    soundfile.write("talks/a.wav", tone(440, 0.3), SECOND)
    for pitch, expected in (("2", 440 * 2 ** (2 / 12)), ("-3", 440 * 2 ** (-3 / 12))):
        command = ["stretch", "talks", "-o", "out", "--pitch", pitch, "--name", "{stem}.{ext}", "--jobs", "1", "-q", "--force"]
        assert run(command) == 0
        hz, power = spectrum(soundfile.read("out/a.wav")[0])
        assert hz[power.argmax()] == pytest.approx(expected, rel=5e-3)
    assert run(["stretch", "talks", "-o", "named", "--pitch", "2", "--jobs", "1", "-q"]) == 0
    assert (folder / "named" / "a@1+2st.wav").exists()


@pytest.mark.parametrize("pitch", [-5, 5])
@pytest.mark.parametrize("rate", [0.7, 1.0])
def test_a_shifted_voice_has_the_window_of_the_rate_that_is_heard_and_grains_where_that_is_slow(rate, pitch):
    features = []
    stretcher = PitchShifter(SECOND, 1, TimeMap.from_rate(1.0), Rule(), observer=lambda run, _: features.append(run.features))
    stretcher.process(voice(2 * SECOND)[None])
    stretcher.flush()
    heard = np.full((1, len(features[0])), np.log(rate))
    log_pitch = np.log(2) * pitch / 12
    stretched = rule(features[0][None], heard - log_pitch)
    field = for_pitch(type(stretched)(*(values[0] for values in stretched)), heard[0] - log_pitch, log_pitch)
    expected = rule(features[0][None], heard)
    assert (expected.window.min() < SYNTHESIS_SHARE - 0.01) == (rate < 1)
    voiced = field.alpha_mix < 0.01  # an attack keeps its share of the usual window
    assert voiced.mean() > 0.8
    np.testing.assert_allclose(field.window[voiced], expected.window[0][voiced], atol=1e-3)
    np.testing.assert_array_equal(field.grain, stretched.grain[0] * (rate < 1))
    assert (field.grain.max() > 0.5) == (rate < 1)
