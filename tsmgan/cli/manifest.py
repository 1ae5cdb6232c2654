"""`tsmgan manifest`: what a batch has made, as a data set."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from tsmgan.cli import console
from tsmgan.errors import AudioError, UsageError
from tsmgan.storage.names import is_url, join, plain
from tsmgan.storage.places import stamp

if TYPE_CHECKING:
    from tsmgan.batch.manifest import Entry


class Row(NamedTuple):
    """One output."""

    path: str
    rate: float
    seconds: float
    samplerate: int
    channels: int
    input: str


def manifest(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Output folder of a batch, or its URL.", show_default=False)],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """List what a batch has made: path, rate, seconds, sample rate, channels and input of each output.

    Outputs that are missing or have another size than the batch gave them are left out, with a note.

    [bold]Example[/bold]

    [cyan]tsmgan manifest quicker/ --csv > outputs.csv[/cyan]
    """
    found, left_out = _rows(plain(folder))
    if as_csv:
        _print_csv(found)
    else:
        _print_table(found)
    if left_out:
        console.note(f"{left_out} outputs are missing or have changed since the batch made them; they are left out.")


def _rows(folder: str) -> tuple[list[Row], int]:
    """A row for each output that is there, in the order of their names, and how many are not as the manifest says."""
    from tsmgan.batch.manifest import read_history

    with _local_manifest(folder) as path:
        made = read_history(path).made
    rows, left_out = [], 0
    for entry in sorted(made.values(), key=lambda entry: entry.output):
        row = _row(folder, entry)
        if row is None:
            continue
        try:
            is_there = stamp(row.path).bytes == entry.output_bytes
        except (OSError, ValueError):
            is_there = False
        if is_there:
            rows.append(row)
        else:
            left_out += 1
    return rows, left_out


def _row(folder: str, entry: Entry) -> Row | None:
    """An entry's row; None when it cannot be a batch's: a name outside the folder, or something else than numbers."""
    name, numbers = PurePosixPath(entry.output), (entry.samplerate, entry.channels, entry.output_frames)
    unsafe = set("\0\n\\:") if os.sep == "\\" else set("\0")
    if name.is_absolute() or ".." in name.parts or not name.name or unsafe & set(entry.output):
        return None
    if not all(type(number) is int and 0 < number < 1 << 60 for number in numbers) or type(entry.rate) not in (int, float):
        return None
    samplerate, channels, frames = (int(number or 0) for number in numbers)
    return Row(join(folder, entry.output), float(entry.rate), frames / samplerate, samplerate, channels, entry.input)


@contextmanager
def _local_manifest(folder: str) -> Iterator[str]:
    from tsmgan.batch.manifest import NAME

    path = join(folder, NAME)
    if is_url(folder):
        from tsmgan.storage import remote

        with remote.fetch(path) as copy:
            yield copy.path
    elif os.path.isfile(path):
        yield path
    elif os.path.isdir(folder):
        raise AudioError(f"{folder} holds no {NAME}; name the output folder of a batch, as given to `tsmgan stretch -o`.")
    else:
        raise UsageError(f"{folder} is no folder; name the output folder of a batch, as given to `tsmgan stretch -o`.")


def _print_csv(rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows((row.path, f"{row.rate:.12g}", f"{row.seconds:.6f}", *row[3:]) for row in rows)
    # Names of files need not be text; their bytes come out as they are.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.getvalue().encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _print_table(rows: list[Row]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from tsmgan.cli.durations import format_duration

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("path", style="cyan", overflow="fold")
    for heading in ("rate", "length", "sample rate"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shown = console.harmless(row.path).encode("utf-8", "replace").decode()
        table.add_row(escape(shown), f"{row.rate:.5g}", format_duration(row.seconds), f"{row.samplerate} Hz")
    console.print_table(table)
