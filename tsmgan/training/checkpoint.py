"""Checkpoints: everything that a run needs to go on, in one safetensors file that is replaced atomically.

Tensors are named `generator.*`, `ema.*`, `critics.*` and `optimiser.<player>.<parameter>.<quantity>`; the rest (step, gates, recipe) is
JSON in the file's header. No code is stored, and none is executed on loading. There is no random-number state: everything
random is a function of the seed, the step and the row.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tsmgan.errors import ModelError, TsmganError
from tsmgan.models import parse_json, require_regular
from tsmgan.storage.atomic import replace_file

FORMAT = 1
NAME = "checkpoint.safetensors"
QUANTITIES = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps for each parameter: a count, and two moments of the parameter's shape."""


@dataclass(frozen=True)
class State:
    """Where a run stands, apart from its tensors."""

    step: int
    seconds: float
    """Seconds that the run has taken so far."""
    gates: dict[str, bool]
    """Whether the generator learns from each critic."""
    recipe: dict[str, Any]
    """The resolved recipe; `tsmgan.training.recipe.stored_recipe` validates it."""


def save_checkpoint(
    file: Path, modules: dict[str, nn.Module], optimisers: dict[str, tuple[nn.Module, torch.optim.Optimizer]], state: State
) -> None:
    """Write modules, optimisers (each with the module whose parameters it moves) and state to file.

    Raises:
        TsmganError: the disk is full or not writable. The previous checkpoint stays as it was.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        tensors |= {f"{prefix}.{name}": value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    for player, (module, optimiser) in optimisers.items():
        for name, parameter in module.named_parameters():
            for quantity, value in optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{player}.{name}.{quantity}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    content = save(tensors, {"state": json.dumps({"format": FORMAT, **asdict(state)})})
    try:
        replace_file(file, content)
    except OSError as error:
        before = "The previous checkpoint is whole; continue with --resume." if file.exists() else "There is no previous one."
        raise TsmganError(f"The checkpoint {file} cannot be written: {os.strerror(error.errno or 0)}. {before}") from error


def read_state(file: Path) -> State:
    """Where the run of a checkpoint stands. Its tensors are not read.

    Raises:
        ModelError: the file is missing, damaged, or not a checkpoint.
    """
    with _opened(file) as stored:
        return _state(stored, file)


def load_checkpoint(file: Path, modules: dict[str, nn.Module], optimisers: dict[str, tuple[nn.Module, torch.optim.Optimizer]]) -> State:
    """Read a checkpoint into modules and optimisers; returns the state.

    Raises:
        ModelError: the file is missing, damaged, or of another architecture. Nothing is changed then.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    moments: list[tuple[torch.optim.Optimizer, nn.Parameter, dict[str, Tensor]]] = []
    with _opened(file) as stored:
        state, names = _state(stored, file), set(stored.keys())
        for prefix, module in modules.items():
            own = {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}
            odd = sorted(set(own) ^ {name for name in names if name.startswith(f"{prefix}.")})
            tensors = {} if odd else {name: _tensor(stored, name, like, file) for name, like in own.items()}
            odd = odd or [name for name, tensor in tensors.items() if tensor is None]
            if odd:
                raise ModelError(
                    f"{file} holds a {prefix} of another architecture ({odd[0][:80]} differs); use the recipe that it was trained with."
                )
            parts[prefix] = {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if tensor is not None}
        for player, (module, optimiser) in optimisers.items():
            for name, parameter in module.named_parameters():
                known = _moments(stored, f"optimiser.{player}.{name}.", names, parameter, file)
                if known:
                    moments.append((optimiser, parameter, known))
    for prefix, module in modules.items():
        module.load_state_dict(parts[prefix])
    for optimiser, parameter, known in moments:
        optimiser.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in known.items()}
    return state


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A checkpoint's file, opened. Whatever is wrong with it becomes a ModelError."""
    try:
        require_regular(file)
        with safe_open(str(file), framework="pt") as stored:
            yield stored
    except FileNotFoundError:
        raise ModelError(f"There is no checkpoint {file}; start without --resume.") from None
    except (SafetensorError, OSError) as error:
        raise _damaged(file, str(error).splitlines()[0]) from error


def _damaged(file: Path, why: str) -> ModelError:
    return ModelError(f"{file} is damaged or not a checkpoint of tsmgan ({why}). Start a new run, or resume from a copy.")


def _state(stored: Any, file: Path) -> State:
    try:
        state = parse_json((stored.metadata() or {})["state"])
    except KeyError:
        raise _damaged(file, "it does not say where the run stands") from None
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(state, dict):
        raise _damaged(file, "its state is not a table")
    if state.get("format") != FORMAT:
        raise ModelError(f"{file} has format {str(state.get('format'))[:80]}; this version reads format {FORMAT}.")
    step, seconds, gates, recipe = (state.get(name) for name in ("step", "seconds", "gates", "recipe"))
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= 10**12:
        raise _damaged(file, "its step is not a whole number")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not (math.isfinite(seconds) and seconds >= 0):
        raise _damaged(file, "its duration is not a number")
    if not isinstance(gates, dict) or not all(isinstance(value, bool) for value in gates.values()):
        raise _damaged(file, "its gates are neither open nor shut")
    if not isinstance(recipe, dict):
        raise _damaged(file, "it holds no recipe")
    return State(step, float(seconds), gates, recipe)


def _tensor(stored: Any, name: str, like: Tensor, file: Path) -> Tensor | None:
    """A finite tensor of the same shape and type as another; None where the shape differs."""
    if stored.get_slice(name).get_shape() != list(like.shape):  # before anything is allocated
        return None
    tensor: Tensor = stored.get_tensor(name)
    if tensor.dtype != like.dtype:
        raise _damaged(file, f"{name[:80]} holds {str(tensor.dtype).removeprefix('torch.')}")
    if not bool(tensor.isfinite().all()):
        raise _damaged(file, f"{name[:80]} holds values that are not finite")
    return tensor


def _moments(stored: Any, prefix: str, names: set[str], parameter: nn.Parameter, file: Path) -> dict[str, Tensor]:
    """What the optimiser keeps for a parameter; empty where the parameter has not moved yet."""
    there = [quantity for quantity in QUANTITIES if prefix + quantity in names]
    if not there:
        return {}
    found = {}
    for quantity in QUANTITIES:
        like = torch.zeros(()) if quantity == "step" else parameter
        tensor = _tensor(stored, prefix + quantity, like, file) if quantity in there else None
        if tensor is None:
            raise _damaged(file, f"{(prefix + quantity)[:80]} is missing or has another shape than its parameter")
        if quantity != "exp_avg" and bool((tensor < 0).any()):
            raise _damaged(file, f"{(prefix + quantity)[:80]} is negative")
        found[quantity] = tensor
    return found
