"""The differentiable vocoder stage is the vocoder stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from training_helpers import chord, voice  # noqa: E402

from tsmgan.core.analysis import Analyser  # noqa: E402
from tsmgan.core.field import BANDS, Field  # noqa: E402
from tsmgan.core.geometry import (  # noqa: E402
    HOPS_PER_WINDOW,
    LONGEST_WINDOW,
    SHORTEST_WINDOW,
    SYNTHESIS_SHARE,
    WINDOW_STEPS,
    geometry,
)
from tsmgan.core.grains import Grains  # noqa: E402
from tsmgan.core.noise import NoiseFrames  # noqa: E402
from tsmgan.core.overlap import OverlapAdd  # noqa: E402
from tsmgan.core.timemap import TimeMap  # noqa: E402
from tsmgan.core.vocoder import Vocoder  # noqa: E402
from tsmgan.training.clips import EDGE_FRAMES  # noqa: E402
from tsmgan.training.stage import Recursion, Rotated, Shifts, Stage, Walk, walk_batch, walk_cpu, wrap  # noqa: E402

SAMPLERATE = 24000
G = geometry(SAMPLERATE)
EXAMPLES = Path(__file__).parents[1] / "examples"


def analysed(y, rate, frames, g=G):
    positions, rates = TimeMap.from_rate(rate).instants(0, frames, g.hop)
    return Analyser(g, 1)(y[None], 0, g.window_length // 2 + positions, rates)


def random_field(frames, seed=0):
    generator = np.random.default_rng(seed)
    bounds = ((0, 1), (0, 1), (-0.3, 0.3), (-0.4, 0.4), (-0.3, 0.8), (-0.3, 0.8))
    values = [generator.uniform(a, b, (frames, BANDS)).astype(np.float32) for a, b in bounds]
    lengths = SHORTEST_WINDOW + (LONGEST_WINDOW - SHORTEST_WINDOW) * generator.integers(0, WINDOW_STEPS + 1, (frames, 1)) / WINDOW_STEPS
    noise, grain = (np.maximum(each, 0) for each in values[4:])
    return Field(*values[:4], noise, lengths.repeat(BANDS, 1).astype(np.float32), grain)


def tensors(frames):
    delay = np.nan_to_num(frames.attack_delay)
    columns = (frames.power, frames.source.astype(np.int64), frames.horizontal, frames.vertical, delay, frames.attack_share)
    return [torch.from_numpy(c)[None] for c in columns]


def difference(y, rate, field, samplerate=SAMPLERATE):
    """Largest difference of the two stages' waveforms, relative to their peak."""
    g, count = geometry(samplerate), len(field.coherence)
    frames = analysed(y, rate, count, g)
    stage = Stage(g)
    expected = OverlapAdd(g, 1)(Grains(g)(Vocoder(g)(frames, field), frames, field), frames)
    decided = Field(*(torch.from_numpy(values)[None] for values in field))
    power, *_, share = table = tensors(frames)
    rotated = stage.rotations(*table, torch.full((1, count), float(np.log(rate))), decided.coherence, decided.alpha_mix)
    gain = stage.gains(power, decided.log_gain, decided.texture)
    white = torch.from_numpy(NoiseFrames(g, 0).samples(0, count + HOPS_PER_WINDOW - 1))[None]
    grains = torch.from_numpy(frames.grains(np.arange(count)))
    starts = torch.from_numpy(frames.grain_starts)[None]
    output = stage.synthesise(torch.from_numpy(frames.spectra), grains, starts, power, share, rotated, gain, decided, white)[0].numpy()
    first = stage.first_sample() + g.window_length // 2  # the numba stage's first sample stands half a window before the first frame
    return np.abs(output - expected[0, first : first + len(output)]).max() / np.abs(expected).max()


# At simple rates an attack's delay is half a period of some bins to the last bit, and either way round is right.
@pytest.mark.parametrize("rate", [0.617, 1.713])
@pytest.mark.parametrize("make", [voice, chord])
def test_the_torch_stage_gives_the_numba_stages_waveform_within_1e_4(make, rate):
    assert difference(make(3.0, SAMPLERATE), rate, random_field(150)) < 1e-4


@pytest.mark.parametrize("rate", [0.45, 1.3, 2.2])
@pytest.mark.parametrize(("name", "coherence", "alpha_mix"), [("band", 0.0, 1.0), ("band", 0.8, 1.0), ("voice", 0.65, 0.0)])
def test_they_agree_on_recordings_with_attacks_and_with_coherence(name, coherence, alpha_mix, rate):
    y, samplerate = soundfile.read(EXAMPLES / f"{name}.flac", dtype="float32", always_2d=True)
    shape = (400, BANDS)
    field = Field(*(np.full(shape, value, np.float32) for value in (coherence, alpha_mix, 0.0, -0.3, 0.0, SYNTHESIS_SHARE, 0.0)))
    frames = analysed(y[:, 0], rate, 400, geometry(samplerate))
    assert name != "band" or (frames.attack_share * alpha_mix).max() > 0.9
    assert difference(y[:, 0], rate, field, samplerate) < 1e-4


def inputs(batch=3, frames=24):
    parts = [analysed(drummed(seed), 0.8, frames) for seed in range(batch)]
    power, source, horizontal, vertical, delay, share = (torch.cat(columns) for columns in zip(*(tensors(p) for p in parts)))
    assert share.max() > 0.9
    generator = torch.Generator().manual_seed(0)
    coherence, alpha_mix = torch.rand(power.shape, generator=generator), torch.rand(power.shape, generator=generator)
    return Walk(coherence, alpha_mix * share, horizontal - 0.3 * vertical, source, power, delay)


def drummed(seed):
    """A voice with a hit of noise in its first tenth of a second, where frames of a short clip see it."""
    y = 0.1 * voice(2.0, SAMPLERATE, seed)
    y[1200:2400] += 0.5 * np.random.default_rng(seed).standard_normal(1200).astype(np.float32) * np.exp(-np.arange(1200) / 150)
    return y.astype(np.float32)


def test_both_ways_to_walk_the_recursion_agree():
    walk, shifts = inputs(), Shifts(G)
    for a, b in zip(walk_cpu(walk, shifts), walk_batch(walk, shifts)):
        assert wrap(a - b).abs().max() < 2e-3


def test_gradients_are_those_of_the_recursion_with_tau_held_constant():
    walk, shifts = inputs(2, 12), Shifts(G)
    weight = torch.randn(walk.power.shape, generator=torch.Generator().manual_seed(1))

    def plain(coherence, attack, increment):
        previous, out = torch.zeros_like(increment[:, 0]), []
        for m in range(increment.shape[1]):
            now = previous.gather(1, walk.source[:, m]) + increment[:, m]
            with torch.no_grad():
                tau = shifts.best(walk.power[:, m, : shifts.low].sqrt(), wrap(now)[:, : shifts.low])
            turned = now - coherence[:, m] * wrap(now + shifts.omega * tau[:, None])
            previous = turned - attack[:, m] * wrap(turned + shifts.omega * walk.attack_delay[:, m, None])
            out.append(previous)
        return torch.stack(out, 1)

    def gradients(run):
        leaves = [t.clone().requires_grad_() for t in walk[:3]]
        return torch.autograd.grad((run(*leaves) * weight).sum(), leaves)

    ours = gradients(lambda c, s, i: Recursion.apply(shifts, c, s, i, *walk[3:])[0])
    for a, b in zip(ours, gradients(plain)):
        assert b.abs().max() > 0
        assert (a - b).abs().max() < 1e-2 * b.abs().max()


def test_frames_that_are_not_rotated_overlap_add_to_the_recording():
    y = voice(1.0, SAMPLERATE)
    frames = analysed(y, 1.0, 40)
    stage = Stage(G)
    plain = Field(*(torch.full((1, 40, BANDS), value) for value in (0.0, 0.0, 0.0, 0.0, 0.0, SYNTHESIS_SHARE, 0.0)))
    ones, white = torch.ones(1, 40, G.bins), torch.zeros(1, 45 * G.hop)
    still = Rotated(torch.zeros(1, 40, G.bins), torch.zeros(1, 40, dtype=torch.long))
    spectra = torch.from_numpy(frames.spectra)
    starts = torch.zeros(1, 40, dtype=torch.long)
    output = stage.synthesise(spectra, spectra, starts, ones, 0 * ones, still, ones, plain, white)[0].numpy()
    first = G.window_length // 2 + stage.first_sample()
    assert output.shape == ((40 - EDGE_FRAMES) * G.hop,)
    assert np.abs(output - y[first : first + len(output)]).max() < 1e-5
