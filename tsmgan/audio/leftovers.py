"""Temporary files of outputs that are still being written: how they are called, and which of them a dead process left behind."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part(\.[^.]*)?")
YOUNG_SECONDS = 10.0
"""An empty file younger than this may be one that its writer has created and not yet locked."""
OLD_SECONDS = 24 * 3600.0
"""Where files cannot be locked, one that nobody has written to for this long is taken for abandoned."""


def temporary_path(target: Path) -> Path:
    """A hidden name beside the target, new each time, with the target's ending."""
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")


def hold(descriptor: int) -> None:
    """Mark an open temporary file as being written. The mark goes away with the process, however that ends."""
    if fcntl is not None:
        # Some network file systems have no locks; their leftovers stay, which is better than losing a file in use.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _stem(name: str) -> str | None:
    """The stem of the output that a temporary file is for, even if it is a temporary file's own; None of other files."""
    match = NAME.fullmatch(name)
    return None if match is None else _stem(match["stem"]) or match["stem"]


def _is_abandoned(path: str) -> bool:
    try:
        found = os.lstat(path)
        age = time.time() - found.st_mtime
        if fcntl is None:
            return age > OLD_SECONDS
        if found.st_size == 0 and age < YOUNG_SECONDS:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove_leftovers(folder: str | os.PathLike[str], stem: str | None = None) -> int:
    """Remove temporary files whose writer is dead, and return how many.

    Args:
        folder: where outputs are written; one that does not exist or cannot be listed holds none.
        stem: of the only output to look for; None for every output.
    """
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _stem(entry.name)
            if found is not None and stem in (None, found) and entry.is_file(follow_symlinks=False) and _is_abandoned(entry.path):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    removed += 1
    return removed
