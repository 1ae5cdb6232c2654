"""A training run: its folder, its recordings, its loop, and what it leaves behind.

The loop is plain torch on Accelerate rather than on Fabric: Accelerate reads what `torchrun` sets, places tensors, opens the process
group, and leaves the loop alone. Everything random is a function of (seed, step, row). So a run that was interrupted continues to the same
result, and n processes with batch b make the same steps as one with batch n b.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.console import Console
from torch import Tensor

from tsmgan.errors import ModelError, TsmganError
from tsmgan.export.onnx import read_weights, write_model
from tsmgan.models import find_model
from tsmgan.storage.atomic import replace_file
from tsmgan.training.card import model_card
from tsmgan.training.checkpoint import NAME, State, load_checkpoint, save_checkpoint
from tsmgan.training.clips import Clips
from tsmgan.training.ending import Ending
from tsmgan.training.game import Game
from tsmgan.training.journal import Journal
from tsmgan.training.loader import Loader
from tsmgan.training.network import Generator
from tsmgan.training.recipe import GeneratorRecipe, Recipe
from tsmgan.training.recordings import Recording, Skipped, hold_out, scan
from tsmgan.training.shards import Shards, make_shards
from tsmgan.training.speed import Speed
from tsmgan.training.validation import Validation
from tsmgan.training.warmup import WarmUp, stage_of

PAIRS_SHARE = 1 / 3
"""Share of a time limit that the making of pairs may take; what is there by then is learned from."""
HELD_OUT_SHARE = 0.1
"""Share of a time limit that the making of held-out pairs may take, which comes first."""


@dataclass(frozen=True)
class Request:
    """What the user asked for, beside the recipe."""

    folder: Path
    """The recordings."""
    out: Path
    """Where the run is kept."""
    cache: Path | None = None
    """Where the pairs are kept; None means in `out`."""
    start_from: str | None = None
    """A model whose generator the training starts from."""
    resume: bool = False
    minutes: float | None = None
    """Time limit in place of the recipe's."""
    steps: int | None = None
    """Last step in place of the recipe's."""
    cpu: bool = False
    """Use the CPU even where there is a GPU."""


class Trainer:
    """A run."""

    def __init__(self, recipe: Recipe, request: Request, console: Console | None = None) -> None:
        """Raises a ModelError where the model to start from does not fit the recipe."""
        self.request = request
        self.console = console or Console()
        train = recipe.train
        if train.threads > 0:
            torch.set_num_threads(train.threads)
        self._accelerator = Accelerator(cpu=request.cpu)
        self._main = self._accelerator.is_main_process
        steps = request.steps if request.steps is not None else train.steps
        minutes = request.minutes if request.minutes is not None else train.minutes
        self.ending = Ending(steps, minutes, self._accelerator)
        self._seconds_before = 0.0
        self.game = Game(recipe, self._accelerator)
        if request.start_from is not None:
            self.game.start_from(fitting_weights(request.start_from, self.game.generator))

    @property
    def recipe(self) -> Recipe:
        """The recipe that the run goes by: the user's, or what its limits have made of it."""
        return self.game.recipe

    def run(self) -> Path:
        """Make the pairs, train, save and export; returns the folder of the model.

        Raises:
            AudioError: the folder holds no recordings that can be used.
            TsmganError: the run cannot be written, or its checkpoint does not fit.
        """
        out = self.request.out
        if self._main:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TsmganError(f"The folder {out} cannot be made: {error.strerror}.") from error
        checkpoint = out / NAME
        if self.request.resume:
            self._resume(checkpoint)
        elif checkpoint.exists():
            raise TsmganError(f"{out} already holds a run. Continue it with --resume, or give another --output.")
        with Journal(out, self.console, self._main) as journal:
            clips, held = self.prepare(journal)
            with self.ending.interruptible():
                self._play(clips, held, journal, checkpoint)
                journal.stage("exporting")
                self._save(checkpoint)
                self._export()
            learned = f"learned in {self.game.learned_steps} steps" if self.game.learned_steps else "has learned nothing yet"
            journal.say(f"Stopped at step {self.game.step}: {self.ending.reason}. The generator {learned}. Model: {out / 'model'}")
        if self._accelerator.num_processes > 1:
            self._accelerator.wait_for_everyone()
        return out / "model"

    def _resume(self, checkpoint: Path) -> None:
        state = load_checkpoint(checkpoint, self.game.modules(), self.game.optimisers())
        self.game.step, self._seconds_before = state.step, state.seconds
        adversary = self.game.adversary
        adversary.gates = {name: state.gates.get(name, False) for name in adversary.critics}

    # -- the recordings ------------------------------------------------------------------------------------------------------------

    def prepare(self, journal: Journal) -> tuple[Clips, Clips]:
        """Scan the folder, make the pairs that are not in the cache, and report what was skipped.

        Returns:
            Clips to learn from, and held-out clips.
        """
        data, frames = self.recipe.data, self.recipe.train.frames
        journal.stage("looking for recordings")
        recordings, skipped = scan(self.request.folder, data.shortest)
        train, held = hold_out(recordings, data.held_out, self.recipe.seed)
        with self._accelerator.main_process_first():
            held_out = self._shards(journal, "making held-out pairs", held, data.validation, data.used[1], HELD_OUT_SHARE)
            pairs = self._shards(journal, "making pairs", train, data.pairs, data.used[0], PAIRS_SHARE)
        wanted = [min(used or count, count) for used, count in zip(data.used, (data.pairs, data.validation))]
        if [pairs.items, held_out.items] != wanted:
            journal.say(
                f"Time for making pairs is over. This run learns from {pairs.items} of {wanted[0]} and is measured on {held_out.items} of "
                f"{wanted[1]}; --set data.used=[0,0] makes the rest."
            )
            self.game.follow(replace(self.recipe, data=replace(data, used=(pairs.items, held_out.items))))
        if self._main:
            self._report_skipped(len(recordings), skipped + pairs.skipped + held_out.skipped, journal)
        generator = self.recipe.generator
        clips, held_clips = (Clips(made.folder, generator.noise, generator.context, made.items) for made in (pairs, held_out))
        if not (clips.usable(frames) and held_clips.usable(frames)):
            raise TsmganError(f"No recording gives a clip of {frames} frames; lower train.frames, or use longer recordings.")
        return clips, held_clips

    def _shards(self, journal: Journal, stage: str, recordings: list[Recording], count: int, used: int, share: float) -> Shards:
        """Make the pairs of a set that are not there yet, in a share of the time limit if there is one."""
        cache, ending, began = self.request.cache or self.request.out / "pairs", self.ending, False

        def progress(done: int, wanted: int) -> None:
            nonlocal began
            if not began:
                journal.stage(stage)
            began = True
            journal.progress(done / wanted, f"{done} of {wanted}")

        def enough() -> bool:
            return 0 < share * ending.seconds < ending.elapsed()

        return make_shards(cache, recordings, count, self.recipe, progress, used, enough)

    def _report_skipped(self, usable: int, skipped: list[Skipped], journal: Journal) -> None:
        file = self.request.out / "skipped.tsv"
        file.write_text("".join(f"{s.path}\t{s.reason}\n" for s in skipped), encoding="utf-8")
        listed = f"; {len(skipped)} skipped (listed in {file}):" if skipped else "."
        for line in (f"{usable} recordings{listed}", *(f"  {s.path} {s.reason}" for s in skipped[:5])):
            journal.say(line)

    # -- the loop ------------------------------------------------------------------------------------------------------------------

    def _play(self, clips: Clips, held: Clips, journal: Journal, checkpoint: Path) -> None:
        train, game = self.recipe.train, self.game
        validation, speed = Validation(game, held), Speed(game.step)
        warm_up = WarmUp(game, self.ending, journal, self._accelerator)
        warm_up.begin()
        with Loader(clips, self.recipe, self._accelerator.process_index, game.step, game.device) as loader:
            while not self.ending.is_reached(game.step):
                was_warming_up, begun = game.warming_up, self.ending.elapsed()
                speed.add(game.take_step(loader.batch()))
                warm_up.took(self.ending.elapsed() - begun)
                journal.progress(*self.ending.progress(game.step))
                if game.step % train.log_every == 0:
                    journal.numbers(game.step, self._with_state(speed.take(game.step, loader.waited)))
                begins = was_warming_up and not game.warming_up
                if begins or game.step % train.validate_every == 0:
                    begun = time.monotonic()
                    with journal.meanwhile("examining the critics" if begins else "validating"):
                        self._validate(None if begins else validation, held, journal)
                    speed.leave_out(time.monotonic() - begun)
                if begins:
                    journal.stage(stage_of(game))
                if game.step % train.checkpoint_every == 0:
                    self._save(checkpoint)

    def _with_state(self, numbers: dict[str, float]) -> dict[str, float]:
        """The numbers of a line in the log, with those of the whole run."""
        more = {"learning_rate": self.game.learning_rate(), "minutes": self.seconds() / 60}
        if self.game.device.type == "cuda":
            more["device_gigabytes"] = torch.cuda.max_memory_allocated() / 2**30
        return numbers | more | {"minutes_left": self.ending.minutes_left(self.game.step, numbers["steps_per_second"])}

    def _validate(self, validation: Validation | None, held: Clips, journal: Journal) -> None:
        """Examine the critics, and measure the generator where there is a validation for it."""
        numbers = self.game.set_gates(held)
        if self._main:
            journal.numbers(self.game.step, numbers | (validation.measure(journal) if validation else {}), "held out")

    def seconds(self) -> float:
        """Seconds that the run has taken, those before it was resumed included."""
        return self._seconds_before + self.ending.elapsed()

    # -- what it leaves ------------------------------------------------------------------------------------------------------------

    def _save(self, checkpoint: Path) -> None:
        """Write the checkpoint, in the main process only."""
        if self._main:
            state = State(self.game.step, self.seconds(), self.game.adversary.gates, self.recipe.as_dict())
            save_checkpoint(checkpoint, self.game.modules(), self.game.optimisers(), state)

    def _export(self) -> None:
        """Write the model's folder, in the main process only."""
        if not self._main:
            return
        request, steps, model = self.request, self.game.step, self.request.out / "model"
        description = f"Trained with the recipe {self.recipe.name} for {steps} steps."
        card = model_card(request.out.name, self.recipe.name, steps, self.seconds(), request.folder.name)
        try:
            write_model(self.game.ema, model, description, recipe=self.recipe.as_dict(), steps=steps, started_from=request.start_from)
            replace_file(model / "README.md", card.encode(errors="replace"))
        except OSError as error:
            raise TsmganError(
                f"The model cannot be written to {model}: {os.strerror(error.errno or 0)}. The checkpoint is whole."
            ) from error


def fitting_weights(model: str, generator: Generator) -> dict[str, Tensor]:
    """The weights of a model, for a generator of the same sizes.

    Raises:
        ModelError: there is no such model, or its sizes are others.
    """
    found = find_model(model)
    known, mine = found.config["generator"], generator.config.as_dict()
    odd = [k for k in mine if k in known and known[k] != mine[k] and not k.startswith("largest")]
    if odd:
        settable = {each.name for each in fields(GeneratorRecipe)}
        what = ", ".join(f"{k} {str(known[k])[:20]}" for k in odd)
        settings = " ".join(f"--set generator.{k}={str(known[k])[:20]}" for k in odd if k in settable)
        raise ModelError(f"The model {model} has {what}, and the recipe asks for other sizes; add {settings}.")
    return read_weights(found.weights, {name: list(value.shape) for name, value in generator.state_dict().items()})
