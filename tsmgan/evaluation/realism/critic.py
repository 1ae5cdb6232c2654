"""A fresh critic: a small network that learns to tell natural moments from stretched ones, and is tested on talkers it never heard.

Of any function D with values in (0, 1), 1 + (E_natural[log2 D] + E_stretched[log2(1 - D)]) / 2 is a lower bound of the Jensen-Shannon
divergence in bits (Goodfellow et al., "Generative Adversarial Nets", 2014, with the logarithm to base 2). So what a critic reaches on
talkers that neither its learning nor its choice has seen is an honest statement about them, however it was trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor, nn

from tsmgan.evaluation.realism.moments import Moments
from tsmgan.evaluation.signals import SPEECH_RATE

STEPS = 350
BATCH = 192
"""Moments a step, half of them natural."""
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
CHECK_EVERY = 25
"""Steps between looks at the talkers that say when to stop."""
MOMENTS_EACH = 40
"""Of each sound, where critics are checked and tested."""


class Sides(NamedTuple):
    """Natural and stretched moments of the same talkers, of different recordings."""

    natural: Moments
    stretched: Moments


@dataclass(frozen=True)
class Verdict:
    """What one critic reached on talkers that it never heard."""

    bits: float
    """The bound, raw: below 0 where the critic is surer than it is right."""
    accuracy: float
    """Mean share of the natural and the stretched moments that it takes for what they are."""
    moments: int
    """How many it was tested on."""


class Critic(nn.Module):
    """Log magnitudes of a moment, and convolutions over frequency to which its frames are channels; 10 k parameters for 40 ms.

    Without the pitch's harmonics in sight (windows of 8 ms) a critic finds a third of the bits, and on the waveform a tenth.
    """

    window: Tensor

    def __init__(self, samples: int, window_seconds: float = 0.032, hop_seconds: float = 0.002, channels: int = 16) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(round(window_seconds * SPEECH_RATE)))
        self._hop = round(hop_seconds * SPEECH_RATE)
        frames = (samples - len(self.window)) // self._hop + 1
        widths = (frames, channels, 3 * channels // 2, 2 * channels, 2 * channels)
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, size, 2, padding=size // 2) for before, after, size in zip(widths, widths[1:], (9, 7, 5, 3))
        )
        self.last = nn.Linear(widths[-1], 1)

    def forward(self, moments: Tensor) -> Tensor:
        """Moments (batch, samples) -> logits (batch,), positive for natural ones."""
        spectra = torch.stft(moments, len(self.window), self._hop, window=self.window, center=False, return_complex=True)
        x = torch.log(spectra.abs() + 1e-2).transpose(1, 2) / 2
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
        return self.last(x.mean(2))[:, 0]


class LongCritic(nn.Module):
    """Log energies of 40 bands every 10 ms, and convolutions over time: it hears 0.3 s and cares little for what 40 ms hold."""

    window: Tensor
    bands: Tensor

    def __init__(self, bands: int = 40, channels: int = 32) -> None:
        super().__init__()
        length = round(0.025 * SPEECH_RATE)
        filters = librosa.filters.mel(sr=SPEECH_RATE, n_fft=length, n_mels=bands, fmin=60)
        self.register_buffer("window", torch.hann_window(length))
        self.register_buffer("bands", torch.from_numpy(filters))
        self._hop = round(0.010 * SPEECH_RATE)
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(bands, channels, 5, padding=2),
                nn.Conv1d(channels, channels, 5, stride=2, padding=2),
                nn.Conv1d(channels, channels, 5, padding=2),
            ]
        )
        self.last = nn.Linear(2 * channels, 1)

    def forward(self, moments: Tensor) -> Tensor:
        """Moments (batch, samples) -> logits (batch,), positive for natural ones."""
        spectra = torch.stft(moments, len(self.window), self._hop, window=self.window, center=False, return_complex=True)
        x = torch.log(self.bands @ spectra.abs().square() + 1e-3) / 4
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
        return self.last(torch.cat([x.mean(2), x.amax(2)], 1))[:, 0]


LONG_SECONDS = 0.1
"""Moments that are longer are for the critic that hears the course of things."""


def play(learning: Sides, stopping: Sides, testing: Sides, seed: int, steps: int = STEPS) -> Verdict:
    """Train a critic on one set of talkers, keep it as it was when it did best on another, and test it on a third."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the layers are so small that a second thread costs more than it does
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _play(learning, stopping, testing, np.random.default_rng([seed, 1]), steps)
    finally:
        torch.set_num_threads(threads)


def _play(learning: Sides, stopping: Sides, testing: Sides, generator: np.random.Generator, steps: int) -> Verdict:
    length = learning.natural.length
    critic = LongCritic() if length > LONG_SECONDS * SPEECH_RATE else Critic(length)
    optimiser = torch.optim.AdamW(critic.parameters(), lr=LEARNING_RATE, betas=(0.8, 0.99), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    checked = [torch.from_numpy(side.spread(MOMENTS_EACH)) for side in stopping]
    best, scale = 0.0, (0.0, 0.0)  # no critic yet: the bound of one that always says "perhaps"
    kept = {name: value.clone() for name, value in critic.state_dict().items()}
    for step in range(1, steps + 1):
        moments = torch.from_numpy(np.concatenate([side.draw(BATCH // 2, generator) for side in learning]))
        signs = torch.from_numpy(generator.choice(np.array([-1, 1], np.float32), BATCH))
        natural, stretched = critic(moments * signs[:, None]).chunk(2)
        loss = F.softplus(-natural).mean() + F.softplus(stretched).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % CHECK_EVERY == 0:
            logits = _answers(critic, checked)
            chosen = _calibrate(logits)
            reached = bits(*(chosen[0] * side + chosen[1] for side in logits))
            if reached > best:
                best, scale = reached, chosen
                kept = {name: value.clone() for name, value in critic.state_dict().items()}
    critic.load_state_dict(kept)
    tested = [torch.from_numpy(side.spread(MOMENTS_EACH)) for side in testing]
    natural, stretched = (scale[0] * side + scale[1] for side in _answers(critic, tested))
    # An answer of 0 is a guess, which is right in half of all cases.
    accuracy = 0.5 + (np.mean(np.sign(natural)) - np.mean(np.sign(stretched))) / 4
    return Verdict(bits(natural, stretched), float(accuracy), len(natural) + len(stretched))


@torch.no_grad()
def _answers(critic: nn.Module, sides: list[Tensor]) -> list[np.ndarray]:
    return [torch.cat([critic(part) for part in side.split(512)]).double().numpy() for side in sides]


def bits(natural: np.ndarray, stretched: np.ndarray) -> float:
    """The bound of the Jensen-Shannon divergence by logits (any,) of natural and of stretched moments, in bits."""
    return float(1 - (np.logaddexp(0, -natural).mean() + np.logaddexp(0, stretched).mean()) / (2 * math.log(2)))


def _calibrate(logits: list[np.ndarray]) -> tuple[float, float]:
    """The gain, 0 to 1, and the offset of logits with which their bound is greatest (after Platt, 1999): a critic is surer of the talkers
    that it learned from than it should be of others. It is never made surer than it is: one easy talker would make it so."""
    found = minimize(lambda p: -bits(*(p[0] * side + p[1] for side in logits)), (0.5, 0.0), method="L-BFGS-B", bounds=[(0, 1), (-3, 3)])
    return float(found.x[0]), float(found.x[1])
