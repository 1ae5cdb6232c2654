"""Attacks are found where they are, and stay where they belong."""

from itertools import pairwise

import numpy as np
import pytest

import tsmgan
from tsmgan.core.attacks import LOOKAHEAD_SECONDS, beginning_share, find_attacks
from tsmgan.core.geometry import geometry
from tsmgan.evaluation.measures.onset import onset_correlation

SAMPLERATE = 24000


def drum(samplerate, instants, seconds, amplitude=0.5, seed=0):
    """Bursts of noise that rise at once and decay with 6 ms, at the given seconds."""
    rng = np.random.default_rng(seed)
    y = np.zeros(round(seconds * samplerate))
    for instant in instants:
        start = round(instant * samplerate)
        t = np.arange(min(round(0.05 * samplerate), len(y) - start)) / samplerate
        y[start : start + len(t)] += amplitude * rng.normal(size=len(t)) * np.exp(-t / 0.006)
    return y.astype(np.float32)


def chord(samplerate, seconds, amplitude=0.1):
    t = np.arange(round(seconds * samplerate)) / samplerate
    swell = np.minimum(1, t / 0.3)
    return (amplitude * swell * sum(np.sin(2 * np.pi * f * t + f) for f in (220.0, 277.2, 329.6, 554.4))).astype(np.float32)


def attacks_of(y, samplerate):
    places, _ = find_attacks(np.atleast_2d(y), 0, 0, np.atleast_2d(y).shape[1], samplerate)
    return places / samplerate


@pytest.mark.parametrize("gain", [1.0, 1e-3])
@pytest.mark.parametrize("samplerate", [8000, 22050, 48000, 192000])
def test_each_drum_over_a_chord_is_found_to_two_milliseconds_at_any_level(samplerate, gain):
    instants = [0.5, 0.81, 1.003]
    found = attacks_of(gain * (drum(samplerate, instants, 1.5) + chord(samplerate, 1.5)), samplerate)
    found = found[(found > 0.4) & (found < 1.4)]  # the chord itself begins, and is cut off
    assert len(found) == 3
    assert np.abs(found - instants).max() <= 0.0021


@pytest.mark.parametrize("hz", [41.2, 82.4, 220.0])
def test_tones_pulses_and_noise_have_no_attacks_but_their_beginning(hz):
    t = np.arange(2 * SAMPLERATE) / SAMPLERATE
    harmonics = np.arange(1, int(9000 / hz))
    pulses = np.cos(2 * np.pi * hz * harmonics[:, None] * t).mean(0)
    saw = (np.sin(2 * np.pi * hz * harmonics[:, None] * t) / harmonics[:, None]).sum(0)
    noise = np.random.default_rng(0).normal(size=len(t))
    for y in (pulses, saw, noise, np.sin(2 * np.pi * hz * t)):
        found = attacks_of(0.1 * y / np.abs(y).max(), SAMPLERATE)
        assert not np.any((found > 0.05) & (found < 1.95))


def test_silence_has_none():
    assert len(attacks_of(np.zeros(SAMPLERATE), SAMPLERATE)) == 0


def test_attacks_do_not_depend_on_how_a_recording_is_divided():
    y = np.stack([drum(SAMPLERATE, np.arange(0.2, 5.8, 0.171), 6.0, seed=seed) for seed in range(2)]) + chord(SAMPLERATE, 6.0)
    places, strengths = find_attacks(y, 0, 0, y.shape[1], SAMPLERATE)
    found = []
    bounds = [0, 30011, 77777, 100000, y.shape[1] + 1]
    for first, last in pairwise(bounds):
        start, stop = max(0, first - 2000), last + int(SAMPLERATE * LOOKAHEAD_SECONDS)
        pieces, levels = find_attacks(y[:, start:stop], start, first, last - 1, SAMPLERATE)
        kept = (pieces >= first) & (pieces < last)
        found.append((pieces[kept], levels[kept]))
    assert np.array_equal(np.concatenate([p for p, _ in found]), places)
    assert np.array_equal(np.concatenate([s for _, s in found]), strengths)


def test_only_the_bins_that_began_belong_to_an_attack():
    g = geometry(SAMPLERATE)
    hat = np.diff(drum(SAMPLERATE, [1.0], 2.0), n=4, append=[0.0] * 4).astype(np.float32)  # treble
    share = beginning_share(np.atleast_2d(hat + chord(SAMPLERATE, 2.0)), np.array([SAMPLERATE]), g)[0]
    hz = g.frequencies()
    assert share[hz > 3000].mean() > 0.95
    for partial in (220.0, 277.2, 329.6, 554.4):
        assert share[np.argmin(np.abs(hz - partial))] < 0.05


@pytest.mark.parametrize("rate", [0.5, 0.75, 1.5, 2.0])
def test_drums_over_a_chord_strike_where_the_same_drums_strike_over_a_chord_of_the_new_length(rate):
    instants = np.arange(0.4, 3.8, 0.31)
    out = tsmgan.stretch(drum(SAMPLERATE, instants, 4.0, 0.3) + chord(SAMPLERATE, 4.0), SAMPLERATE, rate, model="handmade")
    ideal = drum(SAMPLERATE, instants / rate, 4.0 / rate, 0.3) + chord(SAMPLERATE, 4.0 / rate)
    trim = slice(SAMPLERATE // 4, -SAMPLERATE // 4)
    assert onset_correlation(ideal[trim], out[trim], SAMPLERATE) > 0.945


@pytest.mark.parametrize("rate", [0.6, 1.6])
def test_a_chord_goes_on_under_a_drum(rate):
    """The chord's level, measured beside the drum's band, changes by less than 2 dB where drums strike."""
    instants = np.arange(0.5, 2.5, 0.25)
    drums = 2 * np.diff(drum(SAMPLERATE, instants, 3.0), n=4, append=[0.0] * 4).astype(np.float32)
    spectrum = np.fft.rfft(drums)
    spectrum[np.fft.rfftfreq(len(drums), 1 / SAMPLERATE) < 2000] = 0
    drums = np.fft.irfft(spectrum, len(drums)).astype(np.float32)

    def low_band(y):
        spectrum = np.fft.rfft(y)
        spectrum[np.fft.rfftfreq(len(y), 1 / SAMPLERATE) > 1200] = 0
        return np.fft.irfft(spectrum, len(y))

    with_drums, without = (
        low_band(tsmgan.stretch(y, SAMPLERATE, rate, model="handmade")) for y in (drums + chord(SAMPLERATE, 3.0), chord(SAMPLERATE, 3.0))
    )
    for instant in instants / rate:
        window = slice(round((instant - 0.03) * SAMPLERATE), round((instant + 0.03) * SAMPLERATE))
        assert abs(20 * np.log10(np.std(with_drums[window]) / np.std(without[window]))) < 2
