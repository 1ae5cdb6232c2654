"""Where a page or a picture goes: checked before the long work, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from tsmgan.errors import TsmganError, UsageError
from tsmgan.storage.atomic import replace_file, require_free


def choose_target(source: str, output: Path | None, rate: float, suffix: str) -> Path:
    """The output's path: as given, in the folder given, or beside the input with the rate in its name."""
    if output is not None and not output.is_dir():
        return output
    stem = "stdin" if source == "-" else Path(source).stem
    folder = output if output is not None else Path("." if source == "-" else source).parent
    return folder / f"{stem}@{rate:.5g}{suffix}"


def check_target(target: Path, source: str, *, force: bool) -> None:
    """Raises:
    UsageError: the target is the input.
    AudioError: it exists already and `force` is not given.
    TsmganError: it is a folder, or its folder is missing or cannot be written to.
    """
    if target.exists() and source != "-" and os.path.exists(source) and os.path.samefile(target, source):
        raise UsageError(f"{target} is the input, which is never overwritten; give another name with -o.")
    if target.is_dir():
        raise TsmganError(f"{target} is a folder; give a file name with -o.")
    if not target.parent.is_dir():
        raise TsmganError(f"The folder {target.parent} does not exist; make it first, or give another name with -o.")
    if not os.access(target.parent, os.W_OK):
        raise TsmganError(f"The folder {target.parent} cannot be written to; give another name with -o.")
    require_free(target, force=force)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it.

    Raises:
        TsmganError: there is no room, or no permission.
    """
    try:
        replace_file(target, content)
    except OSError as error:
        raise TsmganError(f"{target} cannot be written: {error.strerror or error}.") from error
