"""Ogg files: their pages, and their links, each a recording of its own. Radio streams and `cat` chain several links in one file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from tsmgan.audio.reader import Reader

CONTINUES, BEGINS, ENDS = 1, 2, 4
"""Flags of a page."""
LONGEST_PAGE = 65307


@dataclass(frozen=True)
class Pages:
    """What the pages of an Ogg file state."""

    links: tuple[tuple[int, int], ...]
    """Offsets of the first byte of each link and of the byte after its last."""
    is_complete: bool
    """Whether the last page is whole and marked as the end of its stream."""
    missing: int
    """Number of pages that are missing between others."""


def read_pages(path: str) -> Pages | None:
    """Walk over the pages of an Ogg file. None when the file is not Ogg."""
    size = os.path.getsize(path)
    starts: list[int] = []
    is_beginning = is_complete = False
    missing = 0
    end = 0
    last: dict[int, tuple[int, bool]] = {}
    with open(path, "rb", buffering=1 << 16) as file:
        for position, flags, serial, number, granule, end in _pages(file, size):
            if flags & BEGINS and not is_beginning:
                starts.append(position)
                last = {}
            is_beginning = bool(flags & BEGINS)
            before, has_sound = last.get(serial, (number - 1, False))
            if has_sound and number > before + 1:
                missing += number - before - 1
            last[serial] = (number, has_sound or 0 < granule < 2**63)
            is_complete = bool(flags & ENDS) and end <= size
    if not starts:
        return None
    return Pages(tuple(zip(starts, [*starts[1:], min(end, size)])), is_complete, missing)


def _pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Offset, flags, serial number, page number and granule position of each page, and the offset of its end."""
    position = 0
    while position + 27 <= size:
        file.seek(position)
        header = file.read(27)
        if header[:5] != b"OggS\0":
            found = _find(file, position + 1)
            if found is None:
                return
            position = found
            continue
        flags, segments = header[5], header[26]
        granule, serial, number = (int.from_bytes(header[a:b], "little") for a, b in ((6, 14), (14, 18), (18, 22)))
        lengths = file.read(segments)
        end = position + 27 + segments + sum(lengths)
        yield position, flags, serial, number, granule, end if len(lengths) == segments else size + 1
        position = end


def _find(file: BinaryIO, position: int) -> int | None:
    """Offset of the next page."""
    file.seek(position)
    piece = file.read(1 << 16)
    while piece:
        at = piece.find(b"OggS\0")
        if at >= 0:
            return position + at
        position += max(1, len(piece) - 4)
        file.seek(position)
        following = file.read(1 << 16)
        if len(following) <= 4:
            return None
        piece = following
    return None


class Section(io.RawIOBase):
    """A part of a file that can be read like a file."""

    def __init__(self, path: str, start: int, end: int) -> None:
        self._file = open(path, "rb", buffering=1 << 16)
        self._start, self._length, self._position = start, end - start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence])
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        self._file.seek(self._start + self._position)
        data = self._file.read(max(0, min(len(buffer), self._length - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class ChainReader(Reader):
    """Readers of equal sample rate and channels, one after the other."""

    def __init__(self, first: Reader, others: Sequence[Callable[[], Reader]], frames: int | None, *, salvage: bool = False) -> None:
        seconds = None if frames is None else frames / first.info.samplerate
        super().__init__(replace(first.info, frames=None if salvage else frames, seconds=seconds), salvage=salvage)
        self._reader, self._others = first, list(others)

    def _read(self, frames: int) -> np.ndarray:
        while True:
            block = self._reader._read(frames)
            if len(block) or not self._others:
                return block
            self._reader.close()
            self._reader = self._others.pop(0)()

    def close(self) -> None:
        self._reader.close()
