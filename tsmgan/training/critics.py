"""Critics: small networks that tell real recordings from stretched ones.

All share one shape: forward(heard (batch, samples), log_rate (batch,), voice (batch,)) -> (raw answers v (batch, any), feature maps). What
they hear is first stripped of cheap cues (`heard`): level, and whatever lies above the recording's bandwidth. Each is conditioned by FiLM
(Perez et al., 2018) on the rate, so that it can expect of a fast clip what only fast clips have, and on how far the clip is a voice.

The moment critics are those of the base recipe. Each hears 40 ms at a time, too little to tell the tempo, and so it hears nothing that the
generator cannot change. The others hear half a second. On recordings whose answer is not known they learn the tempo, which is why a
recipe asks for them only where it has answers.

Multi-resolution spectrograms as in UnivNet (Jang et al., 2021), periods as in HiFi-GAN (Kong et al., 2020). The envelope critic sees
short-time magnitudes sorted within 20-30 ms. What is left says how peaky the sound is, where phasiness shows at once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tsmgan.training.losses import ENVELOPE_RESOLUTIONS, magnitudes, sorted_envelope
from tsmgan.training.recipe import CriticsRecipe
from tsmgan.training.recordings import SAMPLERATE

SLOPE = 0.1
"""Slope of the leaky rectifiers below zero."""
CONDITION = 8
"""Numbers that tell a layer the rate and the kind of sound."""
MOMENT_SHARE = 0.7
"""Share of a clip's moments that are judged, the loudest: the others are silence, or nearly."""


class Judgement(NamedTuple):
    """What a critic says about a batch of clips."""

    answers: Tensor
    """Raw v before the divergence's output activation, (batch, places)."""
    features: list[Tensor]
    """Feature maps, for feature matching."""


def heard(y: Tensor, bandwidth: Tensor) -> Tensor:
    """y (batch, samples) at unit RMS, without what lies above the bandwidth (batch,) in Hz."""
    spectrum = torch.fft.rfft(y)
    hz = torch.linspace(0, SAMPLERATE / 2, spectrum.shape[-1], device=y.device)
    y = torch.fft.irfft(spectrum * (hz <= bandwidth[:, None]), n=y.shape[-1])
    return y / (y.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


class Layer(nn.Module):
    """A convolution, FiLM by the rate, and a leaky rectifier."""

    def __init__(self, convolution: nn.Module, channels: int) -> None:
        super().__init__()
        self.convolution = weight_norm(convolution)
        self.film = nn.Linear(CONDITION, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = self.convolution(x)
        gain, shift = self.film(condition).reshape(x.shape[0], 2, -1, *[1] * (x.dim() - 2)).unbind(1)
        return F.leaky_relu(x * (1 + gain) + shift, SLOPE)


class Critic(nn.Module):
    """Layers, and a last convolution that gives one answer for each place. Subclasses say what the layers see."""

    def __init__(self, layers: list[Layer], last: nn.Module) -> None:
        super().__init__()
        self.rate = nn.Sequential(nn.Linear(3, CONDITION), nn.GELU())
        self.layers, self.last = nn.ModuleList(layers), weight_norm(last)

    def see(self, y: Tensor) -> Tensor:
        """Clips (batch, samples) -> the first layer's input."""
        raise NotImplementedError

    def forward(self, y: Tensor, log_rate: Tensor, voice: Tensor) -> Judgement:
        condition = self.rate(torch.stack([log_rate, log_rate.abs(), voice], -1))
        with torch.autocast(y.device.type, enabled=False):
            x = self.see(y.float())
        condition = condition.repeat_interleave(len(x) // len(y), 0)
        features = []
        for layer in self.layers:
            x = layer(x, condition)
            features.append(x)
        return Judgement(self.last(x).flatten(1).reshape(len(y), -1), features)


class MomentCritic(Critic):
    """Moments of one length, each at unit level: log magnitudes of a few long windows within it, and convolutions over frequency.

    Windows of 32 ms see what lies between the partials of a voice, where stretched sounds differ most from natural ones.
    """

    window: Tensor

    def __init__(self, moment_seconds: float, window_seconds: float, channels: int) -> None:
        self._length, n = round(moment_seconds * SAMPLERATE), 2 * round(window_seconds * SAMPLERATE / 2)
        self._hop = max(1, n // 16)
        c = channels
        widths = ((self._length - n) // self._hop + 1, c, 3 * c // 2, 2 * c, 2 * c)
        layers = [Layer(nn.Conv1d(a, b, k, 2, padding=k // 2), b) for a, b, k in zip(widths, widths[1:], (9, 7, 5, 3))]
        super().__init__(layers, nn.Conv1d(widths[-1], 1, 1))
        self.register_buffer("window", torch.hann_window(n), persistent=False)

    def see(self, y: Tensor) -> Tensor:
        moments = y.unfold(1, self._length, self._length // 2)
        level = moments.detach().pow(2).mean(-1)
        kept = level.topk(max(1, round(MOMENT_SHARE * level.shape[1])), 1).indices
        moments = moments.gather(1, kept[..., None].expand(-1, -1, self._length)).flatten(0, 1)
        moments = moments / (moments.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        return torch.log(magnitudes(moments, self.window, self._hop, centred=False) + 1e-2).transpose(1, 2) / 2

    def forward(self, y: Tensor, log_rate: Tensor, voice: Tensor) -> Judgement:
        judgement = super().forward(y, log_rate, voice)
        # Places along frequency are parts of one answer about a moment.
        answers = judgement.answers.reshape(len(y), -1, self._places(judgement)).mean(-1)
        return Judgement(answers, [each.reshape(len(y), -1, *each.shape[1:]) for each in judgement.features])

    @staticmethod
    def _places(judgement: Judgement) -> int:
        return judgement.features[-1].shape[-1]


class SpectrogramCritic(Critic):
    """Log magnitudes at one window length, two-dimensional convolutions."""

    window: Tensor

    def __init__(self, window_seconds: float, channels: int) -> None:
        c, strides = channels, ((2, 2), (2, 1), (2, 2), (1, 1))
        layers = [Layer(nn.Conv2d(1 if k == 0 else c, c, (5, 5), s, padding=(2, 2)), c) for k, s in enumerate(strides)]
        super().__init__(layers, nn.Conv2d(c, 1, 3, padding=1))
        self.register_buffer("window", torch.hann_window(2 * round(window_seconds * SAMPLERATE / 2)), persistent=False)

    def see(self, y: Tensor) -> Tensor:
        return (torch.log(magnitudes(y, self.window, len(self.window) // 4) + 1e-3) / 3)[:, None]


class PeriodCritic(Critic):
    """The waveform folded at one period in samples."""

    def __init__(self, period: int, channels: int) -> None:
        sizes = [1, channels, 2 * channels, 4 * channels, 4 * channels]
        layers = [Layer(nn.Conv2d(a, b, (5, 1), (3, 1), padding=(2, 0)), b) for a, b in pairwise(sizes)]
        super().__init__(layers, nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))
        self._period = period

    def see(self, y: Tensor) -> Tensor:
        whole = y.shape[-1] - y.shape[-1] % self._period
        return y[:, :whole].reshape(len(y), 1, -1, self._period)


class EnvelopeCritic(Critic):
    """Sorted short-time envelopes at one resolution, one-dimensional convolutions over groups of frames."""

    window: Tensor

    def __init__(self, resolution: tuple[int, int, int], channels: int) -> None:
        n, self._hop, self._width = resolution
        inputs = (n // 2 + 1) * self._width
        layers = [
            Layer(nn.Conv1d(inputs if k == 0 else channels, channels, 1 if k == 0 else 3, padding=0 if k == 0 else 1), channels)
            for k in range(3)
        ]
        super().__init__(layers, nn.Conv1d(channels, 1, 1))
        self.register_buffer("window", torch.hann_window(n), persistent=False)

    def see(self, y: Tensor) -> Tensor:
        envelopes = sorted_envelope(y, self.window, self._hop, self._width)
        envelopes = envelopes / (envelopes.mean((1, 2, 3), keepdim=True) + 1e-3)
        return envelopes.permute(0, 1, 3, 2).flatten(1, 2)


class Critics(nn.ModuleDict):
    """All critics of a recipe, by name."""

    def judge(self, y: Tensor, log_rate: Tensor, voice: Tensor, bandwidth: Tensor) -> dict[str, Judgement]:
        """Clips (batch, samples), their mean log rate, voice (0 to 1) and bandwidth (batch,) -> a judgement of each critic."""
        clips = heard(y.float(), bandwidth)
        return {name: critic(clips, log_rate, voice) for name, critic in self.items()}


def make_critics(sizes: CriticsRecipe) -> Critics:
    """The critics of a recipe's table `critics`."""
    critics: dict[str, Critic] = {}
    if sizes.moment_channels > 0:
        for seconds in sizes.moment_windows:
            critics[f"moment_{1000 * seconds:.0f}ms"] = MomentCritic(sizes.moment_seconds, seconds, sizes.moment_channels)
    if sizes.spectrogram_channels > 0:
        for seconds in sizes.spectrogram_windows:
            critics[f"spectrogram_{1000 * seconds:.0f}ms"] = SpectrogramCritic(seconds, sizes.spectrogram_channels)
    if sizes.period_channels > 0:
        for period in sizes.periods:
            critics[f"period_{period}"] = PeriodCritic(period, sizes.period_channels)
    if sizes.envelope_channels > 0:
        for resolution in ENVELOPE_RESOLUTIONS:
            critics[f"envelope_{1000 * resolution[0] // SAMPLERATE}ms"] = EnvelopeCritic(resolution, sizes.envelope_channels)
    return Critics(critics)


def feature_matching(real: Judgement, fake: Judgement) -> Tensor:
    """L1 distance of a critic's feature maps, relative to the real ones' size: (batch,)."""
    total = torch.zeros(len(real.answers), device=real.answers.device)
    for a, b in zip(real.features, fake.features):
        a = a.detach().float()
        total = total + (a - b.float()).abs().flatten(1).mean(1) / (a.abs().flatten(1).mean(1) + 1e-3)
    return total / len(real.features)
