"""`tsmgan plot`: waveform, spectrogram and coherence field as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.durations import parse_duration, parse_instant
from tsmgan.cli.rates import parse_rate
from tsmgan.cli.targets import made_folder
from tsmgan.errors import UsageError

FORMATS = {".png": "png", ".svg": "svg"}


def plot(
    source: declared.Source,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="PNG or SVG file, or folder/. Default: a PNG beside the input.", show_default=False),
    ] = None,
    rate: declared.Rate = "1",
    start: declared.Start = None,
    length: Annotated[
        str | None, typer.Option("--length", "-l", metavar="TIME", help="How much to show. Default: all.", show_default=False)
    ] = None,
    model: declared.Model = "default",
    force: declared.Force = False,
    quiet: declared.Quiet = False,
) -> None:
    """Draw a recording's waveform and spectrogram, and the coherence field that the model chooses for it.

    [bold]Examples[/bold]

    [cyan]tsmgan plot talk.wav[/cyan]  [dim]writes talk@1.png[/dim]

    [cyan]tsmgan plot song.flac --rate 0.6 --start 1:10 --length 8 -o song.svg[/cyan]
    """
    from tsmgan.core.timemap import check_rate

    speed = check_rate(parse_rate(rate))
    first = 0.0 if start is None else parse_instant(start)
    seconds = None if length is None else parse_duration(length)

    from tsmgan.listening.target import check_target, choose_target, write_whole

    target = choose_target(source, made_folder(output), speed, ".png")
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"{target} is neither a .png nor an .svg; give one of these endings with -o.")
    check_target(target, source, force=force)

    from tsmgan.listening import picture as plotting
    from tsmgan.listening.excerpt import read_excerpt
    from tsmgan.listening.field import stretch_and_watch

    y, samplerate, _ = read_excerpt(source, start=first, length=seconds)
    if round(y.shape[1] / speed) < 1:
        raise UsageError(f"The output would have no samples: {source} is too short for this rate.")
    stretched, field = stretch_and_watch(y, samplerate, speed, model=model)
    name = "standard input" if source == "-" else Path(source).name
    title = name if speed == 1 else f"{name} at rate {speed:g}"
    write_whole(target, plotting.plot(stretched, samplerate, field, title=title, format=FORMATS[target.suffix.lower()]))
    if not quiet:
        console.say(f"{target}: mean coherence {field.coherence.mean():.2f}.")
