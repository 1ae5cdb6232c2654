"""Small files that appear beside an output together with it: all of them or none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tsmgan.errors import AudioError, UsageError
from tsmgan.storage.atomic import Unfinished, taken, temporary_path, write_error
from tsmgan.storage.names import absolute, is_url
from tsmgan.storage.places import exists


class _Side:
    """One file: written under a temporary name, published, and taken back again if what it belongs to cannot be published."""

    def __init__(self, target: str, content: bytes, *, replace: bool) -> None:
        self._target, self._replace = target, replace
        self._before: Path | None = None
        self._unfinished = Unfinished(Path(os.path.realpath(target)))
        try:
            with open(self._unfinished.descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(self._unfinished.descriptor)
        except BaseException:
            self._unfinished.close()
            raise

    def publish(self) -> None:
        target = self._unfinished.target
        if self._replace and os.path.exists(target):
            before = temporary_path(target)
            try:
                os.link(target, before)
            except OSError:  # a file system without hard links
                shutil.copy2(target, before)
            self._before = before
        self._unfinished.publish(replace=self._replace)

    def withdraw(self) -> None:
        with contextlib.suppress(OSError):
            if self._before is None:
                os.unlink(self._unfinished.target)
            else:
                os.replace(self._before, self._unfinished.target)

    def close(self) -> None:
        self._unfinished.close()
        if self._before is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._before)


class _SideBehindUrl:
    """The same at a URL. It is written to a local file first."""

    def __init__(self, url: str, content: bytes, *, replace: bool) -> None:
        from tsmgan.storage import remote

        self._url, self._replace = url, replace
        self._before = remote.fetch(url) if replace and remote.exists(url) else None
        self._unfinished = Unfinished(remote.local_target(url))
        with open(self._unfinished.descriptor, "wb", closefd=False) as file:
            file.write(content)

    def publish(self) -> None:
        from tsmgan.storage import remote

        remote.put(self._unfinished.path, self._url, replace=self._replace)

    def withdraw(self) -> None:
        from tsmgan.storage import remote

        with contextlib.suppress(AudioError):
            if self._before is None:
                remote.remove(self._url)
            else:
                remote.put(self._before.path, self._url, replace=True)

    def close(self) -> None:
        self._unfinished.close()
        if self._before is not None:
            self._before.close()


def publish_together(files: dict[str, bytes], publish: Callable[[], None], *, replace: bool) -> None:
    """Publish small files and then what they belong to. Whatever goes wrong, none of them is left, and what was replaced is back.

    Args:
        files: whole contents by path or URL.
        publish: gives the complete output its name.
        replace: whether existing files are replaced.

    Raises:
        AudioError: a file cannot be written, its name was taken meanwhile, or `publish` has failed.
    """
    with contextlib.ExitStack() as stack:
        sides: list[tuple[str, _Side | _SideBehindUrl]] = []
        for name, content in files.items():
            with _told(name):
                side = (_SideBehindUrl if is_url(name) else _Side)(name, content, replace=replace)
                stack.callback(side.close)
                sides.append((name, side))
        with contextlib.ExitStack() as undo:
            for name, side in sides:
                with _told(name):
                    side.publish()
                undo.callback(side.withdraw)
            publish()
            undo.pop_all()


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """An error of the operating system as a sentence about a file."""
    try:
        yield
    except FileExistsError:
        raise taken(name) from None
    except AudioError:
        raise
    except OSError as error:
        raise write_error(name, error) from None


def require_all_free(names: list[str], *, force: bool) -> None:
    """Raise AudioError when a file exists and must not be overwritten, UsageError when two files would have one name."""
    if len({absolute(name) for name in names}) < len(names):
        twice = next(name for k, name in enumerate(names) if absolute(name) in map(absolute, names[:k]))
        raise UsageError(f"Two files would be called {twice}; give one of them another name.")
    for name in names:
        if not force and exists(name):
            raise taken(name)
