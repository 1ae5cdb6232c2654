"""What every reader does: blocks in order, checked for NaN and for an early end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

import numpy as np

from tsmgan.audio.info import AudioInfo
from tsmgan.audio.samples import require_finite
from tsmgan.core.geometry import HIGHEST_SAMPLERATE, LOWEST_SAMPLERATE
from tsmgan.errors import AudioError
from tsmgan.storage.names import Stamp

BLOCK_FRAMES = 32768
"""Samples per channel of a block."""
LARGEST_BREADTH = 1 << 24
"""Samples a second over all channels: memory grows with them, to about 2 GB here. 255 channels at 48 kHz, or 64 at 192 kHz, fit."""
BLOCK_SAMPLES = 1 << 19
"""Samples of a block over all channels, at most: recordings with many channels get shorter blocks."""


class Reader:
    """A recording that gives its samples in order, once. Subclasses implement `_read`."""

    def __init__(self, info: AudioInfo, *, salvage: bool = False) -> None:
        self.info = info
        self.frames_read = 0
        """Samples per channel given so far."""
        self.stamp: Stamp | None = None
        """What a URL's store said of the file when it was fetched; None of paths and pipes."""
        self._salvage = salvage

    def _read(self, frames: int) -> np.ndarray:
        """Up to `frames` next samples, shape (samples, channels); no samples at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file. May be called twice."""

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
        """See `complain`: where it does not raise, the note is in `info` from now on."""
        self.info = complain(self.info, what, remedy, salvage=self._salvage)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def complain(info: AudioInfo, what: str, remedy: str, *, salvage: bool) -> AudioInfo:
    """Say that sound is missing or not read: as an error, or, where the user wants what is there, as a note.

    Args:
        what: predicate of a sentence about the recording.
        remedy: what the user can do, as a request.

    Raises:
        AudioError: unless `salvage`.
    """
    if not salvage:
        raise AudioError(f"{info.name} {what}; {remedy}.")
    return replace(info, notes=(*info.notes, f"{info.name} {what}."))


def cut_short(promised: float, found: float) -> tuple[str, str]:
    """What to complain of a recording that holds less than it declares (both in seconds)."""
    return (
        f"is cut short: its header promises {promised:.2f} s and {found:.2f} s are there",
        "fetch it again, or use what is there with --salvage",
    )


def require_sane(info: AudioInfo) -> None:
    """Raise AudioError when no recording can be as the header says."""
    if not LOWEST_SAMPLERATE <= info.samplerate <= HIGHEST_SAMPLERATE:
        raise AudioError(
            f"{info.name} states a sample rate of {info.samplerate} Hz; {LOWEST_SAMPLERATE} to {HIGHEST_SAMPLERATE} Hz can be stretched."
        )
    if info.channels < 1:
        raise AudioError(f"{info.name} states that it has no channels: its header is damaged.")
    if info.channels * info.samplerate > LARGEST_BREADTH:
        raise AudioError(
            f"{info.name} states {info.channels} channels at {info.samplerate} Hz, too many to be stretched at once; "
            "split the channels into several files, or repair the header."
        )
    if info.frames == 0:
        raise AudioError(f"{info.name} holds no samples; there is nothing to stretch.")
