"""Which followers the options ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsmgan.followers.follower import Follower

if TYPE_CHECKING:
    from tsmgan.options import StretchOptions


def choose(options: StretchOptions) -> list[Follower]:
    """Everything that moves with the sound.

    Raises:
        UsageError: a file that should move cannot be read.
    """
    found: list[Follower] = []
    if options.subtitles or options.with_subtitles:
        from tsmgan.followers.text import Texts

        found.append(Texts(options.subtitles, beside=options.with_subtitles, end=options.end))
    return found
