"""The way of the data: from a batch through the generator to a field, and from a field through the vocoder stage to a waveform."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsmgan.core.field import Field
from tsmgan.training.batch import Batch
from tsmgan.training.network import Generator
from tsmgan.training.stage import Rotated, Stage


@dataclass(frozen=True)
class Renderer:
    """The stage, and the precision of the networks."""

    stage: Stage
    device: torch.device
    bfloat16: bool

    def autocast(self) -> torch.autocast:
        """bfloat16 for the networks' layers, where the run has it; signals and losses stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def field(self, generator: Generator, batch: Batch) -> Field:
        """The generator's decisions for a batch, float32."""
        with self.autocast():
            field = generator(batch.features, batch.log_rate_around, batch.noise)
        return Field(*(values[:, batch.inner].float() for values in field))

    def waveform(self, batch: Batch, field: Field) -> tuple[Tensor, Rotated]:
        """The waveform of a field, (rows, samples), and the rotations behind it."""
        rotated = self.stage.rotations(
            batch.power, batch.source, batch.horizontal, batch.vertical, batch.attack_delay, batch.attack_share, batch.log_rate,
            field.coherence, field.alpha_mix,
        )  # fmt: skip
        return self._synthesise(batch, field, rotated), rotated

    def levelled(self, batch: Batch, field: Field, rotated: Rotated) -> Tensor:
        """The same waveform with a gradient towards gain and texture alone."""
        held = field._replace(noise_share=field.noise_share.detach(), window=field.window.detach(), grain=field.grain.detach())
        return self._synthesise(batch, held, rotated.detached())

    def _synthesise(self, batch: Batch, field: Field, rotated: Rotated) -> Tensor:
        gains = self.stage.gains(batch.power, field.log_gain, field.texture)
        return self.stage.synthesise(
            batch.spectra, batch.grains, batch.grain_starts, batch.power, batch.attack_share, rotated, gains, field, batch.white
        )


def default_field(batch: Batch) -> Field:
    """The rule's field for a batch: what the generator departs from."""
    return batch.by_hand
