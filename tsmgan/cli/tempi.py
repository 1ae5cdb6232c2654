"""Tempi as people write them."""

from __future__ import annotations

import re

from tsmgan.errors import UsageError

_DECIMAL_COMMA = re.compile(r"\d+,\d")


def parse_bpm(text: str) -> tuple[float | None, list[float]]:
    """The recording's tempo, or None, and those to reach, of `80`, `92:80` or `92:60,70,80`, in beats per minute.

    Raises:
        UsageError: it is none of these.
    """
    before, colon, after = text.rpartition(":")
    # One digit behind the comma is a decimal comma: nobody practises at 5 beats a minute.
    pieces = [after.replace(",", ".")] if _DECIMAL_COMMA.fullmatch(after.strip()) else re.split(r"[,;]", after)
    given = _tempo(before.replace(",", "."), text) if colon else None
    return given, [_tempo(piece, text) for piece in pieces]


def practice_set(text: str) -> tuple[str, dict[float, str]]:
    """What `--rate` would be for `92:60,70,80`, and what stands for each rate in names.

    Raises:
        UsageError: the recording's own tempo is missing.
    """
    from tsmgan.maps.tempo import tempo_label

    given, targets = parse_bpm(text)
    if given is None:
        example = f"--bpm 92:{text.strip()}"
        raise UsageError(f"Several outputs need the recording's own tempo as well: {example}. `tsmgan map song.wav --bpm 80` hears it.")
    return ",".join(f"{target!r}/{given!r}" for target in targets), {target / given: tempo_label(target) for target in targets}


def _tempo(piece: str, text: str) -> float:
    try:
        bpm = float(piece)
    except ValueError:
        bpm = 0.0
    if not 0 < bpm < 10_000:
        raise UsageError(f"--bpm {text} is no tempo; give beats per minute, for example --bpm 80, --bpm 92:80 or --bpm 92:60,70,80.")
    return bpm
