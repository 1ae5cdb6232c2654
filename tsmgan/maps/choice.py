"""Which source of a time map the options ask for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsmgan.core.timemap import TimeMap
from tsmgan.errors import UsageError
from tsmgan.maps.pauses import First, Shortened
from tsmgan.maps.source import Source
from tsmgan.maps.speeds import Duration, Given, Rate
from tsmgan.maps.tempo import Tempo
from tsmgan.options import FIRST

if TYPE_CHECKING:
    from tsmgan.options import StretchOptions


def _time_map(given: TimeMap | str | os.PathLike[str]) -> Source:
    if isinstance(given, TimeMap):
        return Given(given, "map")
    path = os.fspath(given)
    if not os.path.isfile(path):
        is_what = "is no file" if os.path.exists(path) else "does not exist"
        raise UsageError(f"The time map {path} {is_what}; give a CSV file of `input second, output second` lines.")
    return Given(TimeMap.from_csv(path), Path(path).stem)


def _tempo(bpm: float | tuple[float, float]) -> Source:
    return Tempo(bpm[1], bpm[0]) if isinstance(bpm, tuple) else Tempo(bpm)


SOURCES: dict[str, Callable[[Any], Source]] = {
    "rate": Rate,
    "duration": Duration,
    "time_map": _time_map,
    "markers": _time_map,
    "bpm": _tempo,
}
"""What makes a source of the field of StretchOptions that says how fast. A recording has exactly one."""


def _slots(options: StretchOptions, asked: list[str]) -> Source:
    if asked:
        raise UsageError(f"--slots says when each line is heard; leave out {_option(asked[0])}.")
    from tsmgan.maps.slots import Slots

    return Slots(options)


def choose(options: StretchOptions) -> Source:
    """The source that the options ask for.

    Raises:
        UsageError: they ask for none, for several, or for what cannot be.
    """
    asked = [name for name in SOURCES if getattr(options, name) is not None]
    if options.slots is not None:
        return _slots(options, [*asked, *(["pauses"] if options.pauses is not None else [])])
    if options.pauses is not None and options.pauses != FIRST and not asked:
        return Shortened(options.pauses, Rate(1.0))
    if not asked and (options.pitch or options.formants is not None):
        return Rate(1.0)
    if len(asked) != 1:
        *others, last = (_option(name) for name in (*SOURCES, "slots"))
        raise UsageError(f"Say how fast with exactly one of {', '.join(others)} and {last}, for example --rate 1.5.")
    source = SOURCES[asked[0]](getattr(options, asked[0]))
    if options.pauses is None:
        return source
    if not isinstance(source, (Rate, Duration)):
        raise UsageError(f"--pauses goes with --rate or --duration; {_option(asked[0])} says already how fast every moment is.")
    return First(source) if options.pauses == FIRST else Shortened(options.pauses, source)


def _option(name: str) -> str:
    """What the command calls a field."""
    return f"--{name.replace('_', '-')}"
