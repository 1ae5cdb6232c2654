"""The adversary: the critics, the divergence that they estimate, and the gates that decide when the generator listens to them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsmgan.core.field import Field
from tsmgan.training.batch import Batch
from tsmgan.training.critics import Critics, Judgement, feature_matching, make_critics
from tsmgan.training.divergences import divergence
from tsmgan.training.recipe import Recipe
from tsmgan.training.renderer import Renderer

R1_EVERY = 8
"""Steps from one R1 penalty to the next; it counts as many times as much (Karras et al., 2020)."""
LOSSES = ("adversarial", "adversarial_unpaired", "feature_matching")
"""The losses that need critics."""


class Adversary:
    """Critics that tell real recordings from stretched ones. Where the recipe gives their losses no weight, there are none."""

    def __init__(self, recipe: Recipe, renderer: Renderer) -> None:
        self._recipe, self._renderer = recipe.adversary, renderer
        self._weights = recipe.losses
        self._terms = [name for name in LOSSES if getattr(recipe.losses, name) > 0]
        self.critics = (make_critics(recipe.critics) if self._terms else Critics({})).to(renderer.device)
        self.is_there = len(self.critics) > 0
        self.gates = dict.fromkeys(self.critics, False)
        """Whether the generator learns from each critic."""
        self.warm_up = recipe.adversary.warm_up
        """Steps in which the critics learn alone."""
        self._divergence = divergence(recipe.adversary.divergence)

    def warms_up(self, step: int) -> bool:
        """Whether the critics learn alone at a step."""
        return self.is_there and step < self.warm_up

    def learns(self, step: int) -> bool:
        """Whether the critics learn at a step."""
        return self.is_there and step % self._recipe.every == 0

    def judge(self, batch: Batch, clips: Tensor, chosen: Tensor) -> dict[str, Judgement]:
        """What each critic says of the chosen rows (numbers) of clips (rows, samples)."""
        with self._renderer.autocast():
            return self.critics.judge(clips[chosen], batch.mean_rate[chosen], batch.voice[chosen], batch.bandwidth[chosen])

    def heard_rows(self, batch: Batch) -> Tensor:
        """Numbers of the rows that the critics hear: pairs only where a loss asks for them."""
        paired = "adversarial" in self._terms or "feature_matching" in self._terms
        return torch.arange(len(batch), device=batch.paired.device) if paired else (~batch.paired).nonzero()[:, 0]

    def own_losses(self, batch: Batch, output: Tensor, step: int) -> dict[str, Tensor]:
        """What each critic has to minimise: the negative of its bound of the divergence between answers and output, and R1 now and then."""
        rows = self.heard_rows(batch)
        if not len(rows):
            return {}
        penalised = self._recipe.r1 > 0 and step % R1_EVERY == 0
        answers = batch.answer.detach().requires_grad_() if penalised else batch.answer
        real, fake = self.judge(batch, answers, rows), self.judge(batch, output.detach(), rows)
        losses = {name: self._divergence.critic_loss(real[name].answers, fake[name].answers) for name in self.critics}
        if penalised:
            for name in losses:
                losses[name] = losses[name] + self._recipe.r1 * R1_EVERY * _r1(real[name].answers, answers)
        return losses

    def generator_losses(self, batch: Batch, output: Tensor) -> dict[str, Tensor]:
        """What the critics with an open gate say of the output: means over the critics and over all rows of the batch."""
        names, rows = [name for name, is_open in self.gates.items() if is_open], self.heard_rows(batch)
        if not names or not len(rows):
            return {}
        self.critics.requires_grad_(False)
        fake = self.judge(batch, output, rows)
        with torch.no_grad():
            real = self.judge(batch, batch.answer, rows) if "feature_matching" in self._terms else {}
        self.critics.requires_grad_(True)
        terms, paired = {name: torch.zeros((), device=output.device) for name in self._terms}, batch.paired[rows]
        for name in names:
            for term, chosen in (("adversarial", paired), ("adversarial_unpaired", ~paired)):
                if term in terms and bool(chosen.any()):
                    loss = self._divergence.generator_loss(fake[name].answers[chosen], self._recipe.generator_loss)
                    terms[term] = terms[term] + chosen.sum() / len(batch) * loss / len(names)
            if "feature_matching" in terms:
                matching = feature_matching(real[name], fake[name]) * paired
                terms["feature_matching"] = terms["feature_matching"] + matching.sum() / len(batch) / len(names)
        return terms

    def bounds(self, batch: Batch, field: Field) -> dict[str, tuple[Tensor, Tensor]]:
        """For each critic its answers about real sounds and about the field's waveform, (rows heard, moments) each."""
        rows = self.heard_rows(batch)
        if not len(rows):
            return {}
        output, _ = self._renderer.waveform(batch, field)
        real, fake = self.judge(batch, batch.answer, rows), self.judge(batch, output, rows)
        return {name: (real[name].answers.float(), fake[name].answers.float()) for name in self.critics}

    def bound(self, real: Tensor, fake: Tensor) -> float:
        """The lower bound of the recipe's divergence that answers about real and fake sounds give, divided by log 2: bits with "js"."""
        return -float(self._divergence.critic_loss(real, fake)) / math.log(2)

    def examine(self, answers: dict[str, list[tuple[Tensor, Tensor]]], step: int) -> dict[str, float]:
        """Open or shut the gates by what the critics said about held-out recordings; returns their accuracies and bounds."""
        numbers: dict[str, float] = {}
        warm = step >= self.warm_up
        for name, pairs in answers.items():
            real, fake = (torch.cat(side) for side in zip(*pairs))
            accuracy = float((real.mean(1) > fake.mean(1)).float().mean())
            self.gates[name] = warm and accuracy >= self._recipe.gate
            numbers |= {f"accuracy/{name}": accuracy, f"bound/{name}": self.bound(real, fake)}
        return numbers


def _r1(answers: Tensor, sounds: Tensor) -> Tensor:
    """Half of the mean squared gradient of a critic's answers with respect to real sounds (Mescheder et al., 2018)."""
    (slope,) = torch.autograd.grad(answers.mean(1).sum(), sounds, create_graph=True)
    return 0.5 * slope.pow(2).sum(1).mean()
