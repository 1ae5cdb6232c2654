"""The adversary: the critics, the divergence that they estimate, and the gates that decide when the generator listens to them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tsmgan.core.field import Field
from tsmgan.training.batch import Batch
from tsmgan.training.critics import Critics, Judgement, feature_matching, make_critics
from tsmgan.training.divergences import divergence
from tsmgan.training.recipe import Recipe
from tsmgan.training.renderer import Renderer

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
        self._divergence = divergence(recipe.adversary.divergence)

    def warms_up(self, step: int) -> bool:
        """Whether the critics learn alone at a step."""
        return self.is_there and step < self._recipe.warm_up

    def learns(self, step: int) -> bool:
        """Whether the critics learn at a step."""
        return self.is_there and step % self._recipe.every == 0

    def judge(self, batch: Batch, clips: Tensor) -> dict[str, Judgement]:
        """What each critic says of clips (rows, samples)."""
        with self._renderer.autocast():
            return self.critics.judge(clips, batch.mean_rate, batch.bandwidth)

    def own_losses(self, batch: Batch, output: Tensor) -> dict[str, Tensor]:
        """What each critic has to minimise: the negative of its bound of the divergence between answers and output."""
        real, fake = self.judge(batch, batch.answer), self.judge(batch, output.detach())
        return {name: self._divergence.critic_loss(real[name].answers, fake[name].answers) for name in self.critics}

    def generator_losses(self, batch: Batch, output: Tensor) -> dict[str, Tensor]:
        """What the critics with an open gate say of the output: means over the critics and over all rows of the batch."""
        names = [name for name, is_open in self.gates.items() if is_open]
        if not names:
            return {}
        self.critics.requires_grad_(False)
        fake = self.judge(batch, output)
        with torch.no_grad():
            real = self.judge(batch, batch.answer) if "feature_matching" in self._terms else {}
        self.critics.requires_grad_(True)
        terms = {name: torch.zeros((), device=output.device) for name in self._terms}
        for name in names:
            for term, chosen in (("adversarial", batch.paired), ("adversarial_unpaired", ~batch.paired)):
                if term in terms and bool(chosen.any()):
                    loss = self._divergence.generator_loss(fake[name].answers[chosen], self._recipe.generator_loss)
                    terms[term] = terms[term] + chosen.sum() / len(batch) * loss / len(names)
            if "feature_matching" in terms:
                matching = feature_matching(real[name], fake[name]) * batch.paired
                terms["feature_matching"] = terms["feature_matching"] + matching.sum() / len(batch) / len(names)
        return terms

    def right(self, batch: Batch, field: Field) -> dict[str, list[float]]:
        """For each critic and row 1 where it ranks the answer above the field's waveform, else 0."""
        output, _ = self._renderer.waveform(batch, field)
        real, fake = self.judge(batch, batch.answer), self.judge(batch, output)
        means = {name: (real[name].answers.float().mean(1), fake[name].answers.float().mean(1)) for name in self.critics}
        return {name: (a > b).float().tolist() for name, (a, b) in means.items()}

    def set_gates(self, right: dict[str, list[float]], step: int) -> dict[str, float]:
        """Open or shut the gates by what the critics had right about held-out pairs; returns their accuracies."""
        accuracy = {name: float(np.mean(values)) for name, values in right.items()}
        warm = step >= self._recipe.warm_up
        self.gates = {name: warm and accuracy[name] >= self._recipe.gate for name in self.critics}
        return {f"accuracy/{name}": value for name, value in accuracy.items()}
