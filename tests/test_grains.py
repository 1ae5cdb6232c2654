"""Grains: pieces at the recording's own pace, in step with what they are mixed into."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import tsmgan
from tsmgan.core.analysis import GRAIN_LENGTHS, Analyser, grain_instants, grain_starts
from tsmgan.core.features import frame_features
from tsmgan.core.field import BANDS, Field
from tsmgan.core.frames import GRAIN_BLOCK, RUN
from tsmgan.core.geometry import geometry
from tsmgan.core.grains import Grains
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.rule import rule
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Vocoder

EXAMPLES = Path(__file__).parents[1] / "examples"
SAMPLERATE = 24000
G = geometry(SAMPLERATE)
PERIOD = 192
"""Of a voice of 125 Hz."""


def rendered(y, frames=240, grain=0.0, rate=0.5, coherence=1.0):
    """What the stage makes of y (channels, samples) with a field of one coherence and one share of grains."""
    positions = 1000 + np.arange(frames) * G.hop * rate
    analysed = Analyser(G, len(y))(y, 0, positions, np.full(frames, rate))
    analysed = analysed._replace(attack_share=np.zeros_like(analysed.attack_share))
    values = {"window": 0.35, "grain": grain, "coherence": coherence}
    field = Field(*(np.full((frames, BANDS), values.get(name, 0.0), np.float32) for name in Field._fields))
    return OverlapAdd(G, len(y))(Grains(G)(Vocoder(G)(analysed, field), analysed, field), analysed)[:, G.window_length :]


def breathy_pulses(seconds=2.0, breath=1.0):
    """Pulses, each followed by a noise of its own that dies away: (1, samples) float32."""
    y = np.zeros(round(seconds * SAMPLERATE), np.float32)
    y[::PERIOD] = 4
    decay = np.exp(-(np.arange(len(y)) % PERIOD) / 30)
    return (y + breath * decay * np.random.default_rng(0).standard_normal(len(y)).astype(np.float32)).astype(np.float32)[None]


def likeness(y):
    """Correlation of the sound with itself one period later: what the pulses have in common, and what of the noise is repeated."""
    a, b = y[0, :-PERIOD], y[0, PERIOD:]
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def near_pulses(y):
    """Share of the energy within an eighth of a period around the strongest place of each period."""
    energy = (y[0, : y.shape[1] // PERIOD * PERIOD].reshape(-1, PERIOD) ** 2).sum(0)
    return np.roll(energy, PERIOD // 2 - int(energy.argmax()))[PERIOD * 3 // 8 : PERIOD * 5 // 8].sum() / energy.sum()


def test_periods_that_are_played_twice_differ_as_those_of_the_recording_do():
    y = breathy_pulses()
    natural, plain, grains = likeness(y), likeness(rendered(y)), likeness(rendered(y, grain=1.0))
    assert plain > natural + 0.1
    assert abs(grains - natural) < 0.5 * (plain - natural)


def test_grains_come_with_the_pulses():
    y = breathy_pulses(breath=0.0)
    assert near_pulses(rendered(y, grain=1.0)) > 0.95 * near_pulses(rendered(y)) > 0.8


@pytest.mark.parametrize("rate", [0.4, 0.5, 0.75])
def test_grains_keep_level_and_stereo_image(rate):
    y = breathy_pulses(4.0)
    plain, grains = (rendered(np.concatenate([y, -0.5 * y]), 400, share, rate) for share in (0.0, 1.0))
    assert abs(10 * np.log10((grains**2).mean() / (plain**2).mean())) < 0.5
    assert np.allclose(grains[1], -0.5 * grains[0], atol=1e-4)


def test_a_grain_is_one_piece_of_the_recording():
    y = np.random.default_rng(0).standard_normal((1, 3 * SAMPLERATE)).astype(np.float32)
    analysed = Analyser(G, 1)(y, 0, SAMPLERATE + np.arange(RUN) * G.hop * 0.5, np.full(RUN, 0.5))
    spectra = analysed.grains(np.arange(RUN))[0]
    starts = analysed.grain_starts
    assert sorted(set(np.bincount(starts)[::4])) == [4]
    waves = np.fft.irfft(spectra)  # of frames that overlap: what one has at its middle, the next has a hop earlier
    window = G.window()
    for m in np.flatnonzero(starts[1:] == starts[:-1]):
        middle = slice(G.window_length // 2, G.window_length // 2 + G.hop)
        earlier = slice(middle.start - G.hop, middle.stop - G.hop)
        assert np.allclose(waves[m][middle] / window[middle], waves[m + 1][earlier] / window[earlier], atol=1e-3)


@pytest.mark.parametrize(("rate", "length"), [(0.3, 3), (0.5, 4), (0.75, 6), (1.5, 6)])
def test_grains_are_longer_where_less_is_repeated_and_fill_their_blocks(rate, length):
    starts = grain_starts(np.full(RUN, rate))
    assert (np.unique(starts) == np.arange(0, RUN, length)).all() and RUN % GRAIN_BLOCK == GRAIN_BLOCK % length == 0
    assert (grain_starts(np.full(5, rate))[:3] == 0).all()  # the last frames of a recording


def test_grains_stay_near_their_place_at_jumps_of_the_map_too():
    time_map = TimeMap.from_samples([0, 6000, 60000, 62000], [0, 12000, 15000, 19000])
    positions, rates = time_map.instants(0, RUN, G.hop)
    instants = np.rint(positions).astype(np.int64)
    moved = grain_instants(instants, positions, grain_starts(rates), G)
    assert np.abs(moved - instants).max() <= max(GRAIN_LENGTHS) * G.hop
    assert (moved != instants).any()
    looking_back = instants - 300  # an attack comes: the frame is its own grain
    assert (grain_instants(looking_back, positions, grain_starts(rates), G) == looking_back).all()


def test_a_share_of_zero_changes_nothing_and_marks_nothing():
    y = breathy_pulses()
    analysed = Analyser(G, 1)(y, 0, np.arange(48) * G.hop, np.ones(48))
    field = Field(*(np.zeros((48, BANDS), np.float32) for _ in Field._fields))
    turned = Vocoder(G)(analysed, field)
    assert Grains(G)(turned, analysed, field) is turned and turned.unmoved.all()


def test_slowed_voices_have_grains_in_their_highs_and_others_have_none():
    fields = []
    for rate in (0.6, 0.75, 1.0, 1.4):
        seen = rule(voice_features(rate), np.full(RUN, np.log(rate)))
        fields.append((seen.grain[RUN // 2, 0], seen.grain[RUN // 2, -1]))
    assert fields[2:] == [(0, 0)] * 2
    for low, high in fields[:2]:
        assert low == 0 and high > 0.9


def voice_features(rate):
    """Features of RUN frames of the example's voice at this rate."""
    y, samplerate = soundfile.read(EXAMPLES / "voice.flac", dtype="float32", always_2d=True)
    g = geometry(samplerate)
    positions, rates = TimeMap.from_rate(rate).instants(0, RUN, g.hop)
    return frame_features(Analyser(g, 1)(y.T, 0, samplerate + positions, rates), g)


def test_a_coherence_that_is_asked_for_leaves_grains_out():
    y, samplerate = soundfile.read(EXAMPLES / "voice.flac", dtype="float32")
    y = y[: 2 * samplerate]
    fields = []
    stretcher = tsmgan.Stretcher(samplerate, 1, rate=0.6, model="handmade", coherence=0.5, observer=lambda _, field: fields.append(field))
    stretcher.process(y[None])
    stretcher.flush()
    assert fields and all((field.grain == 0).all() and (field.coherence == 0.5).all() for field in fields)
