"""Durations, and instants of a recording, as people write them."""

from __future__ import annotations

from tsmgan.core.times import seconds_of
from tsmgan.errors import UsageError


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `1:30.5`, `1:02:03.25`, `1m30s` or, as in subtitles, `00:01:30,500`.

    Raises:
        UsageError: the text is no duration, or not longer than nothing.
    """
    seconds = seconds_of(text)
    if not seconds > 0:
        raise UsageError(f"The duration {text!r} is not longer than nothing; give for example 1:30.5.")
    return seconds


def parse_instant(text: str) -> float:
    """Seconds from the beginning of a recording, which is 0; written as a duration is.

    Raises:
        UsageError: the text is no time.
    """
    return seconds_of(text)


def format_duration(seconds: float) -> str:
    """`0:00.010` below a minute, then `12:05.3` and `1:02:03.2`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 60_000:
        return f"0:{milliseconds / 1000:06.3f}"
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{tenths / 10:04.1f}" if hours else f"{minutes}:{tenths / 10:04.1f}"
