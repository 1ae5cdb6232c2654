"""`tsmgan fit`: a folder of spoken lines becomes one recording in which each has the time of its caption."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.durations import format_duration, parse_duration
from tsmgan.cli.lines import given_limits, show_lines
from tsmgan.errors import UsageError
from tsmgan.storage.names import plain

Lines = Annotated[
    list[str], typer.Argument(metavar="LINES... CAPTIONS", help="A folder with one recording a cue, or the recordings; then captions.")
]
Target = Annotated[
    str | None, typer.Option("--output", "-o", help="File or URL, whose ending chooses the format; - for a pipe.", show_default=False)
]
Length = Annotated[
    str | None,
    typer.Option("--duration", "-d", metavar="TIME", help="Length of the output. Default: until the last cue is over.", show_default=False),
]


def fit(
    given: Lines,
    output: Target = None,
    slowest: declared.Slowest = None,
    fastest: declared.Fastest = None,
    free_time: declared.FreeTime = None,
    duration: Length = None,
    report: declared.Report = None,
    model: declared.Model = "default",
    force: declared.Force = False,
    quiet: declared.Quiet = False,
) -> None:
    """Fit spoken lines to captions: each is stretched into its slot and laid at its time.

    Pauses give way first, then free time before the next cue is used, then words go faster or slower. A table shows every line with its
    rate, and those that cannot fit.

    [bold]Examples[/bold]

    [cyan]tsmgan fit lines/ captions.srt -o dub.wav[/cyan]  [dim]lines/001.wav belongs to cue 1[/dim]

    [cyan]tsmgan fit lines/ captions.srt -o dub.flac --fastest 1.3 --report fit.csv[/cyan]
    """
    started = time.perf_counter()
    if len(given) < 2:
        raise UsageError("Name a folder of recordings and a file of captions, for example `tsmgan fit lines/ captions.srt -o dub.wav`.")
    if output is None:
        raise UsageError("Say where the output goes, for example -o dub.wav.")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("The output would fill the terminal; name a file with -o, or pipe it into another program.")
    *lines, captions = map(plain, given)
    length = None if duration is None else parse_duration(duration)
    from tsmgan import first_run
    from tsmgan.dubbing import fit_lines

    first_run.share()
    with console.ProgressBar("lines", None, enabled=not quiet) as bar:
        done = fit_lines(
            lines[0] if len(lines) == 1 else lines,
            captions,
            output,
            duration=length,
            report=report,
            model=model,
            force=force,
            watch=lambda made, total: bar.update(made, f"{made} of {total}"),
            **given_limits(slowest, fastest, free_time),
        )
    if quiet:
        return
    for note in done.notes:
        console.note(note)
    show_lines(done.lines, to_pipe=output == "-")
    if done.clipping is not None:
        console.warning(
            f"{done.clipping.samples} samples lie beyond full scale; write a .wav of floating-point lines, or turn the lines down."
        )
    speed = console.format_speed(done.seconds, time.perf_counter() - started)
    fitting = sum(line.fits for line in done.lines)
    console.say(f"{fitting} of {len(done.lines)} lines fit -> {done.target}  {format_duration(done.seconds)}, {speed}")
