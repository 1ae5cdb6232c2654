"""Durations as people write them."""

from __future__ import annotations

import math
import re

from tsmgan.errors import UsageError

_UNITS = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d*)?|\.\d+)s?)?")
_CLOCK = re.compile(r"(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+(?:\.\d*)?)")


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `1:30.5`, `1:02:03.25` or `1m30s`.

    Raises:
        UsageError: the text is no duration, or not longer than nothing.
    """
    tidy = text.strip().lower().replace(" ", "")
    match = _CLOCK.fullmatch(tidy) or _UNITS.fullmatch(tidy)
    if match is None or not tidy:
        raise UsageError(f"{text!r} is no duration; write seconds (90), minutes and seconds (1:30.5) or hours too (1:02:03.25).")
    parts = match.groupdict()
    if ":" in tidy and (float(parts["s"]) >= 60 or (parts["h"] is not None and float(parts["m"]) >= 60)):
        raise UsageError(f"{text!r} is no duration: minutes and seconds after a colon go up to 59; 90 seconds are 90 or 1:30.")
    seconds = 3600 * float(parts["h"] or 0) + 60 * float(parts["m"] or 0) + float(parts["s"] or 0)
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"The duration {text!r} is not longer than nothing; give for example --duration 1:30.5.")
    return seconds


def format_duration(seconds: float) -> str:
    """`0:40.0`, `12:05.3`, `1:02:03.2`."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes}:{tenths / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{tenths / 10:04.1f}" if hours else clock
