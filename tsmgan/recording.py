"""One recording on its way from a reader through a Stretcher to a writer: which passage of it, and how loud it becomes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from tsmgan.audio.film import Film
from tsmgan.audio.samples import FLOATING
from tsmgan.audio.true_peak import TruePeakMeter
from tsmgan.errors import AudioError, UsageError
from tsmgan.storage.names import is_url

if TYPE_CHECKING:
    from tsmgan.audio import AudioInfo, Reader, Writer
    from tsmgan.loop import Stretching

Gain = float | Literal["auto"]
"""Decibels, or as little attenuation as keeps the true peak."""
AUTO: Literal["auto"] = "auto"
ROUNDING_SECONDS = 0.1
"""An end may lie so far behind the recording's: durations are shown in tenths of a second."""
SPOOL_FRAMES = 32768
"""Samples per channel that are read back at once."""
MARGIN = 1e-6
"""Part by which a computed gain is lowered, so that rounding does not bring a sample beyond the ceiling."""


def nothing_between(start: float, end: float | None) -> UsageError:
    """The error for a passage without samples; both ends in seconds."""
    return UsageError(f"There is nothing between --start {start:g} and --end {end or 0:g}; the end must be later than the start.")


class Passage:
    """The part of a recording that is stretched.

    Args:
        reader: gives the whole recording.
        start, end: in seconds; None for the recording's own end.
        reopen: opens the recording anew. None where it can be read only once, as a pipe.

    Raises:
        UsageError: nothing lies between them.
        AudioError: the recording is known to be over before.
    """

    def __init__(self, reader: Reader, start: float = 0.0, end: float | None = None, *, reopen: Callable[[], Reader] | None = None) -> None:
        info = reader.info if start == 0 and end is None else reader.info.section(start, end)
        self.info, self._reader = info, reader
        self._seconds, self._reopen = (start, end), reopen
        self._first = round(start * info.samplerate)
        self._behind = None if end is None else round(end * info.samplerate)
        if self._behind is not None and self._behind <= self._first:
            raise nothing_between(start, end)
        self._lead = 0
        self.frames_read = 0
        """Samples per channel of the passage given so far."""
        if info.frames is not None:
            self.require_inside(info.frames)

    @property
    def notes(self) -> tuple[str, ...]:
        """Oddities of the recording, those among them that reading has brought to light."""
        return self._reader.info.notes

    @property
    def film(self) -> Film | None:
        """What else the recording holds within the passage; None where there is nothing but the sound."""
        film, (start, end) = self._reader.film, self._seconds
        return None if film is None else replace(film, start=start, end=end)

    @property
    def frames(self) -> int | None:
        """Samples per channel; None where only reading to the end would tell."""
        return None if self.info.frames is None else self.frames_of(self.info.frames)

    def frames_of(self, length: int) -> int:
        """Samples per channel of the passage in a recording of this length."""
        return (length if self._behind is None else min(length, self._behind)) - self._first

    def count_frames(self, wanted: str) -> int:
        """Samples per channel, by decoding the recording once where it does not state them.

        Args:
            wanted: what needs them, for a message.

        Raises:
            UsageError: the recording can be read only once.
            AudioError: it is over before the passage is.
        """
        if self.frames is None:
            with self.again(wanted) as heard:
                length = sum(block.shape[1] for block in heard._reader.blocks())
            self.require_inside(length)
            return self.frames_of(length)
        return self.frames

    @contextlib.contextmanager
    def again(self, wanted: str) -> Iterator[Passage]:
        """The same passage of the recording, opened anew, to be heard before it is stretched.

        Args:
            wanted: what needs that, for a message.

        Raises:
            UsageError: the recording can be read only once.
        """
        if self._reopen is None:
            raise UsageError(
                f"{wanted} needs the whole recording before its first sample is written, and {self.info.name} can be read only once; "
                "give a file."
            )
        with self._reopen() as reader:
            yield Passage(reader, *self._seconds)

    @property
    def can_be_read_again(self) -> bool:
        """Whether the recording is a file, and no pipe or device."""
        return self._reopen is not None

    def begin_earlier(self, frames: int) -> None:
        """Give so many samples per channel before the passage as well. `frames_read` does not count them."""
        self._lead = frames
        self.frames_read = -frames

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self._first == 0 and self._behind is None

    def blocks(self, at_once: int = 1) -> Iterator[np.ndarray]:
        """The passage's samples in order, (channels, samples), as many of the reader's blocks together as `at_once` says."""
        blocks = self._reader.blocks() if self.is_whole else self._cut()
        while several := list(islice(blocks, at_once)):
            block = several[0] if len(several) == 1 else np.concatenate(several, axis=1)
            self.frames_read += block.shape[1]
            yield block

    def _cut(self) -> Iterator[np.ndarray]:
        position = 0
        for block in self._reader.blocks():
            first, last = max(0, self._first - self._lead - position), block.shape[1]
            if self._behind is not None:
                last = max(0, min(last, self._behind - position))
            position += block.shape[1]
            if first < last:
                yield block[:, first:last]
            if self._behind is not None and position >= self._behind:
                return
        self.require_inside(position)

    def require_inside(self, length: int) -> None:
        """Raise AudioError when a recording of this many samples per channel is over before the passage is."""
        (start, end), seconds = self._seconds, length / self.info.samplerate
        if self._first >= length:
            raise AudioError(f"{self.info.name} is {seconds:.3f} s long; nothing of it is left behind --start {start:g}.")
        if end is not None and end > seconds + ROUNDING_SECONDS:
            raise AudioError(f"{self.info.name} is {seconds:.3f} s long and ends before --end {end:g}; leave out --end to take the rest.")


def is_file(info: AudioInfo) -> bool:
    """Whether a recording can be read twice: it is no pipe and no device."""
    return info.path is not None and (is_url(info.path) or os.path.isfile(info.path))


def stretch_passage(
    passage: Passage,
    stretcher: Stretching,
    writer: Writer,
    gain: Gain = 0.0,
    *,
    at_once: int = 1,
    hear: Callable[[Iterator[np.ndarray]], Iterator[np.ndarray]] = iter,
    watch: Callable[[int], object] = lambda frames: None,
) -> float:
    """Stretch a passage into a writer, which is left to be committed.

    Args:
        passage: what to read.
        stretcher: new.
        writer: new; with `auto`, one of a file.
        gain: decibels, or `auto`: the output is turned down just as far as its true peak exceeds both full scale and the passage's own.
        at_once: blocks of the reader that make one call of the stretcher.
        hear: what the blocks pass on their way to the stretcher. It may hold them back, and must not change their samples.
        watch: is told how many samples per channel were read.

    Returns:
        The gain in decibels.
    """
    if gain == AUTO:
        with _Spool(writer, passage.info.channels) as spool:
            for block in hear(passage.blocks(at_once)):
                spool.hear(block)
                spool.write(stretcher.process(block))
                watch(passage.frames_read)
            spool.write(stretcher.flush())
            return spool.empty()
    factor = writer.gain = 10 ** (gain / 20)
    for block in hear(passage.blocks(at_once)):
        _write(writer, stretcher.process(block), factor)
        watch(passage.frames_read)
    _write(writer, stretcher.flush(), factor)
    return gain


def _write(writer: Writer, block: np.ndarray, factor: float) -> None:
    writer.write(block if factor == 1 else block * block.dtype.type(factor))


class _Spool:
    """Output whose gain is known at its end: until then its samples wait in a file without a name, which goes with the process."""

    def __init__(self, writer: Writer, channels: int) -> None:
        self._writer, self._channels = writer, channels
        self._input, self._output = TruePeakMeter(channels), TruePeakMeter(channels)
        self._dtype = np.dtype(np.float32)
        # On the output's own disk, which has to have room for about as much.
        folder = None if is_url(writer.name) else os.path.dirname(os.path.realpath(writer.name))
        try:
            self._file = tempfile.TemporaryFile(dir=folder)
        except OSError as error:
            raise self._failed(error) from None

    def hear(self, block: np.ndarray) -> None:
        """Take note of input."""
        self._input.update(block)

    def write(self, block: np.ndarray) -> None:
        """Keep output."""
        if block.size == 0:
            return
        self._output.update(block)
        self._dtype = block.dtype
        try:
            self._file.write(np.ascontiguousarray(block.T).data)
        except OSError as error:
            raise self._failed(error) from None

    def empty(self) -> float:
        """Give all output to the writer, and return its gain in decibels."""
        factor, channels = self._factor(), self._channels
        size = SPOOL_FRAMES * channels * self._dtype.itemsize
        self._writer.gain = factor
        try:
            self._file.seek(0)
            while data := self._file.read(size):
                _write(self._writer, np.frombuffer(data, self._dtype).reshape(-1, channels).T, factor)
        except AudioError:
            raise
        except OSError as error:
            raise self._failed(error) from None
        return 20 * float(np.log10(factor))

    def _factor(self) -> float:
        ceiling, peak = max(1.0, self._input.true_peak()), self._output.true_peak()
        factor = ceiling / peak if peak > ceiling else 1.0
        # The peak between the samples may stay where it was, above full scale; integers end there.
        if self._writer.output.subtype not in FLOATING and self._output.sample_peak > 1:
            factor = min(factor, 1 / self._output.sample_peak)
        return factor if factor == 1 else factor * (1 - MARGIN)

    def _failed(self, error: OSError) -> AudioError:
        return AudioError(
            f"{self._writer.name} cannot be written: its samples found no room before their gain was known "
            f"({error.strerror or error}); free some space, or give --gain in decibels."
        )

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.close()
