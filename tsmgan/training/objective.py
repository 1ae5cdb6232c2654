"""The generator's losses that need no critic: against the answers, against the input, and against the rule."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsmgan.core.field import Field
from tsmgan.training.batch import Batch
from tsmgan.training.losses import ConvergenceLoss, CycleLoss, MelLoss, PulsesLoss, SortedEnvelopeLoss, prior
from tsmgan.training.recipe import LossesRecipe
from tsmgan.training.renderer import Renderer, default_field
from tsmgan.training.stage import Rotated


class Objective:
    """The losses of a recipe."""

    def __init__(self, weights: LossesRecipe, renderer: Renderer) -> None:
        self._weights, self._renderer = weights, renderer
        losses = (MelLoss(), SortedEnvelopeLoss(), ConvergenceLoss(), CycleLoss(renderer.stage.geometry), PulsesLoss())
        self.mel, self.sorted_envelope, self.convergence, self.cycle, self.pulses = (loss.to(renderer.device) for loss in losses)

    def terms(self, batch: Batch, field: Field, output: Tensor, rotated: Rotated) -> dict[str, Tensor]:
        """Every term with a weight, before it is weighted: means over all rows of the batch, so that processes can be averaged."""
        weights, terms = self._weights, {}
        if weights.mel > 0 or weights.cycle > 0:
            levelled = self._renderer.levelled(batch, field, rotated)
            if weights.mel > 0:
                # Only exact pairs count. On others the gain would learn to mend what the inverse stretcher broke.
                terms["mel"] = against_answers(self.mel, batch, levelled, batch.exact)
            if weights.cycle > 0:
                terms["cycle"] = self.cycle(batch.spectra, levelled).mean()
        if weights.sorted_envelope > 0:
            terms["sorted_envelope"] = against_answers(self.sorted_envelope, batch, output, batch.paired)
        if weights.convergence > 0:
            terms["convergence"] = against_answers(self.convergence, batch, output, batch.paired)
        if weights.pulses > 0:
            # Two pieces of a voice never are equally sharp. What is least here is the distance of a median that is 0.
            terms["pulses"] = (batch.voice * self.pulses(batch.answer, output, batch.bandwidth).abs()).mean()
        if weights.prior > 0:
            terms["prior"] = prior(field, default_field(batch)).mean()
        return terms


def against_answers(loss: nn.Module, batch: Batch, y: Tensor, chosen: Tensor) -> Tensor:
    """A loss of waveforms y (rows, samples) against their answers, of the chosen rows (bool); a mean over all rows of the batch."""
    rows = chosen.nonzero()[:, 0]
    if not len(rows):
        return torch.zeros((), device=y.device)
    total: Tensor = loss(batch.answer[rows], y[rows], batch.bandwidth[rows]).sum()
    return total / len(batch)
