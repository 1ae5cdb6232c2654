"""`tsmgan info`: what a recording is, before anything is done with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsmgan.cli import console
from tsmgan.cli.durations import format_duration
from tsmgan.errors import TsmganError

if TYPE_CHECKING:
    from tsmgan.audio import AudioInfo


def info(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings; - reads a pipe.", show_default=False)],
    peak: Annotated[bool, typer.Option("--peak", help="Read all samples: exact length and peak level.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object, or a list for several files.")] = False,
    salvage: Annotated[bool, typer.Option("--salvage", help="Describe what is there of a recording that is cut short.")] = False,
) -> None:
    """Show format, sample rate, channels, duration and tags of recordings.

    [bold]Examples[/bold]

    [cyan]tsmgan info talk.wav[/cyan]

    [cyan]tsmgan info --json --peak *.flac[/cyan]
    """
    found, failed = [], False
    for file in files:
        try:
            found.append(_describe(file, peak, salvage))
        except TsmganError as error:
            if len(files) == 1:
                raise
            console.error(str(error))
            failed = True
    if as_json:
        text = json.dumps(found[0] if len(files) == 1 else found, indent=2, ensure_ascii=False)
        # JSON escapes some control characters itself, and lets others pass that a terminal obeys as well.
        typer.echo(console.CONTROLS.sub(lambda each: each[0] if each[0] == "\n" else f"\\u{ord(each[0]):04x}", text))
    else:
        for facts in found:
            _print(facts)
    if failed:
        raise typer.Exit(1)


def _describe(file: str, peak: bool, salvage: bool) -> dict[str, Any]:
    from tsmgan.audio import open_reader

    with open_reader(file, salvage=salvage) as reader:
        about: AudioInfo = reader.info
        frames, highest = about.frames, None
        if peak:
            highest = 0.0
            for block in reader.blocks():
                highest = max(highest, float(abs(block).max()))
            frames = reader.frames_read
    seconds = about.seconds if frames is None else frames / about.samplerate
    facts: dict[str, Any] = {
        "name": about.name,
        "format": about.format,
        "subtype": about.subtype,
        "samplerate": about.samplerate,
        "channels": about.channels,
        "frames": frames,
        "seconds": seconds,
        "bitrate_kbps": None if about.bitrate is None else round(about.bitrate, 1),
        "tags": {tag: text.replace("\0", "; ") for tag, text in about.tags.items()},
        "chapters": [{"start": chapter.start, "end": chapter.end, "title": chapter.title} for chapter in about.chapters],
        "pictures": [{"type": picture.mime, "bytes": len(picture.data), "description": picture.description} for picture in about.pictures],
        "broadcast": bool(about.broadcast),
        "notes": [*about.notes, *([f"Not carried to outputs: {', '.join(about.unread_tags)}."] if about.unread_tags else [])],
    }
    if highest is not None:
        import math

        facts["peak"] = highest
        facts["peak_dbfs"] = None if highest == 0 else round(20 * math.log10(highest), 2)
    return facts


def _print(facts: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(facts["name"]), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("format", f"{facts['format']}, {facts['subtype']}")
    table.add_row("sample rate", f"{facts['samplerate']} Hz")
    table.add_row("channels", {1: "1 (mono)", 2: "2 (stereo)"}.get(facts["channels"], str(facts["channels"])))
    if facts["seconds"] is None:
        table.add_row("duration", "not stated")
    else:
        samples = "" if facts["frames"] is None else f" ({facts['frames']} samples)"
        table.add_row("duration", format_duration(facts["seconds"]) + samples)
    if facts["bitrate_kbps"] is not None:
        table.add_row("bit rate", f"{facts['bitrate_kbps']:.0f} kbit/s")
    if "peak" in facts:
        table.add_row("peak", "silence" if facts["peak_dbfs"] is None else f"{facts['peak_dbfs']:.2f} dBFS")
    for tag, text in facts["tags"].items():
        table.add_row(escape(tag), escape(text))
    for number, picture in enumerate(facts["pictures"]):
        text = f"{picture['type']}, {picture['bytes']} bytes  {picture['description']}".rstrip()
        table.add_row("" if number else "pictures", escape(text))
    if facts["broadcast"]:
        table.add_row("broadcast", "bext chunk")
    for number, chapter in enumerate(facts["chapters"]):
        table.add_row("" if number else "chapters", escape(f"{format_duration(chapter['start'])}  {chapter['title']}"))
    for note in facts["notes"]:
        table.add_row("note", escape(note))
    console.print_table(table)
