"""A batch: rows of clips as tensors on a device."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tsmgan.core.analysis import grain_starts
from tsmgan.core.field import Field
from tsmgan.training.clips import Rows
from tsmgan.training.network import rule_field


class Batch:
    """Rows as tensors; shapes are as in `Rows`."""

    spectra: Tensor
    grains: Tensor
    source: Tensor
    """int64."""
    horizontal: Tensor
    vertical: Tensor
    attack_delay: Tensor
    attack_share: Tensor
    """float32."""
    features: Tensor
    log_rate_around: Tensor
    answer: Tensor
    noise: Tensor
    white: Tensor
    paired: Tensor
    exact: Tensor
    bandwidth: Tensor
    item: Tensor

    def __init__(self, rows: Rows, device: torch.device) -> None:
        for name, column in rows._asdict().items():
            setattr(self, name, torch.from_numpy(column).to(device, non_blocking=True))
        self.source, self.attack_share = self.source.long(), self.attack_share.float()
        context = (self.features.shape[1] - self.spectra.shape[1]) // 2
        self.inner = slice(context, context + self.spectra.shape[1])
        """The clip's own frames among those of its context."""
        self.power = self.spectra.real**2 + self.spectra.imag**2
        self.log_rate = self.log_rate_around[:, self.inner].contiguous()
        self.mean_rate = self.log_rate.mean(1)
        rates = np.exp(rows.log_rate_around[:, self.inner].astype(np.float64))
        self.grain_starts = torch.from_numpy(np.stack([grain_starts(row) for row in rates])).to(device)
        """The first frame of each frame's grain, (rows, frames), int64."""

    @cached_property
    def by_hand(self) -> Field:
        """The rule's field: what the generator departs from."""
        return Field(*(values[:, self.inner].contiguous() for values in rule_field(self.features, self.log_rate_around)))

    @cached_property
    def voice(self) -> Tensor:
        """How far each clip is a voice, by the rule, 0 to 1: (rows,)."""
        return 1 - self.by_hand.alpha_mix.mean((1, 2))

    def __len__(self) -> int:
        return len(self.paired)
