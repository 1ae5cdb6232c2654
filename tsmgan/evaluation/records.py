"""CSV and JSON files of an evaluation."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from tsmgan import __version__
from tsmgan.errors import AudioError
from tsmgan.evaluation.measures import MEASURES
from tsmgan.evaluation.meter import Reading
from tsmgan.evaluation.runner import Row
from tsmgan.evaluation.statistics import Estimate
from tsmgan.evaluation.summary import Summary


def _open(path: Path) -> IO[str]:
    try:
        return path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise AudioError(f"{path} cannot be written: {error.strerror}.") from error


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """A line for each method and pair: all figures in full precision, and the problems.

    Raises:
        AudioError: the file cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    with _open(Path(path)) as file:
        table = csv.writer(file)
        table.writerow(["method", "kind", "rate", "pitch", "input", "reference", *names, "problems"])
        for row in rows:
            figures = [row.figures.get(name, "") for name in names]
            pair = row.pair
            table.writerow([row.method, pair.kind, pair.rate, pair.pitch, pair.item, pair.target, *figures, "; ".join(row.problems)])


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"mean": _number(estimate.mean), "low": _number(estimate.low), "high": _number(estimate.high), "count": estimate.count}


def _summary(summary: Summary) -> dict[str, Any]:
    measure = MEASURES[summary.measure]
    return {
        "kind": summary.kind,
        "rate": summary.rate,
        "method": summary.method,
        "measure": summary.measure,
        "unit": measure.unit,
        "ideal": measure.ideal,
        **(_estimate(summary.estimate) or {}),
        "difference": _estimate(summary.difference),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "method": row.method,
        "kind": row.pair.kind,
        "rate": row.pair.rate,
        "pitch": row.pair.pitch,
        "input": row.pair.item,
        "reference": row.pair.target,
        "figures": {name: _number(value) for name, value in row.figures.items()},
        "problems": row.problems,
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "method": reading.method,
        "rate": reading.rate,
        "pitch": reading.pitch,
        "figures": {name: {"mean": _number(mean), "standard_error": _number(error)} for name, (mean, error) in reading.figures.items()},
        "problems": reading.problems,
    }


def write_json(
    path: str | Path, rows: Sequence[Row], summaries: Sequence[Summary], readings: Sequence[Reading], baseline: str | None
) -> None:
    """Everything in one object: `version`, `baseline`, `measures`, `summary`, `rows`, `artefacts`. Figures that do not exist are null.

    `measures` says of each measure that occurs what it is called, its unit, its ideal (null: the more, the better) and what it tells.

    Raises:
        AudioError: the file cannot be written.
    """
    occurring = {name for row in rows for name in row.figures} | {name for reading in readings for name in reading.figures}
    told = [measure for name, measure in MEASURES.items() if name in occurring]
    document = {
        "version": __version__,
        "baseline": baseline,
        "measures": {m.name: {"title": m.title, "unit": m.unit, "ideal": m.ideal, "explanation": m.explanation} for m in told},
        "summary": [_summary(summary) for summary in summaries],
        "rows": [_row(row) for row in rows],
        "artefacts": [_reading(reading) for reading in readings],
    }
    with _open(Path(path)) as file:
        json.dump(document, file, indent=2, ensure_ascii=False)
        file.write("\n")
