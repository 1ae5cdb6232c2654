"""`tsmgan stretch`: what was typed becomes options, and a summary becomes sentences. The work is done by `tsmgan.job`."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tsmgan.cli import console
from tsmgan.cli import options as declared
from tsmgan.cli.durations import format_duration, parse_duration, parse_instant
from tsmgan.cli.lines import given_limits, require_slots, show_lines
from tsmgan.cli.numbers import decimal
from tsmgan.cli.pauses import parse_pauses, pauses_gave
from tsmgan.cli.pitches import parse_formants, parse_pitch, parse_tuning
from tsmgan.cli.rates import is_list, parse_rate
from tsmgan.cli.tempi import parse_bpm, practice_set
from tsmgan.errors import UsageError
from tsmgan.limits import most_processes, require_count
from tsmgan.storage.names import plain
from tsmgan.storage.places import is_folder

if TYPE_CHECKING:
    from tsmgan.audio import AudioInfo, RawFormat
    from tsmgan.job import Progress, Summary
    from tsmgan.options import StretchOptions
    from tsmgan.recording import Gain

RAW_SUFFIXES = (".raw", ".pcm")


def stretch(
    sources: declared.Sources = None,
    output: declared.Output = None,
    rate: declared.Rates = None,
    duration: declared.Duration = None,
    time_map: declared.TimeMapFile = None,
    markers: declared.Markers = None,
    bpm: declared.Bpm = None,
    pauses: declared.PauseText = None,
    slots: declared.SlotsFile = None,
    captions: declared.CaptionsFile = None,
    slowest: declared.StretchSlowest = None,
    fastest: declared.StretchFastest = None,
    free_time: declared.StretchFreeTime = None,
    report: declared.StretchReport = None,
    subtitles: declared.Subtitles = None,
    with_subtitles: declared.WithSubtitles = False,
    pitch: declared.Pitch = None,
    tune: declared.Tune = None,
    formants: declared.FormantsText = None,
    start: declared.InputStart = None,
    end: declared.InputEnd = None,
    loop: declared.Loop = False,
    track: declared.Track = None,
    model: declared.StretchModel = "default",
    coherence: declared.Coherence = None,
    seed: declared.Seed = 0,
    gain: declared.GainText = "0",
    subtype: declared.Subtype = None,
    bitrate: declared.Bitrate = None,
    force: declared.StretchForce = False,
    salvage: declared.Salvage = False,
    raw: declared.Raw = False,
    raw_rate: declared.RawRate = None,
    raw_channels: declared.RawChannels = None,
    raw_format: declared.RawFormatName = None,
    device: declared.StretchDevice = "auto",
    threads: declared.StretchThreads = None,
    file_list: declared.FileList = None,
    name: declared.NameTemplate = None,
    jobs: declared.Jobs = None,
    cluster: declared.Cluster = None,
    quiet: declared.StretchQuiet = False,
    verbose: declared.Verbose = False,
) -> None:
    """Play a recording faster, slower, higher or lower, with the same voice and stereo image.

    [bold]Examples[/bold]

    [cyan]tsmgan stretch talk.wav --rate 1.5[/cyan]  [dim]writes talk@1.5.wav[/dim]

    [cyan]tsmgan stretch song.flac --duration 3:30 -o song.mp3[/cyan]

    [cyan]tsmgan stretch song.flac --pitch -2 -o lower.flac[/cyan]  [dim]two semitones, same length[/dim]

    [cyan]tsmgan stretch film.mkv --rate 1.25[/cyan]  [dim]with its pictures and subtitles[/dim]

    [cyan]ffmpeg -i film.mkv -f wav - | tsmgan stretch - -r 1.25 -o - | ffplay -[/cyan]

    [cyan]tsmgan stretch talks/ -o quicker/ --rate 1.2 --jobs 4[/cyan]  [dim]a whole folder; again, only what is new[/dim]
    """
    started = time.perf_counter()
    semitones = sum(parse(text) for parse, text in ((parse_pitch, pitch), (parse_tuning, tune)) if text is not None)
    if rate is duration is time_map is markers is bpm is pauses is slots is None and not pitch is tune is formants is None:
        rate = "1"
    require_slots(slots, captions, slowest, fastest, free_time, report)
    first, last = 0.0 if start is None else parse_instant(start), None if end is None else parse_instant(end)
    given, target = [plain(source) for source in sources or []], None if output is None else plain(output)

    from tsmgan.options import StretchOptions

    options = StretchOptions(
        time_map=time_map,
        markers=markers,
        pauses=None if pauses is None else parse_pauses(pauses),
        pitch=semitones,
        formants=None if formants is None else parse_formants(formants),
        start=first,
        end=last,
        loop=loop,
        slots=slots,
        captions=captions,
        report=report,
        **given_limits(slowest, fastest, free_time),
        subtitles=tuple(subtitles or ()),
        with_subtitles=with_subtitles,
        track=track,
        model=model,
        coherence=coherence,
        seed=seed,
        gain=_parse_gain(gain),
        subtype=subtype,
        bitrate=bitrate,
        salvage=salvage,
        device=device,
        threads=threads,
        raw_output=raw,
    )
    own_tempo, tempi = (None, []) if bpm is None else parse_bpm(bpm)
    if cluster is not None or len(tempi) > 1 or _is_batch(given, file_list, name, rate):
        from tsmgan.cli.stretch_batch import stretch_batch

        if bpm is not None and rate is not None:
            raise UsageError("Give either --rate or --bpm.")
        rate, labels = (rate, None) if bpm is None else practice_set(bpm)
        return stretch_batch(
            given, file_list, target, rate, name, jobs, cluster, options, labels, force=force, quiet=quiet, verbose=verbose
        )
    if len(given) != 1:
        raise UsageError("There is nothing to stretch; name a recording, for example `tsmgan stretch talk.wav --rate 1.5`.")
    if jobs is not None:
        require_count("jobs", jobs, most_processes())
    speed, length = None if rate is None else parse_rate(rate), None if duration is None else parse_duration(duration)
    stored = _raw_input(given[0], raw, raw_rate, raw_channels, raw_format)
    if subtype is None and _is_raw_output(target, raw):
        subtype = raw_format
    tempo = None if bpm is None else tempi[0] if own_tempo is None else (own_tempo, tempi[0])
    options = replace(options, rate=speed, duration=length, bpm=tempo, raw=stored, subtype=subtype)
    _stretch_one(given[0], target, options, started, force=force, quiet=quiet, verbose=verbose)


def _stretch_one(
    source: str, target: str | None, options: StretchOptions, started: float, *, force: bool, quiet: bool, verbose: bool
) -> None:
    """Stretch a recording, show how far that is, and say what came of it."""
    from tsmgan import first_run
    from tsmgan.job import stretch_file

    if "-" in (target, source if target is None else None) and sys.stdout.isatty():
        raise UsageError("The output would fill the terminal; name a file with -o, or pipe it into another program.")
    first_run.share(formants=options.formants != "follow" and (options.pitch != 0 or options.formants is not None))
    with _Display(options.model, quiet=quiet, verbose=verbose) as display:
        done = stretch_file(source, target, options, force=force, watch=display.show)
    if not quiet:
        _summarise(done, options, time.perf_counter() - started - done.seconds_compiling)


def _is_batch(sources: list[str], file_list: str | None, name: str | None, rate: str | None) -> bool:
    """Whether there is more to do than one output whose name follows from its input."""
    if len(sources) > 1 or file_list is not None or name is not None or (rate is not None and is_list(rate)):
        return True
    if len(sources) == 1 and any(character in sources[0] for character in "*?["):
        from tsmgan.batch.plan import is_pattern

        return is_pattern(sources[0]) or is_folder(sources[0])
    return bool(sources) and is_folder(sources[0])


def _parse_gain(text: str) -> Gain:
    """Decibels, or `auto`. A gain is never a list, so a decimal comma is understood."""
    if text.strip().lower() == "auto":
        return "auto"
    try:
        return decimal(text)
    except ValueError:
        raise UsageError(f"The gain is {text!r}; give decibels, for example --gain -1.5, or --gain auto.") from None


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


def _is_raw_output(target: str | None, raw: bool) -> bool:
    """Whether --raw-format describes the output as well. Without a target, the output's samples are stored as the input's."""
    return target is not None and ((raw and target == "-") or Path(target).suffix.lower() in RAW_SUFFIXES)


class _Display:
    """What is shown while a recording is stretched: facts for --verbose, and a bar unless --quiet.

    Args:
        model: its name, as given.
        quiet, verbose: as given.
    """

    def __init__(self, model: str, *, quiet: bool, verbose: bool) -> None:
        self._model, self._quiet, self._verbose = model, quiet, verbose
        self._bar: console.ProgressBar | None = None

    def show(self, progress: Progress) -> None:
        """Show how far the work is. The first call comes when everything is open."""
        if self._bar is None:
            if self._verbose:
                _explain(progress, self._model)
            self._bar = console.ProgressBar(Path(progress.source.name).name, progress.total, enabled=not self._quiet)
        self._bar.update(progress.seconds)

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)


def _explain(progress: Progress, model: str) -> None:
    info: AudioInfo = progress.source
    length = "unknown length" if info.seconds is None else format_duration(info.seconds)
    console.say(f"input   {info.name}: {info.format} {info.subtype}, {info.samplerate} Hz, {info.channels} channels, {length}")
    console.say(f"output  {progress.target}: {progress.output.format} {progress.output.subtype}")
    console.say(f"model   {model}")
    console.say(f"device  {progress.device}")


def _summarise(done: Summary, options: StretchOptions, elapsed: float) -> None:
    """Say what came of it; elapsed is in seconds, without the time that compiling took."""
    for each in done.notes:
        console.note(each)
    if done.lines:
        show_lines(done.lines, to_pipe=done.target == "standard output")
    if options.gain == "auto" and done.gain:
        console.note(f"--gain auto turned the output down by {-done.gain:.2f} dB, to the peak that it may have.")
    clipping = done.clipping
    if clipping is not None:
        beyond = "1 sample" if clipping.samples == 1 else f"{clipping.samples} samples"
        were = "was" if clipping.samples == 1 else "were"
        verb = f"{were} cut off" if clipping.limited else "will be cut off by players"
        console.warning(
            f"{beyond} beyond full scale (by up to {max(clipping.decibels, 0.01):.2f} dB) {verb}; "
            f"--gain {math.floor((done.gain + clipping.safe_gain) * 10 + 1e-6) / 10:g} avoids it, and so do --gain auto, which finds it by "
            "itself where the output is a file, and --subtype FLOAT in a .wav."
        )
    if done.seconds_compiling:
        console.note(f"First run: compiled for this processor in {done.seconds_compiling:.2g} s, which the speed leaves out.")
    gave = f"; {pauses_gave(done.pauses)}" if done.pauses is not None else ""
    shift = f", {options.pitch:+.4g} semitones" if options.pitch else ""
    if options.formants is not None:
        moved = options.formants if isinstance(options.formants, str) else f"{options.formants:+.4g} semitones"
        shift += f", formants {moved}"
    console.say(
        f"{done.source.name} -> {done.target}  {format_duration(done.input_seconds)} -> {format_duration(done.output_seconds)}{gave} "
        f"at rate {done.rate:.4g}{shift}, {console.format_speed(done.input_seconds, elapsed)}"
    )
