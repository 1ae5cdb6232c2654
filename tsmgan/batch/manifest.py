"""What a batch has done, as JSON lines beside the outputs: a second run reads them and does only what is missing or changed."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields

from tsmgan.batch.plan import Task
from tsmgan.errors import AudioError
from tsmgan.storage.names import absolute, is_url, join, parent
from tsmgan.storage.places import checksum, exists, stamp

NAME = "manifest.jsonl"
LONGEST_LINE = 1 << 20
"""Bytes of a line that are read. Names of 4 kB make lines of some 50 kB at most."""
SHORTEST_PAUSE_SECONDS, PAUSE_SHARE = 10.0, 20.0
"""Between two times that a manifest is put under its URL, the latter in times of what that takes."""


@dataclass
class Entry:
    """One line: what became of one output."""

    input: str
    """Absolute path, or URL."""
    output: str
    """Below the output folder, with forward slashes."""
    rate: float
    settings: str
    """Digest of the batch's options; see `tsmgan.batch.plan.Task`."""
    input_bytes: int | None = None
    input_version: int | str | None = None
    """See `tsmgan.storage.names.Stamp`."""
    samplerate: int | None = None
    channels: int | None = None
    input_frames: int | None = None
    """Samples per channel."""
    output_frames: int | None = None
    output_bytes: int | None = None
    output_version: int | str | None = None
    sha256: str | None = None
    """Of the output file."""
    clipped: int = 0
    """Samples beyond full scale."""
    seconds: float = 0.0
    """That the work took."""
    beside: dict[str, str] = field(default_factory=dict)
    """Files that moved with the sound, by their names beside the output, and the SHA-256 of each."""
    notes: list[str] = field(default_factory=list)
    """What a user may want to know of this output, each a sentence."""
    error: str | None = None
    """Why there is no output; None when there is one."""
    started: bool = False
    """The line only says that work began. An output without a later line was cut off between its name and its line."""


@dataclass
class History:
    """What a manifest tells of earlier runs. Whatever it tells may have been written by anybody, so it is checked before it counts."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """The last line of each output."""
    made: dict[str, Entry] = field(default_factory=dict)
    """Of each output the last line that says that there is one."""


def read_entries(path: str) -> Iterator[Entry]:
    """The lines of a manifest in order. Those that are torn, foreign or not JSON, and those that are absurdly long, are passed over.

    Raises:
        AudioError: it cannot be read.
    """
    known = {each.name for each in fields(Entry)}
    try:
        with open(path, "rb") as file:
            # A part of a longer line is no JSON, or is passed over as a line of its own.
            while line := file.readline(LONGEST_LINE):
                try:
                    values = json.loads(line.decode(errors="replace"))
                    entry = Entry(**{name: value for name, value in values.items() if name in known})
                except (ValueError, TypeError, AttributeError, RecursionError):
                    continue
                if isinstance(entry.output, str) and isinstance(entry.input, str):
                    yield entry
    except OSError as error:
        raise AudioError(f"The manifest {path} cannot be read: {error.strerror or error}.") from None


def read_history(path: str) -> History:
    """Read a manifest; a missing one is empty.

    Raises:
        AudioError: it cannot be read.
    """
    history = History()
    for entry in read_entries(path) if os.path.lexists(path) else ():
        history.entries[entry.output] = entry
        if is_success(entry):
            history.made[entry.output] = entry
    return history


def is_success(entry: Entry) -> bool:
    """Whether a line says that there is an output."""
    return not entry.started and entry.error is None


def is_own(task: Task, entry: Entry | None) -> bool:
    """Whether the file that has an output's name is, byte for byte, the one that a line says was made; it may be replaced then."""
    if entry is None or not is_success(entry):
        return False
    try:
        found = stamp(task.target)
        if entry.output_bytes != found.bytes:
            return False
        if not all(_is_as_made(place, sha256) for place, sha256 in _beside(task, entry) if exists(place)):
            return False
        if not is_url(task.target):
            return entry.sha256 == checksum(task.target)
        # What lies behind a URL is not fetched to find out.
        return entry.output_version == found.version
    except OSError:
        return False


def _beside(task: Task, entry: Entry) -> list[tuple[str, str]]:
    """Places and checksums of the files that moved with the sound. Anybody may have written a manifest, so names lead nowhere else."""
    if not isinstance(entry.beside, dict):
        return []
    folder = parent(task.target)
    return [(join(folder, name), str(sha256)) for name, sha256 in entry.beside.items() if name == os.path.basename(name) and name]


def _is_as_made(place: str, sha256: str) -> bool:
    return is_url(place) or checksum(place) == sha256


def is_done(task: Task, entry: Entry | None) -> bool:
    """Whether the output is there as the entry says, from the same input with the same settings."""
    if entry is None or not is_success(entry) or entry.settings != task.digest:
        return False
    if (entry.input, entry.rate) != (absolute(task.input), task.rate):
        return False
    try:
        before, after = stamp(task.input), stamp(task.target)
        if (entry.input_bytes, entry.input_version) != before or entry.output_bytes != after.bytes:
            return False
        if not all(exists(place) for place, _ in _beside(task, entry)):
            return False
        if entry.output_version == after.version:
            return True
        # A copied or restored output has another time and may still be the same. What lies behind a URL is not fetched to find out.
        return not is_url(task.target) and entry.sha256 == checksum(task.target)
    except OSError:
        return False


class Manifest:
    """Appends entries, each with a single write, so that a line is there whole or, the last one, torn."""

    def __init__(self, path: str, *, lock: bool = True) -> None:
        self.path = self.local_path = path
        try:
            if os.path.islink(path):
                raise AudioError(f"The manifest {path} is a symbolic link, which is not followed; remove it.")
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            if lock:
                self._lock()
            size = os.fstat(self._descriptor).st_size
            if size and _byte(self._descriptor, size - 1) != b"\n":
                os.write(self._descriptor, b"\n")
        except AudioError:
            raise
        except OSError as error:
            raise AudioError(f"The manifest {path} cannot be written: {error.strerror or error}; write elsewhere with -o.") from None

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            folder = os.path.dirname(self.path) or "."
            raise AudioError(f"Another batch is writing to {folder}; wait for it, or write elsewhere with -o.") from None
        except OSError:
            pass  # a file system without locks

    def append(self, entry: Entry) -> None:
        """Add a line."""
        values = {name: value for name, value in asdict(entry).items() if name != "started" or value}
        if entry.started:
            values = {name: values[name] for name in ("input", "output", "rate", "settings", "started")}
        line = (json.dumps(values) + "\n").encode()
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise AudioError(f"The manifest {self.path} cannot be written: {error.strerror or error}; free some space.") from None
        if written != len(line):
            raise AudioError(f"The manifest {self.path} cannot be written: no space is left; free some.")

    def flush(self) -> None:
        """Make sure that what was appended outlives this process. It does: see `append`."""

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


class UrlManifest:
    """A manifest behind a URL. Nothing is appended to there, so lines gather in a copy, which is put whole now and then and at the end.

    A batch that is killed loses the lines since the last time; `begun` outputs are written down before work starts, so that they are
    recognised, and made again.
    """

    def __init__(self, url: str) -> None:
        from tsmgan.storage import remote

        remote.require_writable(url)
        self.path = url
        self._copy = remote.fetch(url) if remote.exists(url) else remote.Copy(url)
        self.local_path = self._copy.path
        self._lines = Manifest(self.local_path, lock=False)
        self._changed, self._put, self._pause = False, time.monotonic(), SHORTEST_PAUSE_SECONDS

    def append(self, entry: Entry) -> None:
        """Add a line, which may wait."""
        self._lines.append(entry)
        self._changed = True
        if not entry.started and time.monotonic() - self._put > self._pause:
            self.flush()

    def flush(self) -> None:
        """Put the lines under the URL."""
        from tsmgan.storage import remote

        if self._changed:
            started = time.monotonic()
            remote.put(self.local_path, self.path, replace=True)
            self._changed, self._put = False, time.monotonic()
            # However long the manifest grows, sending it takes a small part of the time.
            self._pause = max(SHORTEST_PAUSE_SECONDS, PAUSE_SHARE * (self._put - started))

    def close(self) -> None:
        """Put what is left and remove the copy."""
        try:
            self.flush()
        finally:
            self._lines.close()
            self._copy.close()

    def __enter__(self) -> UrlManifest:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


def open_manifest(root: str) -> tuple[Manifest | UrlManifest, History]:
    """The manifest of an output folder, and what stands in it.

    Raises:
        AudioError: it cannot be read or written, or another batch is writing there.
    """
    path = join(root, NAME)
    manifest = UrlManifest(path) if is_url(root) else Manifest(path)
    try:
        return manifest, read_history(manifest.local_path)
    except BaseException:
        manifest.close()
        raise


def _byte(descriptor: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, 1)
