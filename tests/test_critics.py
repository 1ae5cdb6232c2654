"""Critics hear what they should and nothing cheaper."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from training_helpers import voice  # noqa: E402

from tsmgan.training.critics import EnvelopeCritic, feature_matching, heard, make_critics  # noqa: E402
from tsmgan.training.divergences import divergence  # noqa: E402
from tsmgan.training.losses import ENVELOPE_RESOLUTIONS  # noqa: E402
from tsmgan.training.recipe import CriticsRecipe, load_recipe  # noqa: E402

FULL = torch.full((2,), 12000.0)
VOICE = torch.ones(2)


def clips(*seeds):
    return torch.stack([torch.from_numpy(voice(0.5, 24000, s)) for s in seeds])


def scattered(y):
    spectrum = torch.fft.rfft(y)
    return torch.fft.irfft(torch.polar(spectrum.abs(), 6.283 * torch.rand(spectrum.shape)), n=y.shape[-1])


def small(**sizes):
    off = CriticsRecipe(moment_channels=0, spectrogram_windows=(0.005,), periods=(3,))
    return make_critics(replace(off, **sizes))


def test_the_recipe_decides_which_critics_there_are_and_their_sizes():
    base = load_recipe("base").critics
    assert list(make_critics(base)) == [f"moment_{1000 * seconds:.0f}ms" for seconds in base.moment_windows]
    whole = replace(base, spectrogram_channels=4, period_channels=4, envelope_channels=4)
    others = len(base.spectrogram_windows) + len(base.periods) + len(ENVELOPE_RESOLUTIONS)
    assert len(make_critics(whole)) == len(base.moment_windows) + others
    assert len(small()) == 0
    count = lambda c: sum(p.numel() for p in c.parameters())  # noqa: E731
    assert count(small(envelope_channels=32)) > count(small(envelope_channels=16))


def test_a_window_is_as_long_as_the_recipe_says_and_the_shortest_sees_pulses():
    critics = make_critics(replace(load_recipe("base").critics, spectrogram_channels=4))
    assert len(critics["spectrogram_5ms"].window) == 128


@pytest.mark.parametrize("sizes", [{"moment_channels": 8}, {"spectrogram_channels": 4}, {"period_channels": 4}, {"envelope_channels": 8}])
def test_level_and_what_lies_above_the_bandwidth_are_no_cues(sizes):
    critics, y = small(**sizes), clips(0, 1)
    hiss = torch.fft.rfft(torch.randn(y.shape, generator=torch.Generator().manual_seed(0)))
    hiss[:, : hiss.shape[1] * 8 // 12] = 0
    noisy = 0.25 * (y + 0.1 * torch.fft.irfft(hiss, n=y.shape[-1]))
    limit = torch.full((2,), 7500.0)
    for name, plain in critics.judge(y, torch.zeros(2), VOICE, limit).items():
        other = critics.judge(noisy, torch.zeros(2), VOICE, limit)[name]
        assert torch.allclose(plain.answers, other.answers, atol=2e-3)


@pytest.mark.parametrize("sizes", [{"moment_channels": 8}, {"spectrogram_channels": 4}, {"period_channels": 4}, {"envelope_channels": 8}])
def test_the_judgement_is_conditioned_on_the_rate(sizes):
    critics, y = small(**sizes), clips(0, 1)
    for critic in critics.values():
        for layer in critic.layers:
            torch.nn.init.normal_(layer.film.weight, std=0.5)
    for name, slow in critics.judge(y, torch.full((2,), -0.7), VOICE, FULL).items():
        assert not torch.allclose(slow.answers, critics.judge(y, torch.full((2,), 0.7), VOICE, FULL)[name].answers, atol=1e-4)


def test_a_clip_at_unit_level_and_silence_are_heard_without_overflow():
    y = torch.stack([clips(0)[0], torch.zeros(12000)])
    out = heard(y, FULL)
    assert out[0].pow(2).mean().item() == pytest.approx(1, rel=1e-2)
    assert torch.isfinite(out).all()


def test_an_envelope_critic_learns_to_rank_pulses_above_scattered_phases_it_has_not_heard():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    critic, d = EnvelopeCritic(ENVELOPE_RESOLUTIONS[0], 16), divergence("js")
    optimiser = torch.optim.AdamW(critic.parameters(), 2e-3)
    bandwidth, rate, voices = torch.full((8,), 12000.0), torch.zeros(8), torch.ones(8)

    def both(*seeds):
        y = clips(*seeds)
        return heard(y, bandwidth[: len(y)]), heard(scattered(y), bandwidth[: len(y)])

    real, fake = both(*range(8))
    for _ in range(40):
        optimiser.zero_grad()
        d.critic_loss(critic(real, rate, voices).answers, critic(fake, rate, voices).answers).backward()
        optimiser.step()
    real, fake = both(*range(100, 108))
    right = critic(real, rate, voices).answers.mean(1) > critic(fake, rate, voices).answers.mean(1)
    assert right.float().mean() > 0.75


def test_feature_matching_is_zero_for_equal_clips_and_reaches_only_the_fake():
    critic, y = small(spectrogram_channels=4), clips(0, 1)
    real = critic.judge(y, torch.zeros(2), VOICE, FULL)["spectrogram_5ms"]
    assert feature_matching(real, real).max() == 0
    fake_clip, real_clip = scattered(y).requires_grad_(), y.clone().requires_grad_()
    judge = lambda v: critic.judge(v, torch.zeros(2), VOICE, FULL)["spectrogram_5ms"]  # noqa: E731
    feature_matching(judge(real_clip), judge(fake_clip)).sum().backward()
    assert fake_clip.grad.abs().max() > 0 and real_clip.grad is None
