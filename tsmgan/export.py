"""Export: a generator in torch becomes a model folder that `tsmgan.generator` runs without torch."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes

from tsmgan.models import FORMAT
from tsmgan.training.network import Generator
from tsmgan.vocoder import Field

OPSET = 17


def write_model(generator: Generator, folder: str | Path, description: str, **more: Any) -> None:
    """Write `config.json`, `generator.onnx` and `generator.safetensors` into folder, each under a temporary name first.

    Args:
        generator: in any mode and on any device; it is left as it was.
        description: one sentence for `tsmgan models`.
        more: further JSON entries of the config (the resolved recipe, the source of the weights).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    config = {"format": FORMAT, "description": description, "generator": generator.config.as_dict(), **more}
    replace_file(folder / "generator.safetensors", safetensors_bytes(weights))
    replace_file(folder / "generator.onnx", onnx_bytes(generator))
    replace_file(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def onnx_bytes(generator: Generator) -> bytes:
    """The generator as an ONNX model with free batch and time axes."""
    c = generator.config
    copy = Generator(c)
    copy.load_state_dict({name: tensor.detach().float().cpu() for name, tensor in generator.state_dict().items()})
    copy.eval()
    example = torch.zeros(1, 64, c.features), torch.zeros(1, 64), torch.zeros(1, 64, c.noise)
    names = ["features", "log_rate", "noise"]
    axes = {name: {0: "batch", 1: "frames"} for name in [*names, *Field._fields]}
    buffer = io.BytesIO()
    # The TorchScript exporter traces this feed-forward graph exactly, and needs no packages beyond onnx.
    torch.onnx.export(
        copy, example, buffer, input_names=names, output_names=list(Field._fields), dynamic_axes=axes, opset_version=OPSET, dynamo=False
    )
    return buffer.getvalue()


def replace_file(path: Path, content: bytes) -> None:
    """Write content to a temporary name beside path, flush it to disk, and rename: path is always whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
