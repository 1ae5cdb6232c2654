"""Stretch a file: open it, map its time, stretch it, write and publish the output, and say what came of it.

The command line, the processes of a batch and the workers of a cluster all call `stretch_file`, and so can any Python program.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsmgan import followers, maps
from tsmgan.audio import AudioInfo, Clipping, Reader, Writer, open_reader, open_writer
from tsmgan.audio.formats import OutputFormat, default_suffix
from tsmgan.errors import UsageError
from tsmgan.followers import Follower, Moved
from tsmgan.loop import Looping, with_lead
from tsmgan.maps import Line, PauseTime, Plan, Source
from tsmgan.options import StretchOptions
from tsmgan.recording import AUTO, Passage, is_file, stretch_passage
from tsmgan.storage.atomic import remove_leftovers
from tsmgan.storage.names import Stamp, is_url, join, names_folder, parent, plain, stem
from tsmgan.storage.places import is_folder, make_folder, stamp
from tsmgan.storage.together import publish_together, require_all_free

if TYPE_CHECKING:
    from tsmgan.api import Stretcher
    from tsmgan.core.timemap import TimeMap

BLOCKS_AT_ONCE = 8
"""Blocks of a file that make one call of the stretcher: enough frames for two cores to share. Blocks of a pipe are passed on one by one,
so that the program that reads the output need not wait."""


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
    pauses: PauseTime | None
    """What pauses gave; None where they were left alone."""
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
    beside: dict[str, str] = field(default_factory=dict)
    """Paths or URLs of files that moved with the sound, and the SHA-256 of each."""
    lines: tuple[Line, ...] = ()
    """Of captions that were fitted to slots: what became of each."""

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
    options: StretchOptions | None = None,
    *,
    force: bool = False,
    watch: Watch = lambda progress: None,
    in_batch: bool = False,
    **changes: Any,
) -> Summary:
    """Change the speed of a recorded file, its pitch, or both, and keep its voice, stereo image, format and tags.

    >>> import tsmgan
    >>> done = tsmgan.stretch_file("talk.wav", "quick.flac", rate=1.5)  # doctest: +SKIP
    >>> done.output_seconds, done.clipping  # doctest: +SKIP
    (40.0, None)

    The memory that it takes does not grow with the recording. The output appears under its name when it is complete, and not before. Files
    that move with it, subtitles for example, appear together with it, or none of them does.

    Args:
        source: path or URL of a recording, or "-" for standard input (WAV, or raw samples).
        target: path or URL, whose ending chooses the format; a folder (`new/` is made); or "-" for standard output. Without it, the output
            lies beside the input with the rate in its name, and that of standard input goes to standard output.
        options: how it is stretched; see `StretchOptions`.
        force: whether an existing output is replaced. The input never is.
        watch: called with a `Progress` when everything is open, and after each step from then on.
        in_batch: this is one of many outputs that are made side by side. The output's folder is made, and one core is used.
        changes: every field of `StretchOptions` is a keyword, too, and goes before what `options` says: `rate=1.5, pauses=0.3`.

    Raises:
        TypeError: a keyword is no field of `StretchOptions`.
        UsageError: an argument is out of its range, makes no sense for this recording, or the output is the input.
        AudioError: the input cannot be read, or the output exists or cannot be written. No output is left then.
        ModelError: the model cannot be used.
        TsmganError: the device was asked for and cannot be used here.
    """
    options = replace(options or StretchOptions(), **changes)
    return _Job(plain(os.fspath(source)), None if target is None else plain(os.fspath(target)), options, force, in_batch, watch).run()


def _with_keywords_of(options: type[StretchOptions]) -> inspect.Signature:
    """The signature of `stretch_file` with the fields of its options in the place of `**changes`, for `help` and for completion."""
    own = list(inspect.signature(stretch_file).parameters.values())[:-1]
    named = [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type) for f in fields(options)]
    return inspect.Signature([*own, *named], return_annotation="Summary")


stretch_file.__signature__ = _with_keywords_of(StretchOptions)  # type: ignore[attr-defined]


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
        chosen, moving = maps.choose(options), followers.choose(options)
        with self._open() as reader:
            # Before the samples are read: an input that changes meanwhile counts as changed.
            source_stamp = reader.stamp or (None if reader.info.path is None else stamp(reader.info.path))
            passage = Passage(reader, options.start, options.end, reopen=self._open if is_file(reader.info) else None)
            plan = chosen.plan(passage)
            if options.loop and plan.grows:
                raise UsageError("--loop and --pauses together need a file; a pipe is read only once.")
            moving += plan.followers
            target = self._target(reader.info, chosen)
            require_all_free([name for each in moving for name in each.targets(reader.info, target)], force=self.force)
            frames = self._frames(passage, plan)
            self._prepare_folder(target)
            opening = open_writer(
                target,
                passage.info if not plan.grows else replace(passage.info, chapters=()),
                frames=frames,
                subtype=options.subtype,
                bitrate=options.bitrate,
                raw=options.raw_output,
                force=self.force,
                time_map=plan.time_map.in_samples(reader.info.samplerate),
                film=passage.film,
                stretching=lambda info: self._stretcher(info, plan.time_map.in_seconds(reader.info.samplerate)),
            )
            with opening as writer:
                device, gain, compiling = self._fill(reader, passage, writer, plan)
                files, notes = self._publish(passage, plan, moving, writer)
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
            pauses=plan.pauses,
            notes=(*passage.notes, *plan.notes, *writer.notes, *notes),
            seconds=time.perf_counter() - started,
            seconds_compiling=compiling,
            sha256=writer.sha256,
            stamp=writer.stamp,
            beside={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            lines=plan.lines,
        )

    def _open(self) -> Reader:
        return open_reader(self.source, raw=self.options.raw, salvage=self.options.salvage, track=self.options.track)

    def _frames(self, passage: Passage, plan: Plan) -> int | None:
        """Samples per channel of the output; None where they are known at its end."""
        if plan.grows or passage.frames is None:
            return None
        frames = plan.time_map.in_samples(passage.info.samplerate).output_length(passage.frames)
        if frames == 0:
            raise UsageError(f"The output would have no samples: {passage.info.name} is too short for this rate.")
        return frames

    def _publish(self, passage: Passage, plan: Plan, moving: list[Follower], writer: Writer) -> tuple[dict[str, bytes], list[str]]:
        """Complete the output, write what moves with it, and give all of it its names. Return these files, and what to say of them."""
        writer.complete()
        samplerate = passage.info.samplerate
        moved = Moved(
            plan.time_map.in_seconds(samplerate),
            self.options.start,
            passage.frames_read / samplerate,
            writer.frames_written / samplerate,
        )
        followed = [each.follow(moved) for each in moving]
        files = {name: content for each in followed for name, content in each.files.items()}
        publish_together(files, writer.publish, replace=self.force)
        return files, [note for each in followed for note in each.notes]

    def _fill(self, reader: Reader, passage: Passage, writer: Writer, plan: Plan) -> tuple[str, float, float]:
        """Stretch into the writer, and return the device, the gain in decibels, and the seconds that compiling took."""
        from tsmgan.core.compiled import kernels

        compiled_before = kernels.seconds_compiling
        options, info = self.options, reader.info
        time_map, lead = plan.time_map, 0
        if options.loop:
            time_map, before, lead = with_lead(time_map, info.samplerate)
            passage.begin_earlier(before)
        stretcher = self._stretcher(info, time_map)
        total = None if passage.frames is None else passage.frames / info.samplerate
        progress = Progress(info, writer.name, writer.output, stretcher.device, total=total)
        self.watch(progress)
        gain = stretch_passage(
            passage,
            Looping(stretcher, lead) if lead else stretcher,
            writer,
            options.gain,
            at_once=BLOCKS_AT_ONCE if passage.can_be_read_again and not self.in_batch else 1,
            hear=plan.blocks,
            watch=lambda frames: self.watch(replace(progress, seconds=max(0, frames) / info.samplerate)),
        )
        return stretcher.device, gain, kernels.seconds_compiling - compiled_before

    def _stretcher(self, info: AudioInfo, time_map: TimeMap) -> Stretcher:
        """A new stretcher for a track of sound."""
        from tsmgan.api import Stretcher

        options = self.options
        return Stretcher(
            info.samplerate,
            info.channels,
            time_map=time_map,
            pitch=options.pitch,
            formants=options.formants,
            model=options.model,
            coherence=options.coherence,
            seed=options.seed,
            device=options.device,
            threads=options.threads,
        )

    def _target(self, info: AudioInfo, chosen: Source) -> str:
        """The output's path: as given, in the folder given, beside the input, or the pipe."""
        target = self.target
        if target == "-" or (target is None and info.path is None):
            target = "-"
        elif target is None or is_folder(target) or names_folder(target):
            name = f"{'stretched' if info.path is None else stem(info.path)}@{chosen.label}{self.options.pitch_label}{default_suffix(info)}"
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
