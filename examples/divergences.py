"""Variational divergence minimisation on two Gaussians, where everything can be checked.

    python examples/divergences.py [--out divergences.png] [--steps 1500]

First game, critic alone: for each f-divergence a small critic is trained on samples of P and Q to raise the bound E_P[T] - E_Q[f*(T)]. It
lands on the divergence itself, which is known here in closed form or by quadrature. (`gan` lands on 2 JS - log 4.)

Second game, both players: a toy generator g(z) = a + b z, z ~ N(0, 1), learns to imitate P, a mixture of two Gaussians that it cannot
reach. What it settles for is the divergence's own taste: kl and pearson spread over both modes, tv keeps to one.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor, nn

from tsmgan.training.divergences import DIVERGENCES, Divergence, divergence

P, Q = (0.0, 1.0), (0.7, 1.2)
"""Mean and standard deviation of the two Gaussians of the first game."""
MODES = ((-1.5, 0.5, 0.65), (1.5, 0.5, 0.35))
"""Mean, standard deviation and weight of each mode that the second game's generator imitates."""


def exact(name: str, p: tuple[float, float] = P, q: tuple[float, float] = Q) -> float:
    """The value that the bound of `name` approaches between the Gaussians p and q (mean, standard deviation)."""
    (m, s), (n, r) = p, q

    def kl(m: float, s: float, n: float, r: float) -> float:
        return math.log(r / s) + (s * s + (m - n) ** 2) / (2 * r * r) - 0.5

    if name == "kl":
        return kl(m, s, n, r)
    if name == "reverse-kl":
        return kl(n, r, m, s)
    if name == "squared-hellinger":
        return 2 - 2 * math.sqrt(2 * s * r / (s * s + r * r)) * math.exp(-0.25 * (m - n) ** 2 / (s * s + r * r))
    if name == "pearson":  # the integral of p^2 / q - 1; finite while 2 r^2 > s^2
        spread = 2 * r * r - s * s
        return r * r / (s * math.sqrt(spread)) * math.exp((m - n) ** 2 / spread) - 1

    def density(x: float, a: float, b: float) -> float:
        return math.exp(-0.5 * ((x - a) / b) ** 2) / (b * math.sqrt(2 * math.pi))

    def integrate(integrand) -> float:
        return quad(integrand, -12, 12, limit=400)[0]

    if name == "tv":
        return integrate(lambda x: 0.5 * abs(density(x, m, s) - density(x, n, r)))
    js = integrate(
        lambda x: (
            0.5 * sum(a * math.log(2 * a / (density(x, m, s) + density(x, n, r))) for a in (density(x, m, s), density(x, n, r)) if a > 0)
        )
    )
    return {"js": js, "gan": 2 * js - math.log(4)}[name]


def stratified_normal(count: int, generator: torch.Generator) -> Tensor:
    """count samples of N(0, 1), one from each of count equally likely strata, in random order. (count, 1) float32."""
    u = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    z = torch.special.ndtri(u.double().clamp(1e-9, 1 - 1e-9)).float()
    return z[torch.randperm(count, generator=generator)][:, None]


def critic_network() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def estimate(
    d: Divergence, p: tuple[float, float] = P, q: tuple[float, float] = Q, steps: int = 1500, seed: int = 0
) -> tuple[float, list[float]]:
    """Train a critic on samples of p and q, then measure its bound on samples it has not seen: the bound, and its course in training."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    critic = critic_network()
    optimiser = torch.optim.Adam(critic.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    course = []

    def bound(count: int) -> Tensor:
        real, fake = (a + b * stratified_normal(count, generator) for a, b in (p, q))
        return d.bound(critic(real), critic(fake))

    for _ in range(steps):
        loss = -bound(1024)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        course.append(-loss.item())
    with torch.no_grad():
        return bound(200_000).item(), course


def mixture(count: int, generator: torch.Generator) -> Tensor:
    """count samples of the mixture MODES, (count, 1)."""
    which = torch.rand(count, generator=generator) < MODES[0][2]
    means, deviations = (torch.where(which, torch.tensor(MODES[0][i]), torch.tensor(MODES[1][i])) for i in (0, 1))
    return (means + deviations * torch.randn(count, generator=generator))[:, None]


def imitate(d: Divergence, kind: str = "non-saturating", steps: int = 1500, seed: int = 0) -> tuple[float, float]:
    """Play the alternating game until g(z) = a + b z imitates the mixture: returns a and |b|."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    critic, shift, scale = critic_network(), nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(1.0))
    of_critic, of_generator = torch.optim.Adam(critic.parameters(), 5e-3), torch.optim.Adam([shift, scale], 1e-2, betas=(0.5, 0.9))
    kept = []
    for step in range(steps):
        for _ in range(3):
            with torch.no_grad():
                fake = shift + scale * stratified_normal(512, generator)
            of_critic.zero_grad()
            d.critic_loss(critic(mixture(512, generator)), critic(fake)).backward()
            nn.utils.clip_grad_norm_(critic.parameters(), 5.0)
            of_critic.step()
        of_generator.zero_grad()
        d.generator_loss(critic(shift + scale * stratified_normal(512, generator)), kind).backward()
        nn.utils.clip_grad_norm_([shift, scale], 1.0)
        of_generator.step()
        if step >= steps * 2 // 3:
            kept.append((shift.item(), abs(scale.item())))
    a, b = np.mean(kept, axis=0)
    return float(a), float(b)


def picture(path: str, courses: dict[str, list[float]], fits: dict[str, tuple[float, float]]) -> None:
    """One column a divergence: above, the bound on its way to the exact value; below, the generator's density over the mixture's."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(courses), figsize=(3.1 * len(courses), 5.6), constrained_layout=True)
    x = np.linspace(-4.5, 4.5, 400)
    truth = sum(w * norm.pdf(x, m, s) for m, s, w in MODES)
    for column, name in enumerate(courses):
        above, below = axes[:, column]
        value = exact(name)
        above.plot(courses[name], lw=0.7, label="bound")
        above.axhline(value, color="k", ls="--", lw=1, label="exact")
        spread = max(0.25, abs(value))
        above.set(title=name, ylim=(value - spread, value + spread / 2), xlabel="critic's step", xscale="log")
        below.fill_between(x, truth, alpha=0.25, label="P")
        below.plot(x, norm.pdf(x, *fits[name]), label="g(z)")
        below.set(xlabel="x", yticks=[])
    axes[0, 0].legend()
    axes[1, 0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", default="divergences.png", help="picture to write (PNG)")
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each game")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the networks are tiny: threads would only wait for each other
    courses, fits = {}, {}
    print(f"{'divergence':>18} {'exact':>9} {'bound':>9} {'error':>7}   g(z) = a + b z")
    for name in DIVERGENCES:
        bound, courses[name] = estimate(divergence(name), steps=arguments.steps)
        fits[name] = imitate(divergence(name), steps=arguments.steps)
        value = exact(name)
        print(
            f"{name:>18} {value:9.4f} {bound:9.4f} {abs(bound / value - 1):7.2%}   a = {fits[name][0]:+.2f}, b = {fits[name][1]:.2f}",
            flush=True,
        )
    picture(arguments.out, courses, fits)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
