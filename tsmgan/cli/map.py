"""`tsmgan map`: what a stretch would do with time, without stretching."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.durations import format_duration, parse_duration, parse_instant
from tsmgan.cli.lines import given_limits, require_slots, show_lines
from tsmgan.cli.pauses import parse_pauses, pauses_gave
from tsmgan.cli.rates import parse_rate
from tsmgan.cli.tempi import parse_bpm
from tsmgan.errors import UsageError

if TYPE_CHECKING:
    from tsmgan.maps import Planned

COLUMNS = 60
"""Of the curve of rates."""
BARS = "▁▂▃▄▅▆▇█"


def map(
    source: declared.Source,
    rate: declared.Rates = None,
    duration: declared.Duration = None,
    time_map: declared.TimeMapFile = None,
    markers: declared.Markers = None,
    bpm: declared.Bpm = None,
    pauses: declared.PauseText = None,
    slots: declared.SlotsFile = None,
    captions: declared.CaptionsFile = None,
    slowest: declared.StretchSlowest = None,
    fastest: declared.StretchFastest = None,
    free_time: declared.StretchFreeTime = None,
    start: declared.InputStart = None,
    end: declared.InputEnd = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write the map for --time-map; - prints it.", show_default=False)
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PICTURE", help="Draw the map into a .png or .svg.", show_default=False)
    ] = None,
    salvage: declared.Salvage = False,
    force: declared.Force = False,
) -> None:
    """Show what a stretch would do with time: the length, what is saved, the fastest and the slowest place.

    [bold]Examples[/bold]

    [cyan]tsmgan map talk.wav --rate 2 --pauses first[/cyan]

    [cyan]tsmgan map talk.wav --slots wanted.srt --captions talk.srt[/cyan]  [dim]which lines fit[/dim]

    [cyan]tsmgan map talk.wav --pauses 0.3 --csv talk-map.csv[/cyan]  [dim]to be edited, and used with --time-map[/dim]
    """
    from tsmgan.listening.map_picture import draw, format_of
    from tsmgan.maps import plan_file
    from tsmgan.options import StretchOptions

    require_slots(slots, captions, slowest, fastest, free_time)
    own_tempo, tempi = (None, []) if bpm is None else parse_bpm(bpm)
    if len(tempi) > 1:
        raise UsageError("A map has one tempo to reach; give for example --bpm 92:80.")
    options = StretchOptions(
        rate=None if rate is None else parse_rate(rate),
        duration=None if duration is None else parse_duration(duration),
        time_map=time_map,
        markers=markers,
        bpm=None if bpm is None else tempi[0] if own_tempo is None else (own_tempo, tempi[0]),
        pauses=None if pauses is None else parse_pauses(pauses),
        start=0.0 if start is None else parse_instant(start),
        end=None if end is None else parse_instant(end),
        slots=slots,
        captions=captions,
        **given_limits(slowest, fastest, free_time),
        salvage=salvage,
    )
    _check(csv, force)
    _check(output, force)
    picture = None if output is None else format_of(output)
    planned = plan_file(source, options)
    if csv == "-":
        typer.echo(planned.time_map.csv(), nl=False)
        return
    _describe(planned)
    if csv is not None:
        _write(csv, planned.time_map.csv().encode())
    if output is not None and picture is not None:
        _write(output, draw(planned, Path(source).name, picture))


def _check(path: str | None, force: bool) -> None:
    if path in (None, "-"):
        return
    from tsmgan.storage.atomic import require_free

    require_free(path, force=force)


def _write(path: str, content: bytes) -> None:
    from tsmgan.storage.atomic import replace_file, write_error

    try:
        replace_file(Path(path), content)
    except OSError as error:
        raise write_error(path, error) from None
    console.say(f"Wrote {path}.")


def _describe(planned: Planned) -> None:
    """Print the facts of a map, and its rates as a curve."""
    before, after = planned.input_seconds, planned.output_seconds
    saved = before - after
    typer.echo(f"length   {format_duration(before)} -> {format_duration(after)} at rate {before / after:.4g}")
    typer.echo(f"{'saved' if saved >= 0 else 'added':<8} {format_duration(abs(saved))}, {100 * abs(saved) / before:.3g} %")
    if planned.pauses is not None:
        typer.echo(f"pauses   {pauses_gave(planned.pauses)}")
    (low, low_at), (high, high_at) = planned.slowest, planned.fastest
    if high - low < 1e-6 * high:
        typer.echo(f"rate     {low:.4g} throughout")
    else:
        typer.echo(f"fastest  {high:.4g} at {format_duration(high_at)}")
        typer.echo(f"slowest  {low:.4g} at {format_duration(low_at)}")
        typer.echo(f"rates    {_curve(planned)}")
    for note in planned.notes:
        console.note(note)
    if planned.lines:
        show_lines(planned.lines, to_pipe=False)


def _curve(planned: Planned) -> str:
    """The mean rate of each part of the input, from the lowest bar to the highest."""
    rates = planned.mean_rates(COLUMNS)
    low, high = float(rates.min()), float(rates.max())
    return "".join(BARS[round((len(BARS) - 1) * (rate - low) / (high - low))] if high > low else BARS[0] for rate in rates)
