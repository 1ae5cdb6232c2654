"""The message for a name that does not exist. It offers the nearest name that does."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_NAME = 100
"""Characters of a name that are compared and shown."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """'There is no recipe key "losses.mell"; did you mean "losses.mel"?', or the list of all names where none is near."""
    names = sorted(known)
    name = name[:LONGEST_NAME] if name.isprintable() else ascii(name[:LONGEST_NAME])[1:-1]
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f'There is no {what} "{name}"; did you mean "{near[0]}"?'
    return f'There is no {what} "{name}"; choose one of {", ".join(names)}.'
