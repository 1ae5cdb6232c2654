"""What each loss sees, and what it is blind to."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training_helpers import voice  # noqa: E402

from tsmgan.core.field import BANDS, Field  # noqa: E402
from tsmgan.core.geometry import geometry  # noqa: E402
from tsmgan.training.clips import EDGE_FRAMES  # noqa: E402
from tsmgan.training.losses import ConvergenceLoss, CycleLoss, MelLoss, PulsesLoss, SortedEnvelopeLoss, prior  # noqa: E402

ALL = [MelLoss(), SortedEnvelopeLoss(), ConvergenceLoss(), PulsesLoss()]
FULL = torch.tensor([12000.0])


def clip(seed=0):
    return torch.from_numpy(voice(0.6, 24000, seed))[None]


def scattered(y):
    """The same long-term spectrum, phases drawn at random: no pulses are left."""
    spectrum = torch.fft.rfft(y)
    phase = torch.rand(spectrum.shape, generator=torch.Generator().manual_seed(0)) * 2 * np.pi
    return torch.fft.irfft(torch.polar(spectrum.abs(), phase), n=y.shape[-1])


@pytest.mark.parametrize("loss", ALL)
def test_a_clip_has_no_distance_from_itself(loss):
    assert loss(clip(), clip(), FULL).item() < 1e-4


@pytest.mark.parametrize("loss", ALL)
def test_a_rows_loss_does_not_depend_on_the_other_rows(loss):
    a, b = torch.cat([clip(0), clip(1)]), torch.cat([scattered(clip(0)), 0.3 * clip(2)])
    together = loss(a, b, torch.tensor([12000.0, 5000.0]))
    alone = torch.cat([loss(a[:1], b[:1], torch.tensor([12000.0])), loss(a[1:], b[1:], torch.tensor([5000.0]))])
    assert torch.allclose(together, alone, rtol=1e-4)


@pytest.mark.parametrize("loss", ALL[:3])  # pulses are looked for below 8 kHz alone
def test_what_lies_above_the_bandwidth_does_not_count(loss):
    hiss = torch.randn(1, 14400, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(hiss)
    spectrum[:, : spectrum.shape[1] * 9 // 12] = 0  # 9 to 12 kHz is left
    hiss = 0.02 * torch.fft.irfft(spectrum, n=14400)
    low, full = (loss(clip(), clip() + hiss, torch.tensor([hz])).item() for hz in (7000.0, 12000.0))
    assert low < 0.05 * full


def test_pulses_are_softer_where_phases_are_scattered_and_sharper_where_the_voice_is_squared():
    loss, y = PulsesLoss(), clip()
    assert loss(y, scattered(y), FULL).item() < -0.3
    assert loss(scattered(y), y, FULL).item() > 0.3
    assert abs(loss(y, 0.1 * y.roll(40, 1), FULL).item()) < 0.05  # neither level nor place counts


def test_pulses_have_a_gradient_that_brings_them_back():
    loss, y = PulsesLoss(), clip()
    share = torch.tensor(0.5, requires_grad=True)
    loss(y, (1 - share) * y + share * scattered(y), FULL).sum().backward()
    assert share.grad is not None and share.grad.item() < 0  # more of the scattered voice is softer


def test_the_sorted_envelope_sees_phasiness_and_not_where_the_pulses_are():
    loss, y = SortedEnvelopeLoss(), clip()
    moved, dissolved = loss(y, y.roll(40, 1), FULL).item(), loss(y, scattered(y), FULL).item()
    assert dissolved > 4 * moved


def test_gradients_are_finite_at_digital_silence():
    silence = torch.zeros(1, 9600, requires_grad=True)
    for loss in ALL:
        (gradient,) = torch.autograd.grad(loss(clip()[:, :9600], silence, FULL).sum(), silence)
        assert torch.isfinite(gradient).all()


def test_the_cycle_term_is_least_when_each_output_frame_looks_like_the_input_frame_it_came_from():
    g = geometry(24000)
    y = clip()[0]
    frames = torch.stack([y[m * g.hop : m * g.hop + g.window_length] for m in range(40)]) * torch.from_numpy(g.window())
    spectra = torch.fft.rfft(frames)[None]
    # The first block begins with the first frame's first sample, and the stage's output where the last of those that reach it begins.
    first = EDGE_FRAMES * g.hop
    right = y[None, first : first + (40 - EDGE_FRAMES) * g.hop]
    loss = CycleLoss(g)
    values = [loss(spectra, torch.roll(right, k * g.hop, 1)).item() for k in (-6, 0, 6)]
    assert values[1] < 0.1 * min(values[0], values[2])


def test_the_prior_is_zero_at_the_default_and_grows_with_the_departure():
    shape = (2, 10, BANDS)
    default = Field(torch.full(shape, 0.9), torch.full(shape, 0.1), *(torch.zeros(shape) for _ in range(5)))
    near, far = (default._replace(coherence=torch.full(shape, c)) for c in (0.8, 0.2))
    assert prior(default, default).eq(0).all()
    assert (prior(far, default) > prior(near, default)).all()
