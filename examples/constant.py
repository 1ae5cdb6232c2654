"""The game on a toy: a generator that may set one constant has to find the best one.

    python examples/constant.py [--divergence js] [--start 0.05] [--steps 100]

"Natural" sounds are stretched here as well, with a share of fresh noise of BEST in every bin. The generator is a single number, the share
that it uses itself, and starts elsewhere. It never learns what would have been right for a sound of its own. Critics alone, which hear
40 ms at a time, tell it in which direction natural sounds lie. Critics, divergence, optimisers and vocoder stage are those of a training.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tsmgan.core.field import Field
from tsmgan.training.batch import Batch
from tsmgan.training.clips import Clips
from tsmgan.training.game import Game
from tsmgan.training.network import rule_field
from tsmgan.training.player import Player
from tsmgan.training.recipe import Recipe, load_recipe
from tsmgan.training.recordings import scan
from tsmgan.training.shards import make_shards

BEST = 0.3
"""The share of fresh noise in natural sounds."""
SETTINGS = (
    "data.rates=[0.499, 0.501]", "data.varying=0.0", "data.unpaired=1.0", "augment.resample=0.0", "augment.mix=0.0", "augment.noise=0.0",
    "losses.mel=0.0", "losses.sorted_envelope=0.0", "losses.convergence=0.0", "losses.cycle=0.0", "losses.prior=0.0",
    "losses.adversarial=0.0", "losses.feature_matching=0.0", "losses.adversarial_unpaired=1.0",
    "critics.moment_channels=8", "critics.spectrogram_channels=0", "critics.period_channels=0", "critics.envelope_channels=0",
    "adversary.learning_rate=0.004",
    "train.batch=8", "train.frames=32", "train.learning_rate=0.08", "train.warm_up=1", "train.weight_decay=0.0", "train.ema=0.95",
)  # fmt: skip
"""What the recipe `smoke` is changed by: one rate, and no loss but what the critics say."""


class Constant(nn.Module):
    """In place of the network: the rule's field, with one share of fresh noise for all bands and moments."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(share).logit())

    @property
    def share(self) -> float:
        """The constant, between 0 and 1."""
        return float(self.logit.detach().sigmoid())

    def forward(self, features: Tensor, log_rate: Tensor, noise: Tensor) -> Field:
        """The field of a batch, (rows, frames, bands) each."""
        by_hand = rule_field(features, log_rate)
        return by_hand._replace(noise_share=self.logit.sigmoid().expand_as(by_hand.noise_share))


def sounds(folder: Path, recipe: Recipe) -> Clips:
    """Pieces of the voice beside this file, made in a folder."""
    (folder / "voice").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "voice.flac", folder / "voice")
    recordings, _ = scan(folder, recipe.data.shortest)
    made = make_shards(folder / "pairs", recordings, 12, recipe)
    return Clips(made.folder, recipe.generator.noise, recipe.generator.context)


def play(clips: Clips, recipe: Recipe, start: float, steps: int) -> Iterator[float]:
    """Play the game from a constant; yields the constant after each step, averaged as a run averages its generator."""
    game = Game(recipe, Accelerator(cpu=True))
    game.generator, game.ema, natural = Constant(start), Constant(start), Constant(BEST)  # type: ignore[assignment]
    game.players["generator"] = Player("generator", game.generator, recipe.train.learning_rate, recipe.train, Accelerator(cpu=True))
    game.adversary.gates = dict.fromkeys(game.adversary.gates, True)
    for step in range(steps):
        batch, other = (Batch(clips.rows(seed, step, range(recipe.train.batch), recipe.train.frames), game.device) for seed in (1, 2))
        with torch.no_grad():
            batch.answer, _ = game.renderer.waveform(other, game.renderer.field(natural, other))  # type: ignore[arg-type]
        game.take_step(batch)
        yield game.ema.share  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--divergence", default="js")
    parser.add_argument("--start", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe("smoke", [*SETTINGS, f"adversary.divergence={arguments.divergence}"])
    with tempfile.TemporaryDirectory() as folder:
        for step, share in enumerate(play(sounds(Path(folder), recipe), recipe, arguments.start, arguments.steps), 1):
            if step % 10 == 0:
                print(f"step {step:4d}: {share:.3f} (best: {BEST})", flush=True)


if __name__ == "__main__":
    main()
