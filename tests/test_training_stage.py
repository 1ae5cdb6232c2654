"""The differentiable vocoder stage is the vocoder stage."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training_helpers import chord, voice  # noqa: E402

from tsmgan.analysis import Analyser  # noqa: E402
from tsmgan.geometry import geometry  # noqa: E402
from tsmgan.timemap import TimeMap  # noqa: E402
from tsmgan.training.stage import Rotated, Shifts, Stage, walk_batch, wrap  # noqa: E402
from tsmgan.training.stage import _walk_cpu as walk_cpu  # noqa: E402
from tsmgan.vocoder import BANDS, Field, Vocoder  # noqa: E402

SAMPLERATE = 24000
G = geometry(SAMPLERATE)


def analysed(y, rate, frames):
    instants = np.rint(TimeMap.from_rate(rate).input_at(np.arange(frames) * G.hop)).astype(np.int64)
    return Analyser(G, 1)(y[None], 0, instants)


def random_field(frames, seed=0):
    generator = np.random.default_rng(seed)
    bounds = ((0, 1), (0, 1), (-0.3, 0.3), (-0.5, 0.5))
    return Field(*(generator.uniform(a, b, (frames, BANDS)).astype(np.float32) for a, b in bounds))


def tensors(frames):
    columns = (frames.power, frames.source.astype(np.int64), frames.horizontal, frames.vertical)
    return [torch.from_numpy(c)[None] for c in columns]


@pytest.mark.parametrize("rate", [0.6, 1.7])
@pytest.mark.parametrize("make", [voice, chord])
def test_the_torch_stage_gives_the_numba_stages_waveform_within_1e_4(make, rate):
    frames, field = analysed(make(3.0, SAMPLERATE), rate, 100), random_field(100)
    vocoder = Vocoder(G, 1)
    expected, _ = vocoder.synthesise(frames, field, *vocoder.rotations(frames, field, np.full(100, rate)))
    stage = Stage(G)
    coherence, alpha_mix, log_gain, rotation = (torch.from_numpy(values)[None] for values in field)
    rotated = stage.rotations(*tensors(frames), torch.full((1, 100), float(np.log(rate))), coherence, alpha_mix)
    output = stage.synthesise(torch.from_numpy(frames.spectra), rotated, log_gain, rotation)[0].numpy()
    first = stage.first_sample() + G.window_length // 2  # the numba stage's first sample stands half a window before the first frame
    assert np.abs(output - expected[0, first : first + len(output)]).max() < 1e-4 * np.abs(expected).max()


def inputs(batch=3, frames=24):
    parts = [analysed(voice(2.0, SAMPLERATE, seed), 0.8, frames) for seed in range(batch)]
    power, source, horizontal, vertical = (torch.cat(columns) for columns in zip(*(tensors(p) for p in parts)))
    generator = torch.Generator().manual_seed(0)
    coherence = torch.rand(power.shape, generator=generator)
    return coherence, horizontal - 0.3 * vertical, source, power


def test_both_ways_to_walk_the_recursion_agree():
    arguments, shifts = inputs(), Shifts(G)
    for a, b in zip(walk_cpu(*arguments, shifts), walk_batch(*arguments, shifts)):
        assert wrap(a - b).abs().max() < 2e-3


def test_gradients_are_those_of_the_recursion_with_tau_held_constant():
    coherence, increment, source, power = inputs(2, 12)
    shifts = Shifts(G)
    weight = torch.randn(power.shape, generator=torch.Generator().manual_seed(1))

    def plain(coherence, increment):
        previous, out = torch.zeros_like(increment[:, 0]), []
        for m in range(increment.shape[1]):
            now = previous.gather(1, source[:, m]) + increment[:, m]
            with torch.no_grad():
                tau = shifts.best(power[:, m, : shifts.low].sqrt(), wrap(now)[:, : shifts.low])
            previous = now - coherence[:, m] * wrap(now + shifts.omega * tau[:, None])
            out.append(previous)
        return torch.stack(out, 1)

    from tsmgan.training.stage import _Recursion

    def gradients(run):
        leaves = [t.clone().requires_grad_() for t in (coherence, increment)]
        return torch.autograd.grad((run(*leaves) * weight).sum(), leaves)

    ours = gradients(lambda c, i: _Recursion.apply(c, i, source, power, shifts)[0])
    for a, b in zip(ours, gradients(plain)):
        assert (a - b).abs().max() < 1e-2 * b.abs().max()


def test_frames_that_are_not_rotated_overlap_add_to_the_recording():
    y = voice(1.0, SAMPLERATE)
    frames = analysed(y, 1.0, 40)
    stage = Stage(G)
    zero = torch.zeros(1, 40, BANDS)
    still = Rotated(torch.zeros(1, 40, G.bins), torch.zeros(1, 40, dtype=torch.long))
    output = stage.synthesise(torch.from_numpy(frames.spectra), still, zero, zero)[0].numpy()
    first = stage.first_sample()
    assert output.shape == (37 * G.hop,)
    assert np.abs(output - y[first : first + len(output)]).max() < 1e-5
