"""Paths and URLs: the little that the program asks of a place for files, whichever of the two it is.

The operating system knows paths. `tsmgan.storage.remote` alone knows fsspec, and with it URLs (`s3://bucket/talk.wav`). It is imported only
when somebody gives a URL.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tsmgan.errors import AudioError, UsageError

URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)
"""Two letters at least before the colon: `C:` is a drive."""
WEB = ("http", "https")
"""Schemes that are read from and never written to, and whose ? is no pattern."""


class Stamp(NamedTuple):
    """What tells one version of a file from another without reading it."""

    bytes: int
    version: int | str
    """Time of the last change in nanoseconds; of a URL whatever its store offers, as text."""


def is_url(text: str) -> bool:
    """Whether this is a URL. A file of that very name is a file."""
    return URL.match(text) is not None and not os.path.lexists(text)


def scheme(url: str) -> str:
    """The part before `://`, in lower case; "" of a path."""
    found = URL.match(url)
    return found["scheme"].lower() if found else ""


def plain(text: str) -> str:
    """A `file://` URL as a path; everything else as it is.

    Raises:
        UsageError: it names another machine.
    """
    if scheme(text) != "file" or not is_url(text):
        return text
    from urllib.request import url2pathname

    host, slash, path = text[len("file://") :].partition("/")
    if host not in ("", "localhost") or not slash:
        raise UsageError(f"{text} names no file of this machine; give file:///folder/name, or a path.")
    return url2pathname("/" + path)


def _path_part(place: str) -> str:
    """What holds the name: of web addresses without the query."""
    return re.split("[?#]", place, maxsplit=1)[0] if scheme(place) in WEB else place


def suffix(place: str) -> str:
    """The name's ending with its dot, "" without one."""
    return os.path.splitext(_path_part(place))[1]


def stem(place: str) -> str:
    """The name without its ending."""
    return os.path.splitext(os.path.basename(_path_part(place)))[0]


def join(folder: str, name: str) -> str:
    """A file in a folder; the name has forward slashes."""
    found = URL.match(folder) if is_url(folder) else None
    if found is None:
        return os.path.join(folder, *name.split("/"))
    return folder + ("" if not found["rest"] or folder.endswith("/") else "/") + name


def parent(place: str) -> str:
    """The folder that a file lies in; "." for the current one."""
    if not is_url(place):
        return os.path.dirname(place) or "."
    before, rest = _path_part(place).split("://", 1)
    return f"{before}://{rest.rpartition('/')[0]}"


def absolute(place: str) -> str:
    """The same whatever the current folder is."""
    return place if is_url(place) else os.path.abspath(place)


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


def names_folder(place: str) -> bool:
    """Whether a name says by its end that it is a folder's, whether or not there is one."""
    return place.endswith("/") or (os.altsep is not None and place.endswith(os.sep))


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
