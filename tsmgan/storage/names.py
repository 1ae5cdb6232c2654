"""The names of files: paths and URLs (`s3://bucket/talk.wav`), taken apart and put together. No store is asked."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tsmgan.errors import UsageError

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


def names_folder(place: str) -> bool:
    """Whether a name says by its end that it is a folder's, whether or not there is one."""
    return place.endswith("/") or (os.altsep is not None and place.endswith(os.sep))
