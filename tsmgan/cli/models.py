"""`tsmgan models`: what --model can name."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tsmgan.cli import console


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with each model's whole config.")] = False) -> None:
    """List the models that are shipped with tsmgan.

    [bold]Example[/bold]

    [cyan]tsmgan stretch talk.wav --rate 1.5 --model NAME[/cyan]
    """
    from tsmgan.models import find_model, list_models

    found = list_models()
    default = find_model("default").name if found else None
    if as_json:
        entries = [
            {
                "name": model.name,
                "default": model.name == default,
                "description": model.description,
                "path": str(model.path),
                "config": model.config,
            }
            for model in found
        ]
        typer.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("model", style="cyan", no_wrap=True)
    table.add_column("description")
    for model in found:
        mark = " (default)" if model.name == default else ""
        table.add_row(escape(model.name + mark), escape(model.description))
    console.print_table(table)
