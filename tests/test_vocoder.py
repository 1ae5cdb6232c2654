"""Promises of the analysis and the vocoder stage."""

import heapq

import numpy as np
import pytest

from tsmgan.core.analysis import Analyser, propagation_table
from tsmgan.core.compiled import elementary
from tsmgan.core.field import BANDS, Field
from tsmgan.core.geometry import HOPS_PER_WINDOW, WINDOW_SECONDS, geometry
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.vocoder import SHIFT_HZ, SHIFT_STEP_SECONDS, Vocoder, best_shift, shift_grid


def spectra(seed, channels=1, frames=6, bins=65):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(channels, frames, bins)) + 1j * rng.normal(size=(channels, frames, bins))).astype(np.complex64)


def heap_table(power, known):
    """The order of Prusa and Holighaus with a heap, one frame: for each bin its predecessor (None: the frame before)."""
    bins = len(power)
    floor = 1e-10 * power.max()
    found = {f: None for f in range(bins) if power[f] <= floor}
    heap = [(-known[f], f, False) for f in range(bins) if f not in found]
    heapq.heapify(heap)
    while heap:
        _, f, is_current = heapq.heappop(heap)
        if is_current:
            for g in (f - 1, f + 1):
                if 0 <= g < bins and g not in found:
                    found[g] = f
                    heapq.heappush(heap, (-power[g], g, True))
        elif f not in found:
            found[f] = None
            heapq.heappush(heap, (-power[f], f, True))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_two_sweeps_find_the_tree_that_a_heap_finds(seed):
    x, p = spectra(seed), spectra(seed + 100)
    x[:, 3, 10:20] *= 1e-9  # a hole, which nothing crosses
    last = spectra(seed + 200, frames=1)
    power, source, _, vertical = propagation_table(x, p, last)
    for m in range(x.shape[1]):
        before = x[0, m - 1] if m else last[0, 0]
        found = heap_table(power[m], np.abs(before * np.conj(p[0, m])))
        angle = np.angle(x[0, m] * (-1.0) ** np.arange(x.shape[2]))
        for f, predecessor in found.items():
            if predecessor is None:
                assert source[m, f] == f and vertical[m, f] == 0
            else:
                assert source[m, f] == source[m, predecessor]
                step = np.angle(np.exp(1j * (angle[f] - angle[predecessor])))
                assert vertical[m, f] - vertical[m, predecessor] == pytest.approx(step, abs=1e-4)


def test_horizontal_steps_are_summed_over_channels_so_that_antiphase_does_not_cancel():
    x, p = spectra(1, frames=4), spectra(2, frames=4)
    mono = propagation_table(x, p, x[:, :1])
    anti = propagation_table(np.concatenate([x, -x]), np.concatenate([p, -p]), np.concatenate([x, -x])[:, :1])
    np.testing.assert_array_equal(mono[1], anti[1])
    np.testing.assert_allclose(mono[2], anti[2], atol=1e-6)


def test_elementary_functions_are_numpys_within_float32():
    angles = np.linspace(-np.pi, np.pi, 1001).astype(np.float32)
    ours = np.array([elementary.arctan2(y, x) for y, x in zip(np.sin(angles), np.cos(angles))])
    assert np.abs(np.angle(np.exp(1j * (ours - angles)))).max() < 4e-7
    x = np.linspace(-20, 20, 1001).astype(np.float32)
    c, s = np.array([elementary.cos_sin(each) for each in x]).T
    exact = x.astype(np.float64)
    assert max(np.abs(c - np.cos(exact)).max(), np.abs(s - np.sin(exact)).max()) < 1e-7
    assert np.abs([elementary.exp(each) / np.exp(np.float64(each)) - 1 for each in x]).max() < 2e-7
    powers = np.exp(2 * x)
    assert np.abs([elementary.log(each) - np.log(np.float64(each)) for each in powers]).max() < 4e-6  # half of the last bit of 40


def test_elementary_functions_are_exact_where_nothing_is_to_be_changed():
    zero, one = np.float32(0), np.float32(1)
    assert elementary.arctan2(zero, np.float32(3)) == 0 and elementary.arctan2(zero, zero) == 0
    assert elementary.cos_sin(zero) == (1, 0) and elementary.exp(zero) == 1 and elementary.log(one) == 0


@pytest.mark.parametrize("samplerate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
def test_the_window_is_the_same_time_at_every_sample_rate(samplerate):
    g = geometry(samplerate)
    assert g.window_length / samplerate == pytest.approx(WINDOW_SECONDS, rel=0.021)
    assert g.window_length % HOPS_PER_WINDOW == 0


@pytest.mark.parametrize("delay_ms", [-9.3, -2.0, 0.0, 0.4, 6.71])
def test_a_plain_delay_is_found_to_a_tenth_of_a_step(delay_ms):
    g = geometry(48000)
    cosines, sines = shift_grid(g)
    omega = 2 * np.pi * g.frequencies()[: cosines.shape[1]]
    theta = -omega * delay_ms / 1000
    weight = 1 / (1 + g.frequencies()[: cosines.shape[1]] / SHIFT_HZ)
    c, s = (weight * np.cos(theta)).astype(np.float32), (weight * np.sin(theta)).astype(np.float32)
    tau = best_shift(c, s, np.float32(0), cosines, sines, np.empty(2 * len(cosines), np.float32)) * SHIFT_STEP_SECONDS
    assert tau * 1000 == pytest.approx(delay_ms, abs=0.1 * SHIFT_STEP_SECONDS * 1000)


def test_every_instant_is_transformed_once_so_that_rate_one_has_no_rotation():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(2, 20000)).astype(np.float32)
    g = geometry(24000)
    analyser = Analyser(g, 2)
    for first in (0, 16, 32):
        frames = analyser(signal, 0, (first + np.arange(16)) * g.hop, np.ones(16))
        assert not frames.horizontal.any()


def rendered(y, frames=240, **shares):
    """What the stage makes of y (channels, samples) at rate 0.5 with a field of 0 but for some shares."""
    g = geometry(24000)
    analysed = Analyser(g, len(y))(y, 0, 1000 + np.arange(frames) * g.hop // 2, np.full(frames, 0.5))
    analysed = analysed._replace(attack_share=np.zeros_like(analysed.attack_share))
    values = {name: np.zeros((frames, BANDS), np.float32) for name in Field._fields} | {
        "window": np.full((frames, BANDS), 0.35, np.float32)
    }
    values |= {name: np.full((frames, BANDS), share, np.float32) for name, share in shares.items()}
    out = OverlapAdd(g, len(y))(Vocoder(g)(analysed, Field(**values)), analysed)
    return out[:, g.window_length :]


PERIOD = 480


def pulses(length=24000):
    y = np.zeros((1, length), np.float32)
    y[:, ::PERIOD] = 1
    return y
