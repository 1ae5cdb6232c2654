"""The page's tables of measures: a figure for each method, what it means behind its title, and a mark on the best."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tsmgan.evaluation.measures import Measure
from tsmgan.listening.comparison import Rendering


def measure_table(caption: str, measures: Sequence[Measure], heard: Sequence[Rendering]) -> str:
    """An HTML table of those measures that any rendering has a figure of; empty text if there is none."""
    measures = [measure for measure in measures if any(measure.name in result.figures for result in heard)]
    if not measures:
        return ""
    heads = "".join(_head(measure) for measure in measures)
    ideals = "".join(
        f'<td data-label="{escape(measure.title)}">{"more" if measure.ideal is None else f"{measure.ideal:g}"}</td>' for measure in measures
    )
    best = {measure.name: _best(measure, heard) for measure in measures}
    rows = "".join(
        f'<tr><th scope="row">{escape(result.name)}</th>{"".join(_cell(measure, result, best[measure.name]) for measure in measures)}</tr>'
        for result in heard
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
        f'<thead><tr><th scope="col">Method</th>{heads}</tr></thead>'
        f'<tbody><tr class="ideal"><th scope="row">ideal</th>{ideals}</tr>{rows}</tbody></table></div>'
    )


def _head(measure: Measure) -> str:
    identifier = f"tip-{measure.name.replace('_', '-')}"
    unit = f'<span class="unit">{escape(measure.unit)}</span>' if measure.unit else ""
    return (
        f'<th scope="col"><button type="button" class="tip" popovertarget="{identifier}">{escape(measure.title)}'
        f'<span class="mark" aria-hidden="true">?</span></button>{unit}'
        f'<div id="{identifier}" popover class="bubble"><b>{escape(measure.title)}.</b> {escape(measure.explanation)}</div></th>'
    )


def _distance(measure: Measure, figure: float) -> float:
    """From the ideal, as far as the decimals show it."""
    return round(measure.distance(round(figure, measure.digits)), measure.digits)


def _best(measure: Measure, heard: Sequence[Rendering]) -> float | None:
    """The smallest distance from the ideal; None where all are equal, since none is better then."""
    distances = [_distance(measure, result.figures[measure.name]) for result in heard if measure.name in result.figures]
    return min(distances) if len(set(distances)) > 1 else None


def _cell(measure: Measure, result: Rendering, best: float | None) -> str:
    label = escape(measure.title)
    if measure.name not in result.figures:
        return f'<td data-label="{label}"><span aria-label="no answer">&ndash;</span></td>'
    figure = round(result.figures[measure.name], measure.digits) + 0.0  # no "-0.00"
    if best is not None and _distance(measure, figure) == best:
        return f'<td data-label="{label}" class="best">{figure:.{measure.digits}f}<span class="hidden"> (best)</span></td>'
    return f'<td data-label="{label}">{figure:.{measure.digits}f}</td>'
