"""Promises about short runs: the generator learns in most of their steps, and they say from the start what they do."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from accelerate import Accelerator  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from rich.console import Console  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from training_helpers import make_tree, tiny_recipe  # noqa: E402

from tsmgan.training.checkpoint import NAME, read_state  # noqa: E402
from tsmgan.training.clips import Clips  # noqa: E402
from tsmgan.training.ending import Ending  # noqa: E402
from tsmgan.training.journal import MEANINGS, Journal  # noqa: E402
from tsmgan.training.recipe import load_recipe  # noqa: E402
from tsmgan.training.recordings import scan  # noqa: E402
from tsmgan.training.shards import ITEMS_PER_SHARD, make_shards  # noqa: E402
from tsmgan.training.trainer import Request, Trainer  # noqa: E402
from tsmgan.training.warmup import GENERATOR_STEP_COST, fit_warm_up, steps_in_time, warm_up_steps  # noqa: E402

TRAINING_PAGE = Path(__file__).parents[1] / "docs" / "training.md"
LONG = ("adversary.warm_up=300", "train.warm_up=200", "train.ema=0.99", "train.validate_every=1000", "train.checkpoint_every=1000")
"""What an hour would need."""
LIGHT = ("critics.spectrogram_channels=0", "critics.period_channels=0", "critics.envelope_channels=0", "losses.feature_matching=0")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def short_run(tree, cache, out, *settings, terminal=False, **request):
    """A trainer whose recipe is too long for its limits, and what it will have said."""
    said = StringIO()
    console = Console(file=said, force_terminal=terminal, width=100, height=50)
    recipe = tiny_recipe(*LONG, *LIGHT, "train.warm_up_share=0.2", *settings)
    return Trainer(recipe, Request(tree, out, cache=cache, cpu=True, **request), console), said


def moved(trainer_, weights):
    return not all(torch.equal(weights[name], value) for name, value in trainer_.game.generator.state_dict().items())


def copied(trainer_):
    return {name: value.clone() for name, value in trainer_.game.generator.state_dict().items()}


# -- what fits -----------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(
    steps=st.integers(1, 3000),
    critics=st.booleans(),
    share=st.floats(0.01, 1),
    warm_up=st.integers(0, 1000),
    rise=st.integers(0, 1000),
    step=st.integers(0, 50),
)
def test_a_fitted_warm_up_takes_its_share_at_most_is_never_longer_and_fits_a_second_time(steps, critics, share, warm_up, rise, step):
    recipe = load_recipe("cpu", [f"train.warm_up_share={share}", f"adversary.warm_up={warm_up}", f"train.warm_up={rise}"])
    fitted = fit_warm_up(recipe, critics, steps, step)
    before, after = warm_up_steps(recipe, critics), warm_up_steps(fitted, critics)
    assert after <= before and fitted.train.warm_up <= rise and fitted.train.ema <= recipe.train.ema
    assert after <= max(1, step, share * steps) or (fitted is recipe and step >= before)
    assert fit_warm_up(fitted, critics, steps, step) is fitted
    if before <= share * steps:
        assert fitted is recipe


def test_a_share_of_zero_leaves_the_recipe_alone():
    recipe = load_recipe("cpu", ["train.warm_up_share=0"])
    assert fit_warm_up(recipe, True, 3) is recipe


def test_the_recipe_of_an_hour_becomes_one_of_sixty_steps_in_proportion():
    fitted = fit_warm_up(load_recipe("cpu", ["adversary.warm_up=300", "train.warm_up=200", "train.ema=0.995"]), True, 60)
    assert (fitted.adversary.warm_up, fitted.train.warm_up) == (12, 8) and fitted.train.ema == pytest.approx(1 - 1 / 8)


@pytest.mark.parametrize("step", [0, 6, 40])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.7])
def test_the_steps_that_a_time_limit_is_said_to_leave_take_that_time(share, step):
    steps = steps_in_time(100.0, step, share, critics=True)
    warm_up = max(step, share * steps)
    assert warm_up - step + GENERATOR_STEP_COST * (steps - warm_up) == pytest.approx(100, abs=2 * GENERATOR_STEP_COST)


# -- runs ----------------------------------------------------------------------------------------------------------------------------


def test_a_run_of_few_steps_changes_the_generator_says_when_and_stores_what_was_used(tree, cache, tmp_path):
    t, said = short_run(tree, cache, tmp_path / "out", steps=5)
    start = copied(t)
    model = t.run()
    assert moved(t, start)
    weights = load_file(str(model / "generator.safetensors"))
    assert not all(torch.equal(start[name], value) for name, value in weights.items()), "the exported average stayed where it was"
    assert "The critics learn alone until step 1; then the generator begins to learn." in said.getvalue()
    assert "learned in 4 steps" in said.getvalue()
    for stored in (read_state(tmp_path / "out" / NAME).recipe, json.loads((model / "config.json").read_text())["recipe"]):
        assert (stored["adversary"]["warm_up"], stored["train"]["warm_up"], stored["train"]["ema"]) == (1, 1, 0.0)


def test_a_short_run_that_was_interrupted_and_resumed_equals_one_that_was_not_bit_for_bit(tree, cache, tmp_path):
    whole, _ = short_run(tree, cache, tmp_path / "whole", steps=6)
    whole.run()
    parts, _ = short_run(tree, cache, tmp_path / "parts", steps=6)
    step = parts.game.take_step

    def interrupted(batch):
        if parts.game.step == 0:  # while the critics learn alone
            parts.ending.reason = "interrupted"
        return step(batch)

    parts.game.take_step = interrupted
    parts.run()
    assert parts.game.step == 1
    again, said = short_run(tree, cache, tmp_path / "parts", *_stored(tmp_path / "parts"), steps=6, resume=True)
    again.run()
    assert "shorter in proportion" not in said.getvalue()
    a, b = (load_file(str(tmp_path / out / NAME)) for out in ("whole", "parts"))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _stored(out):
    """The settings that differ, as the command takes them from a checkpoint."""
    recipe = read_state(out / NAME).recipe
    return [f"adversary.warm_up={recipe['adversary']['warm_up']}"] + [f"train.{k}={recipe['train'][k]}" for k in ("warm_up", "ema")]


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_time_limit_measures_the_first_steps_and_fits_the_warm_up_to_what_is_left(tree, cache, tmp_path):
    t, said = short_run(tree, cache, tmp_path / "out", "train.warm_up_share=0.7")
    clock, step, start = Clock(), t.game.take_step, copied(t)

    def timed(batch):
        clock.now += 1.0 if t.game.warming_up else GENERATOR_STEP_COST
        return step(batch)

    t.game.take_step, t.ending = timed, Ending(10**6, 0.5, Accelerator(cpu=True), clock)
    t.run()
    assert (t.recipe.adversary.warm_up, t.game.step) == (12, 18) and moved(t, start)
    assert read_state(tmp_path / "out" / NAME).recipe["adversary"]["warm_up"] == 12
    text = said.getvalue()
    assert text.index("measure the speed") < text.index("until step 12, in about 6 s;") < text.index("\nthe generator learns\n")


def test_pairs_that_a_time_limit_leaves_no_time_for_are_left_out_and_made_later(tree, tmp_path):
    recipe = tiny_recipe("data.unpaired=1.0")
    recordings, _ = scan(tree, recipe.data.shortest)
    count = ITEMS_PER_SHARD + 1
    some = make_shards(tmp_path, recordings, count, recipe, enough=lambda: True)
    assert some.items == ITEMS_PER_SHARD
    assert make_shards(tmp_path, recordings, count, recipe, used=some.items).items == ITEMS_PER_SHARD
    whole = make_shards(tmp_path, recordings, count, recipe)
    assert (whole.folder, whole.items) == (some.folder, count)
    assert [len(Clips(whole.folder, 1, 1, items)) for items in (None, some.items)] == [count, some.items]


# -- what is seen --------------------------------------------------------------------------------------------------------------------


def test_without_a_terminal_every_stage_is_a_line(tree, cache, tmp_path):
    t, said = short_run(tree, tmp_path / "cache", tmp_path / "out", "train.validate_every=4", steps=5)
    t.run()
    lines = said.getvalue().splitlines()
    stages = ["looking for recordings", "making held-out pairs", "making pairs", "examining the critics", "the generator learns"]
    places = [lines.index(stage) for stage in [*stages, "validating", "exporting"]]
    assert places == sorted(places)


def test_a_terminal_shows_stage_bar_and_numbers_with_their_meanings(tmp_path):
    console = Console(file=StringIO(), force_terminal=True, width=100, height=30)

    def seen(journal):
        with console.capture() as capture:
            console.print(journal.view())
        return re.sub(r"\x1b\[[0-9;]*m", "", capture.get())

    with Journal(tmp_path, console) as journal:
        assert "starting" in seen(journal)
        journal.stage("the generator learns")
        journal.progress(0.5, "step 30")
        journal.numbers(30, {"losses/prior": 0.25})
        journal.numbers(30, {"bound/moment_5ms": 0.125, "mel/learned": 1.5, "mel/default": 1.75}, "held out")
        with journal.meanwhile("validating"):
            assert "validating" in seen(journal)
        text = seen(journal)
    for shown in ("the generator learns", "step 30", "losses/prior", "0.25", "bound/moment_5ms", "0.125", "1.5", "1.75"):
        assert shown in text
    assert f"bound: {MEANINGS['bound']}" in text and f"losses: {MEANINGS['losses']}" in text


def test_every_name_of_the_log_is_explained_in_the_view_and_on_the_page(tree, cache, tmp_path):
    t, _ = short_run(tree, cache, tmp_path / "out", "train.validate_every=2", steps=3)
    t.run()
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    names = {name.split("/")[0] for line in lines for name in line} - {"step", "kind"}
    assert names >= {"losses", "critics", "bound", "accuracy"} and names <= set(MEANINGS)
    rows = re.findall(r"^\|([^|]*)\|", TRAINING_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(MEANINGS) <= {name for row in rows for name in re.findall(r"`(\w+)", row)}
