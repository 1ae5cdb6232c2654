"""Rich tables of means, differences and the artefact meter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from tsmgan.evaluation.measures import MEASURES, SHIFT_MEASURES, SYNTHETIC_MEASURES, Measure
from tsmgan.evaluation.meter import Reading
from tsmgan.evaluation.statistics import Estimate
from tsmgan.evaluation.summary import Summary


def _head(measure: Measure) -> str:
    """Column title: name, then unit and ideal, each on its own line."""
    facts = [measure.unit, "" if measure.ideal is None else f"ideal {measure.ideal:g}"]
    return "\n".join([measure.name.replace("_", " "), *(f"[dim]{fact}[/dim]" for fact in facts if fact)])


def _interval(estimate: Estimate, digits: int, sign: str = "") -> str:
    if math.isnan(estimate.low):
        return ""
    return f"\n[dim]{estimate.low:{sign}.{digits}f} to {estimate.high:{sign}.{digits}f}[/dim]"


def _difference(change: Estimate | None, mean: float, measure: Measure) -> str:
    """Cell of a paired difference: green for better or red for worse where its interval leaves out zero."""
    if change is None:
        return "-"
    text = f"{change.mean:+.{measure.digits}f}"
    if change.excludes_zero:
        better = measure.distance(mean) < measure.distance(mean - change.mean)
        text = f"[{'green' if better else 'red'}]{text}[/]"
    return text + _interval(change, measure.digits, "+")


def _table(title: str, measures: Sequence[Measure]) -> Table:
    """An empty table with a column for each measure."""
    table = Table(title=escape(title), title_justify="left")
    table.add_column("method", no_wrap=True)
    for measure in measures:
        table.add_column(_head(measure), justify="right")
    return table


def summary_tables(summaries: Sequence[Summary], *, baseline: str | None = None) -> list[Table]:
    """For each kind and rate a table of means, and one of differences from the baseline; 95 % intervals in the second line of a cell."""
    tables = []
    for kind, rate in dict.fromkeys((summary.kind, summary.rate) for summary in summaries):
        title = f"{kind}, {'all rates' if rate is None else f'rate {rate:g}'}"
        tables += _group_tables(title, [summary for summary in summaries if (summary.kind, summary.rate) == (kind, rate)], baseline)
    return tables


def _group_tables(title: str, group: Sequence[Summary], baseline: str | None) -> list[Table]:
    """The table of means and, if there is anything to compare, that of differences, of one kind at one rate."""
    cells = {(summary.method, summary.measure): summary for summary in group}
    methods = list(dict.fromkeys(summary.method for summary in group))
    measures = [MEASURES[name] for name in dict.fromkeys(summary.measure for summary in group)]
    count = max(summary.estimate.count for summary in group)
    means = _table(f"{title}: means over {count} pair{'' if count == 1 else 's'}", measures)
    changes = _table(f"{title}: difference from {baseline}", measures)
    for method in methods:
        row, change_row = [], []
        for measure in measures:
            summary = cells.get((method, measure.name))
            if summary is None:
                row.append("-")
                change_row.append("-")
                continue
            row.append(f"{summary.estimate.mean:.{measure.digits}f}{_interval(summary.estimate, measure.digits)}")
            change_row.append(_difference(summary.difference, summary.estimate.mean, measure))
        means.add_row(escape(method), *row)
        if method != baseline:
            changes.add_row(escape(method), *change_row)
    return [means, changes] if baseline in methods and len(methods) > 1 else [means]


def meter_tables(readings: Sequence[Reading]) -> list[Table]:
    """For each rate and each pitch a table of the artefact meter: mean over the seeds, and its standard error."""
    tables = []
    for rate, pitch in dict.fromkeys((reading.rate, reading.pitch) for reading in readings):
        at = f"pitch {pitch:+g}" if pitch else f"rate {rate:g}"
        table = _table(f"artefact meter, {at}: mean and standard error over seeds", SHIFT_MEASURES if pitch else SYNTHETIC_MEASURES)
        for reading in readings:
            if (reading.rate, reading.pitch) == (rate, pitch) and reading.figures:
                # One decimal more than a single reading deserves, so that the standard error is seen.
                digits = {name: MEASURES[name].digits + 1 for name in reading.figures}
                cells = [f"{mean:.{digits[n]}f} [dim]± {error:.{digits[n]}f}[/dim]" for n, (mean, error) in reading.figures.items()]
                table.add_row(escape(reading.method), *cells)
        tables.append(table)
    return tables
