"""A player of the game: a network and the optimiser that moves it."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tsmgan.errors import TsmganError
from tsmgan.training.recipe import TrainRecipe

NOT_A_NUMBER_LIMIT = 10
"""Steps in a row without a finite gradient after which a run stops."""


class Player:
    """A network, its optimiser, and what it does with a loss."""

    def __init__(self, name: str, module: nn.Module, learning_rate: float, train: TrainRecipe, accelerator: Accelerator) -> None:
        self.name, self.module = name, module
        self._clip, self._accelerator = train.clip, accelerator
        self._bad_steps = 0
        parameters = list(module.parameters()) or [nn.Parameter(torch.zeros(1))]
        betas = train.betas[0], train.betas[1]
        self.optimiser = torch.optim.AdamW(parameters, learning_rate, betas=betas, weight_decay=train.weight_decay)

    def update(self, loss: Tensor, learning_rate: float) -> float:
        """Take a step down the loss's gradient, which is averaged over processes and clipped; returns the norm it had before.

        A gradient that is not finite is not taken.

        Raises:
            TsmganError: the gradient was not finite for NOT_A_NUMBER_LIMIT steps in a row.
        """
        self.optimiser.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.backward()
        self._average()
        if all(p.grad is None for p in self.module.parameters()):
            return 0.0
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), self._clip))
        if not math.isfinite(norm):
            self._bad_steps += 1
            if self._bad_steps >= NOT_A_NUMBER_LIMIT:
                raise TsmganError(
                    f"The {self.name}'s gradient was not a number for {NOT_A_NUMBER_LIMIT} steps in a row. Lower train.learning_rate and "
                    "continue from the last checkpoint with --resume."
                )
            return norm
        self._bad_steps = 0
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        return norm

    def _average(self) -> None:
        """Replace the gradients by their mean over all processes, by one reduction of a flat vector."""
        if self._accelerator.num_processes == 1:
            return
        parameters = list(self.module.parameters())
        every = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = self._accelerator.reduce(torch.cat([g.flatten() for g in every]), "mean")
        for p, piece in zip(parameters, flat.split([g.numel() for g in every])):
            p.grad = piece.view_as(p)
