"""Recordings to stretch by the dozen, and work for pools that dies on demand."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
import soundfile

from tsmgan.storage.atomic import NAME

SAMPLERATE = 8000


def write_recording(path: Path, seed: int = 0, frames: int = 4000) -> None:
    """A short noisy tone, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tone = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 1000) * np.arange(frames) / SAMPLERATE)
    soundfile.write(path, tone + 0.01 * rng.standard_normal(frames), SAMPLERATE)


def write_tree(top: Path, count: int, frames: int = 4000) -> list[Path]:
    """Recordings in three folders of a tree, as paths below its top."""
    names = [Path("", *["a", "b"][: k % 3], f"take {k}.wav") for k in range(count)]
    for k, name in enumerate(names):
        write_recording(top / name, k, frames)
    return names


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a tree but the manifest and temporary files, which may go at any moment."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.jsonl" and not NAME.fullmatch(path.name)]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def temporary_files(top: Path) -> list[Path]:
    """Unfinished outputs in a tree."""
    return [path for path in top.rglob("*") if NAME.fullmatch(path.name)]


def double_or_die(number: int, report) -> int:
    """Twice the number; the process is killed over 7, and leaves by itself over 11."""
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 11:
        os._exit(5)
    return 2 * number


def sleep_for_ever(number: int, report) -> int:
    """Work that does not end."""
    time.sleep(1000)
    return number


def prints_to_nowhere(number: int, report) -> bool:
    """Whether standard error is thrown away."""
    return os.path.samestat(os.fstat(2), os.stat(os.devnull))
