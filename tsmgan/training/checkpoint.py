"""Checkpoints: everything that a run needs to go on, in one safetensors file that is replaced atomically.

Tensors are named `generator.*`, `ema.*`, `critics.*` and `optimiser.<player>.<parameter>.<quantity>`; the rest (step, gates, recipe) is
JSON in the file's header. No code is stored, and none is executed on loading. There is no random-number state: everything
random is a function of the seed, the step and the row.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tsmgan.errors import ModelError, TsmganError
from tsmgan.export import replace_file

FORMAT = 1
NAME = "checkpoint.safetensors"


def save_checkpoint(
    file: Path, modules: dict[str, nn.Module], optimisers: dict[str, tuple[nn.Module, torch.optim.Optimizer]], state: dict[str, Any]
) -> None:
    """Write modules, optimisers (each with the module whose parameters it moves) and state (JSON) to file.

    Raises:
        TsmganError: the disk is full or not writable; the checkpoint before stays as it was.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        tensors |= {f"{prefix}.{name}": value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    for player, (module, optimiser) in optimisers.items():
        for name, parameter in module.named_parameters():
            for quantity, value in optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{player}.{name}.{quantity}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    content = save(tensors, {"state": json.dumps({"format": FORMAT, **state})})
    try:
        replace_file(file, content)
    except OSError as error:
        before = "The checkpoint before it is whole; continue with --resume." if file.exists() else "There is none before it."
        raise TsmganError(f"The checkpoint {file} cannot be written: {os.strerror(error.errno or 0)}. {before}") from error


def read_state(file: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint.

    Raises:
        ModelError: it is missing, truncated, or no checkpoint.
    """
    return _open(file)[0]


def _open(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(str(file), framework="pt") as f:
            metadata = f.metadata() or {}
            state = json.loads(metadata["state"])
            tensors = {name: f.get_tensor(name) for name in f.keys()}
    except FileNotFoundError:
        raise ModelError(f"There is no checkpoint {file}; start without --resume.") from None
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise ModelError(
            f"{file} is damaged or no checkpoint of tsmgan ({str(error).splitlines()[0]}); start anew, or resume from a copy."
        ) from error
    if state.get("format") != FORMAT:
        raise ModelError(f"{file} has format {state.get('format')}; this version reads format {FORMAT}.")
    return state, tensors


def load_checkpoint(
    file: Path, modules: dict[str, nn.Module], optimisers: dict[str, tuple[nn.Module, torch.optim.Optimizer]]
) -> dict[str, Any]:
    """Read a checkpoint into modules and optimisers; returns the state.

    Raises:
        ModelError: it is missing, damaged, or of another architecture (nothing is changed then).
    """
    state, tensors = _open(file)
    parts = {prefix: {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{prefix}.")} for prefix in modules}
    for prefix, module in modules.items():
        check_fit(module, parts[prefix], str(file), prefix)
    for prefix, module in modules.items():
        module.load_state_dict(parts[prefix])
    for player, (module, optimiser) in optimisers.items():
        for name, parameter in module.named_parameters():
            prefix = f"optimiser.{player}.{name}."
            known = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix) and "." not in k[len(prefix) :]}
            if known:
                optimiser.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in known.items()}
    return state


def check_fit(module: nn.Module, tensors: dict[str, Tensor], source: str, what: str) -> None:
    """Raise a ModelError where tensors are not those of the module."""
    own = module.state_dict()
    odd = sorted(set(own) ^ set(tensors)) or [k for k in own if own[k].shape != tensors[k].shape]
    if odd:
        raise ModelError(
            f"{source} holds a {what} of another architecture (its {odd[0]} differs); use the recipe that it was trained with."
        )
