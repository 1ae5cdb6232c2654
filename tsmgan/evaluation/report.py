"""What a reader sees: Rich tables, CSV, JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from tsmgan import __version__
from tsmgan.errors import AudioError
from tsmgan.evaluation.artefacts import METER
from tsmgan.evaluation.measures import MEASURES
from tsmgan.evaluation.meter import Reading
from tsmgan.evaluation.runner import Row
from tsmgan.evaluation.statistics import Estimate
from tsmgan.evaluation.summary import Summary

_DIGITS = {measure.name: measure.digits for measure in MEASURES} | {"length_error": 2, "speed": 1, "pre_echo": 4, "noise_level": 2}
_UNITS = {measure.name: measure.unit for measure in MEASURES} | {
    "length_error": "ms",
    "speed": "x real time",
    "noise_level": "dB",
}
_IDEALS = (
    {measure.name: measure.ideal for measure in MEASURES} | {"length_error": 0.0} | {name: ideal for name, (_, _, ideal) in METER.items()}
)


def _head(measure: str) -> str:
    """Column title: name, then unit and ideal, each on its own line."""
    facts = [_UNITS.get(measure, ""), f"ideal {_IDEALS[measure]:g}" if measure in _IDEALS else ""]
    return "\n".join([measure.replace("_", " "), *(f"[dim]{fact}[/dim]" for fact in facts if fact)])


def _interval(estimate: Estimate, digits: int, sign: str = "") -> str:
    if math.isnan(estimate.low):
        return ""
    return f"\n[dim]{estimate.low:{sign}.{digits}f} to {estimate.high:{sign}.{digits}f}[/dim]"


def _difference(summary: Summary, mean: float) -> str:
    """Cell of a paired difference, green or red when its interval leaves out zero and the direction is known."""
    digits, change = _DIGITS.get(summary.measure, 3), summary.difference
    if change is None:
        return "-"
    text = f"{change.mean:+.{digits}f}"
    if change.excludes_zero and summary.measure in _IDEALS:
        ideal = _IDEALS[summary.measure]
        text = f"[{'green' if abs(mean - ideal) < abs(mean - change.mean - ideal) else 'red'}]{text}[/]"
    return text + _interval(change, digits, "+")


def summary_tables(summaries: Sequence[Summary], *, baseline: str | None = None) -> list[Table]:
    """For each kind and rate a table of means, and one of differences to the baseline; 95 % intervals in the second line of a cell."""
    tables = []
    for kind, rate in dict.fromkeys((summary.kind, summary.rate) for summary in summaries):
        group = [summary for summary in summaries if (summary.kind, summary.rate) == (kind, rate)]
        measures = dict.fromkeys(summary.measure for summary in group)
        cells = {(summary.method, summary.measure): summary for summary in group}
        methods = list(dict.fromkeys(summary.method for summary in group))
        title = f"{kind}, {'all rates' if rate is None else f'rate {rate:g}'}"
        count = max(summary.estimate.count for summary in group)
        means = Table(title=f"{title}: means over {count} pair{'' if count == 1 else 's'}", title_justify="left")
        means.add_column("method", no_wrap=True)
        changes = Table(title=f"{title}: difference to {escape(baseline or '')}", title_justify="left")
        changes.add_column("method", no_wrap=True)
        for measure in measures:
            means.add_column(_head(measure), justify="right")
            changes.add_column(_head(measure), justify="right")
        for method in methods:
            row, change_row = [], []
            for measure in measures:
                summary = cells.get((method, measure))
                if summary is None:
                    row.append("-")
                    change_row.append("-")
                    continue
                digits = _DIGITS.get(measure, 3)
                row.append(f"{summary.estimate.mean:.{digits}f}{_interval(summary.estimate, digits)}")
                change_row.append(_difference(summary, summary.estimate.mean))
            means.add_row(escape(method), *row)
            if method != baseline:
                changes.add_row(escape(method), *change_row)
        tables.append(means)
        if baseline in methods and len(methods) > 1:
            tables.append(changes)
    return tables


def meter_tables(readings: Sequence[Reading]) -> list[Table]:
    """For each rate a table of the artefact meter: mean over the seeds, and its standard error."""
    tables = []
    for rate in dict.fromkeys(reading.rate for reading in readings):
        table = Table(title=f"artefact meter, rate {rate:g}: mean and standard error over seeds", title_justify="left")
        table.add_column("method", no_wrap=True)
        for name in METER:
            table.add_column(_head(name), justify="right")
        for reading in readings:
            if reading.rate == rate and reading.figures:
                cells = [
                    f"{mean:.{_DIGITS.get(n, 3)}f} [dim]± {error:.{_DIGITS.get(n, 3)}f}[/dim]"
                    for n, (mean, error) in reading.figures.items()
                ]
                table.add_row(escape(reading.method), *cells)
        tables.append(table)
    return tables


def _open(path: Path) -> Any:
    try:
        return path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise AudioError(f"{path} cannot be written: {error.strerror}.") from error


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """A line for each method and pair: every figure in full, and the problems.

    Raises:
        AudioError: the file cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    with _open(Path(path)) as file:
        table = csv.writer(file)
        table.writerow(["method", "kind", "rate", "input", "reference", *names, "problems"])
        for row in rows:
            figures = [row.figures.get(name, "") for name in names]
            table.writerow([row.method, row.pair.kind, row.pair.rate, row.pair.item, row.pair.target, *figures, "; ".join(row.problems)])


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"mean": _number(estimate.mean), "low": _number(estimate.low), "high": _number(estimate.high), "count": estimate.count}


def write_json(
    path: str | Path, rows: Sequence[Row], summaries: Sequence[Summary], readings: Sequence[Reading], baseline: str | None
) -> None:
    """Everything in one object: `version`, `baseline`, `summary`, `rows`, `artefacts`. Figures that do not exist are null.

    Raises:
        AudioError: the file cannot be written.
    """
    document = {
        "version": __version__,
        "baseline": baseline,
        "summary": [
            {
                "kind": s.kind,
                "rate": s.rate,
                "method": s.method,
                "measure": s.measure,
                "unit": _UNITS.get(s.measure, ""),
                "ideal": _IDEALS.get(s.measure),
                **(_estimate(s.estimate) or {}),
                "difference": _estimate(s.difference),
            }
            for s in summaries
        ],
        "rows": [
            {
                "method": row.method,
                "kind": row.pair.kind,
                "rate": row.pair.rate,
                "input": row.pair.item,
                "reference": row.pair.target,
                "figures": {name: _number(value) for name, value in row.figures.items()},
                "problems": row.problems,
            }
            for row in rows
        ],
        "artefacts": [
            {
                "method": reading.method,
                "rate": reading.rate,
                "figures": {
                    name: {"mean": _number(mean), "standard_error": _number(error)} for name, (mean, error) in reading.figures.items()
                },
                "problems": reading.problems,
            }
            for reading in readings
        ],
    }
    with _open(Path(path)) as file:
        json.dump(document, file, indent=2, ensure_ascii=False)
        file.write("\n")
