"""Promises of formants: what becomes of a voice's spectral envelope when its pitch, or the envelope itself, is shifted."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly, welch

import tsmgan
from tsmgan.cli import run
from tsmgan.errors import UsageError
from tsmgan.evaluation.measures.peakiness import residual_kurtosis

SAMPLERATE = 16000
FORMANTS = (650.0, 1300.0, 2500.0)


def vowel(f0, samples=24000, formants=FORMANTS, wobble=0.01):
    """A vowel whose pitch wavers as voices do: pulses through three resonances, with the power of its envelope."""
    t = np.arange(samples) / SAMPLERATE
    phase = 2 * np.pi * np.cumsum(f0 * (1 + wobble * np.sin(2 * np.pi * 5 * t))) / SAMPLERATE
    y = np.zeros(samples)
    for k in range(1, int(0.45 * SAMPLERATE / f0)):
        y += np.sqrt(f0) * np.abs(response(k * f0, formants)) * np.cos(k * phase + np.angle(response(k * f0, formants)))
    return (0.002 * y).astype(np.float32)


def response(hz, formants=FORMANTS):
    """Of the resonances in parallel, with alternating signs so that no zeros lie between them."""
    return sum((-1) ** n * 90 / (1j * (hz - centre) + 90) for n, centre in enumerate(formants)) + 0.02


def levels(y, f0):
    """Level in dB of each harmonic up to 3.5 kHz: the power in a band of F0 around it."""
    middle = y[4000:20000].astype(np.float64)
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    edges = [round((k - 0.5) * f0 * len(middle) / SAMPLERATE) for k in range(1, int(3500 / f0) + 2)]
    return 10 * np.log10([power[low:high].sum() for low, high in pairwise(edges)])


def peaks(y, f0, formants=FORMANTS):
    """Centres of the formants in Hz: the means of the harmonics' frequencies within 250 Hz, weighted by their power."""
    power = 10 ** (levels(y, f0) / 10)
    hz = f0 * np.arange(1, len(power) + 1)
    near = [np.abs(hz - centre) < 250 for centre in formants]
    return [np.sum(hz[each] * power[each]) / np.sum(power[each]) for each in near]


@pytest.mark.parametrize("f0", [110, 210])
@pytest.mark.parametrize("pitch", [-5, -2, 2, 5])
def test_a_vowel_keeps_the_levels_of_its_harmonics_envelope(f0, pitch):
    ratio = 2 ** (pitch / 12)
    out = tsmgan.stretch(vowel(f0), SAMPLERATE, pitch=pitch, formants="keep")
    error = levels(out, f0 * ratio) - levels(vowel(f0 * ratio), f0 * ratio)
    assert np.median(np.abs(error)) < 1.5
    followed = tsmgan.stretch(vowel(f0), SAMPLERATE, pitch=pitch, formants="follow")
    wrong = levels(followed, f0 * ratio) - levels(vowel(f0 * ratio), f0 * ratio)
    assert np.median(np.abs(error)) < 0.6 * np.median(np.abs(wrong))


@pytest.mark.parametrize("pitch", [-5, 5])
def test_formants_stay_within_three_percent(pitch):
    ratio = 2 ** (pitch / 12)
    out = tsmgan.stretch(vowel(100), SAMPLERATE, pitch=pitch, formants="keep")
    np.testing.assert_allclose(peaks(out, 100 * ratio), peaks(vowel(100 * ratio), 100 * ratio), rtol=0.03)


@pytest.mark.parametrize("pitch", [-5, 5])
def test_at_a_high_sample_rate_a_vowel_that_is_raised_or_lowered_keeps_its_formants(pitch):
    """Upwards, the recording is resampled to fewer samples before it is stretched."""
    wide = resample_poly(vowel(100).astype(np.float64), 3, 1).astype(np.float32)
    out = resample_poly(tsmgan.stretch(wide, 3 * SAMPLERATE, pitch=pitch, formants="keep").astype(np.float64), 1, 3)
    f0 = 100 * 2 ** (pitch / 12)
    np.testing.assert_allclose(peaks(out, f0), peaks(vowel(f0), f0), rtol=0.03)


@pytest.mark.parametrize("pitch", [-5, -2, 2, 5])
def test_praat_finds_the_formants_where_they_were(pitch):
    pytest.importorskip("parselmouth", reason="the package praat-parselmouth is not installed")
    from tsmgan.evaluation.measures.formants import formants

    y = vowel(100)
    before, after = (
        np.nanmedian(formants(each, SAMPLERATE), 0) for each in (y, tsmgan.stretch(y, SAMPLERATE, pitch=pitch, formants="keep"))
    )
    np.testing.assert_allclose(after, before, rtol=0.05)


def pulsed(f0, samples=24000):
    """A voice whose pulses are as sharp as its resonances allow: of minimum phase, flat above them."""
    t = np.arange(samples) / SAMPLERATE
    phase = 2 * np.pi * np.cumsum(f0 * (1 + 0.02 * np.sin(2 * np.pi * 3 * t))) / SAMPLERATE
    y = np.zeros(samples)
    for k in range(1, int(0.48 * SAMPLERATE / f0)):
        s = 1j * k * f0
        shape = np.prod([(s**2 + 400 * s + centre**2) / (s**2 + 100 * s + centre**2) for centre in FORMANTS])
        y += np.sqrt(f0) * np.abs(shape) * np.cos(k * phase + np.angle(shape))
    return (0.0005 * y).astype(np.float32)


def test_what_fills_the_band_of_a_lowered_voice_is_in_step_with_its_pulses():
    """A recording of 16 kHz has nothing to give above 5.5 kHz once it is lowered by 5 semitones."""
    out, expected = (tsmgan.stretch(pulsed(120), SAMPLERATE, pitch=-5, formants="keep"), pulsed(120 * 2 ** (-5 / 12)))
    assert residual_kurtosis(out, SAMPLERATE) / residual_kurtosis(expected, SAMPLERATE) == pytest.approx(1, abs=0.2)


def test_formants_alone_move_and_the_pitch_stays():
    out = tsmgan.stretch(vowel(100), SAMPLERATE, formants=2.0)
    moved = [centre * 2 ** (2 / 12) for centre in FORMANTS]
    np.testing.assert_allclose(peaks(out, 100, moved), peaks(vowel(100, formants=moved), 100, moved), rtol=0.03)
    spectrum = np.abs(np.fft.rfft(out[4000:20000] * np.hanning(16000)))
    assert spectrum[90:110].max() > 10 * spectrum[40:60].max()


def test_a_tone_is_left_alone_by_default():
    """It is no voice: its timbre follows the pitch, to the last bit as if that had been asked for, but for what cannot be heard."""
    t = np.arange(2 * SAMPLERATE) / SAMPLERATE
    chord = sum(0.1 * np.sin(2 * np.pi * hz * t) for hz in (262, 330, 392, 524, 786)).astype(np.float32)
    by_default, following = (tsmgan.stretch(chord, SAMPLERATE, pitch=4, formants=wanted) for wanted in (None, "follow"))
    assert np.std(by_default - following) < 0.03 * np.std(following)


def test_what_neither_pitch_nor_formants_change_comes_out_bit_for_bit():
    y = vowel(120, 8000)
    for wanted in ("keep", "follow", 0.0):
        assert np.array_equal(tsmgan.stretch(y, SAMPLERATE, 1.0, formants=wanted), y)


@pytest.mark.parametrize(("pitch", "formants"), [(-5, "keep"), (4, None), (0, -3.0), (12, 12.5)])
def test_a_stream_with_other_formants_equals_the_whole_for_every_block_size(pitch, formants):
    y = np.stack([vowel(120), 0.05 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)])
    stretcher = tsmgan.Stretcher(SAMPLERATE, 2, rate=0.9, pitch=pitch, formants=formants)
    pieces = [stretcher.process(y[:, at : at + 1777]) for at in range(0, y.shape[1], 1777)]
    pieces.append(stretcher.flush())
    assert np.array_equal(np.concatenate(pieces, axis=1), tsmgan.stretch(y, SAMPLERATE, 0.9, pitch=pitch, formants=formants))


def test_channels_share_the_gains_so_that_the_image_stays():
    y = vowel(120)
    left, right = tsmgan.stretch(np.stack([y, -0.4 * y]), SAMPLERATE, pitch=-4, formants="keep").astype(np.float64)
    np.testing.assert_allclose(right, -0.4 * left, atol=1e-5)


def whisper(samples=48000):
    """Noise through the resonances of a vowel."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(samples))
    y = np.fft.irfft(spectrum * np.abs(response(np.fft.rfftfreq(samples, 1 / SAMPLERATE))), samples)
    return (0.05 * y / np.std(y)).astype(np.float32)


def tonality(y):
    """By how many dB the strongest component of y between 0.2 and 5 kHz stands out of what is around it."""
    hz, power = welch(y.astype(np.float64), SAMPLERATE, nperseg=2048)
    around = np.convolve(np.log(power), np.ones(41) / 41, "same")
    return (10 / np.log(10)) * (np.log(power) - around)[(hz > 200) & (hz < 5000)].max()


@pytest.mark.parametrize("formants", [None, "keep"])
@pytest.mark.parametrize("pitch", [-5, 5])
def test_a_whisper_keeps_its_level_and_no_tone_arises_in_it(pitch, formants):
    y = whisper()
    out = tsmgan.stretch(y, SAMPLERATE, pitch=pitch, formants=formants)
    assert abs(20 * np.log10(np.std(out) / np.std(y))) < 1
    assert tonality(out) < tonality(y) + 2
    assert tonality(y + 0.01 * np.sin(2 * np.pi * 3000 * np.arange(len(y)) / SAMPLERATE)) > tonality(y) + 2  # it would be seen


@pytest.mark.parametrize("pitch", [-24, 24])
@pytest.mark.parametrize("signal", ["silence", "noise", "whisper", "two voices", "click"])
def test_anything_with_kept_formants_stays_finite_and_about_as_loud(signal, pitch):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    y = {
        "silence": np.zeros(16000),
        "noise": noise,
        "whisper": whisper(16000),
        "two voices": vowel(100, 16000) + vowel(173, 16000),
        "click": np.eye(1, 16000, 8000)[0],
    }[signal].astype(np.float32)
    out = tsmgan.stretch(y, SAMPLERATE, pitch=pitch, formants="keep")
    assert out.shape == y.shape and np.isfinite(out).all()
    assert np.std(out) <= 2 * np.std(y)


@pytest.mark.parametrize("wanted", ["up", 25, float("nan"), [1]])
def test_formants_that_cannot_be_are_refused(wanted):
    with pytest.raises(UsageError, match="keep, follow, or semitones"):
        tsmgan.stretch(vowel(120, 1000), SAMPLERATE, formants=wanted)


def test_the_command_takes_formants_alone_and_names_them(folder, capsys):
    soundfile.write("in.wav", vowel(120, 8000), SAMPLERATE, subtype="FLOAT")
    assert run(["stretch", "in.wav", "--formants", "+1.5"]) == 0
    assert "formants +1.5 semitones" in capsys.readouterr().err
    y, _ = soundfile.read("in@1-f+1.5st.wav", dtype="float32")
    assert np.array_equal(y, tsmgan.stretch(vowel(120, 8000), SAMPLERATE, formants=1.5))
    assert run(["stretch", "in.wav", "--pitch", "2", "--formants", "follow", "-q"]) == 0
    assert (folder / "in@1+2st-follow.wav").exists()
    assert run(["stretch", "in.wav", "--formants", "low"]) == 2
    assert "give keep, follow or semitones" in capsys.readouterr().err
