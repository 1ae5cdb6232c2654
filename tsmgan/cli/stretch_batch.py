"""`tsmgan stretch` with a folder, a pattern, a list, several names or several rates: a batch."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

import typer

from tsmgan.cli import console
from tsmgan.cli.durations import format_duration
from tsmgan.cli.rates import parse_rates
from tsmgan.errors import UsageError
from tsmgan.limits import MOST_WORKERS, most_processes, require_count
from tsmgan.storage.names import is_url, join, plain, stem, suffix
from tsmgan.storage.places import is_folder

if TYPE_CHECKING:
    from tsmgan.batch.run import Outcome
    from tsmgan.options import StretchOptions

MOST_FAILURES_SHOWN = 10
MOST_NAMES_SHOWN = 4
"""Outputs that the summary names one by one."""


def stretch_batch(
    sources: list[str],
    file_list: str | None,
    output: str | None,
    rate: str | None,
    name: str | None,
    jobs: int | None,
    cluster: str | None,
    options: StretchOptions,
    labels: dict[float, str] | None = None,
    *,
    force: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Do what `tsmgan stretch` was asked to do with several recordings or rates, and say what came of it.

    Raises:
        UsageError: the command makes no sense; nothing has been written then.
        typer.Exit: some recordings failed, with exit code 3.
    """
    started = time.perf_counter()
    if options.slots is not None:
        _require_slots_for_all(options, rate)
        rate = "1"
    if rate is None and options.pauses not in (None, "first") and options.duration is None and options.time_map is None:
        rate = "1"
    if rate is None:
        raise UsageError(
            "Several recordings are stretched by --rate, --bpm FROM:TO, --pauses KEEP or --slots FOLDER; the others are for a single one."
        )
    if options.subtitles:
        raise UsageError("--subtitles names files of a single recording; --with-subtitles takes those that lie beside each.")
    if options.raw_output:
        raise UsageError("Raw samples are stretched one recording at a time; leave out --raw, or name a single input.")
    if jobs is not None:
        require_count("jobs", jobs, most_processes() if cluster is None else MOST_WORKERS)
    from tsmgan.batch import plan
    from tsmgan.maps.speeds import rate_label

    rates = parse_rates(rate)
    if len({rate_label(each) for each in rates}) < len(rates):
        raise UsageError(f"--rate {rate} names the same rate twice; name each once.")
    if cluster is not None:
        from tsmgan.batch.cluster import parse_address

        parse_address(cluster)
    if labels is None and (options.pauses is not None or options.slots is not None):
        from tsmgan.maps import choose

        labels = {each: choose(options if options.slots is not None else replace(options, rate=each)).label for each in rates}
    template = plan.check_template(name if name is not None else plan.DEFAULT_NAME, len(rates))
    _require_folder(output, sources)
    found = plan.find_sources(sources, _listed(file_list), outside=output)
    if options.slots is not None:
        _require_own_names([source.path for source in found])
    version = _model_version(options.model, options.device if cluster is None else "auto", options.threads)
    tasks = plan.make_tasks(found, rates, template, output, options, version, labels)

    from tsmgan.batch.run import Outcome, run_batch, weight

    outcome = Outcome(len(tasks))
    try:
        with console.ProgressBar(f"{len(tasks)} outputs", sum(map(weight, tasks)), enabled=not quiet) as bar:
            run_batch(
                tasks,
                jobs,
                root=output,
                cluster=cluster,
                force=force,
                watch=lambda seen: bar.update(seen.weight, f"{seen.total - seen.left} of {seen.total}"),
                outcome=outcome,
            )
    except BaseException as stop:
        if hasattr(stop, "message"):
            again = "the same command goes on from there" if output is not None else "no partial file was left"
            stop.message = f"Stopped: {_counts(outcome)}, {outcome.left} left; {again}."
        raise
    # A recording that cannot be read fails at every rate, and is told of once.
    failures = list(dict.fromkeys(outcome.failed))
    for source, reason in failures[: None if verbose or output is None else MOST_FAILURES_SHOWN]:
        console.error(reason if source in reason else f"{source}: {reason}")
    if len(failures) > MOST_FAILURES_SHOWN and output is not None and not verbose:
        console.error(f"{len(failures) - MOST_FAILURES_SHOWN} more failures; see {join(output, 'manifest.jsonl')}.")
    if not quiet:
        _say_notes(outcome, output)
        if outcome.clipped:
            held = "1 output holds" if outcome.clipped == 1 else f"{outcome.clipped} outputs hold"
            console.warning(f"{held} samples beyond full scale; --gain auto avoids it, and so does --subtype FLOAT in .wav.")
        console.say(_summary(outcome, [] if options.slots is not None else rates, output, time.perf_counter() - started))
    if outcome.failed:
        raise typer.Exit(3)


def _require_slots_for_all(options: StretchOptions, rate: str | None) -> None:
    """Raise UsageError unless each recording can have its own captions, and its own report."""
    if rate is not None:
        raise UsageError("--slots says when each line is heard; leave out --rate.")
    for name in ("slots", "captions"):
        place = getattr(options, name)
        if place is not None and not is_folder(place):
            raise UsageError(
                f"--{name} {place} is the file of a single recording; name a folder that holds one with each recording's name."
            )
    if options.report not in (None, ".csv", ".json"):
        raise UsageError(f"--report {options.report} is a single file; give --report .csv or .json for one beside each output.")


def _require_own_names(places: list[str]) -> None:
    """Raise UsageError where two recordings would be fitted to the same captions."""
    seen: set[str] = set()
    for place in places:
        if (name := stem(place)) in seen:
            raise UsageError(
                f"Several recordings are called {name}, {place} one of them, and --slots tells them apart by name; rename them."
            )
        seen.add(name)


def _summary(outcome: Outcome, rates: list[float], output: str | None, elapsed: float) -> str:
    """What was made, how fast, and how it is called."""
    text = f"{_counts(outcome)} in {format_duration(elapsed)}"
    if not outcome.names:
        return text
    text += f", {console.format_speed(outcome.sound, elapsed)}: "
    if len(outcome.names) <= MOST_NAMES_SHOWN:
        return text + ", ".join(sorted(name if is_url(name) else os.path.normpath(name) for name in outcome.names))
    shown = [f"{rate:.5g}" for rate in rates]
    at = f"at the rates {', '.join(shown[:-1])} and {shown[-1]}, " if len(shown) > 1 else "".join(f"at rate {rate}, " for rate in shown)
    return text + at + (f"in {output}" if output is not None else "beside the recordings")


def _say_notes(outcome: Outcome, output: str | None) -> None:
    """Each note once, with the number of outputs that it holds of."""
    noted = sorted(outcome.noted.items(), key=lambda pair: -pair[1])
    for note, count in noted[:MOST_FAILURES_SHOWN]:
        console.note(note if outcome.made == 1 else f"{count} outputs: {note}" if count > 1 else f"1 output: {note}")
    if len(noted) > MOST_FAILURES_SHOWN:
        where = f"; see {join(output, 'manifest.jsonl')}" if output is not None else ""
        console.note(f"There are {len(noted) - MOST_FAILURES_SHOWN} more notes{where}.")


def _counts(outcome: Outcome) -> str:
    """How far a batch has come, in words."""
    parts = [f"{outcome.made} of {outcome.total} made"]
    parts += [f"{outcome.kept} were there already"] if outcome.kept else []
    parts += [f"{len(outcome.failed)} failed"] if outcome.failed else []
    return ", ".join(parts)


def _require_folder(output: str | None, sources: list[str]) -> None:
    if output is None:
        folder = next((source for source in sources if is_folder(source)), None)
        if folder is not None:
            raise UsageError(f"{folder} is a folder; name another one for the outputs with -o.")
        return
    from tsmgan.audio.formats import SUFFIXES

    if output == "-":
        raise UsageError("A pipe carries a single recording; name a folder for the outputs with -o.")
    is_file = not is_url(output) and os.path.lexists(output) and not os.path.isdir(output)
    if "{" in output and not is_folder(output):
        place, _, name = output.rpartition("/")
        folder = f"-o {quote(place)} and " if place else ""
        raise UsageError(f"{output} is no folder, and there are several outputs; give {folder}--name {quote(name)}.")
    if is_file or (suffix(output).lower() in SUFFIXES and not is_folder(output)):
        raise UsageError(f"{output} is no folder, and there are several outputs; name a folder with -o.")
    if is_url(output):
        from tsmgan.storage.remote import require_writable

        require_writable(output)
    for source in sources:
        same = source.rstrip("/") == output.rstrip("/") if is_url(output) else os.path.realpath(source) == os.path.realpath(output)
        if same and is_folder(source):
            raise UsageError(f"The outputs would lie among the inputs in {source}; name another folder with -o.")


def _listed(file_list: str | None) -> list[str]:
    """Recordings that a list names."""
    from tsmgan.batch.plan import read_list

    if file_list is None:
        return []
    if file_list == "-":
        return list(map(plain, read_list(sys.stdin.buffer)))
    if is_url(file_list := plain(file_list)):
        from tsmgan.storage.remote import fetch

        with fetch(file_list) as copy, open(copy.path, "rb") as file:
            return list(map(plain, read_list(file)))
    try:
        with open(file_list, "rb") as file:
            return list(map(plain, read_list(file)))
    except OSError as error:
        raise UsageError(f"The list {file_list} cannot be read: {error.strerror or error}; give a text file of names.") from None


def _model_version(model: str, device: str, threads: int | None) -> str:
    """What stands for the program and the model in a manifest; says now, and not once for each recording, that they cannot be used."""
    from tsmgan.batch import work

    version = work.model_version(model)
    if device != "auto" or threads is not None:
        from tsmgan.models import find_model, open_decider

        open_decider(find_model(model), device, threads)
    return version
