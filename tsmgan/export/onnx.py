"""Export: a generator in torch becomes a model folder, or an ONNX file alone, that `tsmgan.core.generator` runs without torch."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import onnx
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from tsmgan import __version__
from tsmgan.core.field import Field
from tsmgan.errors import ModelError, UsageError
from tsmgan.models import FORMAT, Model, require_regular
from tsmgan.storage.atomic import replace_file
from tsmgan.training.network import Generator, GeneratorConfig
from tsmgan.training.recipe import changed, check_generator

OPSET = 20
"""The newest that torch's tracing exporter writes; ONNX Runtime reads it since 1.17. It has GELU as one operator."""
INPUTS = ("features", "log_rate", "noise", "rule")
LICENCE = "MIT"
"""Of the weights, where a model's config does not say `licence`."""


def write_model(generator: Generator, folder: str | Path, description: str, **more: Any) -> None:
    """Write `config.json`, `generator.onnx` and `generator.safetensors` into folder, each under a temporary name first.

    Args:
        generator: in any mode and on any device; it is left as it was.
        description: one sentence for `tsmgan models`.
        more: further JSON entries of the config (the resolved recipe, the source of the weights).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = safetensors_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()})
    config = {
        "format": FORMAT,
        "description": description,
        "generator": generator.config.as_dict(),
        "idle_from": generator.idle_from,
        **more,
    }
    replace_file(folder / "generator.safetensors", weights)
    replace_file(folder / "generator.onnx", with_metadata(onnx_bytes(generator), metadata(config, weights)))
    replace_file(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def read_generator(model: Model) -> Generator:
    """The generator of a model folder, in evaluation mode, from its config and `generator.safetensors`.

    Raises:
        ModelError: the weights are missing, damaged, not finite, or not those of the architecture that the config states.
    """
    if model.config["generator"] is None:
        raise ModelError(f"{model.path} is the rule alone, without a network; there is nothing to be exported or trained further.")
    config = _generator_config(model)
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in Generator(config).state_dict().items()}
    tensors = read_weights(model.weights, shapes)
    generator = Generator(config)
    generator.load_state_dict(tensors)
    return generator.eval()


def read_weights(file: Path, shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """The tensors of a generator from its safetensors file; shapes are compared before anything is allocated.

    Raises:
        ModelError: the file is missing, damaged, or holds other tensors or numbers that are not finite.
    """
    try:
        require_regular(file)
        with safe_open(str(file), framework="pt") as stored:
            found = {name: stored.get_slice(name).get_shape() for name in stored.keys()}
            odd = sorted(set(shapes) ^ set(found)) or [name for name in shapes if shapes[name] != found[name]]
            if odd:
                raise ModelError(f"{file} holds a generator of another architecture ({odd[0][:80]} differs from what is asked for).")
            tensors = {name: stored.get_tensor(name) for name in shapes}
    except FileNotFoundError:
        raise ModelError(f"{file} is missing; training and export read a model's weights from there.") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is damaged or holds no weights: {str(error).splitlines()[0]}") from error
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.float().isfinite().all()):
            raise ModelError(f"{file} is damaged: {name} holds values that are no finite fractions.")
    return tensors


def _generator_config(model: Model) -> GeneratorConfig:
    stated = dict(model.config["generator"])
    context = stated.pop("context", None)
    odd = sorted(set(stated) ^ {field.name for field in fields(GeneratorConfig)})
    if odd:
        names = ", ".join(name[:80] for name in odd[:5])
        raise ModelError(f"{model.path} is of another architecture: its config and this version differ in {names}.")
    try:
        config = changed(GeneratorConfig(), stated, what="size")
        check_generator(config)
    except UsageError as error:
        raise ModelError(f"{model.path} has a config that cannot be used. {error}") from error
    if context != config.context:
        raise ModelError(f"{model.path} states context {context!r} in its config; its blocks and kernel need {config.context}.")
    return config


def onnx_bytes(generator: Generator) -> bytes:
    """The generator as an ONNX model with free batch and time axes, without metadata."""
    return trace(float_copy(generator))


def float_copy(generator: Generator) -> Generator:
    """A copy in float32, on the CPU and in evaluation mode."""
    copy = Generator(generator.config)
    copy.load_state_dict({name: tensor.detach().float().cpu() for name, tensor in generator.state_dict().items()})
    return copy.eval()


class _Departures(torch.nn.Module):
    """The network of a generator alone."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, features: torch.Tensor, log_rate: torch.Tensor, noise: torch.Tensor, rule: torch.Tensor) -> Field:
        """As `Generator.departures`."""
        return self.generator.departures(features, log_rate, noise, rule)


def trace(generator: Generator) -> bytes:
    """The ONNX model of the network of a generator on the CPU, in evaluation mode: inputs and departures from the rule are float32."""
    c = generator.config
    widths = c.features, c.noise, len(Field._fields) * c.bands
    features, noise, by_hand = (torch.zeros(1, 64, width) for width in widths)
    example = features, torch.zeros(1, 64), noise, by_hand
    axes = {name: {0: "batch", 1: "frames"} for name in [*INPUTS, *Field._fields]}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other exporter is recommended to everybody
        # The TorchScript exporter traces this feed-forward graph exactly, and needs no packages beyond onnx.
        torch.onnx.export(
            _Departures(generator),
            example,
            buffer,  # type: ignore[arg-type]
            input_names=INPUTS,
            output_names=Field._fields,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    for output in model.graph.output:  # the exporter cannot tell that this axis is always as long
        output.type.tensor_type.shape.dim[2].dim_value = c.bands
    return model.SerializeToString()


def metadata(config: dict[str, Any], weights: bytes, precision: str = "fp32") -> dict[str, str]:
    """What an ONNX file tells of itself: config (JSON), version, licence, sha256 of `generator.safetensors`, and precision."""
    return {
        "config": json.dumps(config),
        "version": __version__,
        "licence": str(config.get("licence", LICENCE)),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "precision": precision,
    }


def with_metadata(content: bytes, entries: dict[str, str]) -> bytes:
    """An ONNX model with these entries as its whole metadata."""
    model = onnx.load_model_from_string(content)
    model.producer_name, model.producer_version = "tsmgan", __version__
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, entries)
    return model.SerializeToString()
