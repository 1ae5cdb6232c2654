"""Where -o points to."""

from __future__ import annotations

from pathlib import Path

from tsmgan.storage.names import names_folder
from tsmgan.storage.places import make_folder


def made_folder(output: str | None) -> Path | None:
    """What -o names, as a path; a folder that is named as one (`new/`) is made.

    Raises:
        AudioError: it cannot be made.
    """
    if output is None:
        return None
    if names_folder(output):
        make_folder(output)
    return Path(output)
