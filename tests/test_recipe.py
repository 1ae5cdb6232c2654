"""Promises of recipes: what a setting may be is said in one place, and what it may not be is said in a sentence."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace

import pytest

pytest.importorskip("torch")

from tsmgan.cli import run
from tsmgan.errors import ModelError, UsageError
from tsmgan.models import LARGEST_CONTEXT
from tsmgan.training.recipe import GeneratorRecipe, Recipe, check_generator, load_recipe, recipe_names, stored_recipe


def settings_of(table, path=""):
    """(key, default, low, high) of every setting below a table."""
    for each in fields(table):
        value, name = getattr(table, each.name), f"{path}{each.name}"
        if is_dataclass(value):
            yield from settings_of(value, f"{name}.")
        else:
            yield name, value, each.metadata["low"], each.metadata["high"]


SETTINGS = list(settings_of(Recipe()))


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_knows_its_name(name):
    assert load_recipe(name).name == name


def test_there_is_a_recipe_for_every_divergence():
    from tsmgan.training.divergences import DIVERGENCES

    assert all(load_recipe(name).adversary.divergence == name for name in DIVERGENCES)


def test_settings_change_single_keys_and_keep_the_rest():
    recipe, base = load_recipe("cpu", ["losses.mel=15", 'adversary.divergence="kl"', "data.rates=[0.5, 2]"]), load_recipe("cpu")
    assert recipe.losses == replace(base.losses, mel=15.0) and base.losses.mel != 15.0
    assert recipe.adversary.divergence == "kl" and recipe.data.rates == (0.5, 2.0)
    assert recipe.train == base.train


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("losses.mell=15", 'did you mean "losses.mel"'),
        ("loses.mel=15", 'no recipe key "loses"'),
        ("adversary.divergence=pearsn", 'did you mean "pearson"'),
        ("adversary.generator_loss=saturate", 'did you mean "saturating"'),
        ("losses.mel=loud", "losses.mel"),
        ("losses.mel=-1", "from 0 to"),
        ("losses=3", "table"),
        ("train.batch=1.5", "train.batch"),
        ("train.batch", "key=value"),
        ("train.precision=float16", "bfloat16"),
        ("data.rates=[2, 0.5]", "data.rates"),
        ("data.rates=[1]", "2 numbers"),
        ("data.seconds=1", "data.shortest"),
        ('data.stretchers={"*"={wsolla=1}}', 'did you mean "wsola"'),
        ('data.stretchers={"*"={wsola=0}}', "share of zero"),
        ('data.stretchers={"*"=1}', "table of numbers"),
        ("data.stretchers={}", "empty"),
        ("critics.periods=[2, 2]", "must differ"),
        ("generator.kernel=8", "must be odd"),
        ("generator.width=1024", "blocks"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do(setting, message):
    more = ["generator.blocks=64", "generator.kernel=1", "generator.expansion=8"] if "width" in setting else []
    with pytest.raises(UsageError, match=message):
        load_recipe("base", [*more, setting])


def test_a_recipe_of_ones_own_says_only_what_differs(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[losses]\nmel = 2\n")
    recipe = load_recipe(str(file))
    assert recipe.losses.mel == 2.0 and recipe.name == "mine" and recipe.train == load_recipe().train
    file.write_text("[losses\nmel = 2\n")
    with pytest.raises(UsageError, match="not TOML"):
        load_recipe(str(file))
    with pytest.raises(UsageError, match='did you mean "smoke"'):
        load_recipe("smok")


HOSTILE = [
    "-1", "1e999", "nan", "9" * 5000, "0x" + "f" * 5000, "1e300", "true", '""', "'\\u001b[2J'", '"' + "x" * 10**5 + '"', "[]", "[[1]]",
    "[1, -1]", "[nan, 1]", "[" + "1," * 10**4 + "]", "{}", '{"*" = "x"}', '{"*" = {}}', '{"*" = {world = -1}}', '{"*" = {world = nan}}',
    '{"*" = nan}', "{a = {b = {c = 1}}}", "1979-05-27T07:32:00Z", "07:32:00", "[" * 2000, "\0", "\ud800", "x\ny",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value[:12]))
def test_a_hostile_value_of_any_setting_is_taken_within_its_range_or_refused_in_a_sentence(value):
    for key, *_ in SETTINGS:
        try:
            recipe = load_recipe("base", [f"{key}={value}"])
        except UsageError as error:
            assert len(str(error)) < 600 and str(error).isprintable()
        else:
            for name, found, low, high in settings_of(recipe):
                for number in found if isinstance(found, tuple) else [found]:
                    assert not isinstance(number, (int, float)) or low <= number <= high, name


@pytest.mark.parametrize("value", ["x", None, True, [], {}, {"a": 1}, 10**400, float("nan"), -1, [[]], "\x1b[2J"], ids=repr)
def test_a_hostile_value_in_a_stored_recipe_is_refused_in_a_sentence_or_harmless(value):
    for key, *_ in SETTINGS:
        stored = Recipe().as_dict()
        *tables, last = key.split(".")
        table = stored
        for name in tables:
            table = table[name]
        table[last] = value
        try:
            stored_recipe(stored, [])
        except ModelError as error:
            assert str(error).isprintable()
    for stored in (value, {"train": value}, {"x": value}):
        if stored not in ({}, {"train": {}}):
            with pytest.raises(ModelError):
                stored_recipe(stored, [])


def test_a_stored_recipe_comes_back_and_one_of_an_older_version_takes_defaults_for_what_is_new():
    recipe = load_recipe("cpu", ["losses.mel=3", 'data.weights={"*music*"=2}'])
    stored = recipe.as_dict()
    assert stored_recipe(stored, []) == recipe
    del stored["losses"]["prior"]
    stored["adversary"]["input_noise"] = 0.0  # a setting that was dropped
    assert stored_recipe(stored, ["losses.mel=4"]) == replace(recipe, losses=replace(recipe.losses, prior=2.0, mel=4.0))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_recipe_that_is_a_pipe_or_endless_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in (str(tmp_path / "pipe.toml"), str(tmp_path / "zero.toml"), str(tmp_path), "a\0.toml", "x" * 5000, "x" * 5000 + ".toml"):
        with pytest.raises(UsageError):
            load_recipe(name)


def test_a_generator_that_a_stretch_would_refuse_is_refused_before_training_begins(tmp_path, capsys):
    sizes = ["--set", "generator.blocks=6", "--set", "generator.kernel=33"]
    assert run(["train", str(tmp_path), *sizes, "--cpu", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "145 frames" in error and "kernel to 15" in error and not (tmp_path / "out").exists()


def test_the_context_that_a_recipe_is_advised_is_possible():
    for blocks in range(1, 65):
        for kernel in range(1, 192, 2):
            generator = GeneratorRecipe(blocks=blocks, kernel=kernel, width=16)
            try:
                check_generator(generator)
                assert generator.context <= LARGEST_CONTEXT
            except UsageError as error:
                advised = int(str(error).split("lower the kernel to ")[1].split(",")[0])
                check_generator(replace(generator, kernel=advised))
                assert advised < kernel


def test_every_setting_says_what_it_means_and_has_a_default_within_its_range():
    for name, default, low, high in SETTINGS:
        table = Recipe()
        *tables, last = name.split(".")
        for part in tables:
            table = getattr(table, part)
        assert next(each for each in fields(table) if each.name == last).metadata["meaning"], name
        for number in default if isinstance(default, tuple) else [default]:
            assert not isinstance(number, (int, float)) or low <= number <= high, name
