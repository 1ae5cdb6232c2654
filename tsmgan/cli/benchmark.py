"""`tsmgan benchmark`: how fast this machine is, stage by stage and beside other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.numbers import number
from tsmgan.errors import UsageError
from tsmgan.limits import MOST_ROUNDS

if TYPE_CHECKING:
    from tsmgan.benchmark.programs import Program


def benchmark(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Recording to stretch.", show_default=False)],
    rate: Annotated[float, typer.Option("--rate", "-r", parser=number(), metavar="R", help="Speed; 1.5 is faster.")] = 1.3,
    runs: Annotated[int, typer.Option("--runs", min=1, max=MOST_ROUNDS, help="Number of rounds. The median is shown.")] = 7,
    seconds: Annotated[
        float, typer.Option("--seconds", parser=number(1, 3600), metavar="N", help="Use this much of the recording.")
    ] = 60.0,
    peers: Annotated[
        Optional[str],  # noqa: UP045 (Typer reads the annotation on Python 3.10 too)
        typer.Option("--peers", help="Names with commas, or none. Default: all programs that are installed.", show_default=False),
    ] = None,
    model: declared.Model = "default",
    device: declared.Device = "auto",
    threads: declared.Threads = None,
    json: Annotated[Optional[Path], typer.Option("--json", metavar="FILE", help="Write all figures here.", show_default=False)] = None,  # noqa: UP045
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Measure the speed and the memory of tsmgan on this machine, beside the stretchers that are installed.

    The stages of the stretch are timed in one process. Whole programs run one after the other in every round, each in a process of its own,
    on the same WAV file. "CPU s" is user and system time.

    [bold]Examples[/bold]

    [cyan]tsmgan benchmark talk.wav[/cyan]

    [cyan]tsmgan benchmark song.flac --rate 0.8 --peers rubberband-r3,sonic --json speed.json[/cyan]
    """
    import json as json_format
    import tempfile

    if not 0.05 <= rate <= 20:
        raise UsageError(f"The rate is {rate:g}; it must be from 0.05 to 20.")
    if json is not None and (json.is_dir() or not json.parent.is_dir()):
        raise UsageError(f"{json} cannot be written: it is a folder, or its folder does not exist.")
    names = _peer_names(peers)

    from tsmgan.benchmark.programs import first_start, own_programs, own_starts, peer_programs, write_source
    from tsmgan.benchmark.results import Results
    from tsmgan.benchmark.stages import read_beginning, time_stages
    from tsmgan.models import find_model, open_decider

    found = find_model(model)
    running_on = open_decider(found, device, threads).device
    y, info = read_beginning(file, seconds)
    stages = time_stages(file, seconds, rate, found, device=device, threads=threads, runs=runs)
    options = ["--model", str(found.path), "--device", device, *([] if threads is None else ["--threads", str(threads)])]
    with tempfile.TemporaryDirectory(prefix="tsmgan-") as name:
        folder = Path(name)
        sources = write_source(y, info.samplerate, folder)
        programs = own_programs(sources[0], folder, rate, options) + peer_programs(names, sources, folder, rate)
        starts = own_starts(folder, options)
        _run(starts, runs, "start-up", quiet)
        first = first_start(folder, options)
        first.costs.append(first.run())
        starts.append(first)
        _run(programs, runs, "programs", quiet)
    for program in (*starts, *programs):
        if program.problem:
            console.note(f"{program.name} is left out: {program.problem.rstrip('.')}.")
    starts = [start for start in starts if start.costs]
    length = y.shape[1] / info.samplerate
    results = Results(file, length, info.samplerate, info.channels, rate, runs, running_on, stages, starts, programs)
    for table in results.tables():
        console.print_table(table)
    if json is not None:
        json.write_text(json_format.dumps(results.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _peer_names(text: str | None) -> list[str]:
    from tsmgan.evaluation.peers import PEERS, default_peers

    if text is None:
        return [name for name in default_peers(shifted=False) if PEERS[name].program]
    names = [] if text.strip() == "none" else [piece.strip() for piece in text.split(",") if piece.strip()]
    for name in names:
        if name not in PEERS:
            raise UsageError(f"There is no peer {name}; choose from {', '.join(PEERS)}, or none.")
    return names


def _run(programs: list[Program], rounds: int, label: str, quiet: bool) -> None:
    from tsmgan.benchmark.programs import run_rounds

    for _ in console.track(run_rounds(programs, rounds), label, (rounds + 1) * len(programs), enabled=not quiet):
        pass
