"""Files behind URLs, through fsspec: fetched whole to a temporary file before they are read, put whole when they are complete.

Readers and encoders need files that they can seek in, and a connection that breaks must leave neither half a recording read nor half
an output under its final name. Nothing here is imported before somebody gives a URL.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tsmgan import stopping
from tsmgan.errors import AudioError, TsmganError, UsageError
from tsmgan.storage.atomic import NAME, OLD_SECONDS, Unfinished, remove_leftovers, taken, temporary_name
from tsmgan.storage.names import WEB, Stamp, scheme, suffix

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "hdfs": "pyarrow",
    "webdav": "webdav4",
    "oss": "ossfs",
    "oci": "ocifs",
    "hf": "huggingface_hub",
}
"""What fsspec needs beside itself, by scheme."""
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "hf"}
"""Stores in which an object is there whole or not at all, so that nothing is gained by another name first; renaming there is copying."""
VERSIONS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "modified", "modify", "created")
"""Keys under which file systems keep what changes with a file."""
STEM = "tsmgan"
"""Of temporary files, which lie in the system's folder for them."""


@lru_cache(maxsize=256)
def _file_system(scheme: str) -> None:
    """Say in a sentence that a scheme cannot be used, before anything else goes wrong with it."""
    try:
        import fsspec
    except ImportError:
        raise UsageError('URLs are read and written through fsspec; install it with `pip install "tsmgan[urls]"`.') from None
    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError:
        raise UsageError(f"{scheme}:// is no kind of URL that fsspec knows; give for example s3://bucket/name.wav, or a path.") from None
    except ImportError as error:
        package = PACKAGES.get(scheme) or error.name or "that fsspec asks for"
        raise UsageError(f"{scheme}:// needs the package {package}; install it with `pip install {package}`.") from None


def _locate(url: str) -> tuple[Any, str]:
    """The file system and the path in it."""
    _file_system(scheme(url))
    import fsspec

    return fsspec.core.url_to_fs(url)


@contextlib.contextmanager
def _told_in_a_sentence(url: str, done: str) -> Iterator[None]:
    """Whatever a file system raises becomes one sentence: they agree on no base class."""
    try:
        yield
    except (TsmganError, MemoryError):
        raise
    except FileNotFoundError:
        if done == "written":
            raise AudioError(f"The place that {url} is in does not exist; create it, or choose another with -o.") from None
        raise AudioError(f"{url} does not exist; check the name.") from None
    except PermissionError:
        raise AudioError(f"{url} must not be {done} by you; check your credentials for it.") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise _no_space(url) from None
        reason = (" ".join(str(error).split()) or "no reason given").rstrip(".")[:300]
        raise AudioError(f"{url} cannot be {done} ({type(error).__name__}: {reason}); check the address and your credentials.") from None


def _no_space(url: str) -> AudioError:
    return AudioError(f"There is no space for {url} in {tempfile.gettempdir()}; free some, or set TMPDIR to another folder.")


def _stamp(info: dict[str, Any]) -> Stamp:
    version = next((info[key] for key in VERSIONS if info.get(key) is not None), "")
    return Stamp(int(info.get("size") or 0), str(version))


def exists(url: str) -> bool:
    """Whether there is a file or folder of this name.

    Raises:
        AudioError: the store cannot be asked.
    """
    with _told_in_a_sentence(url, "read"):
        file_system, path = _locate(url)
        return bool(file_system.exists(path))


def is_folder(url: str) -> bool:
    """Whether anything lies below this name."""
    with _told_in_a_sentence(url, "read"):
        file_system, path = _locate(url)
        return bool(file_system.isdir(path))


def stamp(url: str) -> Stamp:
    """Size and version.

    Raises:
        AudioError: there is none.
    """
    with _told_in_a_sentence(url, "read"):
        file_system, path = _locate(url)
        return _stamp(file_system.info(path))


def find(url: str) -> dict[str, int]:
    """Sizes of all files below a URL, by their name below it, with forward slashes.

    What a store has told before is forgotten, and what it tells now is kept, so that asking for each file is quick afterwards.
    """
    with _told_in_a_sentence(url, "read"):
        file_system, path = _locate(url)
        file_system.invalidate_cache()
        try:
            return _below(path, file_system.find(path, detail=True))
        except FileNotFoundError:
            return {}


def names_in(url: str) -> list[str]:
    """Names of the files that lie in a folder itself. A web address has no folders to list.

    Raises:
        AudioError: the store cannot be asked.
    """
    if scheme(url) in WEB:
        return []
    with _told_in_a_sentence(url, "read"):
        file_system, path = _locate(url)
        try:
            found = file_system.ls(path, detail=True)
        except FileNotFoundError:
            return []
    return [str(each["name"]).rstrip("/").rpartition("/")[2] for each in found if each.get("type") != "directory"]


def match(pattern: str, top: str) -> dict[str, int]:
    """Sizes of the files that a pattern fits, by their name below `top`."""
    with _told_in_a_sentence(pattern, "read"):
        file_system, path = _locate(pattern)
        file_system.invalidate_cache()
        return _below(_locate(top)[1], file_system.glob(path, detail=True))


def _below(top: str, infos: dict[str, dict[str, Any]]) -> dict[str, int]:
    start = top.rstrip("/") + "/" if top else ""
    files = {path: info for path, info in infos.items() if info.get("type") != "directory" and path.startswith(start)}
    return {path[len(start) :]: int(info.get("size") or 0) for path, info in sorted(files.items()) if path != start}


@lru_cache(maxsize=1)
def _tidy_up() -> None:
    """Once a process: remove the copies that dead processes left."""
    remove_leftovers(tempfile.gettempdir(), STEM)


def local_target(url: str) -> Path:
    """What an output is called here until it is put under its URL."""
    _tidy_up()
    return Path(tempfile.gettempdir(), STEM + suffix(url))


class Copy:
    """A temporary file that goes when it is closed, or at the latest when another process of this program starts."""

    def __init__(self, url: str) -> None:
        self._file = Unfinished(local_target(url), 0o600)
        self.path = os.fspath(self._file.path)
        self.stamp: Stamp | None = None
        """Of the original, from before it was fetched."""

    def close(self) -> None:
        """Remove the file. May be called twice."""
        self._file.close()

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


def fetch(url: str) -> Copy:
    """Copy a file behind a URL to a temporary one.

    Raises:
        AudioError: it is not there, cannot be fetched, or does not fit on the disk.
        UsageError: a package is missing, or the scheme is unknown.
    """
    with _told_in_a_sentence(url, "read"):
        file_system, path = _locate(url)
        info = file_system.info(path)
        if info.get("type") == "directory":
            raise AudioError(f"{url} is a folder; give the name of a recording.")
        size = info.get("size")
        if size is not None and size > shutil.disk_usage(tempfile.gettempdir()).free:
            raise _no_space(url)
        copy = Copy(url)
        try:
            file_system.get_file(path, copy.path)
            found = os.path.getsize(copy.path)
            if size is not None and found != size:
                raise AudioError(f"{url} broke off after {found} of {size} bytes; try again.")
        except BaseException:
            copy.close()
            raise
        copy.stamp = _stamp(info)
        return copy


def put(local: str | os.PathLike[str], url: str, *, replace: bool) -> Stamp:
    """Copy a complete file to a URL, where it appears whole or not at all, and return what the store says of it.

    Object stores show an object when its last byte is there. Elsewhere it gets a temporary name first and is moved to its own.

    Raises:
        AudioError: it cannot be written, or the name is taken and `replace` is False.
        UsageError: a package is missing, or the scheme cannot be written to.
    """
    require_writable(url)
    with stopping.unwinding(), _told_in_a_sentence(url, "written"):
        file_system, target = _locate(url)
        _require_free(file_system, target, url, replace)
        if scheme(url) in OBJECT_STORES:
            try:
                file_system.put_file(os.fspath(local), target, **({} if replace else _only_new(file_system)))
            except FileExistsError:
                raise taken(url) from None
        else:
            _put_and_move(file_system, os.fspath(local), target, url, replace)
        file_system.invalidate_cache(target)
        found = _stamp(file_system.info(target))
    if found.bytes != os.path.getsize(local):
        raise AudioError(f"{url} has {found.bytes} bytes at its store and {os.path.getsize(local)} here; try again.")
    return found


def remove(url: str) -> None:
    """Remove a file.

    Raises:
        AudioError: it cannot be removed.
    """
    with _told_in_a_sentence(url, "removed"):
        file_system, path = _locate(url)
        file_system.rm_file(path)
        file_system.invalidate_cache(path)


def _put_and_move(file_system: Any, local: str, target: str, url: str, replace: bool) -> None:
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/{temporary_name(name)}"
    file_system.makedirs(folder, exist_ok=True)
    try:
        file_system.put_file(local, temporary)
        _require_free(file_system, target, url, replace)
        try:
            file_system.mv(temporary, target)
        except Exception:
            # Some servers rename to free names only.
            if not replace or not file_system.exists(target):
                raise
            file_system.rm_file(target)
            file_system.mv(temporary, target)
    except BaseException:
        with contextlib.suppress(Exception):
            file_system.rm_file(temporary)
        raise


def _require_free(file_system: Any, target: str, url: str, replace: bool) -> None:
    if not replace:
        file_system.invalidate_cache(target)
        if file_system.exists(target):
            raise taken(url)


def _only_new(file_system: Any) -> dict[str, str]:
    """The argument by which a store itself refuses a name that is taken, where it has one."""
    function = getattr(file_system, "_put_file", None) or file_system.put_file
    return {"mode": "create"} if "mode" in inspect.signature(function).parameters else {}


def require_writable(url: str) -> None:
    """Raise UsageError for URLs that are only ever read."""
    if scheme(url) in WEB:
        raise UsageError(f"{url} is a web address, which is only read; write elsewhere with -o.")
    _file_system(scheme(url))


def remove_old_leftovers(url: str) -> int:
    """Remove temporary files below a URL that nobody has written to for a day, and return how many. There are no locks to ask."""
    removed = 0
    if scheme(url) in OBJECT_STORES:
        return removed
    with contextlib.suppress(Exception):
        file_system, top = _locate(url)
        for path in file_system.find(top):
            if NAME.fullmatch(path.rpartition("/")[2]) and time.time() - file_system.modified(path).timestamp() > OLD_SECONDS:
                file_system.rm_file(path)
                removed += 1
    return removed
