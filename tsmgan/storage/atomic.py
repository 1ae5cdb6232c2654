"""Outputs appear whole or not at all: each is written to a temporary file beside its place, which takes the output's name at the end.

This file knows how temporary files are called, and which of them a dead process has left behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from tsmgan import stopping
from tsmgan.errors import AudioError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part(\.[^.]*)?", re.DOTALL)
LONGEST_STEM = 100
"""Bytes of the target's stem that a temporary name keeps, so that it fits wherever the target's own name fits."""
YOUNG_SECONDS = 10.0
"""An empty file younger than this may be one that its writer has created and not yet locked."""
LOCK_TRIES = 100
"""Milliseconds to wait for somebody else's lock on a new file."""
OLD_SECONDS = 24 * 3600.0
"""Where files cannot be locked, one that nobody has written to for this long is taken for abandoned."""


_begun: set[str] = set()
"""Temporary names that this process has given out; those of finished outputs are gone from the disk."""
MOST_REMEMBERED = 100


def _short_stem(stem: str) -> str:
    while len(os.fsencode(stem)) > LONGEST_STEM:
        stem = stem[:-1]
    return stem


def temporary_name(name: str) -> str:
    """A hidden name for what will be called `name`, new each time, with the same ending."""
    stem, suffix = os.path.splitext(name)
    return f".{_short_stem(stem)}.{secrets.token_hex(4)}.part{suffix}"


def temporary_path(target: Path) -> Path:
    """A hidden name beside the target, new each time, with the target's ending."""
    path = target.with_name(temporary_name(target.name))
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


def _is_at(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


class Unfinished:
    """A temporary file beside its target. It takes the target's name with `publish`, or goes with `close`.

    It is marked as being written for as long as its descriptor is open. Without the mark another process may take it for abandoned, so the
    descriptor stays open until the file has its final name. On Windows, where open files cannot be renamed and are not marked, it is closed
    before.

    Args:
        target: what the file will be called.
        mode: permissions of a new file, as for `os.open`.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self, target: Path, mode: int = 0o666) -> None:
        self.target = target
        self._is_left = True
        while True:
            self.path = temporary_path(target)
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
            """Open for reading and writing; -1 when the file is closed."""
            hold(self.descriptor)
            # Between the two lines somebody who tidies up may have found the file unmarked.
            if fcntl is None or _is_at(self.descriptor, self.path):
                return
            self._close_descriptor()

    def publish(self, *, replace: bool) -> None:
        """Give the complete file its name, and the permissions of the file that it replaces.

        Raises:
            FileExistsError: the name is taken, and `replace` is False.
            OSError: it cannot be renamed.
        """
        if fcntl is None:
            self._close_descriptor()
        if os.path.exists(self.target):
            shutil.copymode(self.target, self.path)
        if replace:
            os.replace(self.path, self.target)
        else:
            self._take_free_name()
        self._is_left = False
        self._close_descriptor()

    def _take_free_name(self) -> None:
        """Take the name only if nobody took it meanwhile; linking fails then, renaming would not."""
        try:
            os.link(self.path, self.target)
        except FileExistsError:
            raise
        except OSError:
            # File systems without hard links (FAT, some network drives).
            if os.path.exists(self.target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(self.target)) from None
            os.replace(self.path, self.target)
            return
        os.unlink(self.path)

    def close(self) -> None:
        """Remove the file, unless it has been published. May be called twice."""
        if fcntl is None:
            self._close_descriptor()
        if self._is_left:
            self._is_left = False
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self._close_descriptor()

    def _close_descriptor(self) -> None:
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


def taken(name: str) -> AudioError:
    """The error for an output, a path or a URL, whose name somebody else's file has."""
    return AudioError(f"{name} exists already; give --force to overwrite it, or write elsewhere with -o.")


def require_free(target: str | os.PathLike[str], *, force: bool) -> None:
    """Raise AudioError when a file exists and must not be overwritten. A symbolic link that leads nowhere is free."""
    if not force and os.path.exists(target):
        raise taken(os.fspath(target))


def write_error(name: str, error: OSError) -> AudioError:
    """The message for an error of the operating system while writing."""
    folder = os.path.dirname(name) or "."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AudioError(f"{name} cannot be written: no space is left; free some, or write elsewhere with -o.")
    if error.errno == errno.EFBIG:
        return AudioError(f"{name} cannot be written: the file grew larger than the system allows; write elsewhere with -o.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AudioError(f"You have no permission to write to the folder {folder}; choose another place with -o.")
    if error.errno == errno.ENOENT:
        return AudioError(f"The folder {folder} does not exist; create it, or choose another place with -o.")
    if error.errno == errno.ENAMETOOLONG:
        return AudioError(f"{name} is longer than file names may be here; choose a shorter name with -o.")
    if error.errno == errno.ENOTDIR:
        return AudioError(f"{folder} is not a folder; choose another place with -o.")
    return AudioError(f"{name} cannot be written: {error.strerror or error}.")


def hold(descriptor: int) -> None:
    """Mark an open temporary file as being written. The mark goes away with the process, however that ends."""
    if fcntl is not None:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                # Whoever has the lock looks for leftovers, and is done with this file in a moment.
                time.sleep(0.001)
            except OSError:
                # Some network file systems have no locks; their leftovers stay, which is better than losing a file in use.
                return


def replace_file(target: Path, content: bytes) -> None:
    """Write a whole file: whoever reads `target` meanwhile sees what was there before or all of the new content.

    Raises:
        OSError: it cannot be written; nothing is left behind then.
    """
    remove_leftovers(target.parent, target.stem)
    with Unfinished(target) as unfinished:
        with open(unfinished.descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(unfinished.descriptor)
        unfinished.publish(replace=True)


def _stem(name: str) -> str | None:
    """The stem of the output that a temporary file is for, even if it is a temporary file's own; None of other files."""
    match = NAME.fullmatch(name)
    return None if match is None else _stem(match["stem"]) or match["stem"]


def _remove_if_abandoned(path: str) -> bool:
    """Remove a temporary file whose writer is dead; return whether it was one."""
    try:
        found = os.lstat(path)
        age = time.time() - found.st_mtime
        if fcntl is None:
            if age <= OLD_SECONDS:
                return False
            os.unlink(path)
            return True
        if found.st_size == 0 and age < YOUNG_SECONDS:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The lock may have become free because the file has its final name now. It is kept until the file is gone.
        if not _is_at(descriptor, path):
            return False
        os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def remove_leftovers(folder: str | os.PathLike[str], stem: str | None = None) -> int:
    """Remove temporary files whose writer is dead, and return how many.

    Args:
        folder: where outputs are written; one that does not exist or cannot be listed holds none.
        stem: of the only output to look for; None for every output.
    """
    removed = 0
    wanted = None if stem is None else _short_stem(stem)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _stem(entry.name)
            if found is not None and wanted in (None, found) and entry.is_file(follow_symlinks=False):
                removed += _remove_if_abandoned(entry.path)
    return removed
