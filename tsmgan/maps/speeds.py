"""Maps that need no hearing: one rate, one length, or points that somebody has set."""

from __future__ import annotations

from dataclasses import dataclass

from tsmgan.core.timemap import TimeMap
from tsmgan.maps.source import Plan
from tsmgan.recording import Passage


@dataclass(frozen=True)
class Rate:
    """The same speed throughout."""

    rate: float

    def __post_init__(self) -> None:
        TimeMap.from_rate(self.rate)

    @property
    def label(self) -> str:
        return rate_label(self.rate)

    def plan(self, passage: Passage) -> Plan:
        return Plan(TimeMap.from_rate(self.rate))


@dataclass(frozen=True)
class Duration:
    """The speed that makes the passage as long as this."""

    seconds: float

    @property
    def label(self) -> str:
        return _clock(self.seconds)

    def plan(self, passage: Passage) -> Plan:
        return Plan(TimeMap.from_lengths(passage.count_frames("--duration"), round(self.seconds * passage.info.samplerate)))


@dataclass(frozen=True)
class Given:
    """A map that is there already."""

    time_map: TimeMap
    label: str

    def plan(self, passage: Passage) -> Plan:
        return Plan(self.time_map)


def rate_label(rate: float) -> str:
    """A rate as it stands in the names of files."""
    return f"{rate:.5g}"


def _clock(seconds: float) -> str:
    """`45s`, `1m30.5s`: colons are not for file names."""
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return ((f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + (f"{rest:.5g}s" if rest else "")) or "0s"
