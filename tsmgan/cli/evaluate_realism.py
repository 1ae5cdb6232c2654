"""`tsmgan evaluate --realism`: what fresh critics say of stretchers on folders of recordings."""

from __future__ import annotations

import csv as csv_files
import json as json_files
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tsmgan.cli import console
from tsmgan.errors import AudioError, TsmganError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from tsmgan.evaluation.methods import Method
    from tsmgan.evaluation.realism import Realism

RATES = [0.5, 0.75, 1.5, 2.0]
HIGHEST_CONTROL = 0.02
"""Bits of the control above which recordings do not suffice for the measure."""


def evaluate_realism(
    places: Sequence[Path],
    methods: Sequence[Method],
    rates: Sequence[float],
    *,
    scale: str,
    kind: str,
    seeds: int | None,
    jobs: int,
    cache: Path | None,
    csv: Path | None,
    json: Path | None,
    quiet: bool,
) -> None:
    """Measure, print a table, and write files. Raises TsmganError where a method failed."""
    _require_torch()
    if not places and (scale, kind) != ("0.3s", "music"):
        raise UsageError("Name folders of recordings: `tsmgan evaluate --realism voices/`.")
    from tsmgan.evaluation.realism import SEEDS, default_cache, measure_realism

    wanted = list(rates) or RATES
    work = measure_realism(methods, places, wanted, scale=scale, kind=kind, seeds=seeds or SEEDS, jobs=jobs, cache=cache or default_cache())
    found = list(console.track(work, "realism", 1 + len(methods) * len(wanted), enabled=not quiet))
    console.print_table(_table(found))
    if csv:
        _write_csv(csv, found)
    if json:
        _write_json(json, found)
    _tell(found)


def _require_torch() -> None:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise UsageError('--realism needs PyTorch; install it with `pip install "tsmgan[train]"`.')


def _table(found: Sequence[Realism]) -> Table:
    """A row for each method and a column for each rate, in bits; the control last."""
    from rich.markup import escape
    from rich.table import Table

    cells = {(one.method, one.rate): one for one in found[1:]}
    rates = list(dict.fromkeys(rate for _, rate in cells))
    table = Table(title="realism: bits from nature (0 is natural), standard error, accuracy", title_justify="left")
    table.add_column("method", no_wrap=True)
    for rate in rates:
        table.add_column(f"{rate:g}", justify="right")
    for method in dict.fromkeys(method for method, _ in cells):
        table.add_row(escape(method), *(_cell(cells[method, rate]) for rate in rates))
    table.add_section()
    table.add_row("natural (control)", _cell(found[0]), *[""] * (len(rates) - 1))
    return table


def _cell(one: Realism) -> str:
    return f"{one.bits:.3f} [dim]± {one.standard_error:.3f}[/dim]\n[dim]{one.accuracy:.2f}[/dim]" if one.trials else "-"


def _write_csv(path: Path, found: Sequence[Realism]) -> None:
    """A line for each game of critics, with its raw bound."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv_files.writer(file)
            table.writerow(["method", "rate", "seed", "raw_bits", "accuracy"])
            for one in found:
                table.writerows([one.method, one.rate, seed, *trial] for seed, trial in enumerate(one.trials))
    except OSError as error:
        raise AudioError(f"{path} cannot be written: {error.strerror}.") from error


def _write_json(path: Path, found: Sequence[Realism]) -> None:
    import math

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    cells = [
        {
            "method": one.method,
            "rate": one.rate,
            "bits": number(one.bits),
            "raw_bits": number(one.raw_bits),
            "standard_error": number(one.standard_error),
            "accuracy": number(one.accuracy),
            "trials": [{"raw_bits": bits, "accuracy": accuracy} for bits, accuracy in one.trials],
            "problems": one.problems,
        }
        for one in found
    ]
    try:
        path.write_text(json_files.dumps({"realism": cells}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise AudioError(f"{path} cannot be written: {error.strerror}.") from error


def _tell(found: Sequence[Realism]) -> None:
    control = found[0]
    if control.trials and control.raw_bits >= HIGHEST_CONTROL:
        console.warning(
            f"Natural recordings are {control.bits:.3f} bits from other natural ones, where less than {HIGHEST_CONTROL} is expected. "
            "Give more recordings, of more talkers or tunes."
        )
    wrong = [one for one in found if one.problems]
    for one in wrong:
        console.warning(f"{one.method} at rate {one.rate:g}: {one.problems[0]}")
    if wrong:
        raise TsmganError(f"{len(wrong)} of {len(found)} cells are missing; the warnings above say why.")
