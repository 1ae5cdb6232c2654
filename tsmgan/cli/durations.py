"""Durations, and instants of a recording, as people write them."""

from __future__ import annotations

import math
import re

from tsmgan.errors import UsageError

_UNITS = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d*)?|\.\d+)s?)?")
_CLOCK = re.compile(r"(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+(?:\.\d*)?)")
_THOUSANDS = re.compile(r"\d+,\d{3}s?")


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `1:30.5`, `1:02:03.25` or `1m30s`. A decimal comma (`1:30,5`) is understood.

    Raises:
        UsageError: the text is no duration, or not longer than nothing.
    """
    seconds = _seconds(text)
    if not seconds > 0:
        raise UsageError(f"The duration {text!r} is not longer than nothing; give for example 1:30.5.")
    return seconds


def parse_instant(text: str) -> float:
    """Seconds from the beginning of a recording, which is 0; written as a duration is.

    Raises:
        UsageError: the text is no time.
    """
    return _seconds(text)


def _seconds(text: str) -> float:
    tidy = text.strip().lower().replace(" ", "")
    if _THOUSANDS.fullmatch(tidy):
        whole, _, rest = tidy.rstrip("s").partition(",")
        raise UsageError(f"The duration {text!r} may mean {whole}.{rest} or {whole}{rest} seconds; write one of these.")
    if tidy.count(",") == 1:
        tidy = tidy.replace(",", ".")
    match = _CLOCK.fullmatch(tidy) or _UNITS.fullmatch(tidy)
    if match is None or not tidy:
        raise UsageError(f"{text!r} is no duration; write seconds (90), minutes and seconds (1:30.5) or hours too (1:02:03.25).")
    parts = match.groupdict()
    if ":" in tidy and (float(parts["s"]) >= 60 or (parts["h"] is not None and float(parts["m"]) >= 60)):
        raise UsageError(f"{text!r} is no duration: minutes and seconds after a colon go up to 59; 90 seconds are 90 or 1:30.")
    seconds = 3600 * float(parts["h"] or 0) + 60 * float(parts["m"] or 0) + float(parts["s"] or 0)
    if not math.isfinite(seconds):
        raise UsageError(f"The duration {text!r} is too long; give for example 1:30.5.")
    return seconds


def format_duration(seconds: float) -> str:
    """`0:00.010` below a minute, then `12:05.3` and `1:02:03.2`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 60_000:
        return f"0:{milliseconds / 1000:06.3f}"
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{tenths / 10:04.1f}" if hours else f"{minutes}:{tenths / 10:04.1f}"
