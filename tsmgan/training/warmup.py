"""The warm-up of a short run: it is fitted to the run's limits, so that the generator learns in most of its steps.

A recipe's warm-up is meant for the whole of its run: first the critics learn alone, then the generator's learning rate rises, and its
average forgets where it began. In a run of minutes all three would outlast it, and the model would be the one that it started from.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from accelerate import Accelerator

from tsmgan.training.ending import Ending
from tsmgan.training.game import Game
from tsmgan.training.journal import Journal
from tsmgan.training.recipe import Recipe

GENERATOR_STEP_COST = 3.0
"""A step in which the generator learns takes about as long as so many of the critics alone (2.7 to 3 with the recipe `cpu`)."""
UNMEASURED_STEPS = 2
"""The first steps, which also load what later ones find loaded."""
MEASURED_STEPS = 4


class WarmUp:
    """Fits the warm-up of a run while it is still under way, and says when the generator begins to learn.

    What was fitted stands in the recipe that the run stores, so a run that is resumed goes on with it.
    """

    def __init__(self, game: Game, ending: Ending, journal: Journal, accelerator: Accelerator) -> None:
        self._game, self._ending, self._journal, self._accelerator = game, ending, journal, accelerator
        self._first_step, self._seconds = game.step, 0.0
        self._measuring = self._is_fitted = False

    def begin(self) -> None:
        """Fit to the limit of steps, and say what there is to say before the first step."""
        self._fit(self._ending.steps)
        self._measuring = self._ending.seconds > 0 and self._is_under_way
        if self._measuring:
            steps = UNMEASURED_STEPS + MEASURED_STEPS
            what = "when the generator begins to learn" if self._game.warming_up else "how fast the learning rate rises"
            self._journal.say(f"The first {steps} steps measure the speed of this machine, which decides {what}.")
            self._journal.stage("measuring the speed", told=True)
        else:
            self._announce()
            self._journal.stage(stage_of(self._game), told=self._game.warming_up)

    def took(self, seconds: float) -> None:
        """A step was taken in so many seconds."""
        if not self._measuring:
            return
        steps = self._game.step - self._first_step
        self._seconds += seconds if steps > UNMEASURED_STEPS else 0.0
        if steps == UNMEASURED_STEPS + MEASURED_STEPS or not self._is_under_way:
            self._measuring = False
            if steps > UNMEASURED_STEPS:
                self._fit_to_time(self._seconds / (steps - UNMEASURED_STEPS))
            if self._game.warming_up or not self._game.adversary.is_there:  # else the critics are examined first
                self._journal.stage(stage_of(self._game), told=self._game.warming_up)

    @property
    def _is_under_way(self) -> bool:
        return self._game.step < warm_up_steps(self._game.recipe, self._game.adversary.is_there)

    def _fit_to_time(self, step_seconds: float) -> None:
        game, left = self._game, self._ending.seconds - self._ending.elapsed()
        critics = game.adversary.is_there
        steps = steps_in_time(left / max(step_seconds, 1e-9), game.step, game.recipe.train.warm_up_share, critics)
        if self._accelerator.num_processes > 1:  # all processes have to agree
            known = torch.tensor([steps, step_seconds], dtype=torch.float64, device=game.device)
            steps, step_seconds = self._accelerator.reduce(known, "mean").tolist()
        self._fit(min(int(steps), self._ending.steps))
        self._announce(step_seconds)

    def _fit(self, steps: int) -> None:
        """Give the game a warm-up that fits a run of so many steps."""
        before = self._game.recipe
        fitted = fit_warm_up(before, self._game.adversary.is_there, steps, self._game.step)
        self._game.follow(fitted)
        self._is_fitted = self._is_fitted or fitted is not before

    def _announce(self, step_seconds: float | None = None) -> None:
        """Say when the generator begins to learn: until then a run leaves the model that it started from."""
        game, journal, recipe = self._game, self._journal, self._game.recipe
        if game.warming_up:
            begin = recipe.adversary.warm_up
            seconds = "" if step_seconds is None else f", in about {_duration((begin - game.step) * step_seconds)}"
            journal.say(f"The critics learn alone until step {begin}{seconds}; then the generator begins to learn.")
            if self._ending.steps <= begin:
                journal.say(f"This run ends at step {self._ending.steps}, before the generator has learned anything; give it more steps.")
        if self._is_fitted:
            journal.say(
                "The run is short for this recipe, so warm-up and averaging were made shorter in proportion "
                f"(adversary.warm_up {recipe.adversary.warm_up}, train.warm_up {recipe.train.warm_up}, train.ema {recipe.train.ema:.4g}); "
                "train.warm_up_share=0 keeps the recipe's."
            )


def stage_of(game: Game) -> str:
    """What a run does in its next step."""
    return f"critics learn alone until step {game.adversary.warm_up}" if game.warming_up else "the generator learns"


def warm_up_steps(recipe: Recipe, critics: bool) -> int:
    """Steps of the warm-up that is fitted: the critics', or the learning rate's where there are none."""
    return recipe.adversary.warm_up if critics else recipe.train.warm_up


def fit_warm_up(recipe: Recipe, critics: bool, steps: int, step: int = 0) -> Recipe:
    """The recipe with a warm-up that fits a run of that many steps; the same object where it fits already.

    The warm-up takes a share of at most `train.warm_up_share` of the steps, and one step at least. What else belongs to it, the rise of the
    learning rate and the number of steps that the generator is averaged over, is shortened by the same factor.

    Args:
        recipe: as it is so far.
        critics: whether there are critics.
        steps: of the whole run.
        step: where the run stands. A warm-up that is over stays as it was.
    """
    train, whole = recipe.train, warm_up_steps(recipe, critics)
    fitting = max(1, step, int(train.warm_up_share * steps))
    if train.warm_up_share == 0 or step >= whole or fitting >= whole:
        return recipe
    factor = fitting / whole
    train = replace(
        train, warm_up=min(train.warm_up, max(1, round(factor * train.warm_up))), ema=min(train.ema, max(0.0, 1 - (1 - train.ema) / factor))
    )
    return replace(recipe, train=train, adversary=replace(recipe.adversary, warm_up=fitting) if critics else recipe.adversary)


def steps_in_time(left: float, step: int, share: float, critics: bool) -> int:
    """Steps of a whole run that has a limited time left.

    Args:
        left: the time left, in measured steps: of the critics where there are any.
        step: where the run stands.
        share: of the steps that the warm-up takes.
        critics: whether there are critics, whose warm-up is under way.
    """
    if not critics:
        return step + int(max(left, 0.0))
    # (share N - step) + GENERATOR_STEP_COST (1 - share) N = left, as long as the warm-up is not over by then.
    steps = (max(left, 0.0) + step) / (share + GENERATOR_STEP_COST * (1 - share))
    return int(steps if share * steps >= step else step + max(left, 0.0) / GENERATOR_STEP_COST)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
