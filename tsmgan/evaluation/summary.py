"""Summaries of rows: means per kind and rate, and differences from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tsmgan.evaluation.runner import Row
from tsmgan.evaluation.statistics import Estimate, bootstrap_mean


@dataclass(frozen=True)
class Summary:
    """One cell of a table."""

    kind: str
    rate: float | None
    """None: all rates together."""
    method: str
    measure: str
    estimate: Estimate
    difference: Estimate | None = None
    """This method less the baseline, the mean over the pairs that both have a figure for; None without a baseline."""


def summarise(rows: Sequence[Row], *, baseline: str | None = None, per_rate: bool = False) -> list[Summary]:
    """All means, by kind, rate (all rates together first), method and measure, in the order of the rows."""
    summaries = []
    for kind in dict.fromkeys(row.pair.kind for row in rows):
        of_kind = [row for row in rows if row.pair.kind == kind]
        rates = sorted({row.pair.rate for row in of_kind}) if per_rate else []
        for rate in [None, *rates]:
            summaries += _summarise_group(kind, rate, [row for row in of_kind if rate is None or row.pair.rate == rate], baseline)
    return summaries


def _summarise_group(kind: str, rate: float | None, rows: Sequence[Row], baseline: str | None) -> list[Summary]:
    beside = {row.pair: row.figures for row in rows if row.method == baseline}
    summaries = []
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        for measure in dict.fromkeys(name for row in mine for name in row.figures):
            having = [row for row in mine if measure in row.figures]
            estimate = bootstrap_mean([row.figures[measure] for row in having], [row.pair.item for row in having])
            shared = [row for row in having if measure in beside.get(row.pair, {})] if method != baseline else []
            difference = None
            if shared:
                changes = [row.figures[measure] - beside[row.pair][measure] for row in shared]
                difference = bootstrap_mean(changes, [row.pair.item for row in shared])
            summaries.append(Summary(kind, rate, method, measure, estimate, difference))
    return summaries
