"""`tsmgan train`: learn a generator from a folder of recordings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from tsmgan.cli.numbers import number

if TYPE_CHECKING:
    from tsmgan.training.recipe import Recipe


def train(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of recordings. All folders in it are searched; any format and sample rate will do.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the run: checkpoint, logs, pairs and the model.")] = Path(
        "tsmgan-run"
    ),
    recipe: Annotated[
        Optional[str],  # noqa: UP045 (Typer reads the annotation on Python 3.10 too)
        typer.Option(
            "--recipe", "-r", help="Name of a recipe (base, cpu, gpu, smoke or a divergence), or a TOML file.", show_default="base"
        ),
    ] = None,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", "-s", help="Change one setting of the recipe, as in losses.mel=15. May be repeated.", show_default=False),
    ] = None,
    divergence: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--divergence", help="What the critics estimate: gan, js, kl, reverse-kl, tv, pearson or squared-hellinger.", show_default=False
        ),
    ] = None,
    generator_loss: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--generator-loss", help="The generator's adversarial loss: saturating or non-saturating.", show_default=False),
    ] = None,
    start_from: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--from", help="Fine-tune this model, given by its name or its folder.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --output. The result is the same as if it had never stopped.")
    ] = False,
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--minutes", parser=number(), metavar="N", help="Stop after this time, which includes making the pairs.", show_default=False
        ),
    ] = None,
    steps: Annotated[Optional[int], typer.Option("--steps", help="Stop at this step.", show_default=False)] = None,  # noqa: UP045
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--cache", help="Folder for the pairs, so that several runs can share them.", show_default="OUTPUT/pairs"),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Use the CPU even where there is a GPU.")] = False,
    former_output: Annotated[Optional[Path], typer.Option("--out", hidden=True, help="The former name of --output.")] = None,  # noqa: UP045
) -> None:
    """Train a generator on a folder of recordings, or fine-tune one.

    Ctrl-C finishes the present step, writes the checkpoint and exports the model. Use torchrun for several GPUs or machines.

    [bold]Examples[/bold]

    [cyan]tsmgan train recordings --recipe cpu --minutes 60[/cyan]

    [cyan]tsmgan train recordings --recipe cpu --set losses.mel=15 --resume[/cyan]

    [cyan]torchrun --nproc-per-node 4 -m tsmgan train recordings --recipe gpu[/cyan]
    """
    from rich.console import Console

    from tsmgan.errors import UsageError

    out = former_output or output
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes is {minutes:g}; it must be above zero.")
    if steps is not None and steps < 1:
        raise UsageError(f"--steps is {steps}; it must be at least 1.")
    changes = list(settings or [])
    changes += [f'adversary.divergence="{divergence}"'] if divergence is not None else []
    changes += [f'adversary.generator_loss="{generator_loss}"'] if generator_loss is not None else []
    resolved = _resolve(recipe, changes, out if resume else None)

    console = Console(stderr=True)
    if not console.is_terminal and os.environ.get("RANK", "0") == "0":
        console.print("starting")
    with console.status("starting"):  # loading PyTorch takes seconds
        from tsmgan.training.trainer import Request, Trainer

    request = Request(folder=folder, out=out, cache=cache, start_from=start_from, resume=resume, minutes=minutes, steps=steps, cpu=cpu)
    Trainer(resolved, request, console).run()


def _resolve(recipe: str | None, changes: list[str], resumed: Path | None) -> Recipe:
    """The recipe of the run. A run that is resumed goes by its stored recipe, unless another one is named."""
    from tsmgan.training.checkpoint import NAME, read_state
    from tsmgan.training.recipe import load_recipe, stored_recipe

    if resumed is not None and recipe is None:
        return stored_recipe(read_state(resumed / NAME).recipe, changes)
    return load_recipe(recipe or "base", changes)
