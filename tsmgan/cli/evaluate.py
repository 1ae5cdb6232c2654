"""`tsmgan evaluate`: how good stretchers are, in figures."""

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
    from tsmgan.evaluation.measures import PairMeasure
    from tsmgan.evaluation.meter import Reading
    from tsmgan.evaluation.methods import Method
    from tsmgan.evaluation.pairs import Pair
    from tsmgan.evaluation.runner import Row
    from tsmgan.evaluation.summary import Summary

DEFAULT_SCORES = 4
ARTEFACT_RATES = [0.5, 2.0]
ARTEFACT_SEEDS = 10
PIPE_WIDTH = 200
"""Columns of a table where standard output is no terminal, and so has no width of its own."""


PairsArgument = Annotated[
    Optional[list[Path]],  # noqa: UP045 (Typer reads the annotations on Python 3.10 too)
    typer.Argument(
        metavar="PAIRS.CSV | FOLDER...",
        help="List of pairs, with the columns input, reference, rate and kind; with --realism, folders of recordings.",
        show_default=False,
    ),
]
MethodsOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--methods", "-m", help="Names with commas, e.g. tsmgan,tsmgan:coherence=0,sonic. Default: tsmgan and all peers."),
]
RatesOption = Annotated[Optional[str], typer.Option("--rates", help="Only these rates, e.g. 0.75,1.5.", show_default=False)]  # noqa: UP045
PitchOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--pitch", help="Only these shifts of the pitch, in semitones, e.g. -5,-2,2,5.", show_default=False),
]
KindsOption = Annotated[Optional[str], typer.Option("--kinds", help="Only these kinds: speech, music.", show_default=False)]  # noqa: UP045
MeasuresOption = Annotated[Optional[str], typer.Option("--measures", help="Only these measures, e.g. pesq,estoi.", show_default=False)]  # noqa: UP045
BaselineOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--baseline", "-b", help="Method that the others are compared with. Default: rubberband-r3, if it is measured."),
]
PerRateOption = Annotated[bool, typer.Option("--per-rate", help="Also print a table for each rate.")]
ArtefactsOption = Annotated[
    bool, typer.Option("--artefacts", "-a", help="Also measure artefacts on synthetic signals. This needs no pairs.")
]
RealismOption = Annotated[
    bool,
    typer.Option("--realism", help="Measure how far stretched sound is from nature, by fresh critics, on folders of recordings. Minutes."),
]
ScaleOption = Annotated[
    str,
    typer.Option("--scale", help="What critics of --realism hear at a time: 40ms, or 0.3s, which tells repetition and flutter."),
]
CacheOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--cache", help="Folder for what --realism keeps. Default: the user's cache.", show_default=False),
]
SeedsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--seeds",
        min=1,
        max=MOST_ROUNDS,
        help="How many synthetic signals of each sort are measured (10), or how many critics of each kind (3).",
        show_default=False,
    ),
]
CsvOption = Annotated[Optional[Path], typer.Option("--csv", help="Write a line for each method and pair to this file.", show_default=False)]  # noqa: UP045
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write all figures, means and intervals to this file.", show_default=False)]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Number of processes. With 2 or more, the run survives a method that crashes or hangs.")
]
MakePairsOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--make-pairs", help="Make WORLD pairs of the voices in this folder instead of measuring.", show_default=False),
]
ScoresOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--scores",
        min=0,
        max=MOST_SCORES,
        help=f"Also make pairs of this many random pieces of music, which needs no recordings. With --make-pairs: {DEFAULT_SCORES}.",
        show_default=False,
    ),
]
MonoOption = Annotated[bool, typer.Option("--mono", help="Make the music mono instead of stereo.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first piece of music. Each further piece has the next seed.")]
OutputOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--output", "-o", help="New folder for the pairs that are made.", show_default=False),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")]
FormerOutputOption = Annotated[Optional[Path], typer.Option("--out", hidden=True, help="The former name of --output.")]  # noqa: UP045


def evaluate(
    arguments: PairsArgument = None,
    methods: MethodsOption = None,
    rates: RatesOption = None,
    pitch: PitchOption = None,
    kinds: KindsOption = None,
    measures: MeasuresOption = None,
    baseline: BaselineOption = None,
    per_rate: PerRateOption = False,
    artefacts: ArtefactsOption = False,
    realism: RealismOption = False,
    scale: ScaleOption = "40ms",
    cache: CacheOption = None,
    seeds: SeedsOption = None,
    csv: CsvOption = None,
    json: JsonOption = None,
    jobs: JobsOption = 2,
    time_limit: declared.TimeLimit = 120.0,
    make_pairs: MakePairsOption = None,
    scores: ScoresOption = None,
    mono: MonoOption = False,
    seed: SeedOption = 0,
    output: OutputOption = None,
    quiet: QuietOption = False,
    former_output: FormerOutputOption = None,
) -> None:
    """Measure stretchers on pairs with an exact reference, and on synthetic signals.

    Other stretchers are called as installed programs; a missing one is named and skipped. Intervals are 95 %, by bootstrap over recordings.

    [bold]Examples[/bold]

    [cyan]tsmgan evaluate pairs.csv[/cyan]

    [cyan]tsmgan evaluate pairs.csv -m tsmgan,tsmgan:coherence=0,rubberband-r3 --rates 0.75,1.5 --csv rows.csv[/cyan]

    [cyan]tsmgan evaluate --artefacts --rates 0.5,2[/cyan]

    [cyan]tsmgan evaluate --realism voices/ -m tsmgan,sonic --rates 0.5,0.75[/cyan]

    [cyan]tsmgan evaluate --make-pairs recordings -o pairs[/cyan]

    [cyan]tsmgan evaluate --make-pairs voices --pitch -5,-2,2,5 -o shifted[/cyan]  [dim]and `evaluate shifted/pairs.csv`[/dim]

    [cyan]tsmgan evaluate --scores 8 --mono -o pairs[/cyan]
    """
    wanted_rates, out = parse_rates(rates, "--rates") if rates and rates.strip() else [], output or former_output
    pitches = _parse_pitches(pitch)
    require_count("jobs", jobs, most_processes())
    if realism:
        from tsmgan.cli.evaluate_realism import evaluate_realism

        _check_targets([csv, json], None)
        chosen, _ = _choose_methods(methods, baseline, time_limit)
        evaluate_realism(
            arguments or [],
            chosen,
            wanted_rates,
            scale=scale,
            kind=kinds or "speech",
            seeds=seeds,
            jobs=jobs,
            cache=cache,
            csv=csv,
            json=json,
            quiet=quiet,
        )
        return
    if len(arguments or []) > 1:
        raise UsageError("Give one list of pairs; several folders are for --realism.")
    pairs = arguments[0] if arguments else None
    _check_targets([csv, json], pairs)
    if make_pairs is not None or scores is not None:
        if out is None or pairs is not None:
            raise UsageError("Write `tsmgan evaluate --make-pairs FOLDER -o OUT`, or `--scores N -o OUT`, without a list of pairs.")
        _make_pairs(make_pairs, out, wanted_rates, pitches, DEFAULT_SCORES if scores is None else scores, 1 if mono else 2, seed, quiet)
        return
    if out is not None:
        raise UsageError("-o is the folder for --make-pairs or --scores; results go to --csv and --json.")
    if pairs is None and not artefacts:
        raise UsageError("Give a list of pairs, --artefacts, or --make-pairs; see `tsmgan evaluate --help`.")
    from tsmgan.evaluation.meter import read_meters
    from tsmgan.evaluation.pairs import read_pairs
    from tsmgan.evaluation.runner import measure_pairs
    from tsmgan.evaluation.summary import summarise

    chosen_pairs = _choose_pairs(read_pairs(pairs), wanted_rates, pitches, kinds) if pairs else []
    chosen_measures = _choose_measures(measures)
    chosen, baseline = _choose_methods(methods, baseline, time_limit, shifted=bool(pitches) or any(pair.pitch for pair in chosen_pairs))
    rows, readings = [], []
    work = measure_pairs(chosen_pairs, chosen, chosen_measures, jobs=jobs)
    for found in console.track(work, "pairs", len(chosen_pairs), enabled=not quiet):
        rows += found
    if artefacts:
        shifts = pitches or sorted({pair.pitch for pair in chosen_pairs if pair.pitch})
        meter_rates = wanted_rates or ([] if shifts else sorted({pair.rate for pair in chosen_pairs}) or ARTEFACT_RATES)
        meters = read_meters(chosen, meter_rates, shifts, seeds=seeds or ARTEFACT_SEEDS, jobs=jobs)
        readings = list(console.track(meters, "artefacts", len(chosen) * (len(meter_rates) + len(shifts)), enabled=not quiet))

    summaries = summarise(rows, baseline=baseline, per_rate=per_rate)
    _print_tables(summaries, readings, baseline)
    _write_files(csv, json, rows, summaries, readings, baseline)
    _tell_problems(rows, readings)


def _print_tables(summaries: Sequence[Summary], readings: Sequence[Reading], baseline: str | None) -> None:
    from rich.console import Console

    from tsmgan.evaluation.tables import meter_tables, summary_tables

    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=PIPE_WIDTH)
    for table in summary_tables(summaries, baseline=baseline) + meter_tables(readings):
        screen.print(table)


def _write_files(
    csv: Path | None,
    json: Path | None,
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    readings: Sequence[Reading],
    baseline: str | None,
) -> None:
    from tsmgan.evaluation.records import write_csv, write_json

    if csv:
        write_csv(csv, rows)
    if json:
        write_json(json, rows, summaries, readings, baseline)


def _check_targets(targets: Sequence[Path | None], pairs: Path | None) -> None:
    """Refuse files that cannot be written before the long work begins."""
    for target in targets:
        if target is None:
            continue
        if pairs is not None and target.resolve() == pairs.resolve():
            raise UsageError(f"{target} is the list of pairs itself; name another file.")
        if target.is_dir() or not target.parent.is_dir():
            raise UsageError(f"{target} cannot be written: it is a folder, or its folder does not exist.")


def _parse_pitches(text: str | None) -> list[float]:
    from tsmgan.cli.pitches import parse_pitch
    from tsmgan.limits import require_pitch

    found = [parse_pitch(piece, "--pitch") for piece in text.split(",")] if text and text.strip() else []
    for each in found:
        require_pitch(each)
    return found


def _choose_pairs(pairs: Sequence[Pair], rates: Sequence[float], pitches: Sequence[float], kinds: str | None) -> list[Pair]:
    from tsmgan.evaluation.pairs import KINDS

    wanted = _names(kinds, KINDS, "kind") or list(KINDS)
    chosen = [
        pair for pair in pairs if pair.kind in wanted and (not rates or pair.rate in rates) and (not pitches or pair.pitch in pitches)
    ]
    if not chosen:
        there = ", ".join(f"{rate:g}" for rate in sorted({pair.rate for pair in pairs}))
        raise UsageError(f"No pair is left. The list holds {', '.join(sorted({pair.kind for pair in pairs}))} at the rates {there}.")
    return chosen


def _names(text: str | None, known: Iterable[str], what: str) -> list[str]:
    names = [piece.strip() for piece in (text or "").split(",") if piece.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"There is no {what} {name}; choose from {', '.join(known)}.")
    return names


def _choose_measures(text: str | None) -> list[PairMeasure]:
    from tsmgan.evaluation.measures import PAIR_MEASURES

    names = _names(text, [measure.name for measure in PAIR_MEASURES], "measure")
    chosen = [measure for measure in PAIR_MEASURES if (measure.name in names if names else not measure.on_request)]
    for measure in chosen:
        if measure.missing():
            missing = f"the package {measure.package} is not installed"
            console.note(f'{measure.name} is left out, since {missing}. Install it with `pip install "tsmgan[{measure.extra}]"`.')
    return [measure for measure in chosen if not measure.missing()]


def _choose_methods(
    given: Sequence[str] | None, baseline: str | None, time_limit: float, *, shifted: bool = False
) -> tuple[list[Method], str | None]:
    """The methods that can run here, each once, and the name of the baseline among them. `shifted`: whether the pitch is shifted."""
    from tsmgan.evaluation.methods import find_method
    from tsmgan.evaluation.peers import BASELINE, default_peers

    names = [piece.strip() for text in given or [] for piece in text.split(",") if piece.strip()] or [
        "tsmgan",
        *default_peers(shifted=shifted),
    ]
    found = [find_method(name, time_limit=time_limit) for name in dict.fromkeys([*names, *([baseline] if baseline else [])])]
    for method in found:
        if method.missing:
            console.note(f"{method.name} is skipped: {method.missing}.")
    present = [method for method in found if not method.missing]
    if not present:
        raise TsmganError("None of the methods can run here; install one, or measure tsmgan itself.")
    there = [method.name for method in present]
    if baseline is None:
        return present, BASELINE if BASELINE in there else None
    return present, baseline if baseline in there else None


def _tell_problems(rows: Sequence[Any], readings: Sequence[Any]) -> None:
    """Print each problem once, with the methods that had it. Raises TsmganError if there was one."""
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


def _make_pairs(
    folder: Path | None, out: Path, rates: list[float], pitches: list[float], scores: int, channels: int, seed: int, quiet: bool
) -> None:
    from tsmgan.evaluation.pair_files import find_recordings, write_pairs

    recordings = find_recordings(folder) if folder is not None else []
    total = len(recordings) + scores
    if not total:
        raise UsageError("There is nothing to make pairs of. Give --make-pairs FOLDER, or --scores with 1 or more.")
    work = write_pairs(out, recordings, compositions=scores, rates=rates or None, pitches=pitches, channels=channels, seed=seed)
    problems = list(console.track(work, "pairs", total, enabled=not quiet))
    for problem in problems:
        if problem:
            console.warning(problem)
    failed = sum(problem is not None for problem in problems)
    if failed:
        raise TsmganError(f"{failed} of {len(recordings)} recordings gave no pairs; the warnings above say why.")
    console.note(f"{out / 'pairs.csv'} lists the pairs of {len(recordings)} recordings and {scores} scores.")
