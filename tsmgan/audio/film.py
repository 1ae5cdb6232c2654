"""What a media file holds beside the sound that is read: pictures, subtitles and further audio tracks, and where they lie in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tsmgan.audio.info import AudioInfo, Track

if TYPE_CHECKING:
    import numpy as np


class StretchesBlocks(Protocol):
    """What a `tsmgan.Stretcher` does."""

    def process(self, samples: np.ndarray) -> np.ndarray:
        """Take a block, and give what is ready."""

    def flush(self) -> np.ndarray:
        """Give the rest."""


Stretching = Callable[[AudioInfo], StretchesBlocks]
"""Makes the stretcher of an audio track, from what is known of the track."""


@dataclass(frozen=True)
class Film:
    """The tracks of a media file that can follow the sound of one of them."""

    path: str
    """A file of this machine, also where the input lies behind a URL."""
    sound: int
    """Index of the stream whose samples are stretched, in FFmpeg's order."""
    further: tuple[int, ...]
    """Numbers of the audio tracks that are stretched as well, counted from 1."""
    tracks: tuple[Track, ...]
    """All tracks that shall be carried, in words."""
    origin: float
    """Where the first sample of the sound stands on the container's clock, in seconds."""
    language: str = ""
    """Of the sound, as the file states it."""
    start: float = 0.0
    """Where in the sound the stretched part begins, in seconds."""
    end: float | None = None
    """Where it ends; None for its end."""
    salvage: bool = False
    """Whether further audio tracks that are cut short are taken as they are."""

    @property
    def begins(self) -> float:
        """Where the stretched part begins on the container's clock, in seconds."""
        return self.origin + self.start
