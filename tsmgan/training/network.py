"""The conditional generator g(x, rate, z) in torch: features, the rule's field, local rate and noise in, departures from the rule out.

The network is feed-forward and one-dimensional over time: ConvNeXt blocks (Liu et al., 2022, as in Vocos, Siuzdak 2024), each modulated by
the local rate (FiLM, Perez et al., 2018).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsmgan.core.features import FEATURES
from tsmgan.core.field import BAND_CENTRES_HZ, BANDS, Field
from tsmgan.core.generator import depart
from tsmgan.core.rule import rule
from tsmgan.training.recipe import GeneratorRecipe, setting

ALPHA_MIX = slice(Field._fields.index("alpha_mix") * BANDS, (Field._fields.index("alpha_mix") + 1) * BANDS)
"""Where the rule's alpha mix stands in a network's input."""
HEARD_BANDS = sum(hz < 8000 for hz in BAND_CENTRES_HZ)
"""Bands that critics hear in all recordings."""


@dataclass(frozen=True)
class GeneratorConfig(GeneratorRecipe):
    """Sizes and bounds of a generator, with those of its inputs and outputs; stored in a model's `config.json`."""

    features: int = setting(FEATURES, 1, 4096, "what is seen of each frame")
    bands: int = setting(BANDS, 1, 1024, "bands that are decided for each frame")

    def as_dict(self) -> dict[str, int | float]:
        """For `config.json`, context included."""
        return {**asdict(self), "context": self.context}


class RateBlock(nn.Module):
    """ConvNeXt block whose normalised activations are scaled and shifted by the local rate."""

    def __init__(self, width: int, kernel: int, expansion: int, condition: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(condition, 2 * width)
        self.up, self.down = nn.Linear(width, expansion * width), nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (batch, frames, width); condition: (batch, frames, condition)."""
        gain, shift = self.film(condition).chunk(2, -1)
        h = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2)) * (1 + gain) + shift
        return x + self.scale * self.down(F.gelu(self.up(h)))


class Generator(nn.Module):
    """The generator g: the rule's field and the network's departures from it.

    forward(features (B, T, features), log_rate (B, T), noise (B, T, noise)) -> Field of (B, T, bands). The network alone is `departures`;
    an export holds nothing else. The last layer starts at zero, so an untrained generator is the rule.
    """

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or GeneratorConfig()
        condition = 16
        self.rate = nn.Sequential(nn.Linear(2, condition), nn.GELU(), nn.Linear(condition, condition))
        self.inlet = nn.Conv1d(c.features + c.noise + len(Field._fields) * c.bands, c.width, 3, padding=1)
        self.blocks = nn.ModuleList(RateBlock(c.width, c.kernel, c.expansion, condition) for _ in range(c.blocks))
        self.norm = nn.LayerNorm(c.width)
        self.outlet = nn.Linear(c.width, len(Field._fields) * c.bands)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, features: Tensor, log_rate: Tensor, noise: Tensor) -> Field:
        """See the class."""
        by_hand = rule_field(features, log_rate)
        departures = self.departures(features, log_rate, noise, rule_inputs(by_hand))
        return depart(by_hand, Field(*(each.float() for each in departures)), self.config.largest_coherence, torch)

    @property
    def idle_from(self) -> float | None:
        """The rate from which the network never departs from the rule, see `departures`; None where there is none."""
        return None if self.config.largest_alpha_change or self.config.largest_texture else 1.0

    def departures(self, features: Tensor, log_rate: Tensor, noise: Tensor, by_hand: Tensor) -> Field:
        """What the network adds to the rule: to coherence, alpha mix and noise before their sigmoids, to the rest as it is.

        All but alpha fade to zero where the rate is 1, so that nothing is changed there. The window departs as a whole: it is the same
        for all bands. Coherence, gain, noise, window and grains depart on slow voices alone, as far as the rule takes a frame for a
        voice (by its alpha mix): music lost by them, and fast voices are as natural by the rule. Grains depart above 8 kHz as they do
        just below: many recordings end there, so critics know little of what is higher.

        Args:
            by_hand: the rule's field, (B, T, bands of all its values), as `rule_inputs` gives it. The rest is as of forward.

        Returns:
            A Field of (B, T, bands).
        """
        c = self.config
        condition = self.rate(torch.stack([log_rate, log_rate.abs()], -1))
        x = self.inlet(torch.cat([features, noise, by_hand], -1).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, condition)
        coherence, alpha_mix, log_gain, texture, noise_share, window, grain = self.outlet(self.norm(x)).chunk(len(Field._fields), -1)
        away = (log_rate / math.log(1.05)).clamp(-1.0, 1.0)[..., None]
        unheard = grain[..., HEARD_BANDS - 1 : HEARD_BANDS].expand_as(grain[..., HEARD_BANDS:])
        slow_voice = (-away).clamp(min=0.0) * (1 - by_hand[..., ALPHA_MIX])
        return Field(
            slow_voice
            * c.largest_coherence_change
            * torch.tanh(torch.lerp(coherence, coherence.mean(-1, keepdim=True), c.shared_coherence)),
            c.largest_alpha_change * torch.tanh(alpha_mix),
            slow_voice * c.largest_log_gain * torch.tanh(log_gain),
            away.abs() * c.largest_texture * torch.tanh(texture),
            slow_voice * c.largest_noise_change * torch.tanh(noise_share),
            (slow_voice * c.largest_window_change * torch.tanh(window.mean(-1, keepdim=True))).mean(-1, keepdim=True).expand_as(window),
            slow_voice * c.largest_grain_change * torch.tanh(torch.cat([grain[..., :HEARD_BANDS], unheard], -1)),
        )


def rule_field(features: Tensor, log_rate: Tensor) -> Field:
    """The rule's field for features (batch, frames, features) at log rates (batch, frames), on the same device, without gradient."""
    found = rule(features.detach().float().cpu().numpy(), log_rate.detach().float().cpu().numpy())
    return Field(*(torch.from_numpy(values).to(features.device) for values in found))


def rule_inputs(by_hand: Field) -> Tensor:
    """The rule's field as the network takes it: (batch, frames, bands of all its values)."""
    return torch.cat(by_hand, -1)
