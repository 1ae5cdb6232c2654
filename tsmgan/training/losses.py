"""Losses of the generator. Each gives one number for each row of the batch, and is named as in the recipe's `losses`.

The input does not determine the phase of the answer, so no term asks for it. Losses that see only magnitudes in long windows (mel, cycle)
prefer them smooth, and would drive coherence to 0 everywhere. They get the waveform whose rotations are detached, and train the gain alone.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsmgan.core.field import Field
from tsmgan.core.geometry import Geometry
from tsmgan.training.clips import EDGE_FRAMES
from tsmgan.training.recordings import SAMPLERATE

MEL_RESOLUTIONS = ((2048, 100), (1024, 80), (512, 40), (256, 20))
"""Window (samples at 24 kHz) and bands of each."""
CONVERGENCE_WINDOWS = (1024, 2048, 4096)
"""Samples at 24 kHz: 43, 85 and 171 ms."""
ENVELOPE_RESOLUTIONS = ((96, 24, 20), (192, 48, 16))
"""Window, hop and number of frames that are sorted together: 4 ms within 20 ms, 8 ms within 32 ms."""
PULSE_WINDOW, PULSE_BINS, PULSE_HZ = 768, 10, 8000.0
"""Frames (samples at 24 kHz) whose kurtosis is taken, bins on either side (310 Hz) over which they are whitened, and the highest
frequency."""
ENVELOPE_POWER = 0.5
ENVELOPE_POOL = (4, 10)
"""Bins and groups over which sorted shapes are averaged: 0.5 to 1 kHz, 0.1 to 0.16 s."""


def magnitudes(y: Tensor, window: Tensor, hop: int, centred: bool = True) -> Tensor:
    """STFT magnitudes (batch, bins, frames) of y (batch, samples), with a gradient that is finite at silence."""
    spectra = torch.stft(y, len(window), hop, window=window, center=centred, pad_mode="constant", return_complex=True)
    return (spectra.real**2 + spectra.imag**2 + 1e-12).sqrt()


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over all but the first axis of x where mask (broadcastable) is 1: (batch,)."""
    mask = mask.expand_as(x)
    return (x * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


class MelLoss(nn.Module):
    """L1 distance of log-mel magnitudes at four resolutions, below the answer's bandwidth."""

    def __init__(self) -> None:
        super().__init__()
        for n, bands in MEL_RESOLUTIONS:
            bank = librosa.filters.mel(sr=SAMPLERATE, n_fft=n, n_mels=bands)
            top = np.array([np.flatnonzero(row)[-1] if row.any() else 0 for row in bank]) * SAMPLERATE / n
            self.register_buffer(f"bank_{n}", torch.from_numpy(bank), persistent=False)
            self.register_buffer(f"top_{n}", torch.from_numpy(top.astype(np.float32)), persistent=False)
            self.register_buffer(f"window_{n}", torch.hann_window(n), persistent=False)

    def forward(self, answer: Tensor, output: Tensor, bandwidth: Tensor) -> Tensor:
        """(batch, samples) twice, (batch,) Hz -> (batch,)."""
        total = torch.zeros_like(bandwidth)
        for n, _ in MEL_RESOLUTIONS:
            bank, window = getattr(self, f"bank_{n}"), getattr(self, f"window_{n}")
            a, b = (torch.log(bank @ magnitudes(y, window, n // 4) + 1e-4) for y in (answer, output))
            mask = (getattr(self, f"top_{n}")[None, :, None] <= bandwidth[:, None, None]).float()
            total = total + masked_mean((a - b).abs(), mask)
        return total / len(MEL_RESOLUTIONS)


class SortedEnvelopeLoss(nn.Module):
    """Optimal transport in one dimension: within 20-30 ms and one bin of a short-time spectrum, the *sorted* magnitudes are compared.

    Pulses give a few large and many small values wherever they fall, so this sees phasiness, and not where the pulses are. Two steps make
    it prefer what the ear prefers. Each group is brought to the answer's mean first: level is another term's business, and a wrong level
    would hide the shape. And shapes are averaged over a tenth of a second and four bins before the distance is taken: between
    two takes of the same noise the L1 distance of single groups is large and least for the smoothest candidate, whatever its pulses.
    On voices stretched back with their pulses intact, this loss is lower at coherence 1 than at 0, and on music higher;
    without the two steps it is higher on both.
    """

    def __init__(self) -> None:
        super().__init__()
        for n, _, _ in ENVELOPE_RESOLUTIONS:
            self.register_buffer(f"window_{n}", torch.hann_window(n), persistent=False)

    def forward(self, answer: Tensor, output: Tensor, bandwidth: Tensor) -> Tensor:
        """(batch, samples) twice, (batch,) Hz -> (batch,)."""
        total = torch.zeros_like(bandwidth)
        for n, hop, width in ENVELOPE_RESOLUTIONS:
            a, b = (sorted_envelope(y, getattr(self, f"window_{n}"), hop, width) for y in (answer, output))
            hz = torch.arange(a.shape[1], device=a.device) * (SAMPLERATE / n)
            mask = (hz[None, :] <= bandwidth[:, None]).float()[:, :, None, None]
            level = a.mean(-1, keepdim=True) * mask
            shapes = (level * v / (v.mean(-1, keepdim=True) + 1e-3) for v in (a, b))
            a, b = (F.avg_pool2d(v.permute(0, 3, 1, 2), ENVELOPE_POOL, stride=tuple(k // 2 for k in ENVELOPE_POOL)) for v in shapes)
            total = total + (a - b).abs().flatten(1).mean(1) / (level.flatten(1).mean(1) + 1e-3)
        return total


def sorted_envelope(y: Tensor, window: Tensor, hop: int, width: int) -> Tensor:
    """(batch, samples) -> compressed magnitudes, (batch, bins, groups, width), sorted within each half-overlapping group of `width`
    frames."""
    compressed = magnitudes(y, window, hop).clamp(min=1e-6) ** ENVELOPE_POWER
    return ascending(compressed.unfold(2, width, width // 2))


def ascending(x: Tensor) -> Tensor:
    """x sorted along its last axis. On a CPU NumPy does it: torch takes several times as long for short rows."""
    if x.device.type != "cpu":
        return x.sort(-1).values
    if not x.requires_grad:
        return torch.from_numpy(np.sort(x.numpy(), -1))
    return x.gather(-1, torch.from_numpy(np.argsort(x.detach().numpy(), -1)))


class ConvergenceLoss(nn.Module):
    """Spectral convergence ||A - B|| / ||A|| of magnitudes in long windows (Arik, Jun and Diamos, 2018): what becomes of chords and tones.

    Linear magnitudes, so that the partials decide and not the noise between them. With the sorted envelope it is the other half of the
    decision on coherence: on voices it is the same at coherence 0 and 1, on music much lower at 0.
    """

    def __init__(self) -> None:
        super().__init__()
        for n in CONVERGENCE_WINDOWS:
            self.register_buffer(f"window_{n}", torch.hann_window(n), persistent=False)

    def forward(self, answer: Tensor, output: Tensor, bandwidth: Tensor) -> Tensor:
        """(batch, samples) twice, (batch,) Hz -> (batch,)."""
        total = torch.zeros_like(bandwidth)
        for n in CONVERGENCE_WINDOWS:
            a, b = (magnitudes(y, getattr(self, f"window_{n}"), n // 4) for y in (answer, output))
            hz = torch.arange(a.shape[1], device=a.device) * (SAMPLERATE / n)
            mask = (hz[None, :] <= bandwidth[:, None]).float()[:, :, None]
            distance = (((a - b) * mask) ** 2).sum((1, 2)) + 1e-9
            total = total + (distance / (((a * mask) ** 2).sum((1, 2)) + 1e-3)).sqrt()
        return total / len(CONVERGENCE_WINDOWS)


class PulsesLoss(nn.Module):
    """How much sharper the pulses of a voice are than they were: what `peakiness` measures, in a form that has a gradient.

    Frames of 32 ms are whitened by their own spectral envelope, and the kurtosis of what is left is taken (Gillespie, Malvar and Florencio,
    2001). Nothing is aligned, so the answer may be the recording at its own speed. Critics that hear long windows are content with softer
    pulses; this is what keeps them.
    """

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(PULSE_WINDOW), persistent=False)

    def forward(self, answer: Tensor, output: Tensor, bandwidth: Tensor) -> Tensor:
        """(batch, samples) twice, (batch,) Hz -> (batch,), natural logarithm of the ratio of their kurtoses: 0 is as sharp as before."""
        return self._kurtosis(output, bandwidth) - self._kurtosis(answer, bandwidth)

    def _kurtosis(self, y: Tensor, bandwidth: Tensor) -> Tensor:
        """Mean logarithm of the kurtosis over the frames within 20 dB of the loudest, (batch,)."""
        spectra = torch.fft.rfft(y.unfold(1, PULSE_WINDOW, PULSE_WINDOW // 2) * self.window)
        power = spectra.real**2 + spectra.imag**2
        envelope = F.avg_pool1d(power, 2 * PULSE_BINS + 1, 1, PULSE_BINS, count_include_pad=False)
        hz = torch.arange(power.shape[-1], device=y.device) * (SAMPLERATE / PULSE_WINDOW)
        below = (hz <= torch.minimum(bandwidth, bandwidth.new_tensor(PULSE_HZ))[:, None])[:, None]
        white = torch.fft.irfft(spectra * (below / (envelope + 1e-9).sqrt()), n=PULSE_WINDOW)
        kurtosis = white.pow(4).mean(-1) / (white.pow(2).mean(-1) ** 2 + 1e-12)
        level = power.sum(-1)
        loud = (level > 0.01 * level.amax(1, keepdim=True)).float()
        return (torch.log(kurtosis + 1e-3) * loud).sum(1) / loud.sum(1).clamp(min=1)


class CycleLoss(nn.Module):
    """Distance from the input after stretching back, L1 of log-mel magnitudes.

    Frame m stands at instant t_m of the input and at instant m H of the output, so the output's magnitudes there must be those of the
    input.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self._hop = geometry.hop
        bank = librosa.filters.mel(sr=SAMPLERATE, n_fft=geometry.window_length, n_mels=64)
        self.register_buffer("bank", torch.from_numpy(bank), persistent=False)
        self.register_buffer("window", torch.from_numpy(geometry.window()), persistent=False)

    def forward(self, spectra: Tensor, output: Tensor) -> Tensor:
        """Input frames (batch, T, bins) complex and output (batch, (T - EDGE_FRAMES) H) -> (batch,)."""
        back = magnitudes(output, self.window, self._hop, centred=False)
        before = spectra[:, EDGE_FRAMES : EDGE_FRAMES + back.shape[2]].abs().transpose(1, 2)
        a, b = (torch.log(self.bank @ v + 1e-3) for v in (before, back))
        return (a - b).abs().mean((1, 2))


def prior(field: Field, default: Field) -> Tensor:
    """Squared departure of coherence and alpha mix from the default, (batch,)."""
    return sum(((a - b) ** 2).mean((1, 2)) for a, b in ((field.coherence, default.coherence), (field.alpha_mix, default.alpha_mix)))
