"""Stretch a file: open it, map its time, stretch it, write and publish the output, and say what came of it.

The command line, the processes of a batch and the workers of a cluster all call `stretch_file`, and so can any Python program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsmgan.audio import AudioInfo, Clipping, RawFormat, Reader, Writer, count_frames, open_reader, open_writer
from tsmgan.audio.formats import OutputFormat, default_suffix
from tsmgan.audio.writer import UrlWriter
from tsmgan.errors import UsageError
from tsmgan.limits import MOST_THREADS, require_coherence, require_count, require_pitch, require_seed
from tsmgan.recording import AUTO, Gain, Passage, nothing_between, stretch_passage
from tsmgan.storage.atomic import remove_leftovers
from tsmgan.storage.names import Stamp, is_url, join, names_folder, parent, plain, stem
from tsmgan.storage.places import is_folder, make_folder, stamp

if TYPE_CHECKING:
    from tsmgan.core.timemap import TimeMap

HIGHEST_GAIN = 60.0
"""Decibels that `gain` may raise or lower the output by."""
BLOCKS_AT_ONCE = 8
"""Blocks of a file that make one call of the stretcher: enough frames for two cores to share. Blocks of a pipe are passed on one by one,
so that the program that reads the output need not wait."""


@dataclass(frozen=True)
class StretchOptions:
    """How a recording is stretched. `stretch_file` takes the fields as keywords.

    Raises:
        UsageError: a value is out of its range.
    """

    rate: float | None = None
    """Speed, 0.05 to 20; 1.5 plays 1.5 times as fast. One of rate, duration and time_map is given."""
    duration: float | None = None
    """Length of the output in seconds."""
    time_map: TimeMap | str | os.PathLike[str] | None = None
    """A map that is counted from `start`, or a CSV file of `input second, output second` lines."""
    pitch: float = 0.0
    """Semitones by which the output is higher, -24 to 24."""
    start: float = 0.0
    """Where in the input to begin, in seconds."""
    end: float | None = None
    """Where in the input to stop, in seconds; None for its end."""
    model: str = "default"
    """Name of a shipped model, a model folder, or an exported ONNX file."""
    coherence: float | None = None
    """Overrides the model's coherence, 0 (phase vocoder) to 1 (keep the waveform's shape)."""
    seed: int = 0
    """Of the generator's noise, 0 or higher."""
    gain: Gain = 0.0
    """Decibels, -60 to 60, or "auto": the output is turned down by just what would be cut off."""
    subtype: str | None = None
    """Sample type of the output, as libsndfile names it (PCM_16, FLOAT ...); None for the input's."""
    bitrate: float | None = None
    """kbit/s of mp3, ogg and opus; None for near the input's."""
    salvage: bool = False
    """Use what is there of a recording that is cut short."""
    device: str = "auto"
    """What the generator runs on: auto, cpu, cuda, directml or coreml."""
    threads: int | None = None
    """Threads of the generator on the CPU, 1 to 256; None for 1."""
    raw: RawFormat | None = None
    """How an input without a header (.raw, .pcm, or a pipe) is stored."""
    raw_output: bool = False
    """Whether an output pipe carries samples without a header."""

    def __post_init__(self) -> None:
        require_coherence(self.coherence)
        require_seed(self.seed)
        require_pitch(self.pitch)
        if self.gain != AUTO and not abs(self.gain) <= HIGHEST_GAIN:
            raise UsageError(f"The gain is {self.gain:g} dB; give a number from -{HIGHEST_GAIN:g} to {HIGHEST_GAIN:g}, or auto.")
        if self.duration is not None and not self.duration > 0:
            raise UsageError(f"The duration is {self.duration:g} seconds; it must be longer than zero.")
        if not self.start >= 0:
            raise UsageError(f"The start is {self.start:g} seconds; it must be zero or later.")
        if self.end is not None and not self.end > self.start:
            raise nothing_between(self.start, self.end)
        if self.threads is not None:
            require_count("threads", self.threads, MOST_THREADS)


@dataclass(frozen=True)
class Progress:
    """How far a stretch has come."""

    source: AudioInfo
    target: str
    """Path or URL of the output, or "standard output"."""
    output: OutputFormat
    device: str
    """What the generator runs on."""
    seconds: float = 0.0
    """Of the input that were read."""
    total: float | None = None
    """Seconds of the input in all; None where only reading to the end would tell."""

    @property
    def part(self) -> float:
        """The part of the input that was read, 0 to 1; 0 where its length is not known."""
        return min(1.0, self.seconds / self.total) if self.total else 0.0


@dataclass(frozen=True)
class Summary:
    """What a stretch has read and written."""

    source: AudioInfo
    source_stamp: Stamp | None
    """Size and version of the input before it was read; None of a pipe."""
    target: str
    """Path or URL of the output, or "standard output"."""
    output: OutputFormat
    device: str
    """What the generator ran on."""
    frames_read: int
    """Samples per channel of the input that were stretched."""
    frames_written: int
    """Samples per channel of the output."""
    gain: float
    """Decibels that the output was raised by, also where `auto` has chosen them."""
    clipping: Clipping | None
    """Samples beyond full scale; None where there are none, or the format keeps them."""
    notes: tuple[str, ...]
    """What a user may want to know, each a sentence."""
    seconds: float
    """Wall time of the whole work."""
    seconds_compiling: float
    """Part of it that compiling for this processor took, on a first run."""
    sha256: str | None = None
    """Checksum of an output behind a URL; None of a file, which can be read."""
    stamp: Stamp | None = None
    """What the store of a URL says of the output; None of a file, which can be asked."""

    @property
    def input_seconds(self) -> float:
        """Length of what was stretched."""
        return self.frames_read / self.source.samplerate

    @property
    def output_seconds(self) -> float:
        """Length of the output."""
        return self.frames_written / self.source.samplerate

    @property
    def rate(self) -> float:
        """Mean speed; 1.5 is 1.5 times as fast."""
        return self.frames_read / self.frames_written


Watch = Callable[[Progress], object]


def stretch_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    rate: float | None = None,
    duration: float | None = None,
    time_map: TimeMap | str | os.PathLike[str] | None = None,
    pitch: float = 0.0,
    start: float = 0.0,
    end: float | None = None,
    model: str = "default",
    coherence: float | None = None,
    seed: int = 0,
    gain: Gain = 0.0,
    subtype: str | None = None,
    bitrate: float | None = None,
    salvage: bool = False,
    device: str = "auto",
    threads: int | None = None,
    raw: RawFormat | None = None,
    raw_output: bool = False,
    force: bool = False,
    watch: Watch = lambda progress: None,
    in_batch: bool = False,
) -> Summary:
    """Change the speed of a recorded file, its pitch, or both, and keep its voice, stereo image, format and tags.

    >>> import tsmgan
    >>> done = tsmgan.stretch_file("talk.wav", "quick.flac", rate=1.5)  # doctest: +SKIP
    >>> done.output_seconds, done.clipping  # doctest: +SKIP
    (40.0, None)

    The memory that it takes does not grow with the recording. The output appears under its name when it is complete, and not before.

    Args:
        source: path or URL of a recording, or "-" for standard input (WAV, or raw samples).
        target: path or URL, whose ending chooses the format; a folder (`new/` is made); or "-" for standard output. Without it, the output
            lies beside the input with the rate in its name, and that of standard input goes to standard output.
        rate: speed, 0.05 to 20; 1.5 plays 1.5 times as fast. Give one of rate, duration and time_map.
        duration: length of the output in seconds.
        time_map: a `TimeMap`, counted from `start`, or a CSV file of `input second, output second` lines.
        pitch: semitones by which the output is higher, -24 to 24. With it alone, the length stays.
        start, end: the part of the input that is stretched, in seconds; None for its end.
        model: name of a shipped model, a model folder, or an exported ONNX file.
        coherence: overrides the model's coherence by one value, 0 (phase vocoder) to 1 (keep the waveform's shape).
        seed: of the generator's noise, 0 or higher.
        gain: decibels, -60 to 60, or "auto": the output is turned down by just what would be cut off.
        subtype: sample type of the output, as libsndfile names it (PCM_16, FLOAT ...); None for the input's.
        bitrate: kbit/s of mp3, ogg and opus; None for near the input's.
        salvage: use what is there of a recording that is cut short.
        device, threads: what the generator runs on, see `tsmgan.core.generator`.
        raw: how an input without a header is stored.
        raw_output: whether an output pipe carries samples without a header.
        force: whether an existing output is replaced. The input never is.
        watch: called with a `Progress` when everything is open, and after each step from then on.
        in_batch: this is one of many outputs that are made side by side. The output's folder is made, and one core is used.

    Raises:
        UsageError: an argument is out of its range, makes no sense for this recording, or the output is the input.
        AudioError: the input cannot be read, or the output exists or cannot be written. No output is left then.
        ModelError: the model cannot be used.
        TsmganError: the device was asked for and cannot be used here.
    """
    options = StretchOptions(
        rate=rate,
        duration=duration,
        time_map=time_map,
        pitch=pitch,
        start=start,
        end=end,
        model=model,
        coherence=coherence,
        seed=seed,
        gain=gain,
        subtype=subtype,
        bitrate=bitrate,
        salvage=salvage,
        device=device,
        threads=threads,
        raw=raw,
        raw_output=raw_output,
    )
    return _Job(plain(os.fspath(source)), None if target is None else plain(os.fspath(target)), options, force, in_batch, watch).run()


@dataclass(frozen=True)
class _Job:
    source: str
    target: str | None
    options: StretchOptions
    force: bool
    in_batch: bool
    watch: Watch

    def run(self) -> Summary:
        """See `stretch_file`."""
        started, options = time.perf_counter(), self.options
        time_map = _map_before_opening(options)
        with open_reader(self.source, raw=options.raw, salvage=options.salvage) as reader:
            # Before the samples are read: an input that changes meanwhile counts as changed.
            source_stamp = reader.stamp or (None if reader.info.path is None else stamp(reader.info.path))
            passage = Passage(reader, options.start, options.end)
            time_map = (time_map or _map_to_duration(passage, options)).in_samples(reader.info.samplerate)
            target = self._target(reader.info)
            frames = None if passage.frames is None else time_map.output_length(passage.frames)
            if frames == 0:
                raise UsageError(f"The output would have no samples: {reader.info.name} is too short for this rate.")
            self._prepare_folder(target)
            opening = open_writer(
                target,
                passage.info,
                frames=frames,
                subtype=options.subtype,
                bitrate=options.bitrate,
                raw=options.raw_output,
                force=self.force,
                time_map=time_map,
            )
            with opening as writer:
                device, gain, compiling = self._fill(reader, passage, writer, time_map)
                writer.commit()
        return Summary(
            source=reader.info,
            source_stamp=source_stamp,
            target=writer.name,
            output=writer.output,
            device=device,
            frames_read=passage.frames_read,
            frames_written=writer.frames_written,
            gain=gain,
            clipping=writer.clipping,
            notes=(*passage.notes, *writer.notes),
            seconds=time.perf_counter() - started,
            seconds_compiling=compiling,
            sha256=writer.sha256 if isinstance(writer, UrlWriter) else None,
            stamp=writer.stamp if isinstance(writer, UrlWriter) else None,
        )

    def _fill(self, reader: Reader, passage: Passage, writer: Writer, time_map: TimeMap) -> tuple[str, float, float]:
        """Stretch into the writer, and return the device, the gain in decibels, and the seconds that compiling took."""
        from tsmgan.api import Stretcher
        from tsmgan.core.compiled import kernels

        compiled_before = kernels.seconds_compiling
        options, info = self.options, reader.info
        stretcher = Stretcher(
            info.samplerate,
            info.channels,
            time_map=time_map,
            pitch=options.pitch,
            model=options.model,
            coherence=options.coherence,
            seed=options.seed,
            device=options.device,
            threads=options.threads,
        )
        total = None if passage.frames is None else passage.frames / info.samplerate
        progress = Progress(info, writer.name, writer.output, stretcher.device, total=total)
        self.watch(progress)
        is_pipe = info.path is None or not (is_url(info.path) or os.path.isfile(info.path))
        gain = stretch_passage(
            passage,
            stretcher,
            writer,
            options.gain,
            at_once=1 if is_pipe or self.in_batch else BLOCKS_AT_ONCE,
            watch=lambda frames: self.watch(replace(progress, seconds=frames / info.samplerate)),
        )
        return stretcher.device, gain, kernels.seconds_compiling - compiled_before

    def _target(self, info: AudioInfo) -> str:
        """The output's path: as given, in the folder given, beside the input, or the pipe."""
        target = self.target
        if target == "-" or (target is None and info.path is None):
            target = "-"
        elif target is None or is_folder(target) or names_folder(target):
            name = f"{'stretched' if info.path is None else stem(info.path)}@{_label(self.options)}{default_suffix(info)}"
            folder = parent(info.path or ".") if target is None else target
            target = name if folder == "." else join(folder, name)
        is_pipe = target == "-" or (not is_url(target) and os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)))
        if self.options.gain == AUTO and is_pipe:
            raise UsageError(
                "--gain auto is known only at the end, when a pipe has been read already; name a file with -o, or give --gain in decibels."
            )
        return target

    def _prepare_folder(self, target: str) -> None:
        if target == "-" or is_url(target):
            return
        if self.in_batch:
            make_folder(os.path.dirname(target) or ".")
            return
        if self.target is not None and names_folder(self.target):
            make_folder(self.target)
        remove_leftovers(Path(target).parent, Path(target).stem)


def _map_before_opening(options: StretchOptions) -> TimeMap | None:
    """The time map; None where it depends on the recording's length."""
    from tsmgan.core.timemap import TimeMap

    if options.rate is options.duration is options.time_map is None and options.pitch:
        return TimeMap.from_rate(1.0)
    if sum(choice is not None for choice in (options.rate, options.duration, options.time_map)) != 1:
        raise UsageError("Say how fast with exactly one of --rate, --duration and --time-map, for example --rate 1.5.")
    if options.rate is not None:
        return TimeMap.from_rate(options.rate)
    if options.time_map is None or isinstance(options.time_map, TimeMap):
        return options.time_map
    path = os.fspath(options.time_map)
    if not os.path.isfile(path):
        raise UsageError(f"The time map {path} does not exist; give a CSV file of `input second, output second` lines.")
    return TimeMap.from_csv(path)


def _map_to_duration(passage: Passage, options: StretchOptions) -> TimeMap:
    from tsmgan.core.timemap import TimeMap

    assert options.duration is not None
    info, frames = passage.info, passage.frames
    if frames is None:
        if info.path is None or not (is_url(info.path) or os.path.isfile(info.path)):
            raise UsageError(f"--duration needs the length of the input, which {info.name} does not state; give --rate, or a file.")
        length = count_frames(info.path, salvage=options.salvage)
        passage.require_inside(length)
        frames = passage.frames_of(length)
    return TimeMap.from_lengths(frames, round(options.duration * info.samplerate))


def rate_label(rate: float) -> str:
    """A rate as it stands in the names of files."""
    return f"{rate:.5g}"


def pitch_label(options: StretchOptions) -> str:
    """A shift of the pitch as it stands in the names of files behind the rate; "" where there is none."""
    return f"{options.pitch:+.4g}st" if options.pitch else ""


def _label(options: StretchOptions) -> str:
    """What stands behind the @ in an output's name."""
    return _speed_label(options) + pitch_label(options)


def _speed_label(options: StretchOptions) -> str:
    if options.rate is not None:
        return rate_label(options.rate)
    if options.duration is not None:
        return _clock(options.duration)
    if options.time_map is None:
        return rate_label(1.0)
    return Path(options.time_map).stem if isinstance(options.time_map, (str, os.PathLike)) else "map"


def _clock(seconds: float) -> str:
    """`45s`, `1m30.5s`: colons are not for file names."""
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return ((f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + (f"{rest:.5g}s" if rest else "")) or "0s"
