"""`tsmgan listen report`: what listeners said on pages of `tsmgan compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsmgan.cli import console
from tsmgan.errors import UsageError

if TYPE_CHECKING:
    from tsmgan.listening.answers import Report


def listen(
    what: Annotated[str, typer.Argument(metavar="report", help="What to do with the answers: report.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="ANSWERS.JSON...", help="Files that pages have saved.", show_default=False)],
) -> None:
    """Sum up what listeners answered on pages of `tsmgan compare`, with 95 % intervals.

    [bold]Example[/bold]

    [cyan]tsmgan listen report answers/*.json[/cyan]
    """
    if what != "report":
        raise UsageError(f"There is nothing called {what} here; write `tsmgan listen report ANSWERS.JSON...`.")
    from tsmgan.listening.answers import read_answers, summarise_answers

    report = summarise_answers([read_answers(path) for path in files])
    if not report.preferences and not report.ratings:
        raise UsageError("The files hold no answers; answer a pair or rate the methods on the page, and save again.")
    _print(report)


def _print(report: Report) -> None:
    from rich.markup import escape
    from rich.table import Table

    if report.preferences:
        table = Table(title=f"nearer to the original: answers of {report.listeners} listeners", title_justify="left")
        for head in ("first", "second", "first : second : neither", "for the first", "95 %", "p"):
            table.add_column(head)
        for each in report.preferences:
            counts = f"{each.for_first} : {each.for_second} : {each.undecided}"
            interval = f"{100 * each.low:.0f} to {100 * each.high:.0f} %"
            table.add_row(escape(each.first), escape(each.second), counts, f"{100 * each.share:.0f} %", interval, f"{each.p:.3f}")
        console.print_table(table)
    if report.ratings:
        table = Table(title="ratings, 0 (bad) to 100 (the original's own voice)", title_justify="left")
        for head in ("method", "mean", "95 %", "ratings"):
            table.add_column(head)
        for method, rating in sorted(report.ratings.items(), key=lambda item: -item[1].mean):
            interval = f"{rating.low:.0f} to {rating.high:.0f}" if rating.low == rating.low else "-"
            table.add_row(escape(method), f"{rating.mean:.0f}", interval, str(rating.count))
        console.print_table(table)
