"""Recipes: TOML files that say what a training run does, each only in what differs from `base.toml`."""

from __future__ import annotations

import copy
import json
import math
import sys
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

from tsmgan.errors import UsageError
from tsmgan.training.suggest import unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Recipe = dict[str, Any]
SHORTEST_CLIP = 26
"""Frames of a clip, at least: the losses look at a tenth of a second."""
FREE_TABLES = frozenset({"data.weights", "data.stretchers"})
"""Tables whose keys are patterns of folders and so are the user's to choose."""


def recipe_names() -> list[str]:
    """Names of the recipes that come with the program."""
    return sorted(f.name.removesuffix(".toml") for f in _shipped().iterdir() if f.name.endswith(".toml"))


def _shipped() -> Any:
    return resources.files("tsmgan.training") / "recipes"


def load_recipe(name_or_file: str = "base", settings: list[str] | None = None) -> Recipe:
    """The base recipe, changed by a shipped recipe or a file, then by settings such as `losses.mel=15`.

    Raises:
        UsageError: no such recipe, not TOML, or a key or value that base does not know (the message names the nearest).
    """
    recipe = _parse((_shipped() / "base.toml").read_text(encoding="utf-8"), "base")
    if name_or_file != "base":
        _merge(recipe, _parse(_text(name_or_file), name_or_file), "")
        recipe["name"] = Path(name_or_file).name.removesuffix(".toml")
    return change_recipe(recipe, settings or [])


def change_recipe(recipe: Recipe, settings: list[str]) -> Recipe:
    """A recipe with settings such as `losses.mel=15` put in.

    Raises:
        UsageError: as load_recipe.
    """
    recipe = copy.deepcopy(recipe)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f'"{setting}" is no setting; write key=value, as in losses.mel=15.')
        change: Any = _value(value.strip())
        for part in reversed(key.strip().split(".")):
            change = {part: change}
        _merge(recipe, change, "")
    check(recipe)
    return recipe


def stored_recipe(stored: Recipe, settings: list[str]) -> Recipe:
    """The recipe that a checkpoint holds, with settings put in; keys that are newer than the checkpoint have their base values.

    Raises:
        UsageError: as load_recipe.
    """
    recipe = _parse((_shipped() / "base.toml").read_text(encoding="utf-8"), "base")
    _merge(recipe, stored, "")
    return change_recipe(recipe, settings)


def _text(name_or_file: str) -> str:
    file = Path(name_or_file)
    if file.suffix == ".toml" or file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The recipe {file} cannot be read: {error}") from error
    if name_or_file not in recipe_names():
        raise UsageError(unknown("recipe", name_or_file, recipe_names()))
    return (_shipped() / f"{name_or_file}.toml").read_text(encoding="utf-8")


def _parse(text: str, name: str) -> Recipe:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The recipe {name} is not TOML: {error}.") from error


def _value(text: str) -> Any:
    """A TOML value, or the text itself, so that quotes may be left out on a command line."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(base: Recipe, change: Recipe, prefix: str) -> None:
    """Put change into base; both may only differ in values."""
    for key, value in change.items():
        path = f"{prefix}{key}"
        if key not in base:
            if prefix.rstrip(".") in FREE_TABLES:
                base[key] = value
                continue
            raise UsageError(unknown("recipe key", path, _paths(base, prefix)))
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise UsageError(f"The recipe key {path} is a table of settings, not a single value.")
            if path in FREE_TABLES and base[key] and value:
                base[key] = value
            else:
                _merge(base[key], value, f"{path}.")
        else:
            base[key] = _like(base[key], value, path)


def _paths(table: Recipe, prefix: str) -> list[str]:
    out = []
    for key, value in table.items():
        out += _paths(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"]
    return out


def _like(old: Any, new: Any, path: str) -> Any:
    """new, if it is of old's kind; a whole number may stand for a fraction."""
    if isinstance(old, bool) or isinstance(new, bool):
        fits = isinstance(old, bool) and isinstance(new, bool)
    elif isinstance(old, float) and isinstance(new, (int, float)):
        new, fits = float(new), math.isfinite(new)
    elif isinstance(old, list):
        fits = isinstance(new, list) and bool(new)
    else:
        fits = type(old) is type(new)
    if not fits:
        raise UsageError(f"The recipe key {path} is {json.dumps(new)}, but it must be like {json.dumps(old)}.")
    return new


def first_match(table: dict[str, Any], folder: str) -> Any:
    """The value of the first pattern that matches /folder/ (case does not matter)."""
    place = f"/{folder.lower()}/"
    for pattern, value in table.items():
        if fnmatch(place, pattern.lower()):
            return value
    raise UsageError(f'No pattern of {", ".join(table)} matches the folder "{folder}"; end the table with "*".')


def check(recipe: Recipe) -> None:
    """Raise a UsageError for values that no run could use."""
    from tsmgan.training.inverse import NAMES

    data, train = recipe["data"], recipe["train"]
    low, high = (*data["rates"], 0, 0)[:2]
    if not (len(data["rates"]) == 2 and 0.1 <= low < high <= 10):
        raise UsageError("data.rates must be two rates from 0.1 to 10, the lower first, as in [0.4, 2.5].")
    for pattern, shares in data["stretchers"].items():
        for name in shares:
            if name not in NAMES:
                raise UsageError(unknown("inverse stretcher", name, NAMES))
        if sum(shares.values()) <= 0:
            raise UsageError(f'data.stretchers."{pattern}" gives every stretcher a share of zero.')
    if train["frames"] < SHORTEST_CLIP or train["batch"] < 1:
        raise UsageError(f"train.frames must be at least {SHORTEST_CLIP} and train.batch at least 1.")
    if not 0 < recipe["generator"]["largest_coherence"] <= 1:
        raise UsageError("generator.largest_coherence must be above 0 and at most 1.")
    if data["pairs"] < 1 or data["validation"] < 1:
        raise UsageError("data.pairs and data.validation must be at least 1.")
    if any(weight < 0 for weight in recipe["losses"].values()):
        raise UsageError("Loss weights must not be negative.")
    if train["precision"] not in ("auto", "float32", "bfloat16"):
        raise UsageError(unknown("precision", train["precision"], ("auto", "float32", "bfloat16")))
    from tsmgan.training.divergences import GENERATOR_LOSSES, divergence

    divergence(recipe["adversary"]["divergence"])
    if recipe["adversary"]["generator_loss"] not in GENERATOR_LOSSES:
        raise UsageError(unknown("generator loss", recipe["adversary"]["generator_loss"], GENERATOR_LOSSES))
