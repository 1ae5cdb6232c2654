"""Models: where they are, and what they say of themselves.

A model is a folder, which holds `config.json`, `generator.onnx` (what a stretch runs), `generator.safetensors` (what training continues
from) and `README.md`, the model card; or it is an exported ONNX file alone, which holds its config in its metadata. Nothing in either is
ever executed as code.
"""

from __future__ import annotations

import json
import math
import os
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsmgan.core.features import FEATURES
from tsmgan.core.field import BANDS
from tsmgan.core.frames import RUN
from tsmgan.errors import ModelError
from tsmgan.limits import MOST_THREADS, require_count
from tsmgan.onnx_file import read_metadata, require_generator

if TYPE_CHECKING:
    from tsmgan.core.generator import Generator, Sizes
    from tsmgan.core.rule import Rule

DEFAULT_MODEL = "tsmgan-3"
"""The shipped model that `default` stands for."""
FORMAT = 5
"""Version of the folder's layout and of the features that a generator expects."""
LARGEST_CONFIG_BYTES = 1 << 20
LARGEST_ONNX_BYTES = 1 << 28
"""Larger ONNX files are not read."""
LARGEST_CONTEXT = RUN
"""Frames on either side that a decision may depend on. Training, export and stretching all keep to this limit."""
LARGEST_NOISE = 256
LARGEST_PARAMETERS = 50_000_000
"""Numbers that a generator may learn: in full precision they fit well into LARGEST_ONNX_BYTES."""
_LONGEST_INTEGER = 18
"""Digits of an integer in a config."""


@dataclass(frozen=True)
class Model:
    """A model folder, or an ONNX file that stands for itself."""

    name: str
    path: Path
    """The folder or the file."""
    config: dict[str, Any] = field(repr=False)
    onnx: Path
    """The file that a stretch runs."""

    @property
    def description(self) -> str:
        """One sentence on what the model is."""
        return str(self.config.get("description", ""))

    @property
    def weights(self) -> Path:
        """The file that training and export read.

        Raises:
            ModelError: the model is an ONNX file alone.
        """
        if self.onnx == self.path:
            raise ModelError(f"{self.path} is an ONNX file, which can be run but not trained or exported; give the model's folder.")
        return self.path / "generator.safetensors"


def model_roots() -> list[Path]:
    """Folders that shipped models are looked for in: inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent
    return [root for root in (package / "models", package.parent / "models") if root.is_dir()]


def list_models() -> list[Model]:
    """The shipped models, by name."""
    folders = {f.parent.name: f.parent for root in reversed(model_roots()) for f in root.glob("*/config.json")}
    return [load_config(folders[name]) for name in sorted(folders)]


def find_model(name_or_path: str | Path = "default") -> Model:
    """The model of a shipped name, of `default`, in a folder, or in an exported ONNX file.

    Raises:
        ModelError: there is none, or its config cannot be used.
    """
    text = str(name_or_path)
    wanted = DEFAULT_MODEL if text == "default" else text
    for root in model_roots():
        if wanted == Path(wanted).name != ".." and (root / wanted / "config.json").is_file():
            return load_config(root / wanted)
    if os.path.isdir(text or "."):
        return load_config(Path(name_or_path))
    if os.path.exists(text):
        return load_onnx(Path(name_or_path))
    known = ", ".join(m.name for m in list_models())
    raise ModelError(
        f"There is no model `{text}`: give the name of a shipped model ({known}), a folder that holds config.json, "
        "or an exported ONNX file."
    )


def load_config(folder: Path) -> Model:
    """Read a model folder's `config.json`.

    Raises:
        ModelError: it is missing, too large, no regular file, not JSON, or of a version that this program does not know.
    """
    file = folder / "config.json"
    try:
        text = read_regular(file, LARGEST_CONFIG_BYTES)
    except FileNotFoundError:
        within = folder / "model"
        meant = f"; give {within}, which is one" if (within / "config.json").is_file() else ""
        raise ModelError(f"{folder} holds no config.json, so it is no model folder{meant}.") from None
    return Model(folder.name, folder, _parsed(text, file), folder / "generator.onnx")


def load_onnx(file: Path) -> Model:
    """Read the config that an exported ONNX file holds in its metadata.

    Raises:
        ModelError: the file is missing, too large, no regular file, no ONNX file, or no generator that `tsmgan export-onnx` wrote.
    """
    try:
        content = read_regular(file, LARGEST_ONNX_BYTES)
    except FileNotFoundError:
        raise ModelError(f"{file} is missing.") from None
    try:
        entries = read_metadata(content)
    except ModelError as error:
        raise ModelError(f"The model {file} cannot be used. {error}") from error
    if "config" not in entries:
        raise ModelError(f"{file} has no `config` in its metadata; write it with `tsmgan export-onnx`, or give a model's folder.")
    return Model(file.name, file, _parsed(entries["config"].encode()[: LARGEST_CONFIG_BYTES + 1], file), file)


def read_regular(file: Path, largest: int) -> bytes:
    """The bytes of a regular file. Devices and pipes, which may never end, are refused without waiting for them.

    Raises:
        ModelError: it is no regular file, has more than `largest` bytes, or cannot be read.
        FileNotFoundError: it does not exist.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(file, flags), "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ModelError(f"{file} is no regular file.")
            content = opened.read(largest + 1) if found.st_size <= largest else b""
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is no regular file" if os.path.isdir(file) else f"cannot be read: {error.strerror}"
        raise ModelError(f"{file} {what}.") from error
    if found.st_size > largest or len(content) > largest:
        raise ModelError(f"{file} has {found.st_size / 1e6:,.0f} MB, more than any generator; at most {largest / 1e6:.0f} MB are read.")
    return content


def require_regular(file: Path) -> None:
    """Check that a file which a library opens by its name is a regular one.

    Raises:
        ModelError: it is no regular file. FileNotFoundError: it does not exist.
    """
    if not stat.S_ISREG(os.stat(file).st_mode):
        raise ModelError(f"{file} is no regular file.")


def parse_json(text: str | bytes) -> Any:
    """JSON of which no number is absurdly long, infinite or NaN.

    Raises:
        ValueError: it is not.
    """
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _parsed(text: bytes, file: Path) -> dict[str, Any]:
    """The config in a text; messages name the file that it comes from."""
    if len(text) > LARGEST_CONFIG_BYTES:
        raise ModelError(f"{file} has a config larger than any model's.")
    try:
        config = parse_json(text)
    except ValueError as error:
        raise ModelError(f"{file} cannot be read as a model's config: {error}.") from error
    if not isinstance(config, dict) or not isinstance(config.get("generator", 0), (dict, type(None))):
        raise ModelError(f"{file} has no `generator` entry, so it is no tsmgan model.")
    if type(config.get("format")) is not int or config["format"] != FORMAT:
        stated = repr(config.get("format"))[:80]
        raise ModelError(f"{file} has format {stated}; this version reads format {FORMAT}. Export the model again.")
    return config


def open_decider(
    model: Model, device: str = "auto", threads: int | None = None, *, slowest: float = 0.0, time_limit: float | None = None
) -> Rule | Generator:
    """What decides the fields of a stretch with this model: the rule alone, or its generator.

    Args:
        device, time_limit: as of `tsmgan.core.generator.Generator`.
        threads: of the network on the CPU, 1 to MOST_THREADS; None is one.
        slowest: the lowest rate of the stretch, as far as it is known. Where the network has nothing to say from there on, it is loaded
            only if it is needed after all. A device that is named is tried at once.

    Raises:
        UsageError: there is no such device, or threads is out of its range.
        ModelError: the model is missing, damaged, of another architecture, or no generator.
        TsmganError: the device was asked for and cannot be used here.
    """
    from tsmgan.core.generator import TIME_LIMIT, Generator, require_device

    require_device(device)
    threads = 1 if threads is None else require_count("threads", threads, MOST_THREADS)
    if model.config["generator"] is None:
        from tsmgan.core.rule import Rule

        return Rule()
    sizes = _sizes(model)
    try:
        content = _checked_content(model.onnx, os.stat(model.onnx).st_mtime_ns)
    except FileNotFoundError:
        raise ModelError(f"{model.onnx} is missing; write it with `tsmgan export-onnx`.") from None
    except ModelError as error:
        raise ModelError(f"The model {model.onnx} cannot be loaded. {error}") from error
    deferred = device in ("auto", "cpu") and slowest >= sizes.idle_from
    limit = TIME_LIMIT if time_limit is None else time_limit
    return Generator(content, sizes, str(model.path), device, threads, deferred=deferred, time_limit=limit)


@lru_cache(maxsize=8)
def _checked_content(file: Path, written: int) -> bytes:
    """A network's file, as written at that time, of which only a generator's operators are left to be run."""
    content = read_regular(file, LARGEST_ONNX_BYTES)
    require_generator(content)
    return content


def _sizes(model: Model) -> Sizes:
    """What a model's config says of its network."""
    from tsmgan.core.generator import Sizes
    from tsmgan.core.rule import RULE_CONTEXT

    config = model.config["generator"]
    if config.get("features") != FEATURES or config.get("bands") != BANDS:
        raise ModelError(
            f"{model.path} expects {config.get('features')} features and {config.get('bands')} bands; "
            f"this version has {FEATURES} and {BANDS}."
        )
    for name, smallest, largest in (("context", RULE_CONTEXT, LARGEST_CONTEXT), ("noise", 0, LARGEST_NOISE)):
        value = config.get(name)
        if type(value) is not int or not smallest <= value <= largest:
            raise ModelError(f"{model.path} states {name} {value!r} in its config; {smallest} to {largest} can be.")
    bound = config.get("largest_coherence")
    if type(bound) not in (int, float) or not 0.01 <= bound <= 1:
        raise ModelError(f"{model.path} states largest_coherence {bound!r} in its config; 0.01 to 1 can be.")
    idle_from = model.config.get("idle_from")
    if idle_from is not None and (type(idle_from) not in (int, float) or not 0 < idle_from < math.inf):
        raise ModelError(f"{model.path} states idle_from {idle_from!r} in its config; a rate, or null, can be.")
    return Sizes(config["context"], config["noise"], float(bound), math.inf if idle_from is None else float(idle_from))
