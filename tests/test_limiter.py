"""Promises of the limiter: what is too loud is turned down just so far, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import tsmgan
from tsmgan.core import limiter
from tsmgan.core.geometry import HOPS_PER_WINDOW, geometry
from tsmgan.core.limiter import MOST_POWER, PIECE_HOPS, Limiter, frame_levels

G = geometry(8000)


def limited(samples: np.ndarray, levels: np.ndarray, runs: int = 1) -> np.ndarray:
    """What a limiter makes of (channels, frames * H), in so many runs, without its delay."""
    limit = Limiter(G, len(samples))
    pieces = zip(np.split(samples, runs, axis=1), np.split(levels, runs))
    out = [*(limit(piece, level) for piece, level in pieces), limit.tail(samples[:, :0])]
    return np.concatenate(out, axis=1)[:, limit.delay :]


@pytest.fixture
def noise():
    return 0.1 * np.random.default_rng(0).standard_normal((2, 60 * G.hop)).astype(np.float32)


def power_of_pieces(y: np.ndarray) -> np.ndarray:
    hops = np.square(y, dtype=np.float64).sum(0).reshape(-1, G.hop).mean(1)
    return np.lib.stride_tricks.sliding_window_view(hops, PIECE_HOPS).mean(1)


def test_what_is_as_loud_as_its_frames_passes_bit_for_bit(noise):
    out = limited(noise, np.full(60, 0.02))
    assert out.dtype == noise.dtype and np.array_equal(out, noise)


def test_a_piece_that_is_too_loud_is_turned_down_to_the_bound_and_its_surroundings_stay(noise):
    loud = noise.copy()
    loud[:, 25 * G.hop : 35 * G.hop] *= 4
    out, bound = limited(loud, np.full(60, 0.02)), MOST_POWER * 0.02
    assert power_of_pieces(loud).max() > 5 * bound and 0.5 * bound < power_of_pieces(out).max() <= bound
    away = (PIECE_HOPS + 1) * G.hop
    assert np.array_equal(out[:, : 25 * G.hop - away], loud[:, : 25 * G.hop - away])
    assert np.array_equal(out[:, 35 * G.hop + away :], loud[:, 35 * G.hop + away :])


def test_all_channels_are_turned_down_alike(noise):
    loud = np.stack([4 * noise[0], 2 * noise[0]])
    out = limited(loud, np.full(60, 0.02))
    assert not np.array_equal(out, loud) and np.array_equal(out[0], 2 * out[1])


def test_it_does_not_depend_on_the_runs(noise):
    loud = noise * np.linspace(1, 5, noise.shape[1], dtype=np.float32)
    assert np.array_equal(limited(loud, np.full(60, 0.02)), limited(loud, np.full(60, 0.02), runs=20))


def test_a_recording_is_nowhere_louder_than_the_loudest_of_its_frames():
    """Which is why rate 1 stays bit for bit: clicks, bursts and steps included."""
    rng = np.random.default_rng(1)
    for density in (0.001, 0.01, 1):
        y = rng.standard_normal((1, 200 * G.hop)) * (rng.random((1, 200 * G.hop)) < density)
        padded = np.pad(y[0], (G.window_length // 2, G.window_length))
        cut = np.lib.stride_tricks.sliding_window_view(padded, G.window_length)[:: G.hop]
        levels = frame_levels(np.abs(np.fft.rfft(cut * G.window())) ** 2, G)
        aligned = np.pad(y, [(0, 0), (G.window_length // 2, 0)])
        assert np.array_equal(limited(aligned, levels[: aligned.shape[1] // G.hop]), aligned)
    assert MOST_POWER > (PIECE_HOPS + HOPS_PER_WINDOW - 1) / PIECE_HOPS


def test_frame_levels_are_mean_squares():
    tone = np.sin(2 * np.pi * 1000 / 8000 * np.arange(G.window_length))
    power = np.abs(np.fft.rfft(tone * G.window()))[None] ** 2
    assert frame_levels(power, G) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("coherence", [0.0, 1.0])
def test_clicks_over_an_offset_do_not_swell_at_slow_rates(coherence):
    y = np.full((1, 4000), 0.01, np.float32)
    y[0, 1000::1500] += 0.1
    out = tsmgan.stretch(y, 16000, 0.05, coherence=coherence)
    hops = np.lib.stride_tricks.sliding_window_view(np.square(out[0], dtype=np.float64), 800)[::200].mean(1)
    # A click in a frame of 40 ms, and the offset.
    assert np.sqrt(hops.max()) < 10 ** (3 / 20) * np.hypot(0.1 / np.sqrt(0.375 * 640), 0.01)


@pytest.mark.parametrize("name, rate", [("voice", 0.5), ("band", 0.5), ("voice", 0.33), ("band", 2.0)])
def test_the_examples_come_out_as_they_did_without_it(name, rate, monkeypatch):
    """Even with a bound that is nearly 0.5 dB lower."""
    y, samplerate = soundfile.read(Path(__file__).parents[1] / "examples" / f"{name}.flac", dtype="float32", always_2d=True, frames=80000)
    outputs = []
    for bound in (1e9, (PIECE_HOPS + HOPS_PER_WINDOW - 1) / PIECE_HOPS):
        monkeypatch.setattr(limiter, "MOST_POWER", bound)
        outputs.append(tsmgan.stretch(y.T, samplerate, rate))
    assert np.array_equal(*outputs)
