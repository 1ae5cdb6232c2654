"""What a batch has done, as JSON lines beside the outputs: a second run reads them and does only what is missing or changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields

from tsmgan.batch.plan import Task
from tsmgan.errors import AudioError

NAME = "manifest.jsonl"


@dataclass
class Entry:
    """One line: what became of one output."""

    input: str
    """Absolute path."""
    output: str
    """Below the output folder, with forward slashes."""
    rate: float
    settings: str
    """Digest of the batch's settings."""
    input_bytes: int | None = None
    input_mtime_ns: int | None = None
    samplerate: int | None = None
    channels: int | None = None
    input_frames: int | None = None
    """Samples per channel."""
    output_frames: int | None = None
    output_bytes: int | None = None
    output_mtime_ns: int | None = None
    sha256: str | None = None
    """Of the output file."""
    clipped: int = 0
    """Samples beyond full scale."""
    seconds: float = 0.0
    """That the work took."""
    error: str | None = None
    """Why there is no output; None when there is one."""
    started: bool = False
    """The line only says that work began. An output without a later line was cut off between its name and its line."""


def checksum(path: str) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass
class History:
    """What a manifest tells of earlier runs."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """The last line of each output."""
    begun: set[str] = field(default_factory=set)
    """Outputs that a batch has worked on. Existing files of these names are its own, and no one else's work is overwritten."""


def read_history(path: str) -> History:
    """Read a manifest; a missing one is empty. Lines that are torn, foreign or not JSON are passed over.

    Raises:
        AudioError: it cannot be read.
    """
    known = {each.name for each in fields(Entry)}
    history = History()
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    values = json.loads(line)
                    entry = Entry(**{name: value for name, value in values.items() if name in known})
                    history.entries[str(entry.output)] = entry
                    if entry.started:
                        history.begun.add(str(entry.output))
                except (ValueError, TypeError, AttributeError, RecursionError):
                    continue
    except FileNotFoundError:
        pass
    except OSError as error:
        raise AudioError(f"The manifest {path} cannot be read: {error.strerror or error}.") from None
    return history


def is_done(task: Task, entry: Entry | None) -> bool:
    """Whether the output is there as the entry says, from the same input with the same settings."""
    if entry is None or entry.started or entry.error is not None or entry.settings != task.settings.digest:
        return False
    if (entry.input, entry.rate) != (os.path.abspath(task.input), task.rate):
        return False
    try:
        before, after = os.stat(task.input), os.stat(task.target)
        if (entry.input_bytes, entry.input_mtime_ns) != (before.st_size, before.st_mtime_ns) or entry.output_bytes != after.st_size:
            return False
        # A copied or restored output has another time and may still be the same.
        return entry.output_mtime_ns == after.st_mtime_ns or entry.sha256 == checksum(task.target)
    except OSError:
        return False


class Manifest:
    """Appends entries, each with a single write, so that a line is there whole or, the last one, torn."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            if os.path.islink(path):
                raise AudioError(f"The manifest {path} is a symbolic link, which is not followed; remove it.")
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
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


def _byte(descriptor: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, 1)
