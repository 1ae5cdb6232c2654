"""Measures of the artefact meter that look for one fault each: it is planted, and seen; a sound without it is left in peace.

The default model has none of these faults.
"""

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from tsmgan.evaluation.measures.fricatives import fricative_highs, fricative_repetition, fricatives
from tsmgan.evaluation.measures.hits import attack_highs, attacks, band, dip
from tsmgan.evaluation.meter import read_meter
from tsmgan.evaluation.methods import find_method

SAMPLERATE = 24000


def repeated(y: np.ndarray, seconds: float) -> np.ndarray:
    """Each piece of so many seconds twice: half speed, by repetition."""
    length = round(seconds * SAMPLERATE)
    pieces = y[: len(y) // length * length].reshape(-1, 1, length)
    return np.repeat(pieces, 2, axis=1).ravel()


def change_before_attacks(y: np.ndarray, first: float, last: float, change) -> np.ndarray:
    """y with `change` applied from `first` to `last` seconds after each of its attacks (negative: before)."""
    out = y.copy()
    for start in attacks(y, SAMPLERATE):
        span = slice(start + round(first * SAMPLERATE), start + round(last * SAMPLERATE))
        out[span] = change(out[span])
    return out


@pytest.fixture(scope="module")
def hiss():
    return fricatives(SAMPLERATE, 0)


@pytest.fixture(scope="module")
def music():
    return band(SAMPLERATE, 0)


@pytest.mark.parametrize("milliseconds", [7, 13, 30])
def test_fricatives_that_are_made_longer_by_repetition_are_found_out(hiss, milliseconds):
    assert fricative_repetition(hiss, repeated(hiss, milliseconds / 1000), SAMPLERATE, 0.5) > 0.2


def test_fricatives_of_fresh_noise_do_not_repeat(hiss):
    """Another seed's vowels and fricatives, and the same ones again."""
    assert abs(fricative_repetition(hiss, fricatives(SAMPLERATE, 1), SAMPLERATE, 1.0)) < 0.03
    assert fricative_repetition(hiss, hiss, SAMPLERATE, 1.0) == 0


@pytest.mark.parametrize("decibels", [-6, -1, 2])
def test_the_change_of_a_fricatives_highs_is_stated_in_decibels(hiss, decibels):
    highs = sosfiltfilt(butter(8, 5500, "highpass", fs=SAMPLERATE, output="sos"), hiss)
    changed = hiss + (10 ** (decibels / 20) - 1) * highs
    assert fricative_highs(hiss, changed.astype(np.float32), SAMPLERATE, 1.0) == pytest.approx(decibels, abs=0.5)


def test_signals_without_fricatives_are_refused_with_a_reason():
    tone = np.sin(2 * np.pi * 300 * np.arange(SAMPLERATE) / SAMPLERATE)
    with pytest.raises(ValueError, match="no fricative"):
        fricative_repetition(tone, tone, SAMPLERATE, 1.0)


def test_the_band_has_attacks_enough_for_a_mean(music):
    assert len(attacks(music, SAMPLERATE)) >= 6


def test_attacks_without_their_highs_are_found_out(music):
    low = butter(4, 4000, "lowpass", fs=SAMPLERATE, output="sos")
    dull = change_before_attacks(music, -0.001, 0.025, lambda span: sosfiltfilt(low, span))
    assert attack_highs(music, dull, SAMPLERATE, 1.0) < -4
    assert attack_highs(music, music, SAMPLERATE, 1.0) == pytest.approx(0, abs=0.01)


def test_a_drop_out_of_20_ms_before_hits_is_found_out(music):
    dropped = change_before_attacks(music, -0.040, -0.020, lambda span: 0.3 * span)
    assert dip(music, dropped, SAMPLERATE, 1.0) < -6
    assert dip(music, music, SAMPLERATE, 1.0) == 0


def test_a_hit_that_is_a_few_milliseconds_late_is_not_taken_for_a_dip(music):
    late = np.concatenate([music[:240], music[:-240]])
    assert abs(dip(music, late, SAMPLERATE, 1.0)) < 0.5
    assert abs(attack_highs(music, late, SAMPLERATE, 1.0)) < 0.5


@pytest.mark.parametrize(("rate", "highs"), [(0.33, 0.15), (0.5, 0.15), (0.75, 0.4)])
def test_the_default_model_has_none_of_these_faults(rate, highs):
    figures = {name: mean for name, (mean, _) in read_meter(find_method("tsmgan"), rate).figures.items()}
    assert figures["fricative_repetition"] < 0.05
    assert abs(figures["fricative_highs"]) < highs
    if rate >= 0.5:  # below, attacks lose highs
        assert abs(figures["attack_highs"]) < 0.8 and abs(figures["dip"]) < 0.8
