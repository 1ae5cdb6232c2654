"""Precision: a generator's ONNX file in full, half or eight-bit precision, checked for what that costs."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from torch import Tensor, nn

from tsmgan.core.field import Field
from tsmgan.errors import ModelError, TsmganError, UsageError
from tsmgan.export.check import CHECK_SECONDS, TOLERANCES, Difference, Inputs, differences, real_inputs
from tsmgan.export.onnx import INPUTS, float_copy, metadata, onnx_bytes, read_generator, replace_file, trace, with_metadata
from tsmgan.models import Model
from tsmgan.training.network import Generator

if TYPE_CHECKING:
    from tsmgan.evaluation.pairs import Pair

PRECISIONS = ("fp32", "fp16", "int8")
LARGEST_LOSS = 0.02
"""PESQ that int8 may cost, in the mean over the pairs."""
CALIBRATION_PAIRS = 16
_PRODUCTS = re.compile(r"/(generator/)?blocks\.\d+/(up|down)/MatMul")
"""Three quarters of the multiplications."""


class Checked(NamedTuple):
    """An ONNX file that has passed its checks."""

    content: bytes
    worst: Difference
    """The largest difference from torch."""
    compared: int
    """Clips that were compared."""
    pesq_change: float | None
    """Mean PESQ less that of full precision; None where it was not measured."""


def checked_onnx(model: Model, precision: str, y: np.ndarray, samplerate: int, pairs: Sequence[Pair] = ()) -> Checked:
    """The ONNX file of a model's weights, with its metadata, once it agrees with torch on features of y (channels, samples).

    Args:
        precision: one of PRECISIONS.
        pairs: int8 is scaled by their inputs, and judged by PESQ on the voices among them.

    Raises:
        UsageError: there is no such precision, or int8 has no pairs.
        ModelError: the model cannot be read, or its export is not sound: the checker refuses it, it differs from torch by more than
            TOLERANCES allows, or int8 costs more than LARGEST_LOSS.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"There is no precision {precision}; choose from {', '.join(PRECISIONS)}.")
    if precision == "int8" and not pairs:
        raise UsageError("int8 is scaled and judged on recordings; give a list of pairs with --pairs.")
    generator = read_generator(model)
    full = onnx_bytes(generator)
    if precision == "fp16":
        content = to_fp16(generator)
    elif precision == "int8":
        content = to_int8(full, calibration_inputs(pairs, generator.config.noise))
    else:
        content = full
    config = {**model.config, "idle_from": generator.idle_from}
    content = with_metadata(content, metadata(config, model.weights.read_bytes(), precision))
    try:
        onnx.checker.check_model(content, full_check=True)
    except Exception as error:  # the checker's errors share no base class with those of shape inference
        raise ModelError(f"The checker of ONNX refuses the export: {str(error).splitlines()[0]}") from error
    found = differences(generator, content, y, samplerate)
    worst = max(found, key=lambda difference: difference.size)
    if worst.size > TOLERANCES[precision]:
        raise ModelError(
            f"The export differs from torch by {worst.size:.2g} ({worst.output}, {worst.frames} frames at rate {worst.rate:g}); "
            f"at most {TOLERANCES[precision]:g} is allowed at {precision}. Nothing was written."
        )
    change = pesq_change(model, full, content, pairs) if precision == "int8" else None
    if change is not None and change < -LARGEST_LOSS:
        raise ModelError(f"int8 costs this model {-change:.3f} PESQ; at most {LARGEST_LOSS:g} is allowed. Nothing was written: use fp16.")
    return Checked(content, worst, len(found) // len(Field._fields), change)


class InHalf(nn.Module):
    """A module that computes in half precision, float32 around it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the module's own."""
        return self.module(*(x.half() for x in inputs)).float()


def to_fp16(generator: Generator) -> bytes:
    """ONNX model of the generator with its learned layers in half precision.

    The outlet stays in full precision: it is small, and steep.
    """
    copy = float_copy(generator)
    copy.rate, copy.inlet = InHalf(copy.rate), InHalf(copy.inlet)  # type: ignore[assignment]
    copy.blocks = nn.ModuleList(InHalf(block) for block in copy.blocks)
    return trace(copy)


def to_int8(content: bytes, examples: Sequence[Inputs]) -> bytes:
    """The model with its largest products in eight bits, statically scaled by what they meet in examples."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(examples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            found = next(self._left, None)
            return None if found is None else dict(zip(INPUTS, found))

    model = onnx.load_model_from_string(content)
    products = [node.name for node in model.graph.node if _PRODUCTS.match(node.name)]
    with tempfile.TemporaryDirectory(prefix="tsmgan-") as folder, _quiet_log():
        target = Path(folder, "int8.onnx")
        # Seven bits of weight: without VNNI, sums of two products of full bytes do not fit into the sixteen bits that they get.
        quantize_static(
            model, target, Reader(), nodes_to_quantize=products, per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8
        )
        return target.read_bytes()


def calibration_inputs(pairs: Sequence[Pair], noise: int) -> list[Inputs]:
    """Features of the inputs of some pairs, spread over the list, at the pairs' own rates."""
    from tsmgan.evaluation.pairs import read_recording

    found = []
    for pair in pairs[:: -(-len(pairs) // CALIBRATION_PAIRS)]:
        y, samplerate = read_recording(pair.input)
        found.append(real_inputs(y[:, : round(CHECK_SECONDS * samplerate)], samplerate, pair.rate, noise))
    return found


def pesq_change(model: Model, before: bytes, after: bytes, pairs: Sequence[Pair]) -> float:
    """Mean PESQ on the voices among pairs when the model runs the ONNX file `after`, less that of `before`.

    Raises:
        TsmganError: no pair is speech, or PESQ cannot be taken of one.
    """
    from tsmgan.evaluation.measures.pesq import PESQ
    from tsmgan.evaluation.methods import Method, find_method
    from tsmgan.evaluation.runner import measure_pair

    if PESQ.missing():
        raise TsmganError('int8 is judged by PESQ, which is not installed; `pip install "tsmgan[eval]"` does it.')
    voices = [pair for pair in pairs if pair.kind == "speech"]
    if not voices:
        raise TsmganError("The list of pairs holds no speech, and int8 is judged by PESQ; give one that does.")
    with tempfile.TemporaryDirectory(prefix="tsmgan-") as folder:
        methods: list[Method] = []
        for name, content in (("before", before), ("after", after)):
            path = Path(folder, name)
            path.mkdir()
            replace_file(path / "config.json", json.dumps(model.config).encode())
            replace_file(path / "generator.onnx", content)
            methods.append(find_method(f"tsmgan:model={path}"))
        changes = []
        for pair in voices:
            rows = measure_pair(pair, methods, [PESQ])
            for row in rows:
                if row.problems:
                    raise TsmganError(f"{pair.item} at rate {pair.rate:g}: {row.problems[0]}")
            changes.append(rows[1].figures["pesq"] - rows[0].figures["pesq"])
    return float(np.mean(changes))


@contextmanager
def _quiet_log() -> Iterator[None]:
    """The quantiser advises, on the root logger, a step that this graph does not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
