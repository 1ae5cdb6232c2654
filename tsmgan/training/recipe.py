"""Recipes: what a training run does, as typed settings.

The dataclasses here are the one place that says of each setting its type, its default, its range and its meaning. The recipe `base` has the
defaults. Other recipes are TOML files that say only what differs from it; so do settings on the command line (`losses.mel=15`) and what a
checkpoint stores. All of them are validated in the same way, before a run begins.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass, replace
from fnmatch import fnmatch
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from tsmgan.core.rule import RULE_CONTEXT
from tsmgan.errors import ModelError, UsageError
from tsmgan.models import LARGEST_CONTEXT, LARGEST_PARAMETERS, read_regular
from tsmgan.training.suggest import unknown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Table = TypeVar("Table", bound=DataclassInstance)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHORTEST_CLIP = 26
"""Frames of a clip, at least: the losses look at a tenth of a second."""
LARGEST_TOML_BYTES = 1 << 20
LONGEST_LIST = 32
LONGEST_TEXT = 100
_REMOVED = (("adversary", "input_noise"),)
"""Settings that older checkpoints store. They never had an effect."""


def setting(default: Any, low: float | None = None, high: float | None = None, meaning: str = "", *, count: int = 0) -> Any:
    """A field with a default, a range (of each number in it), a meaning and, for lists, the number of entries (0: any)."""
    about = {"low": low, "high": high, "meaning": meaning, "count": count}
    if isinstance(default, dict):
        return field(default_factory=lambda: {key: dict(value) for key, value in default.items()}, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class DataRecipe:
    """Pairs that are made from the folder of recordings."""

    pairs: int = setting(2400, 1, 10**7, "items to make, paired and unpaired")
    validation: int = setting(96, 1, 10**6, "items made from recordings that are held out of training")
    held_out: float = setting(0.03, 0, 0.9, "share of each folder's recordings that is held out")
    seconds: float = setting(4.0, 0.2, 30, "longest piece of a recording in an item")
    shortest: float = setting(1.2, 0.2, 30, "recordings shorter than this (seconds) are skipped")
    unpaired: float = setting(0.6, 0, 1, "share of items without a known answer: a recording itself, at any rate")
    rates: tuple[float, ...] = setting((0.33, 2.5), 0.1, 10, "lowest and highest rate, drawn log-uniformly", count=2)
    varying: float = setting(0.3, 0, 1, "share of items whose rate changes as they go")
    workers: int = setting(0, 0, 128, "processes that make items; 0: one a core")
    used: tuple[int, ...] = setting(
        (0, 0), 0, 10**7, "so many of the items and of those held out are used, which a time limit may set; 0: all", count=2
    )
    weights: dict[str, float] = setting({}, 0, 1e6, 'how often folders are drawn, 1 where nothing is said: "*music*" = 2.0')  # noqa: RUF009 (it returns a field)
    stretchers: dict[str, dict[str, float]] = setting(  # noqa: RUF009 (it returns a field)
        {
            "*/speech/*": {"world": 5, "coherent": 1, "wsola": 2, "signalsmith": 1},
            "*/voice*/*": {"world": 5, "coherent": 1, "wsola": 2, "signalsmith": 1},
            "*/music/*": {"incoherent": 4, "signalsmith": 3, "wsola": 1, "coherent": 1},
            "*": {"coherent": 1, "incoherent": 1, "wsola": 1, "signalsmith": 1},
        },
        0,
        1e6,
        "share of each inverse stretcher; the first pattern that matches the folder counts",
    )


@dataclass(frozen=True)
class AugmentRecipe:
    """Augmentation: the probability of each transform."""

    resample: float = setting(0.5, 0, 1, "pitch and formants together, by a factor in resample_range")
    resample_range: tuple[float, ...] = setting((0.8, 1.25), 0.25, 4, "lowest and highest factor", count=2)
    mix: float = setting(0.15, 0, 1, "another recording is added, 0 to 15 dB below")
    noise: float = setting(0.15, 0, 1, "noise is added, 20 to 50 dB below")
    band_limit: float = setting(0.1, 0, 1, "low-pass at 3 to 10 kHz")
    level: float = setting(1.0, 0, 1, "the peak is set to -24 to -0.5 dB")


@dataclass(frozen=True)
class GeneratorRecipe:
    """Sizes and bounds of the generator."""

    noise: int = setting(4, 1, 256, "channels of the noise z")
    width: int = setting(192, 1, 1024, "channels of each layer")
    blocks: int = setting(6, 1, 64, "layers")
    kernel: int = setting(15, 1, 191, "frames that a block looks at, an odd number")
    expansion: int = setting(2, 1, 8, "how much wider a block is inside")
    shared_coherence: float = setting(
        0.0, 0, 1, "share of what is learned of the coherence that all bands of a frame have in common; 1: one coherence for all"
    )
    largest_coherence: float = setting(1.0, 0.01, 1, "bound of the coherence; 1: a frame may be moved as one piece")
    largest_coherence_change: float = setting(
        6.0, 0, 10, "bound of the departure from the default's coherence, before the sigmoid; 0 leaves it to the default"
    )
    largest_log_gain: float = setting(0.35, 0, 10, "bound of the departure from the default's gain, natural logarithm (0.35: 3 dB)")
    largest_texture: float = setting(0.0, 0, 10, "bound of the departure from the default's texture; 0 leaves it to the default")
    largest_alpha_change: float = setting(
        6.0, 0, 10, "bound of the departure from the default's alpha mix, before the sigmoid; 0 leaves alpha to the default"
    )
    largest_noise_change: float = setting(
        4.0, 0, 10, "bound of the departure from the default's share of noise, before the sigmoid; 0 leaves it to the default"
    )
    largest_window_change: float = setting(
        0.25, 0, 1, "bound of the departure from the default's synthesis window, in analysis windows; 0 leaves it to the default"
    )
    largest_grain_change: float = setting(
        1.0, 0, 1, "bound of the departure from the default's share of grains; 0 leaves it to the default"
    )

    @property
    def context(self) -> int:
        """Frames on either side that a decision depends on: the network looks at some, and the rule at more around each of them."""
        return 1 + self.blocks * (self.kernel // 2) + RULE_CONTEXT

    @property
    def parameters(self) -> int:
        """About how many numbers it learns."""
        return self.blocks * self.width * (2 * self.expansion * self.width + self.kernel + 40) + 800 * self.width


@dataclass(frozen=True)
class LossesRecipe:
    """Weights of the losses; 0 leaves a term out."""

    mel: float = setting(5.0, 0, 1e6, "log-mel distance on exact pairs; trains the gain alone")
    sorted_envelope: float = setting(40.0, 0, 1e6, "distance of sorted short-time envelopes")
    convergence: float = setting(20.0, 0, 1e6, "spectral convergence")
    pulses: float = setting(60.0, 0, 1e6, "how much sharper or softer the pulses of voices are than the recording's")
    adversarial: float = setting(0.0, 0, 1e6, "what the critics say of pairs; 0: they never hear a pair")
    adversarial_unpaired: float = setting(20.0, 0, 1e6, "what the critics say of items without an answer")
    feature_matching: float = setting(0.0, 0, 1e6, "distance of the critics' feature maps")
    cycle: float = setting(5.0, 0, 1e6, "magnitudes against the input's; trains the gain alone")
    prior: float = setting(2.0, 0, 1e6, "distance from the hand-made default")


@dataclass(frozen=True)
class CriticsRecipe:
    """Sizes of the critics; 0 channels leave one out."""

    moment_channels: int = setting(16, 0, 256, "channels of the moment critics, which are deaf to the tempo")
    moment_seconds: float = setting(0.04, 0.01, 0.1, "what a moment critic hears at a time")
    moment_windows: tuple[float, ...] = setting((0.032, 0.016, 0.005), 0.001, 0.1, "window of each in seconds, shorter than a moment")
    spectrogram_channels: int = setting(0, 0, 512, "channels of the spectrogram critics")
    spectrogram_windows: tuple[float, ...] = setting(
        (0.005333, 0.010667, 0.021333, 0.042667), 0.001, 0.1, "window of each in seconds; the shortest sees single pulses"
    )
    period_channels: int = setting(0, 0, 128, "channels of the period critics")
    periods: tuple[int, ...] = setting((2, 3, 5, 7, 11), 1, 100, "period of each in samples")
    envelope_channels: int = setting(0, 0, 1024, "channels of the envelope critics")


@dataclass(frozen=True)
class AdversaryRecipe:
    """The game between generator and critics."""

    divergence: str = setting("js", meaning="what the critics estimate: gan, js, kl, reverse-kl, tv, pearson or squared-hellinger")
    generator_loss: str = setting("non-saturating", meaning="saturating or non-saturating")
    warm_up: int = setting(1000, 0, 10**9, "steps of the critics alone, on default-stretched against real audio")
    gate: float = setting(0.5, 0, 2, "a critic's gradient counts while it ranks this share of held-out pairs rightly; above 1: never")
    every: int = setting(1, 1, 10**6, "the critics learn in every n-th step")
    learning_rate: float = setting(2e-3, 0, 1, "of the critics")
    r1: float = setting(0.0, 0, 1e6, "weight of the critics' squared gradient at real sounds (R1), taken in every eighth step")


@dataclass(frozen=True)
class TrainRecipe:
    """The run."""

    batch: int = setting(16, 1, 1024, "clips in a step, of each process")
    frames: int = setting(102, SHORTEST_CLIP, 4096, "frames of a clip")
    learning_rate: float = setting(5e-4, 0, 1, "of the generator")
    warm_up: int = setting(200, 0, 10**9, "steps in which the learning rate rises to its full value")
    warm_up_share: float = setting(
        0.2, 0, 1, "largest share of a run that the critics' warm-up may take; in a short run all warm-up is made shorter; 0: never"
    )
    half_life: float = setting(100000.0, 1, 1e12, "steps in which the learning rate halves")
    betas: tuple[float, ...] = setting((0.8, 0.99), 0, 0.99999, "of AdamW", count=2)
    weight_decay: float = setting(0.01, 0, 10, "of AdamW")
    clip: float = setting(10.0, 1e-6, 1e9, "largest norm of a gradient")
    ema: float = setting(0.999, 0, 0.9999999, "share of the averaged generator that stays in a step")
    steps: int = setting(200000, 1, 10**9, "steps of the run")
    minutes: float = setting(0.0, 0, 1e7, "time limit; 0: none")
    precision: str = setting("auto", meaning="auto (bfloat16 on a GPU, float32 on a CPU), float32 or bfloat16")
    threads: int = setting(0, 0, 128, "of a CPU run; 0: torch's choice")
    validate_every: int = setting(1000, 1, 10**9, "steps from one validation to the next")
    checkpoint_every: int = setting(1000, 1, 10**9, "steps from one checkpoint to the next")
    log_every: int = setting(20, 1, 10**9, "steps from one line of the log to the next")


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training run."""

    name: str = setting("base", meaning="for reports and the model's card")
    seed: int = setting(0, 0, 2**63 - 1, "of everything random")
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    generator: GeneratorRecipe = field(default_factory=GeneratorRecipe)
    losses: LossesRecipe = field(default_factory=LossesRecipe)
    critics: CriticsRecipe = field(default_factory=CriticsRecipe)
    adversary: AdversaryRecipe = field(default_factory=AdversaryRecipe)
    train: TrainRecipe = field(default_factory=TrainRecipe)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: tables by name."""
        return asdict(self)


# -- where recipes come from -----------------------------------------------------------------------------------------------------------


def recipe_names() -> list[str]:
    """Names of the recipes that come with the program."""
    return sorted(["base", *(f.name.removesuffix(".toml") for f in _shipped().iterdir() if f.name.endswith(".toml"))])


def _shipped() -> Any:
    return resources.files("tsmgan.training") / "recipes"


def load_recipe(name_or_file: str = "base", settings: Iterable[str] = ()) -> Recipe:
    """The base recipe, changed by a shipped recipe or a file, then by settings such as `losses.mel=15`.

    Raises:
        UsageError: no such recipe, not TOML, or a key or value that cannot be (the message names the nearest key, or the range).
    """
    recipe = Recipe()
    if name_or_file != "base":
        recipe = changed(recipe, _parse(_text(name_or_file), name_or_file))
        name = Path(name_or_file).name.removesuffix(".toml")[:LONGEST_TEXT]
        recipe = replace(recipe, name="".join(c if c.isprintable() else "?" for c in name))
    return change_recipe(recipe, settings)


def change_recipe(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """A recipe changed by settings such as `losses.mel=15`.

    Raises:
        UsageError: as load_recipe.
    """
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f'"{text[:LONGEST_TEXT]}" is not a setting; write key=value, as in losses.mel=15.')
        change: Any = _value(value.strip())
        for part in reversed(key.strip().split(".", 2)):
            change = {part: change}
        recipe = changed(recipe, change)
    check(recipe)
    return recipe


def stored_recipe(stored: Any, settings: Iterable[str]) -> Recipe:
    """The recipe that a checkpoint holds, changed by settings. Keys that are newer than the checkpoint have their defaults.

    Raises:
        ModelError: the stored recipe is damaged. UsageError: the settings are wrong, as for load_recipe.
    """
    try:
        for table, key in _REMOVED:
            if isinstance(stored, dict) and isinstance(stored.get(table), dict):
                stored = {**stored, table: {k: v for k, v in stored[table].items() if k != key}}
        recipe = changed(Recipe(), stored)
        check(recipe)
    except UsageError as error:
        raise ModelError(f"The recipe that the checkpoint holds cannot be used. {error}") from error
    return change_recipe(recipe, settings)


def _text(name_or_file: str) -> str:
    if name_or_file.endswith(".toml") or os.path.isfile(name_or_file):
        try:
            return read_regular(Path(name_or_file), LARGEST_TOML_BYTES).decode()
        except FileNotFoundError:
            raise UsageError(f"There is no recipe file {name_or_file}.") from None
        except (ModelError, ValueError) as error:
            raise UsageError(f"The recipe {name_or_file!r} cannot be read: {error}") from error
    if name_or_file not in recipe_names():
        raise UsageError(unknown("recipe", name_or_file, recipe_names()))
    return (_shipped() / f"{name_or_file}.toml").read_text(encoding="utf-8")


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError that is no TOMLDecodeError
        raise UsageError(f"The recipe {name} is not TOML: {str(error)[:200]}.") from error


def _value(text: str) -> Any:
    """A TOML value, or the text itself, so that quotes may be left out on a command line."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text


# -- validation ------------------------------------------------------------------------------------------------------------------------


def changed(table: Table, change: Any, path: str = "", what: str = "recipe key") -> Table:
    """A dataclass of settings with the values of a mapping, each validated by its field's type and range.

    Lists and tables of the user's own patterns are replaced as a whole, except `data.weights`, whose entries are added.

    Raises:
        UsageError: there is no such key, or its value has another type or is out of its range.
    """
    if not isinstance(change, dict):
        raise UsageError(f"The {what} {path.rstrip('.') or 'table'} is a table of settings, not a single value.")
    known, types = {each.name: each for each in fields(table)}, _types(type(table))
    values: dict[str, Any] = {}
    for key, value in change.items():
        name = f"{path}{key}"
        if key not in known:
            raise UsageError(unknown(what, name, _paths(table, path)))
        old = getattr(table, key)
        if is_dataclass(old) and not isinstance(old, type):
            values[key] = changed(old, value, f"{name}.", what)
        else:
            values[key] = _checked(value, types[key], known[key], f"The {what} {name}", old)
    return replace(table, **values)


@cache
def _types(kind: type) -> dict[str, str]:
    return {name: str(hint) if hasattr(hint, "__origin__") else hint.__name__ for name, hint in get_type_hints(kind).items()}


def _paths(table: DataclassInstance, path: str) -> list[str]:
    out = []
    for each in fields(table):
        value = getattr(table, each.name)
        out += _paths(value, f"{path}{each.name}.") if is_dataclass(value) and not isinstance(value, type) else [f"{path}{each.name}"]
    return out


def _checked(value: Any, kind: str, about: Field[Any], what: str, old: Any) -> Any:
    """value in the form that a field keeps; old is what it held before."""
    if kind in ("int", "float"):
        return _number(value, kind, about, what)
    if kind == "str":
        if not isinstance(value, str) or not value or len(value) > LONGEST_TEXT or not value.isprintable():
            raise UsageError(f"{what} is {_shown(value)}, but it must be a short text in one line, such as {_shown(about.default)}.")
        return value
    if kind.startswith("tuple"):
        return _numbers(value, "int" if "int" in kind else "float", about, what)
    if not isinstance(value, dict):
        raise UsageError(f"{what} is a table of patterns, not a single value.")
    if "dict[str, dict" in kind:
        return {key: _shares(shares, about, f'{what}."{key[:LONGEST_TEXT]}"') for key, shares in value.items()}
    return {**old, **_shares(value, about, what)}


def _shares(value: Any, about: Field[Any], what: str) -> dict[str, float]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} is {_shown(value)}, but it must be a table of numbers.")
    for key, share in value.items():
        _number(share, "float", about, f'{what}."{key[:LONGEST_TEXT]}"')
    return dict(value)


def _numbers(value: Any, kind: str, about: Field[Any], what: str) -> tuple[float, ...]:
    count = about.metadata["count"]
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= LONGEST_LIST or (count and len(value) != count):
        many = f"{count}" if count else f"1 to {LONGEST_LIST}"
        raise UsageError(f"{what} is {_shown(value)}, but it must be a list of {many} numbers, such as {_shown(about.default)}.")
    return tuple(_number(each, kind, about, what) for each in value)


def _number(value: Any, kind: str, about: Field[Any], what: str) -> int | float:
    low, high = about.metadata["low"], about.metadata["high"]
    wanted = "a whole number" if kind == "int" else "a number"
    fits = isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)
    if not (fits and (isinstance(value, int) or math.isfinite(value)) and low <= value <= high):
        raise UsageError(f"{what} is {_shown(value)}, but it must be {wanted} from {_plain(low)} to {_plain(high)}.")
    return int(value) if kind == "int" else float(value)


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) and number < 10**7 else f"{number:g}"


def _shown(value: Any) -> str:
    """A value as a message shows it, however long or odd it is."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return "a value of absurd size"
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."


def first_match(table: dict[str, Any], folder: str) -> Any:
    """The value of the first pattern that matches /folder/ (case does not matter)."""
    place = f"/{folder.lower()}/"
    for pattern, value in table.items():
        if fnmatch(place, pattern.lower()):
            return value
    raise UsageError(f'No pattern of {", ".join(table)} matches the folder "{folder}"; end the table with "*".')


def check(recipe: Recipe) -> None:
    """Raise a UsageError for settings that do not go together, or name something that is not there."""
    _check_data(recipe.data)
    check_generator(recipe.generator, "generator.")
    low, high = recipe.augment.resample_range
    if low > high:
        raise UsageError("augment.resample_range must have the lower factor first, as in [0.8, 1.25].")
    if any(window >= recipe.critics.moment_seconds for window in recipe.critics.moment_windows):
        raise UsageError(f"critics.moment_windows must be shorter than critics.moment_seconds, {recipe.critics.moment_seconds:g}.")
    windows, periods = recipe.critics.spectrogram_windows, recipe.critics.periods
    if len({round(1000 * seconds) for seconds in windows}) < len(windows) or len(set(periods)) < len(periods):
        raise UsageError("critics.spectrogram_windows must differ by a millisecond, and critics.periods must differ.")
    if recipe.train.precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(unknown("precision", recipe.train.precision, ("auto", "float32", "bfloat16")))
    from tsmgan.training.divergences import GENERATOR_LOSSES, divergence

    divergence(recipe.adversary.divergence)
    if recipe.adversary.generator_loss not in GENERATOR_LOSSES:
        raise UsageError(unknown("generator loss", recipe.adversary.generator_loss, GENERATOR_LOSSES))


def _check_data(data: DataRecipe) -> None:
    from tsmgan.training.inverse import NAMES

    low, high = data.rates
    if low >= high:
        raise UsageError("data.rates must be two rates, the lower first, as in [0.4, 2.5].")
    if data.seconds < data.shortest:
        raise UsageError(f"data.seconds is {data.seconds:g}; it must not be less than data.shortest, {data.shortest:g}.")
    if not data.stretchers:
        raise UsageError('data.stretchers is empty; it must say which inverse stretchers to use, as in {"*" = {coherent = 1}}.')
    for pattern, shares in data.stretchers.items():
        for name in shares:
            if name not in NAMES:
                raise UsageError(unknown("inverse stretcher", name, NAMES))
        if sum(shares.values()) <= 0:
            raise UsageError(f'data.stretchers."{pattern[:LONGEST_TEXT]}" gives every stretcher a share of zero.')


def check_generator(generator: GeneratorRecipe, path: str = "") -> None:
    """Raise a UsageError for sizes that a stretch would refuse. path: what stands before a setting's name in the message."""
    if generator.kernel % 2 == 0:
        raise UsageError(f"{path}kernel is {generator.kernel}; it must be odd.")
    if generator.context > LARGEST_CONTEXT:
        possible = 2 * ((LARGEST_CONTEXT - RULE_CONTEXT - 1) // generator.blocks) + 1
        raise UsageError(
            f"With {path}blocks={generator.blocks} and {path}kernel={generator.kernel} decisions depend on {generator.context} frames to "
            f"either side, and at most {LARGEST_CONTEXT} are possible; lower the kernel to {possible}, or use fewer blocks."
        )
    if generator.parameters > LARGEST_PARAMETERS:
        raise UsageError(
            f"With these sizes the generator has {generator.parameters / 1e6:.0f} million parameters, and at most "
            f"{LARGEST_PARAMETERS / 1e6:.0f} million are possible; lower {path}width, {path}blocks or {path}expansion."
        )
