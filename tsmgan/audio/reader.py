"""What every reader does: blocks in order, checked for NaN and for an early end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

import numpy as np

from tsmgan.audio.film import Film
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.samples import require_finite
from tsmgan.core.geometry import HIGHEST_SAMPLERATE, LOWEST_SAMPLERATE
from tsmgan.errors import AudioError
from tsmgan.storage.names import Stamp

BLOCK_FRAMES = 32768
"""Samples per channel of a block."""
LARGEST_BREADTH = 1 << 24
"""Most samples per second over all channels. Memory grows with them, to about 2 GB here: 255 channels at 48 kHz, or 64 at 192 kHz."""
BLOCK_SAMPLES = 1 << 19
"""Most samples of a block over all channels. Recordings with many channels get shorter blocks."""


class Reader:
    """A recording whose samples are read once, in order. Subclasses implement `_read`."""

    def __init__(self, info: AudioInfo, *, salvage: bool = False) -> None:
        self.info = info
        self.frames_read = 0
        """Samples per channel that were read so far."""
        self.stamp: Stamp | None = None
        """What the store of a URL said about the file when it was fetched; None for paths and pipes."""
        self.film: Film | None = None
        """What else a media file holds; None where there is nothing but the sound."""
        self._salvage = salvage

    def _read(self, frames: int) -> np.ndarray:
        """The next samples, at most `frames`, shape (samples, channels). Empty at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file. It may be called twice."""

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[np.ndarray]:
        """The samples in order.

        Args:
            frames: samples per channel of a block; the last one may be shorter.

        Yields:
            Blocks shaped (channels, samples); float64 where the subtype has more than 24 bits, else float32. Full scale is 1.

        Raises:
            AudioError: a sample is NaN or infinite, the file is damaged, or it ends before its declared length.
        """
        frames = max(1, min(frames, BLOCK_SAMPLES // self.info.channels))
        while True:
            block = self._read(frames)
            if len(block) == 0:
                break
            require_finite(block, self.frames_read, self.info.samplerate, self.info.name)
            self.frames_read += len(block)
            yield np.ascontiguousarray(block.T)
        if self.frames_read == 0:
            raise AudioError(f"{self.info.name} holds no samples; there is nothing to stretch.")
        if self.info.frames is not None and self.frames_read < self.info.frames:
            self._complain(*cut_short(self.info.frames / self.info.samplerate, self.frames_read / self.info.samplerate))

    def _complain(self, what: str, remedy: str) -> None:
        """Call `complain`. Where it does not raise, `info` holds the note afterwards."""
        self.info = complain(self.info, what, remedy, salvage=self._salvage)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def complain(info: AudioInfo, what: str, remedy: str, *, salvage: bool) -> AudioInfo:
    """Report that sound is missing or is not read: as an error, or as a note if the user asked for what is there.

    Args:
        what: the fault, as the predicate of a sentence whose subject is the recording.
        remedy: what the user can do, as an imperative.

    Raises:
        AudioError: unless `salvage`.
    """
    if not salvage:
        raise AudioError(f"{info.name} {what}; {remedy}.")
    return replace(info, notes=(*info.notes, f"{info.name} {what}."))


def cut_short(promised: float, found: float) -> tuple[str, str]:
    """Fault and remedy of a recording that holds less than it states, both in seconds, for `complain`."""
    return (
        f"is cut short: its header promises {promised:.2f} s and {found:.2f} s are there",
        "fetch it again, or use what is there with --salvage",
    )


def states_nothing(name: str) -> str:
    """The note about a recording whose container states no length."""
    return f"{name} is of a kind that states no length, so nothing tells whether its end is missing."


def require_sane(info: AudioInfo) -> None:
    """Raise AudioError when the header states what no recording can be."""
    if not LOWEST_SAMPLERATE <= info.samplerate <= HIGHEST_SAMPLERATE:
        raise AudioError(
            f"{info.name} states a sample rate of {info.samplerate} Hz; {LOWEST_SAMPLERATE} to {HIGHEST_SAMPLERATE} Hz can be stretched."
        )
    if info.channels < 1:
        raise AudioError(f"{info.name} states that it has no channels. Its header is damaged; fetch the file again.")
    if info.channels * info.samplerate > LARGEST_BREADTH:
        raise AudioError(
            f"{info.name} states {info.channels} channels at {info.samplerate} Hz, too many to be stretched at once; "
            "split the channels into several files, or repair the header."
        )
    if info.frames == 0:
        raise AudioError(f"{info.name} holds no samples; there is nothing to stretch.")
