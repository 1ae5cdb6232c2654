"""`tsmgan export-onnx`: a model's weights as one ONNX file that checks itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.targets import made_folder
from tsmgan.errors import UsageError
from tsmgan.storage.atomic import replace_file, require_free

if TYPE_CHECKING:
    import numpy as np

EXAMPLE_SAMPLERATE = 24000


def export_onnx(
    model: Annotated[str, typer.Option("--model", "-m", metavar="NAME|FOLDER", help="One of `tsmgan models`, or a folder.")] = "default",
    output: Annotated[str, typer.Option("--output", "-o", help="ONNX file, or a folder for it; `new/` is made.")] = "generator.onnx",
    precision: Annotated[
        str, typer.Option("--precision", "-p", metavar="fp32|fp16|int8", help="Of the learned layers; inputs and outputs are float32.")
    ] = "fp32",
    check_with: Annotated[
        Optional[str],  # noqa: UP045 (Typer reads the annotation on Python 3.10 too)
        typer.Option("--check-with", metavar="FILE", help="Compare on this recording, not on made-up sounds.", show_default=False),
    ] = None,
    pairs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--pairs", metavar="CSV", help="Pairs that int8 is scaled and judged on, as for evaluate.", show_default=False),
    ] = None,
    force: declared.Force = False,
) -> None:
    """Write a model's generator as an ONNX file with free batch and time axes.

    The file is compared with the network in torch at several rates and lengths; beyond the tolerance nothing is written. Its metadata hold
    config, version, licence and the sha256 of the weights.

    [bold]Examples[/bold]

    [cyan]tsmgan export-onnx --model my-run/model -o generator.onnx[/cyan]

    [cyan]tsmgan export-onnx --precision fp16 -o half.onnx --check-with talk.wav[/cyan]

    [cyan]tsmgan export-onnx --precision int8 --pairs pairs.csv -o small.onnx[/cyan]
    """
    place = made_folder(output) or Path(output)
    target = place / "generator.onnx" if place.is_dir() else place
    _check_target(target, force)

    from tsmgan.evaluation.pairs import read_pairs
    from tsmgan.export.check import RATES, example_sound
    from tsmgan.export.onnx import OPSET
    from tsmgan.export.precision import checked_onnx
    from tsmgan.models import find_model

    found = find_model(model)
    listed = read_pairs(pairs) if pairs is not None else []
    y, samplerate = (example_sound(EXAMPLE_SAMPLERATE), EXAMPLE_SAMPLERATE) if check_with is None else _beginning(check_with)
    checked = checked_onnx(found, precision, y, samplerate, listed)
    _check_target(target, force)
    replace_file(target, checked.content)
    worst = checked.worst
    console.say(
        f"Largest difference from torch: {worst.size:.2g} ({worst.output}, {worst.frames} frames at rate {worst.rate:g}), "
        f"of {checked.compared} clips at {len(RATES)} rates."
    )
    if checked.pesq_change is not None:
        console.say(f"PESQ changes by {checked.pesq_change:+.3f}.")
    console.say(f"{found.name} -> {target}  {precision}, opset {OPSET}, {len(checked.content) / 1e6:.2f} MB")


def _check_target(target: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise UsageError(f"{target} cannot be written: its folder does not exist.")
    require_free(target, force=force)


def _beginning(file: str) -> tuple[np.ndarray, int]:
    """The first seconds of a recording, (channels, samples) float32, and its sample rate in Hz."""
    import numpy as np

    from tsmgan.audio import open_reader
    from tsmgan.export.check import CHECK_SECONDS

    blocks = []
    with open_reader(file) as reader:
        for block in reader.blocks():
            blocks.append(block)
            if reader.frames_read >= CHECK_SECONDS * reader.info.samplerate:
                break
    return np.concatenate(blocks, axis=1, dtype=np.float32), reader.info.samplerate
