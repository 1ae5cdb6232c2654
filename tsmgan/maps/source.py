"""What every source of a time map does, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from tsmgan.core.timemap import TimeMap
from tsmgan.maps.lines import Line
from tsmgan.recording import Passage

if TYPE_CHECKING:
    from tsmgan.followers import Follower


class PauseTime(NamedTuple):
    """What pauses contribute."""

    found: int
    """Pauses that were found."""
    seconds: float
    """By so much they are shorter in the output, all together; negative where they have grown."""


class Plan:
    """A time map for one passage, and what there is to say about it.

    Args:
        time_map: counted from the passage's beginning; in seconds or in samples.
        notes: what a user should know about the map, each a sentence.
        pauses: what pauses give; None where nobody has looked for them.
    """

    grows = False
    """Whether the map becomes known only while the passage is read, so that the output's length is known at the end."""

    def __init__(self, time_map: TimeMap, notes: tuple[str, ...] = (), pauses: PauseTime | None = None) -> None:
        self.time_map = time_map
        self._notes, self._pauses = notes, pauses

    followers: Sequence[Follower] = ()
    """What is to be written beside the output because of this map."""
    lines: tuple[Line, ...] = ()
    """Of captions that were fitted to slots: what became of each."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the map, each a sentence. Complete when all blocks have passed."""
        return self._notes

    @property
    def pauses(self) -> PauseTime | None:
        """What pauses give; None where nobody has looked for them. Complete when all blocks have passed."""
        return self._pauses

    def blocks(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The passage's blocks on their way to the stretcher. A plan that grows hears them here, and holds them back
        until their map is known."""
        return blocks


class Source(Protocol):
    """One way to say what becomes of time."""

    @property
    def label(self) -> str:
        """What stands behind the @ in the name of an output."""
        ...

    def plan(self, passage: Passage) -> Plan:
        """The map of a passage that has been opened and not yet read. `passage.again()` reads it beforehand, where it can be read twice.

        Raises:
            UsageError: the passage does not suit this source.
        """
        ...
