"""The alternating game between the generator and the critics.

A step, after the critics' warm-up: the generator's field, rotations and waveform; the critics learn from answers and waveforms; the
generator learns from all losses, from a critic only while that one is right about held-out pairs.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tsmgan.core.field import BAND_CENTRES_HZ, Field
from tsmgan.core.geometry import geometry
from tsmgan.training.adversary import Adversary
from tsmgan.training.batch import Batch
from tsmgan.training.clips import Clips
from tsmgan.training.network import Generator, GeneratorConfig
from tsmgan.training.objective import Objective
from tsmgan.training.player import Player
from tsmgan.training.recipe import Recipe
from tsmgan.training.recordings import SAMPLERATE
from tsmgan.training.renderer import Renderer, default_field
from tsmgan.training.stage import Rotated, Stage

LOW_BANDS = sum(hz < 4000 for hz in BAND_CENTRES_HZ)
"""Bands below 4 kHz: where the coherence of voices and of music should part."""
EXAMINED_ROWS = 192
"""Held-out clips on which the critics are examined, at most."""


class Game:
    """The networks of a run, and how far they have come."""

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        self.recipe, self.device = recipe, accelerator.device
        train, on_gpu = recipe.train, accelerator.device.type == "cuda"
        bfloat16 = train.precision == "bfloat16" or (train.precision == "auto" and on_gpu)
        self.renderer = Renderer(Stage(geometry(SAMPLERATE)).to(self.device), self.device, bfloat16)
        torch.manual_seed(recipe.seed)
        self.generator = Generator(GeneratorConfig(**asdict(recipe.generator))).to(self.device)
        self.ema = Generator(self.generator.config).to(self.device).requires_grad_(False)
        """The generator averaged over steps, which is what a run exports."""
        self.ema.load_state_dict(self.generator.state_dict())
        self.adversary = Adversary(recipe, self.renderer)
        self.objective = Objective(recipe.losses, self.renderer)
        self.players = {
            "generator": Player("generator", self.generator, train.learning_rate, train, accelerator),
            "critics": Player("critics", self.adversary.critics, recipe.adversary.learning_rate, train, accelerator),
        }
        self.step = 0

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Give the generator other weights than random ones."""
        self.generator.load_state_dict(weights)
        self.ema.load_state_dict(weights)

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds. Without adversarial losses there are no critics, and a checkpoint's are left aside."""
        modules: dict[str, nn.Module] = {"generator": self.generator, "ema": self.ema}
        return modules | ({"critics": self.adversary.critics} if self.adversary.is_there else {})

    def optimisers(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """Each player's module and optimiser, for a checkpoint."""
        return {name: (player.module, player.optimiser) for name, player in self.players.items()}

    def follow(self, recipe: Recipe) -> None:
        """Go on by a recipe that differs from the present one in its warm-up and averaging, or in the items that it uses."""
        self.recipe, self.adversary.warm_up = recipe, recipe.adversary.warm_up

    @property
    def warming_up(self) -> bool:
        """Whether the critics learn alone."""
        return self.adversary.warms_up(self.step)

    @property
    def learned_steps(self) -> int:
        """Steps in which the generator has learned."""
        return max(0, self.step - (self.adversary.warm_up if self.adversary.is_there else 0))

    def learning_rate(self) -> float:
        """The generator's learning rate at this step: it rises from zero when the generator begins to learn, then falls slowly."""
        train, after = self.recipe.train, self.learned_steps
        return train.learning_rate * min(1.0, (after + 1) / max(1, train.warm_up)) * 0.5 ** (after / train.half_life)

    def take_step(self, batch: Batch) -> dict[str, float]:
        """One step of the game; returns its numbers."""
        if self.warming_up:
            with torch.no_grad():
                output, _ = self.renderer.waveform(batch, default_field(batch))
            numbers = self._critics_turn(batch, output)
        else:
            numbers = self._generators_turn(batch)
        self.step += 1
        return numbers

    def _critics_turn(self, batch: Batch, output: Tensor) -> dict[str, float]:
        """The critics raise their bounds."""
        losses = self.adversary.own_losses(batch, output, self.step)
        self.players["critics"].update(sum(losses.values(), self._zero()), self.recipe.adversary.learning_rate)
        return {f"critics/{name}": -float(loss.detach()) for name, loss in losses.items()}

    def _generators_turn(self, batch: Batch) -> dict[str, float]:
        """The critics' turn, where they learn at this step, then the generator's."""
        field = self.renderer.field(self.generator, batch)
        output, rotated = self.renderer.waveform(batch, field)
        numbers = self._critics_turn(batch, output) if self.adversary.learns(self.step) else {}
        terms = self.losses(batch, field, output, rotated)
        total = sum((getattr(self.recipe.losses, name) * value for name, value in terms.items()), self._zero())
        numbers |= {f"losses/{name}": float(value.detach()) for name, value in terms.items()}
        numbers["losses/total"] = float(total.detach())
        numbers["gradient"] = self.players["generator"].update(total, self.learning_rate())
        self._average_generator()
        numbers["coherence"] = float(field.coherence.detach()[..., :LOW_BANDS].mean())
        slow = batch.mean_rate < 0
        if bool(slow.any()):
            numbers |= {
                f"slow/{name}": float(getattr(field, name).detach()[slow].mean())
                for name in ("coherence", "noise_share", "window", "grain")
            }
        return numbers

    def losses(self, batch: Batch, field: Field, output: Tensor, rotated: Rotated) -> dict[str, Tensor]:
        """Every term with a weight, before it is weighted, of a field and its waveform."""
        return self.objective.terms(batch, field, output, rotated) | self.adversary.generator_losses(batch, output)

    @torch.no_grad()
    def _average_generator(self) -> None:
        decay = min(self.recipe.train.ema, (1 + self.step) / (10 + self.step))
        for slow, fast in zip(self.ema.parameters(), self.generator.parameters()):
            slow.lerp_(fast, 1 - decay)

    def _zero(self) -> Tensor:
        return torch.zeros((), device=self.device)

    @torch.no_grad()
    def set_gates(self, held: Clips) -> dict[str, float]:
        """Examine the critics on held-out recordings against the present generator, and open or shut their gates; returns their
        accuracies, and the bounds of the divergence that they reach there."""
        if not self.adversary.is_there:
            return {}
        answers: dict[str, list[tuple[Tensor, Tensor]]] = {}
        frames, size = self.recipe.train.frames, self.recipe.train.batch
        count = min(2 * len(held), EXAMINED_ROWS)
        for first in range(0, count, size):
            batch = Batch(held.rows(self.recipe.seed + 1, 0, range(first, min(first + size, count)), frames), self.device)
            for name, said in self.adversary.bounds(batch, self.renderer.field(self.generator, batch)).items():
                answers.setdefault(name, []).append(said)
        return self.adversary.examine(answers, self.step)
