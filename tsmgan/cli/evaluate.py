"""`tsmgan evaluate`: how good a stretcher is, in figures, beside others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.rates import parse_rates
from tsmgan.errors import TsmganError, UsageError
from tsmgan.limits import MOST_ROUNDS, MOST_SCORES, most_processes, require_count

if TYPE_CHECKING:
    from tsmgan.evaluation.measures import Measure
    from tsmgan.evaluation.methods import Method
    from tsmgan.evaluation.pairs import Pair

DEFAULT_BASELINE = "rubberband-r3"
DEFAULT_SCORES = 4
ARTEFACT_RATES = [0.5, 2.0]
PIPE_WIDTH = 200
"""Columns of a table where standard output is no terminal and has no width of its own."""


def evaluate(
    pairs: Annotated[
        Optional[Path],  # noqa: UP045 (Typer reads the annotation on Python 3.10 too)
        typer.Argument(metavar="PAIRS.CSV", help="List of pairs: columns input, reference, rate, kind.", show_default=False),
    ] = None,
    methods: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--methods", "-m", help="Names with commas, e.g. tsmgan,tsmgan:coherence=0,sonic; without it, tsmgan and all peers."),
    ] = None,
    rates: Annotated[Optional[str], typer.Option("--rates", help="These rates only, e.g. 0.75,1.5.", show_default=False)] = None,  # noqa: UP045
    kinds: Annotated[Optional[str], typer.Option("--kinds", help="These kinds only: speech, music.", show_default=False)] = None,  # noqa: UP045
    measures: Annotated[Optional[str], typer.Option("--measures", help="These measures only, e.g. pesq,estoi.", show_default=False)] = None,  # noqa: UP045
    baseline: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--baseline", "-b", help="Method that differences are taken to; without it, rubberband-r3 if it is there."),
    ] = None,
    per_rate: Annotated[bool, typer.Option("--per-rate", help="Also a table for each rate.")] = False,
    artefacts: Annotated[
        bool, typer.Option("--artefacts", "-a", help="Also the artefact meter, on synthetic signals; needs no pairs.")
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=MOST_ROUNDS, help="Signals of each sort that the artefact meter makes.")] = 10,
    csv: Annotated[Optional[Path], typer.Option("--csv", help="Write every row to this file.", show_default=False)] = None,  # noqa: UP045
    json: Annotated[Path | None, typer.Option("--json", help="Write rows, means and intervals to this file.", show_default=False)] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes; from 2 on, one may crash or hang.")] = 2,
    time_limit: declared.TimeLimit = 120.0,
    make_pairs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--make-pairs", help="Make WORLD pairs of the voices in this folder, instead of measuring.", show_default=False),
    ] = None,
    scores: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--scores",
            min=0,
            max=MOST_SCORES,
            help=f"Make this many score pairs too (music, made up); {DEFAULT_SCORES} with --make-pairs. Needs no recordings.",
            show_default=False,
        ),
    ] = None,
    mono: Annotated[bool, typer.Option("--mono", help="Scores in mono; otherwise in stereo.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the first score; the next one has the next.")] = 0,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="New folder for the pairs that are made.", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    former_output: Annotated[Optional[Path], typer.Option("--out", hidden=True, help="The former name of --output.")] = None,  # noqa: UP045
) -> None:
    """Measure stretchers on pairs with an exact reference, and on synthetic signals.

    Peers are called as installed programs; a missing one is named and skipped. Intervals are 95 %, by bootstrap over recordings.

    [bold]Examples[/bold]

    [cyan]tsmgan evaluate pairs.csv[/cyan]

    [cyan]tsmgan evaluate pairs.csv -m tsmgan,tsmgan:coherence=0,rubberband-r3 --rates 0.75,1.5 --csv rows.csv[/cyan]

    [cyan]tsmgan evaluate --artefacts --rates 0.5,2[/cyan]

    [cyan]tsmgan evaluate --make-pairs recordings -o pairs[/cyan]

    [cyan]tsmgan evaluate --scores 8 --mono -o pairs[/cyan]
    """
    wanted_rates, out = parse_rates(rates, "--rates") if rates and rates.strip() else [], output or former_output
    require_count("jobs", jobs, most_processes())
    _check_targets([csv, json], pairs)
    if make_pairs is not None or scores is not None:
        if out is None or pairs is not None:
            raise UsageError("Write `tsmgan evaluate --make-pairs FOLDER -o OUT`, or `--scores N -o OUT`, without a list of pairs.")
        _make_pairs(make_pairs, out, wanted_rates, DEFAULT_SCORES if scores is None else scores, 1 if mono else 2, seed, quiet)
        return
    if out is not None:
        raise UsageError("-o is the folder for --make-pairs or --scores; results go to --csv and --json.")
    if pairs is None and not artefacts:
        raise UsageError("Give a list of pairs, --artefacts, or --make-pairs; see `tsmgan evaluate --help`.")
    from rich.console import Console

    from tsmgan.evaluation.meter import read_meters
    from tsmgan.evaluation.pairs import read_pairs
    from tsmgan.evaluation.report import meter_tables, summary_tables, write_csv, write_json
    from tsmgan.evaluation.runner import measure_pairs
    from tsmgan.evaluation.summary import summarise

    chosen_pairs = _choose_pairs(read_pairs(pairs), wanted_rates, kinds) if pairs else []
    chosen_measures = _choose_measures(measures)
    chosen, baseline = _choose_methods(methods, baseline, time_limit)
    rows, readings = [], []
    work = measure_pairs(chosen_pairs, chosen, chosen_measures, jobs=jobs)
    for found in console.track(work, "pairs", len(chosen_pairs), enabled=not quiet):
        rows += found
    if artefacts:
        meter_rates = wanted_rates or sorted({pair.rate for pair in chosen_pairs}) or ARTEFACT_RATES
        meters = read_meters(chosen, meter_rates, seeds=seeds, jobs=jobs)
        readings = list(console.track(meters, "artefacts", len(chosen) * len(meter_rates), enabled=not quiet))

    summaries = summarise(rows, baseline=baseline, per_rate=per_rate)
    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=PIPE_WIDTH)
    for table in summary_tables(summaries, baseline=baseline) + meter_tables(readings):
        screen.print(table)
    if csv:
        write_csv(csv, rows)
    if json:
        write_json(json, rows, summaries, readings, baseline)
    _tell_problems(rows, readings)


def _check_targets(targets: Sequence[Path | None], pairs: Path | None) -> None:
    """Say before the long work, not behind it, that its result could not be written."""
    for target in targets:
        if target is None:
            continue
        if pairs is not None and target.resolve() == pairs.resolve():
            raise UsageError(f"{target} is the list of pairs itself; name another file.")
        if target.is_dir() or not target.parent.is_dir():
            raise UsageError(f"{target} cannot be written: it is a folder, or its folder does not exist.")


def _choose_pairs(pairs: Sequence[Pair], rates: Sequence[float], kinds: str | None) -> list[Pair]:
    from tsmgan.evaluation.pairs import KINDS

    wanted = _names(kinds, KINDS, "kind") or list(KINDS)
    chosen = [pair for pair in pairs if pair.kind in wanted and (not rates or pair.rate in rates)]
    if not chosen:
        there = ", ".join(f"{rate:g}" for rate in sorted({pair.rate for pair in pairs}))
        raise UsageError(f"No pair is left; the list holds {', '.join(sorted({pair.kind for pair in pairs}))} at the rates {there}.")
    return chosen


def _names(text: str | None, known: Iterable[str], what: str) -> list[str]:
    names = [piece.strip() for piece in (text or "").split(",") if piece.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"There is no {what} {name}; choose from {', '.join(known)}.")
    return names


def _choose_measures(text: str | None) -> list[Measure]:
    from tsmgan.evaluation.measures import MEASURES

    names = _names(text, [measure.name for measure in MEASURES], "measure")
    chosen = [measure for measure in MEASURES if not names or measure.name in names]
    for measure in chosen:
        if measure.missing():
            console.note(
                f'{measure.name} is left out: the package {measure.package} is not installed; `pip install "tsmgan[eval]"` does it.'
            )
    return [measure for measure in chosen if not measure.missing()]


def _choose_methods(given: Sequence[str] | None, baseline: str | None, time_limit: float) -> tuple[list[Method], str | None]:
    """The methods that can run here, each once, and the name of the baseline among them."""
    from tsmgan.evaluation.methods import find_method
    from tsmgan.evaluation.peers import PEERS

    names = [piece.strip() for text in given or [] for piece in text.split(",") if piece.strip()] or ["tsmgan", *PEERS]
    found = [find_method(name, time_limit=time_limit) for name in dict.fromkeys([*names, *([baseline] if baseline else [])])]
    for method in found:
        if method.missing:
            console.note(f"{method.name} is skipped: {method.missing}.")
    present = [method for method in found if not method.missing]
    if not present:
        raise TsmganError("None of the methods can run here; install one, or measure tsmgan itself.")
    there = [method.name for method in present]
    if baseline is None:
        return present, DEFAULT_BASELINE if DEFAULT_BASELINE in there else None
    return present, baseline if baseline in there else None


def _tell_problems(rows: Sequence[Any], readings: Sequence[Any]) -> None:
    """Print each problem once, with what it happened to; fail if there was one."""
    told: dict[str, list[str]] = {}
    for row in rows:
        for problem in row.problems:
            told.setdefault(f"{row.pair.item} at rate {row.pair.rate:g}: {problem}", []).append(row.method)
    for reading in readings:
        for problem in reading.problems:
            told.setdefault(f"artefact meter at rate {reading.rate:g}: {problem}", []).append(reading.method)
    for problem, methods in told.items():
        console.warning(f"{problem} ({', '.join(methods)})")
    if told:
        failed = sum(bool(row.problems) for row in rows) + sum(bool(reading.problems) for reading in readings)
        raise TsmganError(f"{failed} of {len(rows) + len(readings)} rows are incomplete; the warnings above say why.")


def _make_pairs(folder: Path | None, out: Path, rates: list[float], scores: int, channels: int, seed: int, quiet: bool) -> None:
    from tsmgan.evaluation.making import find_recordings, make_pairs

    recordings = find_recordings(folder) if folder is not None else []
    total = len(recordings) + scores
    if not total:
        raise UsageError("There is nothing to make pairs of; give --scores 1 or more, or --make-pairs FOLDER.")
    work = make_pairs(out, recordings, scores=scores, rates=rates or None, channels=channels, seed=seed)
    problems = list(console.track(work, "pairs", total, enabled=not quiet))
    for problem in problems:
        if problem:
            console.warning(problem)
    failed = sum(problem is not None for problem in problems)
    if failed:
        raise TsmganError(f"{failed} of {len(recordings)} recordings gave no pairs; the warnings above say why.")
    console.note(f"{out / 'pairs.csv'} lists the pairs of {len(recordings)} recordings and {scores} scores.")
