"""The game on a toy: a generator that may only set one constant finds the best constant."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from tsmgan.training.critics import MomentCritic  # noqa: E402
from tsmgan.training.divergences import divergence  # noqa: E402

SAMPLERATE, LENGTH, BATCH = 24000, 2880, 8
BEST = 0.4
"""Share of the real voices' power that is noise."""


def voices(share: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Clips (BATCH, LENGTH) of pulses at random pitches through one resonance, of which a share of the power is noise."""
    pulses, time = torch.zeros(BATCH, LENGTH), torch.arange(64)
    for clip in pulses:
        first, hz = torch.rand(2, generator=chance).tolist()
        clip[torch.arange(200 * first, LENGTH, SAMPLERATE / (80 + 120 * hz)).long()] = 1
    response = torch.exp(-time / 12) * torch.cos(0.6 * time)
    sound = functional.conv1d(pulses[:, None], response.flip(0)[None, None], padding=63)[:, 0, :LENGTH]
    sound = sound / sound.pow(2).mean(1, keepdim=True).sqrt()
    return (1 - share).sqrt() * sound + share.sqrt() * torch.randn(BATCH, LENGTH, generator=chance)


def found(kind: str, start: float, loss: str = "non-saturating", steps: int = 400, warm_up: int = 80) -> float:
    """The constant that the generator has in the mean over the second half of a game that begins at `start`."""
    torch.manual_seed(0)
    chance, rule = torch.Generator().manual_seed(0), divergence(kind)
    critic, constant = MomentCritic(0.04, 0.016, 8), torch.nn.Parameter(torch.logit(torch.tensor(start)))
    of_critic = torch.optim.AdamW(critic.parameters(), 3e-3, betas=(0.8, 0.99))
    of_generator = torch.optim.Adam([constant], 0.02, betas=(0.5, 0.99))
    rate, voice, path = torch.zeros(BATCH), torch.ones(BATCH), []
    for step in range(steps):
        real, fake = voices(torch.tensor(BEST), chance), voices(torch.sigmoid(constant), chance)
        of_critic.zero_grad()
        rule.critic_loss(critic(real, rate, voice).answers, critic(fake.detach(), rate, voice).answers).backward()
        of_critic.step()
        if step >= warm_up:
            of_generator.zero_grad()
            rule.generator_loss(critic(fake, rate, voice).answers, loss).backward()
            of_generator.step()
        path.append(torch.sigmoid(constant).item())
    return float(np.mean(path[steps // 2 :]))


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors this small are no work for several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_generator_of_one_constant_finds_the_best_one():
    assert found("js", 0.05) == pytest.approx(BEST, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.05, 0.85])
@pytest.mark.parametrize("kind", ["js", "gan", "squared-hellinger", "kl", "reverse-kl", "pearson"])
def test_each_divergence_leads_there_from_either_side(kind, start):
    """But total variation: its critic saturates, and the generator stays where it is."""
    assert found(kind, start) == pytest.approx(BEST, abs=0.25)
