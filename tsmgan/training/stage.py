"""The vocoder stage with gradients: the same rotations and overlap-add as `tsmgan.vocoder`, in torch, over a batch of clips.

The table of `tsmgan.analysis` is data here: theta_{m-1} is *gathered* at the table's source bins and its increments are added. The shift
tau is a choice among shifts, so it is held constant; the share lambda of the remainder that is taken away, the alpha mix within the
increments, gain and extra rotation carry the gradient, through time as far as the clip reaches.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import torch
from torch import Tensor, nn

from tsmgan.geometry import HOPS_PER_WINDOW, MAX_SHIFT_SECONDS, Geometry
from tsmgan.vocoder import BANDS, CLIMB_STEPS, SHIFT_PENALTY, SHIFT_STEP_SECONDS, SMALLEST_NORM, band_spread, frame_shift, shift_grid
from tsmgan.vocoder import wrap as wrap_phase

EDGE_FRAMES = 3
"""A clip of T frames gives (T - 3) H samples that all four overlapping windows reach, the first of them H behind its first frame's
instant."""


def wrap(phase: Tensor) -> Tensor:
    """Phase in radians moved into [-pi, pi]."""
    return phase - 2 * math.pi * torch.round(phase / (2 * math.pi))


class Rotated(NamedTuple):
    """Result of the recursion."""

    theta: Tensor
    """(batch, frames, bins), radians, with gradients towards coherence and increment."""
    delays: Tensor
    """By how many samples coherence moved each frame, (batch, frames), int64, no gradient."""

    def detached(self) -> Rotated:
        """The same without gradients."""
        return Rotated(self.theta.detach(), self.delays)


class _Recursion(torch.autograd.Function):
    """theta_m = now - lambda e with now = theta_{m-1}[source] + increment; written out because autograd's bookkeeping for a thousand small
    operations costs more than they do."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, coherence: Tensor, increment: Tensor, source: Tensor, power: Tensor, shifts: Shifts
    ) -> tuple[Tensor, Tensor]:
        walk = _walk_cpu if increment.device.type == "cpu" else walk_batch
        theta, remainder, tau = walk(coherence, increment, source, power, shifts)
        ctx.save_for_backward(coherence, source, remainder)
        ctx.mark_non_differentiable(tau)
        return theta, tau

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        coherence, source, remainder = ctx.saved_tensors
        total, kept = slope.clone(), 1 - coherence
        of_increment = torch.empty_like(slope)
        for m in range(slope.shape[1] - 1, -1, -1):
            of_increment[:, m] = total[:, m] * kept[:, m]
            if m > 0:
                total[:, m - 1].scatter_add_(1, source[:, m], of_increment[:, m])
        return -total * remainder, of_increment, None, None, None


def walk_batch(coherence: Tensor, increment: Tensor, source: Tensor, power: Tensor, shifts: Shifts) -> tuple[Tensor, Tensor, Tensor]:
    """The recursion's forward direction, all rows of the batch at once, on any device: theta, the remainder e and tau in seconds."""
    theta, remainder, taus = torch.empty_like(increment), torch.empty_like(increment), torch.empty_like(increment[..., 0])
    previous, amplitude = torch.zeros_like(increment[:, 0]), power[..., : shifts.low].sqrt()
    for m in range(increment.shape[1]):
        now = wrap(previous.gather(1, source[:, m]) + increment[:, m])
        tau = shifts.best(amplitude[:, m], now[:, : shifts.low])
        e = wrap(torch.addcmul(now, shifts.omega, tau[:, None]))
        previous = torch.addcmul(now, coherence[:, m], e, value=-1)
        theta[:, m], remainder[:, m], taus[:, m] = previous, e, tau
    return theta, remainder, taus


def _walk_cpu(coherence: Tensor, increment: Tensor, source: Tensor, power: Tensor, shifts: Shifts) -> tuple[Tensor, Tensor, Tensor]:
    """The same on a CPU, one row a thread: a loop of small tensor operations would take three times as long there."""
    theta, remainder, tau = torch.empty_like(increment), torch.empty_like(increment), torch.empty_like(increment[..., 0])
    columns = [t.detach().contiguous().numpy() for t in (coherence, increment, source, power, theta, remainder, tau)]
    tables = [t.numpy() for t in (shifts.grid_cosines, shifts.grid_sines, shifts.omega)]

    def row(b: int) -> None:
        _walk_row(*(c[b] for c in columns), *tables)

    list(_row_threads(torch.get_num_threads()).map(row, range(len(theta))))
    return theta, remainder, tau


@lru_cache(maxsize=1)
def _row_threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count)


@nb.njit(cache=True, nogil=True)
def _walk_row(coherence, increment, source, power, theta, remainder, taus, cosines, sines, omega):
    frames, bins = increment.shape
    previous = np.zeros(bins, np.float32)
    scratch = np.empty((3, max(cosines.shape[1], 2 * len(cosines))), np.float32)
    for m in range(frames):
        now, e = theta[m], remainder[m]
        for f in range(bins):
            now[f] = wrap_phase(previous[source[m, f]] + increment[m, f])
        tau, _ = frame_shift(power[m], now, cosines, sines, scratch)
        taus[m] = tau
        for f in range(bins):
            e[f] = wrap_phase(now[f] + omega[f] * tau)
            now[f] -= coherence[m, f] * e[f]
        previous = now


class Shifts(nn.Module):
    """The search for tau: a grid of shifts evaluated by two matrix products, the best refined by a parabola."""

    cosines: Tensor
    sines: Tensor
    grid_cosines: Tensor
    grid_sines: Tensor
    penalty: Tensor
    omega: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        cosines, sines = shift_grid(geometry)
        self.low = cosines.shape[1]
        for name, table in (("cosines", cosines.T), ("sines", sines.T), ("grid_cosines", cosines), ("grid_sines", sines)):
            self.register_buffer(name, torch.from_numpy(table.copy()), persistent=False)
        self.register_buffer("penalty", float(SHIFT_PENALTY) * torch.linspace(-1, 1, 2 * len(cosines) - 1).abs(), persistent=False)
        self.register_buffer("omega", torch.from_numpy((2 * np.pi * geometry.frequencies()).astype(np.float32)), persistent=False)

    def best(self, amplitude: Tensor, theta: Tensor) -> Tensor:
        """tau in seconds, (batch,), that best explains theta (batch, bins below 6 kHz) as a delay, weighted by amplitude (same shape)."""
        even, odd = (amplitude * torch.cos(theta)) @ self.cosines, (amplitude * torch.sin(theta)) @ self.sines
        scores = torch.cat([(even + odd)[:, 1:].flip(1), even - odd], 1)
        best = self._climb(scores, (scores - amplitude.sum(1, keepdim=True) * self.penalty).argmax(1, keepdim=True))
        last = scores.shape[1] - 1
        left, mid, right = (scores.gather(1, (best + k).clamp(0, last)) for k in (-1, 0, 1))
        curvature = left - 2 * mid + right
        inner = (best > 0) & (best < last) & (curvature < 0)
        fraction = torch.where(
            inner, 0.5 * (left - right) / torch.where(inner, curvature, torch.ones_like(curvature)), torch.zeros_like(curvature)
        )
        return (best + fraction - last // 2)[:, 0] * SHIFT_STEP_SECONDS

    def _climb(self, scores: Tensor, start: Tensor) -> Tensor:
        """The maximum of scores (batch, shifts) that one comes to by going uphill from start (batch, 1), in at most CLIMB_STEPS steps."""
        last = scores.shape[1] - 1
        edge = torch.full_like(scores[:, :1], -torch.inf)
        below, above = torch.cat([edge, scores[:, :-1]], 1), torch.cat([scores[:, 1:], edge], 1)
        summit = (scores >= below) & (scores >= above)
        index = torch.arange(last + 1, device=scores.device).expand_as(scores)
        downwards = torch.where(summit, index, 0).cummax(1).values
        upwards = torch.where(summit, index, last).flip(1).cummin(1).values.flip(1)
        uphill = torch.where(below.gather(1, start) > scores.gather(1, start), downwards.gather(1, start), upwards.gather(1, start))
        return torch.maximum(torch.minimum(uphill, start + CLIMB_STEPS), start - CLIMB_STEPS)


class Stage(nn.Module):
    """Bands of the generator to bins, rotations, and a waveform."""

    spread: Tensor
    corrected: Tensor
    window: Tensor
    let_through: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.shifts = Shifts(geometry)
        spread = band_spread(geometry)
        matrix, bins = np.zeros((BANDS, geometry.bins), np.float32), np.arange(geometry.bins)
        matrix[spread.lower, bins] = 1 - spread.weight
        matrix[spread.lower + 1, bins] += spread.weight
        corrected = matrix * (bins < spread.corrected)
        self.register_buffer("spread", torch.from_numpy(matrix), persistent=False)
        self.register_buffer("corrected", torch.from_numpy(corrected.astype(np.float32)), persistent=False)
        window = torch.from_numpy(geometry.window())
        self.longest = round(MAX_SHIFT_SECONDS * geometry.samplerate) + 1
        let_through = torch.stack([window * window.roll(d) for d in range(-self.longest, self.longest + 1)])
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("let_through", let_through, persistent=False)

    def rotations(
        self, power: Tensor, source: Tensor, horizontal: Tensor, vertical: Tensor, log_rate: Tensor, coherence: Tensor, alpha_mix: Tensor
    ) -> Rotated:
        """theta of each frame; the clip's first frame starts from rotation 0 and takes its own increment.

        Args:
            power, horizontal, vertical: (batch, frames, bins) float32. source: the same shape, int64.
            log_rate: (batch, frames). coherence, alpha_mix: (batch, frames, BANDS).
        """
        with torch.autocast(power.device.type, enabled=False):
            stretch = torch.exp(-log_rate.float()) - 1
            increment = horizontal + stretch[..., None] * (alpha_mix.float() @ self.spread) * vertical
            share = coherence.float() @ self.spread
            theta, tau = _Recursion.apply(share, increment, source, power, self.shifts)
            with torch.no_grad():
                amplitude = power[..., : self.shifts.low].sqrt()
                moved = (share[..., : self.shifts.low] * amplitude).sum(-1) / amplitude.sum(-1).clamp(min=1e-30)
                delays = torch.round(tau * moved * self.geometry.samplerate).long()
        return Rotated(theta, delays)

    def synthesise(self, spectra: Tensor, rotated: Rotated, log_gain: Tensor, rotation: Tensor) -> Tensor:
        """Waveform (batch, (frames - 3) H) of spectra (batch, frames, bins, complex64) turned by theta and the bands' gain and rotation."""
        with torch.autocast(spectra.device.type, enabled=False):
            gain = torch.exp(log_gain.float() @ self.corrected)
            turned = spectra * torch.polar(gain, rotated.theta + rotation.float() @ self.corrected)
            blocks = torch.fft.irfft(turned, n=self.geometry.window_length) * self.window
            norm = self.overlap_add(self.let_through[rotated.delays + self.longest])
            return self.overlap_add(blocks) / norm.clamp(min=float(SMALLEST_NORM))

    def overlap_add(self, blocks: Tensor) -> Tensor:
        """(batch, frames, N) -> (batch, (frames - 3) H): quarters of four neighbouring blocks meet in each hop."""
        batch, frames, _ = blocks.shape
        quarters = blocks.reshape(batch, frames, HOPS_PER_WINDOW, self.geometry.hop)
        last = HOPS_PER_WINDOW - 1
        return torch.stack([quarters[:, last - k : frames - k, k] for k in range(HOPS_PER_WINDOW)]).sum(0).flatten(1)

    def first_sample(self) -> int:
        """Position of synthesise's first sample relative to its first frame's instant: block m begins N/2 before frame m."""
        return EDGE_FRAMES * self.geometry.hop - self.geometry.window_length // 2
