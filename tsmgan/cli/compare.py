"""`tsmgan compare`: one HTML page to hear and see how stretchers differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.durations import format_duration, parse_duration, parse_instant
from tsmgan.cli.pitches import parse_pitch
from tsmgan.cli.rates import parse_rate
from tsmgan.cli.targets import made_folder
from tsmgan.errors import TsmganError, UsageError
from tsmgan.limits import require_pitch

if TYPE_CHECKING:
    from tsmgan.evaluation.methods import Method
    from tsmgan.listening.comparison import Rendering

DEFAULT_PEERS = "rubberband-r3,soundtouch,sonic,signalsmith"
SHIFTING_PEERS = "rubberband-r3,rubberband-r3-formant,soundtouch,signalsmith"
DEFAULT_LENGTH = "30"
LARGE_BYTES = 20_000_000
"""Pages beyond this are slow to open on a phone."""
MOST_METHODS = 8
"""The keys 1 to 9 choose one of them, or the original."""


def compare(
    source: declared.Source,
    rate: declared.ComparedRate = None,
    pitch: declared.ComparedPitch = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            "-w",
            metavar="NAMES",
            help="Methods beside tsmgan, with commas; also tsmgan:coherence=0, or none. Default: four peers.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="HTML file or folder/. Default: beside the input, with the rate in its name.", show_default=False
        ),
    ] = None,
    start: declared.Start = None,
    length: Annotated[
        str, typer.Option("--length", "-l", metavar="TIME", help="How much of the recording to take; the page grows with it.")
    ] = DEFAULT_LENGTH,
    model: declared.Model = "default",
    synthetic: Annotated[bool, typer.Option("--synthetic/--no-synthetic", help="Also measure on synthetic attacks and noise.")] = True,
    time_limit: declared.TimeLimit = 120.0,
    force: declared.Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")] = False,
) -> None:
    """Compare stretchers by ear and eye, in one HTML page that works offline.

    The page switches between methods while they play, all equally loud, tests your ear blindly (ABX), and shows waveforms, spectrograms,
    what the model decided, and measures. Other stretchers are called as installed programs; a missing one is named and skipped.

    [bold]Examples[/bold]

    [cyan]tsmgan compare talk.wav --rate 0.6[/cyan]  [dim]writes talk@0.6.html[/dim]

    [cyan]tsmgan compare song.flac --rate 1.25 --start 1:10 --length 15 --with rubberband-r3,sonic -o report.html[/cyan]

    [cyan]tsmgan compare song.flac --pitch +3[/cyan]  [dim]also beside Rubber Band with formants kept[/dim]

    [cyan]tsmgan compare talk.wav --rate 1.6 --with tsmgan:coherence=0,tsmgan:coherence=1[/cyan]
    """
    from tsmgan.core.timemap import check_rate

    if rate is pitch is None:
        raise UsageError("Say how fast with --rate, or how high with --pitch, for example --rate 0.6.")
    speed, semitones = 1.0 if rate is None else check_rate(parse_rate(rate)), 0.0 if pitch is None else parse_pitch(pitch)
    require_pitch(semitones)
    first, seconds = 0.0 if start is None else parse_instant(start), parse_duration(length)
    methods = _choose_methods(with_ if with_ is not None else SHIFTING_PEERS if semitones else DEFAULT_PEERS, model, time_limit)

    from tsmgan.listening.target import check_target, choose_target, write_whole

    target = choose_target(source, made_folder(output), speed, f"{f'{semitones:+.4g}st' if semitones else ''}.html")
    check_target(target, source, force=force)

    from tsmgan.listening.comparison import attacks, render
    from tsmgan.listening.excerpt import read_excerpt
    from tsmgan.listening.page import Subject, build_page

    y, samplerate, goes_on = read_excerpt(source, start=first, length=seconds)
    if round(y.shape[1] / speed) < 1:
        raise UsageError(f"The output would have no samples: {source} is too short for this rate.")
    work = (render(method, y, samplerate, speed, semitones, synthetic=synthetic) for method in methods)
    renderings = list(console.track(work, "methods", len(methods), enabled=not quiet))
    ours = renderings[0]
    if ours.samples is None:
        raise TsmganError(f"tsmgan itself failed: {ours.problem}.")
    name = "standard input" if source == "-" else Path(source).name
    remark = _remark(first, y.shape[1] / samplerate, goes_on)
    page = build_page(Subject(name, y, samplerate, speed, attacks(y, samplerate), remark, semitones), renderings).encode("utf-8")
    write_whole(target, page)
    _tell(target, len(page), renderings, methods, remark, quiet)


def _choose_methods(given: str, model: str, time_limit: float) -> list[Method]:
    """tsmgan, and each method that was asked for once, whether it is installed or not."""
    from tsmgan.evaluation.methods import find_method

    names = [piece.strip() for piece in given.split(",") if piece.strip()]
    if names == ["none"]:
        names = []
    ours = "tsmgan" if model == "default" else f"tsmgan:model={model}"
    methods = [find_method(name, time_limit=time_limit) for name in dict.fromkeys([ours, *names])]
    if len(methods) > MOST_METHODS:
        raise UsageError(f"--with names {len(methods) - 1} methods; a page holds {MOST_METHODS - 1} beside tsmgan.")
    return methods


def _remark(start: float, seconds: float, goes_on: bool) -> str:
    if not start and not goes_on:
        return ""
    return f"the part from {format_duration(start)} to {format_duration(start + seconds)}"


def _tell(target: Path, size: int, renderings: Sequence[Rendering], methods: Sequence[Method], remark: str, quiet: bool) -> None:
    """Print the problems, then one line on what was written. Raises TsmganError if a method failed, but not if one is not installed."""
    failed = []
    for method, result in zip(methods, renderings):
        if method.missing:
            console.note(f"{method.name} is skipped: {method.missing}.")
        elif result.problem:
            failed.append(method.name)
            console.warning(f"{method.name}: {result.problem}.")
    if not quiet:
        part = f" ({remark})" if remark else ""
        shown = sum(result.samples is not None for result in renderings)
        console.say(f"{target}: {shown} methods, {size / 1e6:.1f} MB{part}; open it in a browser.")
    if size > LARGE_BYTES:
        console.note("a page this large opens slowly on a phone; a shorter --length or fewer methods make it smaller.")
    if failed:
        raise TsmganError(f"{target} was written, but some results of {', '.join(failed)} are missing; the page says why.")
