"""Temporary files of outputs that are still being written: how they are called, and which of them a dead process left behind."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

from tsmgan import stopping

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part(\.[^.]*)?")
YOUNG_SECONDS = 10.0
"""An empty file younger than this may be one that its writer has created and not yet locked."""
OLD_SECONDS = 24 * 3600.0
"""Where files cannot be locked, one that nobody has written to for this long is taken for abandoned."""


_begun: set[str] = set()
"""Temporary names that this process has given out; those of finished outputs are gone from the disk."""
MOST_REMEMBERED = 100


def temporary_path(target: Path) -> Path:
    """A hidden name beside the target, new each time, with the target's ending."""
    path = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    if len(_begun) >= MOST_REMEMBERED:
        _begun.difference_update([each for each in list(_begun) if not os.path.lexists(each)])
    _begun.add(os.path.abspath(path))
    return path


@stopping.on_leaving
def remove_unfinished() -> None:
    """Remove the temporary files of this process, which is about to end."""
    for path in list(_begun):
        with contextlib.suppress(OSError):
            os.unlink(path)


def hold(descriptor: int) -> None:
    """Mark an open temporary file as being written. The mark goes away with the process, however that ends."""
    if fcntl is not None:
        # Some network file systems have no locks; their leftovers stay, which is better than losing a file in use.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
            match = NAME.fullmatch(entry.name)
            if match and stem in (None, match["stem"]) and entry.is_file(follow_symlinks=False) and _is_abandoned(entry.path):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    removed += 1
    return removed
