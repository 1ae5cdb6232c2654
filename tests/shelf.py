"""A file system for fsspec whose URLs, `shelf://name`, are files below the folder $SHELF: shared by processes, and counted as remote."""

from __future__ import annotations

import os
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem


class Shelf(LocalFileSystem):
    """See above. Like most servers it makes no folder unasked and tells files apart by time and size."""

    protocol = "shelf"

    @classmethod
    def _strip_protocol(cls, path):
        path = os.fspath(path)
        return f"{os.environ['SHELF']}/{path[len('shelf://') :]}".rstrip("/") if path.startswith("shelf://") else path.rstrip("/")


def write_plugin(folder: Path) -> None:
    """Make a folder that, on Python's path, tells fsspec of the scheme, as installed packages do."""
    facts = folder / "shelf-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[fsspec.specs]\nshelf = shelf:Shelf\n")
