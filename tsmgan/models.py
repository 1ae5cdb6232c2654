"""Model folders: where they are, and what their `config.json` says.

A folder holds `config.json`, `generator.onnx` (what a stretch runs), `generator.safetensors` (what training continues
from) and `README.md`, the model card. Nothing in it is ever executed as code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsmgan.errors import ModelError

DEFAULT_MODEL = "tsmgan-2"
"""The shipped model that `default` stands for."""
FORMAT = 1
"""Version of the folder's layout and of the features that a generator expects."""
LARGEST_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    """A model folder."""

    name: str
    path: Path
    config: dict[str, Any] = field(repr=False)

    @property
    def description(self) -> str:
        """One sentence on what the model is."""
        return str(self.config.get("description", ""))


def model_roots() -> list[Path]:
    """Folders that shipped models are looked for in: inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent
    return [root for root in (package / "models", package.parent / "models") if root.is_dir()]


def list_models() -> list[Model]:
    """The shipped models, by name."""
    folders = {f.parent.name: f.parent for root in reversed(model_roots()) for f in root.glob("*/config.json")}
    return [load_config(folders[name]) for name in sorted(folders)]


def find_model(name_or_folder: str | Path = "default") -> Model:
    """The model of a shipped name, of `default`, or in a folder.

    Raises:
        ModelError: there is none, or its config cannot be used.
    """
    text = str(name_or_folder)
    wanted = DEFAULT_MODEL if text == "default" else text
    for root in model_roots():
        if wanted == Path(wanted).name != ".." and (root / wanted / "config.json").is_file():
            return load_config(root / wanted)
    folder = Path(name_or_folder)
    if folder.is_dir():
        return load_config(folder)
    known = ", ".join(m.name for m in list_models())
    raise ModelError(f"There is no model `{text}`: give the name of a shipped model ({known}) or a folder that holds config.json.")


def load_config(folder: Path) -> Model:
    """Read a model folder's `config.json`.

    Raises:
        ModelError: it is missing, too large, not JSON, or of a version that this program does not know.
    """
    file = folder / "config.json"
    try:
        if file.stat().st_size > LARGEST_CONFIG_BYTES:
            raise ModelError(f"{file} is larger than any model's config; the folder is no tsmgan model.")
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no config.json, so it is no model folder.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{file} cannot be read as a model's config: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("generator"), dict):
        raise ModelError(f"{file} has no `generator` entry, so the folder is no tsmgan model.")
    if config.get("format") != FORMAT:
        raise ModelError(f"{folder} has format {config.get('format')}; this version reads format {FORMAT}. Export the model again.")
    return Model(folder.name, folder, config)
