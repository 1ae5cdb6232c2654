"""The vocoder stage with gradients: the rotations of `tsmgan.core.vocoder` and its overlap-add, in torch, over a batch of clips.

The table of `tsmgan.core.analysis` is data here: theta_{m-1} is *gathered* at the table's source bins and its increments are added. The
shift tau is a choice among shifts, so it is held constant, and so are the places of attacks. What carries the gradient, through time as far
as the clip reaches, is the share lambda of the remainder that is taken away, and the alpha mix (within the increments and in the share
that attacks take). Gain, texture, the shares of noise and of grains, and the length of the synthesis window have theirs within each frame.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tsmgan.core.field import BANDS, LARGEST_LOG_GAIN, LARGEST_TEXTURE, LEAST_NOISE, SOFT_NOISE, Field, band_spread
from tsmgan.core.geometry import HOPS_PER_WINDOW, LONGEST_WINDOW, MAX_SHIFT_SECONDS, SHORTEST_WINDOW, WINDOW_SECONDS, Geometry
from tsmgan.core.grains import LARGEST_GAIN, NEAR_STEPS
from tsmgan.core.overlap import LEAST_NORM_SHARE, SMALLEST_NORM
from tsmgan.core.vocoder import (
    CLIMB_STEPS,
    LOG_BIAS,
    SHIFT_PENALTY,
    SHIFT_STEP_SECONDS,
    SMALLEST_POWER,
    SMOOTH_BINS,
    TEXTURE_BINS,
    TEXTURE_LINEAR,
    TEXTURE_MARGIN,
    TEXTURE_SQUARE,
    TONE_RATIO,
    propagate,
    shift_grid,
)
from tsmgan.training.clips import EDGE_FRAMES


def wrap(phase: Tensor) -> Tensor:
    """Phase in radians moved into [-pi, pi]."""
    return phase - 2 * math.pi * torch.round(phase / (2 * math.pi))


def unevenness(power: Tensor) -> Tensor:
    """Logarithm of each bin's amplitude relative to the root mean square of its neighbourhood; (batch, frames, bins), as
    `tsmgan.core.vocoder.measure_unevenness`."""
    mean = smoothed(power, TEXTURE_BINS)
    return 0.5 * (torch.log(power + SMALLEST_POWER) - torch.log(mean + SMALLEST_POWER))


def smoothed(power: Tensor, width: int) -> Tensor:
    """Mean of power (batch, frames, bins) over `width` bins on either side, as far as they are there."""
    return functional.avg_pool1d(power, 2 * width + 1, 1, width, count_include_pad=False)


def noise_level(power: Tensor) -> Tensor:
    """The amplitude that noise takes on, (batch, frames, bins), as `tsmgan.core.vocoder.fill_levels`."""
    return torch.exp(0.5 * (smoothed(torch.log(power + SMALLEST_POWER), SMOOTH_BINS) + LOG_BIAS))


class Rotated(NamedTuple):
    """Result of the recursion."""

    theta: Tensor
    """(batch, frames, bins), radians, with gradients towards coherence and alpha mix."""
    delays: Tensor
    """By how many samples coherence and attacks moved each frame, (batch, frames), int64, no gradient."""

    def detached(self) -> Rotated:
        """The same without gradients."""
        return Rotated(self.theta.detach(), self.delays)


class Walk(NamedTuple):
    """What the recursion reads, frame by frame; (batch, frames, bins) float32 unless stated otherwise."""

    coherence: Tensor
    """lambda."""
    attack: Tensor
    """Share of each bin that is moved to where its attack belongs."""
    increment: Tensor
    """What is added to the source's rotation."""
    source: Tensor
    """Bin of the frame before, int64."""
    power: Tensor
    attack_delay: Tensor
    """d, by which the attack is moved, (batch, frames), seconds."""


class Recursion(torch.autograd.Function):
    """theta_m = turned - share wrap(turned + omega d) with turned = now - lambda wrap(now + omega tau) and
    now = theta_{m-1}[source] + increment; written out because autograd's bookkeeping for a thousand small operations costs more
    than the operations."""

    @staticmethod
    def forward(ctx: Any, shifts: Shifts, *columns: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        walk = Walk(*columns)
        theta, taus = (walk_cpu if walk.increment.device.type == "cpu" else walk_batch)(walk, shifts)
        ctx.save_for_backward(walk.coherence, walk.attack, walk.source, *remainders(walk, shifts, theta, taus))
        ctx.mark_non_differentiable(taus)
        return theta, taus

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        coherence, attack, source, remainder, attack_remainder = ctx.saved_tensors
        total, unanchored = slope.clone(), 1 - attack
        kept = (1 - coherence) * unanchored
        of_increment = torch.empty_like(slope)
        for m in range(slope.shape[1] - 1, -1, -1):
            of_increment[:, m] = total[:, m] * kept[:, m]
            if m > 0:
                total[:, m - 1].scatter_add_(1, source[:, m], of_increment[:, m])
        return None, -total * unanchored * remainder, -total * attack_remainder, of_increment, None, None, None


def walk_batch(walk: Walk, shifts: Shifts) -> tuple[Tensor, Tensor]:
    """The recursion in torch, on any device: all rows of the batch take each step together.

    Returns:
        theta, (batch, frames, bins), and tau in seconds, (batch, frames).
    """
    theta, taus = torch.empty_like(walk.increment), torch.empty_like(walk.attack_delay)
    previous, amplitude = torch.zeros_like(walk.increment[:, 0]), walk.power[..., : shifts.low].sqrt()
    for m in range(walk.increment.shape[1]):
        now = wrap(previous.gather(1, walk.source[:, m]) + walk.increment[:, m])
        tau = shifts.best(amplitude[:, m], now[:, : shifts.low])
        turned = torch.addcmul(now, walk.coherence[:, m], wrap(torch.addcmul(now, shifts.omega, tau[:, None])), value=-1)
        late = wrap(torch.addcmul(turned, shifts.omega, walk.attack_delay[:, m, None]))
        previous = torch.addcmul(turned, walk.attack[:, m], late, value=-1)
        theta[:, m], taus[:, m] = previous, tau
    return theta, taus


def walk_cpu(walk: Walk, shifts: Shifts) -> tuple[Tensor, Tensor]:
    """The same by the recursion of `tsmgan.core.vocoder`, one row in each thread: torch takes three times as long on a CPU."""
    theta, taus = torch.empty_like(walk.increment), torch.zeros_like(walk.attack_delay)
    frames, bins = theta.shape[1:]
    coherence, attack, increment, source, power, attack_delay = (column.detach().contiguous().numpy() for column in walk)
    tables = [table.numpy() for table in (shifts.grid_cosines, shifts.grid_sines, shifts.omega)]
    # The increments and shares are those of bins already, and alpha has no further say.
    starts, weight = np.zeros(1, np.int64), np.zeros(1, np.float32)
    vertical, alpha_mix = np.zeros((frames, bins), np.float32), np.ones((frames, bins), np.float32)
    still, start = np.zeros(frames, np.float32), np.zeros(bins, np.float32)
    size = max(bins, 2 * len(shifts.grid_cosines))

    def walk_row(b: int) -> None:
        propagate(
            power[b], source[b], increment[b], vertical, attack_delay[b], attack[b], coherence[b],
            alpha_mix, still, starts, weight, *tables, start, theta[b].numpy(), taus[b].numpy(), np.empty(frames, np.float32),
            np.empty((6, size), np.float32),
        )  # fmt: skip

    list(_row_threads(torch.get_num_threads()).map(walk_row, range(len(theta))))
    return theta, taus


@lru_cache(maxsize=1)
def _row_threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count)


def remainders(walk: Walk, shifts: Shifts, theta: Tensor, taus: Tensor) -> tuple[Tensor, Tensor]:
    """wrap(now + omega tau) and wrap(turned + omega d), of which coherence and attacks take their share; each (batch, frames, bins)."""
    previous = functional.pad(theta[:, :-1], (0, 0, 1, 0))
    now = wrap(previous.gather(2, walk.source) + walk.increment)
    remainder = wrap(torch.addcmul(now, shifts.omega, taus[..., None]))
    turned = torch.addcmul(now, walk.coherence, remainder, value=-1)
    return remainder, wrap(torch.addcmul(turned, shifts.omega, walk.attack_delay[..., None]))


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
        scores = self._scores(amplitude * torch.cos(theta), amplitude * torch.sin(theta))
        return self._best(scores, amplitude.sum(1, keepdim=True))[:, 0] * SHIFT_STEP_SECONDS

    def of_grains(self, agreement: Tensor, starts: Tensor) -> Tensor:
        """tau in seconds of each frame in its grain, (batch, frames), as `tsmgan.core.grains` has it.

        Args:
            agreement: Y conj(G), (batch, frames, bins), complex64. starts: the first frame of each frame's grain, (batch, frames), int64.
        """
        low = agreement[..., : self.low]
        root = low.abs().sqrt()
        c, s = (torch.where(root > 0, part / root, 0.0) for part in (low.real, low.imag))
        batch, frames = root.shape[:2]

        index = starts[..., None].expand_as(root)

        def sums(values: Tensor) -> Tensor:
            """Sums over the frames of each grain, at its first frame."""
            return torch.zeros_like(values).scatter_add_(1, index, values).flatten(0, 1)

        middles = self._best(self._scores(sums(c), sums(s)), sums(root).sum(1, keepdim=True)).view(batch, frames)
        own = self._scores(c.flatten(0, 1), s.flatten(0, 1))
        middle = own.shape[1] // 2
        centre = torch.round(middles).long().gather(1, starts).reshape(-1, 1) + middle
        start, stop = (centre - NEAR_STEPS).clamp(min=0), (centre + NEAR_STEPS).clamp(max=2 * middle)
        places = torch.arange(own.shape[1], device=own.device)
        best = torch.where((places >= start) & (places <= stop), own, -torch.inf).argmax(1, keepdim=True)
        return ((best + self._fraction(own, best, start, stop) - middle) * SHIFT_STEP_SECONDS).view(batch, frames)

    def _scores(self, c: Tensor, s: Tensor) -> Tensor:
        """How well each shift suits, (batch, shifts), for the cosine and sine of phases, weighted, (batch, bins below 6 kHz)."""
        even, odd = c @ self.cosines, s @ self.sines
        return torch.cat([(even + odd)[:, 1:].flip(1), even - odd], 1)

    def _best(self, scores: Tensor, total: Tensor) -> Tensor:
        """The best shift in steps, (batch, 1); total (batch, 1) is the sum of the weights."""
        best = self._climb(scores, (scores - total * self.penalty).argmax(1, keepdim=True))
        last = scores.shape[1] - 1
        return best + self._fraction(scores, best, torch.zeros_like(best), torch.full_like(best, last)) - last // 2

    def _fraction(self, scores: Tensor, best: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """How far the top of the parabola through the best and its neighbours is from it, in steps; 0 at the first and the last."""
        left, mid, right = (scores.gather(1, (best + k).clamp(0, scores.shape[1] - 1)) for k in (-1, 0, 1))
        curvature = left - 2 * mid + right
        inner = (best > first) & (best < last) & (curvature < 0)
        return torch.where(inner, 0.5 * (left - right) / torch.where(inner, curvature, 1.0), 0.0)

    def _climb(self, scores: Tensor, start: Tensor) -> Tensor:
        """The maximum of scores (batch, shifts) that is reached uphill from start (batch, 1) in at most CLIMB_STEPS steps."""
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
    delayed: Tensor
    analysis: Tensor
    places: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.shifts = Shifts(geometry)
        spread, n = band_spread(geometry), geometry.window_length
        matrix, bins = np.zeros((BANDS, geometry.bins), np.float32), np.arange(geometry.bins)
        matrix[spread.lower, bins] = 1 - spread.weight
        matrix[spread.lower + 1, bins] += spread.weight
        analysis = torch.from_numpy(geometry.window())
        # Delays are circular, as the transform is: N of them are all there can be.
        for name, table in (
            ("spread", torch.from_numpy(matrix)),
            ("delayed", torch.stack([analysis.roll(d) for d in range(n)])),
            ("analysis", analysis / analysis.square().sum().sqrt()),
            ("places", (torch.arange(n) - n // 2).abs() / n),
        ):
            self.register_buffer(name, table, persistent=False)

    def rotations(
        self,
        power: Tensor,
        source: Tensor,
        horizontal: Tensor,
        vertical: Tensor,
        attack_delay: Tensor,
        attack_share: Tensor,
        log_rate: Tensor,
        coherence: Tensor,
        alpha_mix: Tensor,
    ) -> Rotated:
        """theta of each frame; the clip's first frame starts from rotation 0 and takes its own increment.

        Args:
            power, horizontal, vertical, attack_share: (batch, frames, bins) float32. source: the same shape, int64.
            attack_delay: (batch, frames), seconds; 0 where no attack is moved. log_rate: (batch, frames).
            coherence, alpha_mix: (batch, frames, BANDS).
        """
        with torch.autocast(power.device.type, enabled=False):
            stretch, mix = torch.exp(-log_rate.float()) - 1, alpha_mix.float() @ self.spread
            share, attack = coherence.float() @ self.spread, mix * attack_share
            increment = horizontal + stretch[..., None] * mix * vertical
            theta, tau = Recursion.apply(self.shifts, *Walk(share, attack, increment, source, power, attack_delay))
            with torch.no_grad():
                amplitude = power.sqrt()
                delay = tau * _mean(share, amplitude, self.shifts.low)
                delay = delay + (attack_delay - delay) * _mean(attack, amplitude)
                delays = torch.round(delay * self.geometry.samplerate).long()
        return Rotated(theta, delays)

    def gains(self, power: Tensor, log_gain: Tensor, texture: Tensor) -> Tensor:
        """Gain of each bin in amplitude, (batch, frames, bins), from the bands' gain and texture.

        Args:
            power: (batch, frames, bins). log_gain, texture: (batch, frames, BANDS).
        """
        with torch.autocast(power.device.type, enabled=False):
            gain = log_gain.float().clamp(-LARGEST_LOG_GAIN, LARGEST_LOG_GAIN) @ self.spread
            gamma = texture.float().clamp(-LARGEST_TEXTURE, LARGEST_TEXTURE) @ self.spread
            level = gain + gamma * unevenness(power)
            expected = (power * torch.exp(2 * gain) * (1 + gamma * (TEXTURE_LINEAR + TEXTURE_SQUARE * gamma))).sum(-1, keepdim=True)
            found = (power * torch.exp(2 * level)).sum(-1, keepdim=True)
            share = (found + SMALLEST_POWER) / (expected + SMALLEST_POWER)
            level = level + 0.5 * (torch.log(share.clamp(1 / TEXTURE_MARGIN, TEXTURE_MARGIN)) - torch.log(share))
            return torch.exp(level)

    def noise(self, white: Tensor) -> Tensor:
        """Short-time spectra (batch, frames, bins), complex64, of white noise (batch, (frames + HOPS_PER_WINDOW - 1) H); power 1 a bin."""
        return torch.fft.rfft(white.unfold(1, self.geometry.window_length, self.geometry.hop) * self.analysis)

    def grains(self, spectra: Tensor, delays: Tensor, grains: Tensor, starts: Tensor, power: Tensor, share: Tensor) -> Tensor:
        """Spectra (batch, frames, bins) with their share (same shape) of grains, as `tsmgan.core.grains` mixes them."""
        with torch.no_grad():
            tau = self.shifts.of_grains(spectra * grains.conj(), starts)
            own = smoothed(grains.abs() ** 2, TEXTURE_BINS)
            wanted = ((smoothed(power, TEXTURE_BINS) + SMALLEST_POWER) / (own + SMALLEST_POWER)).sqrt()
            gain = wanted.clamp(max=LARGEST_GAIN)
            lost = (_window_at(delays / self.geometry.samplerate) / _window_at(tau))[..., None]
            moved = grains * torch.polar(gain * lost, -self.shifts.omega * tau[..., None])
            common = smoothed((spectra * moved.conj()).real, TEXTURE_BINS)
            rho = (common / (own * gain**2 * lost + SMALLEST_POWER)).clamp(0, 1)
        b = share * (gain / wanted) ** 2
        return ((1 - b) * spectra + b * moved) / ((1 - b) ** 2 + b**2 + 2 * b * (1 - b) * rho).sqrt()

    def synthesise(
        self,
        spectra: Tensor,
        grains: Tensor,
        grain_starts: Tensor,
        power: Tensor,
        attack_share: Tensor,
        rotated: Rotated,
        gain: Tensor,
        field: Field,
        white: Tensor,
    ) -> Tensor:
        """Waveform (batch, (frames - EDGE_FRAMES) H) of spectra (batch, frames, bins, complex64).

        Args:
            grains: spectra of the frames in their grains. grain_starts: the first frame of each frame's, (batch, frames), int64.
            gain: of the bins. field: its noise, window and grains count. white: noise as `noise` takes it. The rest is as of `rotations`.
        """
        with torch.autocast(spectra.device.type, enabled=False):
            root, grain = (self._root(share, attack_share) for share in (field.noise_share, field.grain))
            level = noise_level(power)
            lost = root**2 * (TONE_RATIO * level**2 / (power + SMALLEST_POWER)).clamp(max=1)
            kept = spectra * torch.polar(gain * (1 - lost).clamp(min=1e-6).sqrt(), rotated.theta)
            mixed = self.grains(kept + root * level * self.noise(white), rotated.delays, grains, grain_starts, power, grain**2)
            blocks = torch.fft.irfft(mixed, n=self.geometry.window_length)
            window = self.windows(field.window.float().mean(-1))
            norm = self.overlap_add(self.delayed[rotated.delays % self.geometry.window_length] * window)
            plain = self.overlap_add(self.delayed[torch.zeros_like(rotated.delays)] * window)
            return self.overlap_add(blocks * window) / torch.maximum(norm, float(LEAST_NORM_SHARE) * plain).clamp(min=float(SMALLEST_NORM))

    def _root(self, share: Tensor, attack_share: Tensor) -> Tensor:
        """Root of what a share of noise or grains (batch, frames, BANDS) counts for in each bin."""
        counted = ((share.float().clamp(0, 1) @ self.spread) * (1 - attack_share) - LEAST_NOISE).clamp(min=0)
        return counted / (counted + SOFT_NOISE).sqrt()

    def windows(self, share: Tensor) -> Tensor:
        """Synthesis windows (batch, frames, N) of lengths (batch, frames), in analysis windows, with a gradient towards the length."""
        x = self.places / share.clamp(SHORTEST_WINDOW, LONGEST_WINDOW)[..., None]
        return torch.where(x < 0.5, 0.5 + 0.5 * torch.cos(2 * math.pi * x), 0.0)

    def overlap_add(self, blocks: Tensor) -> Tensor:
        """(batch, frames, N) -> (batch, (frames - EDGE_FRAMES) H): parts of neighbouring blocks meet in each hop."""
        batch, frames, _ = blocks.shape
        parts = blocks.reshape(batch, frames, HOPS_PER_WINDOW, self.geometry.hop)
        total = parts[:, EDGE_FRAMES:, 0]
        for k in range(1, HOPS_PER_WINDOW):
            total = total + parts[:, EDGE_FRAMES - k : frames - k, k]
        return total.flatten(1)

    def first_sample(self) -> int:
        """Position of synthesise's first sample relative to its first frame's instant: block m begins N/2 before frame m."""
        return EDGE_FRAMES * self.geometry.hop - self.geometry.window_length // 2


def _window_at(seconds: Tensor) -> Tensor:
    """As `tsmgan.core.grains.window_at`."""
    return 0.5 + 0.5 * torch.cos(2 * math.pi / WINDOW_SECONDS * seconds.abs().clamp(max=MAX_SHIFT_SECONDS))


def _mean(values: Tensor, weights: Tensor, bins: int | None = None) -> Tensor:
    """Mean of values over the first bins, weighted: (batch, frames, bins) twice -> (batch, frames)."""
    return (values[..., :bins] * weights[..., :bins]).sum(-1) / weights[..., :bins].sum(-1).clamp(min=1e-30)
