"""`tsmgan stretch`: the whole way from a recording to a stretched recording."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsmgan.cli import console
from tsmgan.cli.durations import format_duration, parse_duration, parse_instant
from tsmgan.cli.rates import is_list, parse_rate
from tsmgan.cli.targets import made_folder
from tsmgan.errors import UsageError
from tsmgan.limits import MOST_THREADS, most_processes, require_count
from tsmgan.storage.places import is_folder, is_url, join, names_folder, parent, plain, stem

if TYPE_CHECKING:
    from tsmgan.audio import AudioInfo, RawFormat, Writer
    from tsmgan.core.timemap import TimeMap
    from tsmgan.recording import Gain, Passage

RAW_PANEL = "Raw samples (pipes, .raw, .pcm)"
BATCH_PANEL = "Many recordings"
RAW_SUFFIXES = (".raw", ".pcm")
HIGHEST_GAIN = 60.0
"""Decibels either way that --gain takes."""
BLOCKS_AT_ONCE = 8
"""So many blocks of a file make one call: several runs of the stretcher, which two cores then share. From a pipe each goes its way alone,
so that whoever reads the output need not wait."""


def _model_names(incomplete: str) -> list[str]:
    """For the shell's completion of --model."""
    from tsmgan.models import list_models

    return [model.name for model in list_models() if model.name.startswith(incomplete)]


def stretch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Recording or URL; - reads WAV from a pipe. Several, a folder or a pattern make a batch.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File, folder/, URL, or - for a pipe. Default: beside the input, with the rate in its name.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            "-r",
            metavar="R",
            help="Speed: 1.5 is faster, 0.8 slower; also 90/120, or several: 0.9,1,1.1.",
            rich_help_panel="How fast",
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("--duration", "-d", metavar="TIME", help="Length to reach: 90, 1:30.5 or 1:02:03.25.", rich_help_panel="How fast"),
    ] = None,
    time_map: Annotated[
        str | None,
        typer.Option(
            "--time-map",
            "-t",
            metavar="CSV",
            help="Lines of `input second, output second`, counted from --start.",
            rich_help_panel="How fast",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Where in the input to begin: 90 or 1:30.5.", rich_help_panel="Input", show_default=False),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Where in the input to stop. Default: its end.", rich_help_panel="Input", show_default=False),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            help="One of `tsmgan models`, a model folder, or an exported ONNX file.",
            rich_help_panel="Sound",
            autocompletion=_model_names,
        ),
    ] = "default",
    coherence: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="Instead of the model's choice: 0 keeps tones (music), 1 keeps pulses (a voice).",
            rich_help_panel="Sound",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="For the generator's noise.", rich_help_panel="Sound")] = 0,
    gain: Annotated[
        str,
        typer.Option(metavar="DB|auto", help="Louder or softer; auto: softer by just what would be cut off.", rich_help_panel="Sound"),
    ] = "0",
    subtype: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="PCM_16, PCM_24, FLOAT ... Default: the input's.", rich_help_panel="Output", show_default=False),
    ] = None,
    bitrate: Annotated[
        float | None,
        typer.Option(metavar="KBPS", help="Of mp3, ogg and opus. Default: near the input's.", rich_help_panel="Output", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing output.", rich_help_panel="Output")] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Use what is there of a recording that is cut short.", rich_help_panel="Input")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Pipes carry raw samples instead of WAV.", rich_help_panel=RAW_PANEL)] = False,
    raw_rate: Annotated[
        int | None,
        typer.Option(metavar="HZ", help="Sample rate of raw input.", rich_help_panel=RAW_PANEL, show_default=False),
    ] = None,
    raw_channels: Annotated[
        int | None,
        typer.Option(metavar="N", help="Channels of raw input.", rich_help_panel=RAW_PANEL, show_default=False),
    ] = None,
    raw_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="u8, s16le, s24le, s32le, f32le or f64le. Default: s16le in, the input's out.",
            rich_help_panel=RAW_PANEL,
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(metavar="DEVICE", help="auto, cpu, cuda, directml or coreml: what the network runs on.", rich_help_panel="Speed"),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of the network on the CPU. Default: 1.", rich_help_panel="Speed", show_default=False),
    ] = None,
    file_list: Annotated[
        str | None,
        typer.Option(
            "--list", metavar="FILE", help="Names of recordings, one a line; - reads them from a pipe.", rich_help_panel=BATCH_PANEL
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Of outputs, with {stem}, {rate}, {ext}, {input_ext} and {folder}. Default: {stem}@{rate}.{ext}",
            rich_help_panel=BATCH_PANEL,
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            help="Processes, or workers of a cluster. Default: one a processor.",
            rich_help_panel=BATCH_PANEL,
            show_default=False,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ray[://HOST:PORT]",
            help="Make a batch on a Ray cluster, which reads and writes the files itself.",
            rich_help_panel=BATCH_PANEL,
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel="Messages")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is read and written.", rich_help_panel="Messages")] = False,
) -> None:
    """Play a recording faster or slower, with the same voice, pitch and stereo image.

    [bold]Examples[/bold]

    [cyan]tsmgan stretch talk.wav --rate 1.5[/cyan]  [dim]writes talk@1.5.wav[/dim]

    [cyan]tsmgan stretch song.flac --duration 3:30 -o song.mp3[/cyan]

    [cyan]tsmgan stretch lesson.m4a --rate 0.7 -o slow.wav[/cyan]

    [cyan]ffmpeg -i film.mkv -f wav - | tsmgan stretch - -r 1.25 -o - | ffplay -[/cyan]

    [cyan]tsmgan stretch talks/ -o quicker/ --rate 1.2 --jobs 4[/cyan]  [dim]a whole folder; again, only what is new[/dim]
    """
    started = time.perf_counter()
    if sum(choice is not None for choice in (rate, duration, time_map)) != 1:
        raise UsageError("Say how fast with exactly one of --rate, --duration and --time-map, for example --rate 1.5.")
    _require_in_range(coherence, seed)
    decibels, (first, last) = _parse_gain(gain), _section(start, end)
    given, output = [plain(source) for source in sources or []], None if output is None else plain(output)
    if cluster is not None or _is_batch(given, file_list, name, rate):
        if raw:
            raise UsageError("Raw samples are stretched one recording at a time; leave out --raw, or name a single input.")
        from tsmgan.batch.plan import Settings
        from tsmgan.cli.stretch_batch import model_version, stretch_batch

        version = model_version(model, device if cluster is None else "auto", threads)
        settings = Settings(model, coherence, seed, decibels, subtype, bitrate, salvage, device, threads, version, first, last)
        return stretch_batch(given, file_list, output, rate, name, jobs, cluster, settings, force=force, quiet=quiet, verbose=verbose)
    if len(given) != 1:
        raise UsageError("There is nothing to stretch; name a recording, for example `tsmgan stretch talk.wav --rate 1.5`.")
    if jobs is not None:
        require_count("jobs", jobs, most_processes())
    if threads is not None:
        require_count("threads", threads, MOST_THREADS)
    source = given[0]
    target_seconds = None if duration is None else parse_duration(duration)
    raw_input = _raw_input(source, raw, raw_rate, raw_channels, raw_format)
    fixed_map = None if rate is None else _map_from_rate(rate)

    from tsmgan.audio import open_reader, open_writer
    from tsmgan.recording import Passage, stretch_passage
    from tsmgan.storage.leftovers import remove_leftovers

    with open_reader(source, raw=raw_input, salvage=salvage) as reader:
        info = reader.info
        passage = Passage(reader, first, last)
        chosen_map = fixed_map or _map_for(passage, target_seconds, time_map, salvage)
        target = _target(info, output, _label(info, rate, target_seconds, time_map))
        _require_file(target, decibels)
        frames = None if passage.frames is None else chosen_map.output_length(passage.frames)
        if frames == 0:
            raise UsageError(f"The output would have no samples: {info.name} is too short for this rate.")
        is_raw_output = (raw and target == "-") or Path(target).suffix.lower() in RAW_SUFFIXES
        wanted_subtype = subtype or (raw_format if is_raw_output else None)
        if target != "-" and not is_url(target):
            made_folder(output)
            remove_leftovers(Path(target).parent, Path(target).stem)
        with open_writer(
            target, passage.info, frames=frames, subtype=wanted_subtype, bitrate=bitrate, raw=raw, force=force, time_map=chosen_map
        ) as writer:
            if verbose:
                _explain(info, writer, model)
            total = None if passage.frames is None else passage.frames / info.samplerate
            from tsmgan.api import Stretcher
            from tsmgan.core.compiled import first_run as compiling
            from tsmgan.core.compiled import kernels

            compiling.share()
            compiled_before = kernels.seconds_compiling
            stretcher = Stretcher(
                info.samplerate,
                info.channels,
                time_map=chosen_map,
                model=model,
                coherence=coherence,
                seed=seed,
                device=device,
                threads=threads,
            )
            if verbose:
                console.say(f"device  {stretcher.device}")
            at_once = BLOCKS_AT_ONCE if info.path is not None and os.path.isfile(info.path) else 1
            with console.ProgressBar(Path(info.name).name, total, enabled=not quiet) as bar:
                watch = lambda frames: bar.update(frames / info.samplerate)  # noqa: E731
                applied = stretch_passage(passage, stretcher, writer, decibels, at_once=at_once, watch=watch)
                writer.commit()
    if not quiet:
        compiled = kernels.seconds_compiling - compiled_before
        _summarise(passage, writer, decibels, applied, time.perf_counter() - started, compiled)


def _is_batch(sources: list[str], file_list: str | None, name: str | None, rate: str | None) -> bool:
    """Whether there is more to do than one output whose name follows from its input."""
    if len(sources) > 1 or file_list is not None or name is not None or (rate is not None and is_list(rate)):
        return True
    if len(sources) == 1 and any(character in sources[0] for character in "*?["):
        from tsmgan.batch.plan import is_pattern

        return is_pattern(sources[0]) or is_folder(sources[0])
    return bool(sources) and is_folder(sources[0])


def _require_in_range(coherence: float | None, seed: int) -> None:
    if coherence is not None and not 0 <= coherence <= 1:
        raise UsageError(f"The coherence is {coherence:g}; give a number from 0 (keeps tones) to 1 (keeps pulses).")
    if seed < 0:
        raise UsageError(f"The seed is {seed}; give 0 or a positive whole number.")


def _parse_gain(text: str) -> Gain:
    """Decibels, or `auto`. A gain is never a list, so a decimal comma is understood."""
    if text.strip().lower() == "auto":
        return "auto"
    try:
        decibels = float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f"The gain is {text!r}; give decibels, for example --gain -1.5, or --gain auto.") from None
    if not abs(decibels) <= HIGHEST_GAIN:
        raise UsageError(f"The gain is {decibels:g} dB; give a number from -{HIGHEST_GAIN:g} to {HIGHEST_GAIN:g}, or auto.")
    return decibels


def _section(start: str | None, end: str | None) -> tuple[float, float | None]:
    """Where in the input to begin and to stop, in seconds."""
    first, last = 0.0 if start is None else parse_instant(start), None if end is None else parse_instant(end)
    if last is not None and last <= first:
        raise UsageError(f"There is nothing between --start {start or 0} and --end {end}; the end must be later than the start.")
    return first, last


def _require_file(target: str, gain: Gain) -> None:
    is_pipe = target == "-" or (not is_url(target) and os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)))
    if gain == "auto" and is_pipe:
        raise UsageError(
            "--gain auto is known only at the end, when a pipe has been read already; name a file with -o, or give --gain in decibels."
        )


def _raw_input(source: str, raw: bool, samplerate: int | None, channels: int | None, name: str | None) -> RawFormat | None:
    """How raw input is stored; None when the input has a header of its own."""
    from tsmgan.audio.formats import RAW_FORMATS, RawFormat

    if name is not None and name not in RAW_FORMATS:
        raise UsageError(f"{name!r} is no raw format; choose one of {', '.join(RAW_FORMATS)}.")
    is_raw = (source == "-" and raw) or Path(source).suffix.lower() in RAW_SUFFIXES
    if not is_raw:
        if samplerate is not None or channels is not None:
            raise UsageError("--raw-rate and --raw-channels describe raw input, and this input has a header; leave them out, or add --raw.")
        return None
    if samplerate is None or channels is None:
        raise UsageError("Raw input has no header; describe it, for example with --raw-rate 48000 --raw-channels 2 --raw-format s16le.")
    if samplerate <= 0 or not 1 <= channels <= 1024:
        raise UsageError(f"Raw input of {channels} channels at {samplerate} Hz cannot be; give for example --raw-rate 48000.")
    return RawFormat(samplerate, channels, RAW_FORMATS[name or "s16le"])


def _map_from_rate(text: str) -> TimeMap:
    from tsmgan.core.timemap import TimeMap

    return TimeMap.from_rate(parse_rate(text))


def _map_for(passage: Passage, target_seconds: float | None, path: str | None, salvage: bool) -> TimeMap:
    from tsmgan.core.timemap import TimeMap

    info = passage.info
    if path is not None:
        if not os.path.isfile(path):
            raise UsageError(f"The time map {path} does not exist; give a CSV file of `input second, output second` lines.")
        return TimeMap.from_csv(path).in_samples(info.samplerate)
    assert target_seconds is not None
    frames = passage.frames
    if frames is None:
        from tsmgan.audio import count_frames

        if info.path is None or not (is_url(info.path) or os.path.isfile(info.path)):
            raise UsageError(f"--duration needs the length of the input, which {info.name} does not state; give --rate, or a file.")
        length = count_frames(info.path, salvage=salvage)
        passage.require_inside(length)
        frames = passage.frames_of(length)
    return TimeMap.from_lengths(frames, round(target_seconds * info.samplerate))


def _label(info: AudioInfo, rate: str | None, target_seconds: float | None, path: str | None) -> str:
    """What stands behind the @ in an output's name."""
    if rate is not None:
        return f"{parse_rate(rate):.5g}"
    if target_seconds is not None:
        return _clock(target_seconds)
    return Path(path or "map").stem


def _clock(seconds: float) -> str:
    """`45s`, `1m30.5s`: colons are not for file names."""
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return ((f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + (f"{rest:.5g}s" if rest else "")) or "0s"


def _target(info: AudioInfo, output: str | None, label: str) -> str:
    """The output's path: as given, in the folder given, beside the input, or the pipe."""
    from tsmgan.audio.formats import default_suffix

    if output == "-" or (output is None and info.path is None):
        if sys.stdout.isatty():
            raise UsageError("The output would fill the terminal; name a file with -o, or pipe it into another program.")
        return "-"
    if output is not None and not is_folder(output) and not names_folder(output):
        return output
    start = stem(info.path) if info.path is not None else "stretched"
    folder = output if output is not None else parent(info.path or ".")
    name = f"{start}@{label}{default_suffix(info)}"
    return name if folder == "." else join(folder, name)


def _explain(info: AudioInfo, writer: Writer, model: str) -> None:
    length = "unknown length" if info.seconds is None else format_duration(info.seconds)
    console.say(f"input   {info.name}: {info.format} {info.subtype}, {info.samplerate} Hz, {info.channels} channels, {length}")
    console.say(f"output  {writer.name}: {writer.output.format} {writer.output.subtype}")
    console.say(f"model   {model}")


def _summarise(passage: Passage, writer: Writer, wanted: Gain, applied: float, elapsed: float, compiled: float) -> None:
    info = passage.info
    before, after = passage.frames_read / info.samplerate, writer.frames_written / info.samplerate
    for each in (*passage.notes, *writer.notes):
        console.note(each)
    if wanted == "auto" and applied:
        console.note(f"--gain auto turned the output down by {-applied:.2f} dB, to the peak that it may have.")
    clipping = writer.clipping
    if clipping is not None:
        verb = "were cut off" if clipping.limited else "will be cut off by players"
        decibels = max(clipping.decibels, 0.01)
        console.warning(
            f"{clipping.samples} samples beyond full scale (by up to {decibels:.2f} dB) {verb}; "
            f"--gain {math.floor((applied + clipping.safe_gain) * 10 + 1e-6) / 10:g} avoids it, and so do --gain auto, which finds it by "
            "itself where the output is a file, and --subtype FLOAT in a .wav."
        )
    if compiled:
        console.note(f"First run: compiled for this processor in {compiled:.2g} s, which the speed leaves out.")
    console.say(
        f"{info.name} -> {writer.name}  {format_duration(before)} -> {format_duration(after)} "
        f"at rate {before / after:.4g}, {console.format_speed(before, elapsed - compiled)}"
    )
