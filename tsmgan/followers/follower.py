"""What every follower of a time map does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tsmgan.audio import AudioInfo
from tsmgan.core.timemap import TimeMap


@dataclass(frozen=True)
class Moved:
    """What has become of a passage's time."""

    time_map: TimeMap
    """In seconds, complete, counted from the passage's beginning."""
    start: float
    """Second of the recording at which the passage begins."""
    input_seconds: float
    """Length of the passage."""
    output_seconds: float
    """Length of the output."""

    def output_second(self, recording_second: float) -> float:
        """When an instant of the recording is heard in the output, in seconds; one outside the passage at its nearer end."""
        inside = min(max(recording_second - self.start, 0.0), self.input_seconds)
        return min(max(float(self.time_map.output_at(inside)), 0.0), self.output_seconds)

    def holds(self, recording_second: float) -> bool:
        """Whether the passage holds an instant of the recording."""
        return 0 <= recording_second - self.start <= self.input_seconds


@dataclass(frozen=True)
class Followed:
    """What a follower has to write."""

    files: dict[str, bytes]
    """Whole contents by path or URL; exactly the names that `targets` gave."""
    notes: tuple[str, ...] = ()
    """What a user should know, each a sentence."""


class Follower(Protocol):
    """One kind of file whose times move with the sound."""

    def targets(self, source: AudioInfo, output: str) -> list[str]:
        """Paths or URLs of the files that will lie beside an output.

        Asked for before the stretch, so that a name that is taken, or a file that cannot be read, is told of at once.

        Args:
            source: the recording.
            output: path or URL of the output, or "-" for standard output.
        """
        ...

    def follow(self, moved: Moved) -> Followed:
        """The files, when the map is complete and before the output has its name. They appear together with it, or none does."""
        ...
