"""The little that the program asks of a place for files, whether it has a path or a URL.

The operating system knows paths. `tsmgan.storage.remote` alone knows fsspec, and with it URLs. It is imported only when somebody gives one.
"""

from __future__ import annotations

import os

from tsmgan.errors import AudioError
from tsmgan.storage.names import WEB, Stamp, is_url, scheme


def exists(place: str) -> bool:
    """Whether the name is taken, by whatever."""
    if is_url(place):
        from tsmgan.storage import remote

        return remote.exists(place)
    return os.path.lexists(place)


def is_folder(place: str) -> bool:
    """Whether this is a folder; of a URL: whether anything lies below it."""
    if is_url(place):
        from tsmgan.storage import remote

        return scheme(place) not in WEB and (place.endswith("/") or remote.is_folder(place))
    return os.path.isdir(place)


def make_folder(path: str) -> None:
    """Make a local folder, and those that it lies in, where they are missing.

    Raises:
        AudioError: it cannot be made.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise AudioError(f"The folder {path} cannot be made: {error.strerror or error}; choose another with -o.") from None


def checksum(path: str) -> str:
    """SHA-256 of a local file."""
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def stamp(place: str) -> Stamp:
    """Size and version of a file.

    Raises:
        OSError: it is not there or cannot be asked.
    """
    if is_url(place):
        from tsmgan.storage import remote

        return remote.stamp(place)
    found = os.stat(place)
    return Stamp(found.st_size, found.st_mtime_ns)
