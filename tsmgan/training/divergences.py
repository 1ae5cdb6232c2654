"""f-divergences, their variational bounds and the two players' losses.

For a convex f with conjugate f*(t) = sup_{u >= 0} (t u - f(u)), any critic T with values in dom f* gives a lower bound

    D_f(P || Q) = E_Q[f(p / q)]  >=  E_P[T] - E_Q[f*(T)],         tight at T = f'(p / q)

(Nguyen, Wainwright and Jordan, 2010). The critic maximises the bound, the generator that makes Q minimises it (Goodfellow and others,
2014; Nowozin, Cseke and Tomioka, "f-GAN", 2016). A critic network answers with any real number v; the output activation g_f puts it into
the domain: T = g_f(v).

Each class gives f, its conjugate on the whole real line (infinite outside the domain), g_f, and the composition f*(g_f(v)) in a form that
neither overflows nor cancels. Where g_f of the literature makes an exponential of v, |v| is limited softly (`soft_limit`): g_f stays a map
onto the same domain, so the bound stays a bound, and losses grow linearly instead of overflowing. Values and losses are
float32 at least, whatever precision the critic ran in.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from tsmgan.errors import UsageError
from tsmgan.training.suggest import unknown

LIMIT = 20.0
"""Where soft_limit begins: a density ratio of e^20, which no sample that fits into memory could tell from a larger one."""

GeneratorLoss = Literal["saturating", "non-saturating"]
GENERATOR_LOSSES: tuple[str, ...] = ("saturating", "non-saturating")


def soft_limit(v: Tensor, limit: float = LIMIT) -> Tensor:
    """v within +-limit; beyond, limit + log(1 + |v| - limit), so that exp(soft_limit(v)) grows linearly. Monotone, with a continuous
    derivative."""
    excess = (v.abs() - limit).clamp(min=0)
    return v.clamp(-limit, limit) + torch.sign(v) * torch.log1p(excess)


def _wide(v: Tensor) -> Tensor:
    """float32 or wider: bfloat16 has 8 significant bits, too few for differences of expectations."""
    return v if v.dtype == torch.float64 else v.float()


def _where(condition: Tensor, inside: Tensor, outside: float) -> Tensor:
    return torch.where(condition, inside, torch.full_like(inside, outside))


class Divergence:
    """One row of the table. Subclasses give f, conjugate, activation and conjugate_of_activation, all elementwise."""

    name: ClassVar[str]
    domain: ClassVar[tuple[float, float]]
    """Infimum and supremum of dom f*."""
    balance: ClassVar[float] = 0.0
    """The critic's v at which it holds both sides for equally likely: g_f(balance) = f'(1)."""

    def f(self, u: Tensor) -> Tensor:
        """The convex f at a density ratio u >= 0."""
        raise NotImplementedError

    def conjugate(self, t: Tensor) -> Tensor:
        """f*(t), infinite outside the domain."""
        raise NotImplementedError

    def activation(self, v: Tensor) -> Tensor:
        """g_f(v): the critic's output put into dom f*."""
        raise NotImplementedError

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        """f*(g_f(v)) without leaving the floating-point range in between."""
        raise NotImplementedError

    def bound(self, real: Tensor, fake: Tensor) -> Tensor:
        """E_P[T] - E_Q[f*(T)] from the critic's raw answers to real (from P) and fake (from Q). Any shapes -> scalar."""
        return self.activation(_wide(real)).mean() - self.conjugate_of_activation(_wide(fake)).mean()

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises: the negative bound."""
        return -self.bound(real, fake)

    def generator_loss(self, fake: Tensor, kind: str = "non-saturating") -> Tensor:
        """What the generator minimises, from the critic's raw answers to its samples.

        saturating: -E_Q[f*(T)], the bound itself. non-saturating: -E_Q[T], whose gradient does not vanish
        where the critic is sure (Goodfellow and others, 2014, section 3; Nowozin and others, 2016, section 3.2).
        """
        if kind == "saturating":
            return -self.conjugate_of_activation(_wide(fake)).mean()
        if kind == "non-saturating":
            return -self.activation(_wide(fake)).mean()
        raise UsageError(unknown("generator loss", kind, GENERATOR_LOSSES))


class Gan(Divergence):
    """Goodfellow's objective: 2 JS - log 4, so f(1) = -log 4 and not 0."""

    name = "gan"
    domain = (-math.inf, 0.0)

    def f(self, u: Tensor) -> Tensor:
        return torch.xlogy(u, u) - torch.xlogy(u + 1, u + 1)

    def conjugate(self, t: Tensor) -> Tensor:
        return _where(t < 0, -torch.log(-torch.expm1(t.clamp(max=0))), math.inf)

    def activation(self, v: Tensor) -> Tensor:
        return logsigmoid(v)

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return softplus(v)


class JensenShannon(Divergence):
    """Half KL(P || M) plus half KL(Q || M), M the even mixture: between 0 and log 2."""

    name = "js"
    domain = (-math.inf, 0.5 * math.log(2))

    def f(self, u: Tensor) -> Tensor:
        return 0.5 * (torch.xlogy(u, u) - torch.xlogy(u + 1, (u + 1) / 2))

    def conjugate(self, t: Tensor) -> Tensor:
        inside = t < self.domain[1]
        return _where(inside, -0.5 * torch.log(2 - torch.exp(2 * t.clamp(max=self.domain[1]))), math.inf)

    def activation(self, v: Tensor) -> Tensor:
        return 0.5 * math.log(2) + 0.5 * logsigmoid(v)

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return 0.5 * softplus(v) - 0.5 * math.log(2)


class KullbackLeibler(Divergence):
    """KL(P || Q) = E_P[log(p / q)]."""

    name = "kl"
    domain = (-math.inf, math.inf)
    balance = 1.0

    def f(self, u: Tensor) -> Tensor:
        return torch.xlogy(u, u)

    def conjugate(self, t: Tensor) -> Tensor:
        return torch.exp(t - 1)

    def activation(self, v: Tensor) -> Tensor:
        return torch.where(v > 0, soft_limit(v), v)

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return torch.exp(self.activation(v) - 1)


class ReverseKullbackLeibler(Divergence):
    """KL(Q || P) = E_Q[log(q / p)]."""

    name = "reverse-kl"
    domain = (-math.inf, 0.0)

    def f(self, u: Tensor) -> Tensor:
        return -torch.log(u)

    def conjugate(self, t: Tensor) -> Tensor:
        return _where(t < 0, -1 - torch.log((-t).clamp(min=0)), math.inf)

    def activation(self, v: Tensor) -> Tensor:
        return -torch.exp(-soft_limit(v))

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return soft_limit(v) - 1


class TotalVariation(Divergence):
    """Half the L1 distance of the densities: between 0 and 1.

    The conjugate is t on [-1/2, 1/2], and because u is never negative it stays at -f(0) = -1/2 below.
    """

    name = "tv"
    domain = (-math.inf, 0.5)

    def f(self, u: Tensor) -> Tensor:
        return 0.5 * (u - 1).abs()

    def conjugate(self, t: Tensor) -> Tensor:
        return _where(t <= 0.5, t.clamp(min=-0.5), math.inf)

    def activation(self, v: Tensor) -> Tensor:
        return 0.5 * torch.tanh(v)

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return self.activation(v)


class Pearson(Divergence):
    """Pearson's chi-square, E_Q[(p / q - 1)^2].

    The parabola t^2 / 4 + t is the conjugate only for t >= -2 (it belongs to u = 1 + t / 2 >= 0); below, it is -f(0) = -1.
    """

    name = "pearson"
    domain = (-math.inf, math.inf)

    def f(self, u: Tensor) -> Tensor:
        return (u - 1) ** 2

    def conjugate(self, t: Tensor) -> Tensor:
        t = t.clamp(min=-2)
        return t * t / 4 + t

    def activation(self, v: Tensor) -> Tensor:
        return v

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return self.conjugate(v)


class SquaredHellinger(Divergence):
    """The integral of (sqrt p - sqrt q)^2: between 0 and 2."""

    name = "squared-hellinger"
    domain = (-math.inf, 1.0)

    def f(self, u: Tensor) -> Tensor:
        return (torch.sqrt(u) - 1) ** 2

    def conjugate(self, t: Tensor) -> Tensor:
        return _where(t < 1, t / (1 - t).clamp(min=0), math.inf)

    def activation(self, v: Tensor) -> Tensor:
        return -torch.expm1(-soft_limit(v))

    def conjugate_of_activation(self, v: Tensor) -> Tensor:
        return torch.expm1(soft_limit(v))


DIVERGENCES: dict[str, Divergence] = {
    d.name: d
    for d in (Gan(), JensenShannon(), KullbackLeibler(), ReverseKullbackLeibler(), TotalVariation(), Pearson(), SquaredHellinger())
}
"""Every divergence by its name on the command line."""


def divergence(name: str) -> Divergence:
    """The divergence of that name.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    if name not in DIVERGENCES:
        raise UsageError(unknown("divergence", name, DIVERGENCES))
    return DIVERGENCES[name]
