"""The conditional generator g(x, rate, z) in torch: features, local rate and noise in, the coherence field out.

Feed-forward and one-dimensional over time: ConvNeXt blocks (Liu et al., 2022, as in Vocos, Siuzdak 2024), each modulated by the local
rate (FiLM, Perez et al., 2018). The last layer starts at zero and its output is added to a hand-made default, so an untrained generator
*is* that default.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsmgan.core.features import COLUMNS, FEATURES, WIDE_HZ, band_weights
from tsmgan.core.field import BAND_CENTRES_HZ, BANDS, Field
from tsmgan.training.recipe import HANDMADE_CONTEXT, GeneratorRecipe, setting

VOICED_COHERENCE, COHERENCE_SLOPE = 0.70, 0.13
"""Coherence of the hand-made default where a voice has a period, and how much of it goes with each unit of log rate: pulses are nearly
as peaky as they were, and PESQ is highest."""
VOICE_WEIGHTS, VOICE_OFFSET = (28.5, 10.4, 5.9, -11.4, -13.6, -25.0, 16.5, 4.3), -15.7
"""Logistic regression of voice against other sounds, on frames of three voices and of music."""
PERIOD_THRESHOLD, PERIOD_SLOPE = 0.50, 15.0
"""Periodicity at which half of a voice's frame counts as voiced, and how sharp the decision is."""
NOISE_TEXTURE, NOISE_GAIN = 0.52, 0.32
"""Texture for each unit of log rate, which keeps noise as uneven as it was; log gain for each unit below 0, which keeps its level."""
NOISE_TONALITY = 0.28
"""Tonality of a band, above that of none at all, from which it is no noise: 1 less this is white noise's."""
SMALLEST_VARIANCE = 4e-4
"""Added to variances before their root is taken: rounding errors of a sum that stays the same are not to be seen."""
NOISE_CONCENTRATION = 0.76
"""Concentration from which a frame is no noise; white noise's is 0.67."""


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
    """The generator g.

    forward(features (B, T, features), log_rate (B, T), noise (B, T, noise)) -> Field of (B, T, bands): coherence in
    (0, largest_coherence), alpha_mix in (0, 1), log_gain, rotation and texture near zero. The latter three fade to zero where the
    rate is 1, so that nothing is changed there.
    """

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or GeneratorConfig()
        condition = 16
        self.rate = nn.Sequential(nn.Linear(2, condition), nn.GELU(), nn.Linear(condition, condition))
        self.inlet = nn.Conv1d(c.features + c.noise, c.width, 3, padding=1)
        self.blocks = nn.ModuleList(RateBlock(c.width, c.kernel, c.expansion, condition) for _ in range(c.blocks))
        self.norm = nn.LayerNorm(c.width)
        self.outlet = nn.Linear(c.width, len(Field._fields) * c.bands)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, features: Tensor, log_rate: Tensor, noise: Tensor) -> Field:
        """See the class."""
        rate = torch.stack([log_rate, log_rate.abs()], -1)
        condition = self.rate(rate)
        x = self.inlet(torch.cat([features, noise], -1).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, condition)
        coherence, alpha_mix, log_gain, rotation, texture = self.outlet(self.norm(x)).chunk(len(Field._fields), -1)
        coherence = torch.lerp(coherence, coherence.mean(-1, keepdim=True), self.config.shared_coherence)
        default_coherence, default_alpha, default_gain, default_texture = handmade(features, log_rate, self.config.largest_coherence)
        departure = (log_rate.abs() / math.log(1.05)).clamp(max=1.0)[..., None]
        return Field(
            self.config.largest_coherence * torch.sigmoid(default_coherence + coherence),
            torch.sigmoid(default_alpha + self.config.largest_alpha_change * torch.tanh(alpha_mix)),
            default_gain + departure * self.config.largest_log_gain * torch.tanh(log_gain),
            departure * self.config.largest_rotation * torch.tanh(rotation),
            default_texture + departure * self.config.largest_texture * torch.tanh(texture),
        )


def handmade(features: Tensor, log_rate: Tensor, largest_coherence: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The hand-made default: coherence, as a share of the largest, and alpha mix before their sigmoids; log gain; texture.

    - Voices are told from other sounds by what 97 frames have in common: a voice's envelope is modulated at its pitch, it has one period
      in the mean, its partials move; and by what changes within them, loudness and the balance of treble and bass. Coherence is
      VOICED_COHERENCE where a voice has a period; alpha is 1 on voices (1 / rate on their attacks was heard by PESQ as a fault) and
      1 / rate on everything else.
    - A lone attack is energy at one instant of the frame without a period. There alpha is 1 / rate, whatever is around it, and it has
      no say in what is a voice.
    - Frames of noise that come from other places of the input than they go to do not add up to the noise's level, nor to its distribution
      of amplitudes. What is missing was measured on white noise; its inverse, a straight line in the logarithm of the rate, is given to
      bands without tones, of sounds that are neither voices nor attacks.

    Args:
        features: (batch, frames, features).
        log_rate: (batch, frames).
        largest_coherence: bound of the coherence, in (0, 1].

    Returns:
        Four tensors (batch, frames, BANDS).
    """

    def mean_of(name: str, start: int, stop: int) -> Tensor:
        return features[..., COLUMNS[name]][..., start:stop].mean(-1)

    periodicity = mean_of("periodicity", 3, 4)
    concentration = mean_of("concentration", 0, 10)
    attack = torch.sigmoid(40 * (concentration - 0.85)) * torch.sigmoid(15 * (0.45 - periodicity))
    loudness, tonality = mean_of("loudness", 0, 1), mean_of("tonality", 3, 8)
    balance = mean_of("log power", 60, 80) - mean_of("log power", 5, 40)
    # What a voice is made of counts by its amplitude; what changes counts wherever there is any sound.
    means = _around(
        [mean_of("modulation", 0, 2), mean_of("modulation", 2, 4), periodicity - 0.5, tonality - 0.75],
        torch.exp(2.5 * loudness) * (1 - attack),
    )  # about their usual values, which keeps rounding errors of the squares small
    (_, _, *steady), changes = _spreads(means), _spreads(_around([loudness, balance], torch.sigmoid(20 * (loudness + 0.8))))
    evidence = [mean for mean, _ in means] + steady + changes
    voice = sum((weight * value for weight, value in zip(VOICE_WEIGHTS, evidence)), torch.full_like(periodicity, VOICE_OFFSET))
    voiced = torch.sigmoid(voice) * torch.sigmoid(PERIOD_SLOPE * (periodicity - PERIOD_THRESHOLD))
    most = VOICED_COHERENCE * (1 - COHERENCE_SLOPE * log_rate)
    coherence = logit((most / largest_coherence).clamp(0, 1) * voiced)
    stretched = torch.sigmoid(2 * voice)
    alpha_mix = logit(1 - stretched * (1 - attack))
    spread = torch.from_numpy(band_weights(np.asarray(BAND_CENTRES_HZ), WIDE_HZ)).to(features)
    noise = ((1 - features[..., COLUMNS["tonality"]] @ spread) / NOISE_TONALITY).clamp(0, 1) ** 2
    noise = noise * ((1 - stretched) * torch.sigmoid(40 * (NOISE_CONCENTRATION - concentration)))[..., None]
    log_gain, texture = NOISE_GAIN * F.relu(-log_rate)[..., None] * noise, NOISE_TEXTURE * log_rate[..., None] * noise
    return coherence[..., None].expand_as(noise), alpha_mix[..., None].expand_as(noise), log_gain, texture


def _around(values: list[Tensor], weight: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean of each of the values (batch, frames), and of its square, over HANDMADE_CONTEXT frames on either side, weighted."""
    weight = weight + 1e-6
    stacked = torch.stack([value**power for value in values for power in (1, 2)], 1)
    sums = F.avg_pool1d(
        torch.cat([stacked, torch.ones_like(stacked[:, :1])], 1) * weight[:, None], 2 * HANDMADE_CONTEXT + 1, 1, HANDMADE_CONTEXT
    )
    means = sums[:, :-1] / sums[:, -1:]
    return list(zip(means[:, ::2].unbind(1), means[:, 1::2].unbind(1)))


def _spreads(means: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Standard deviations, from means of values and of their squares."""
    return [torch.sqrt(F.relu(square - mean**2) + SMALLEST_VARIANCE) for mean, square in means]


def logit(p: Tensor) -> Tensor:
    """Inverse of the sigmoid; p in [0, 1] is kept 0.002 away from the ends, so that a gradient is left."""
    p = p.clamp(0.002, 0.998)
    return torch.log(p) - torch.log1p(-p)
