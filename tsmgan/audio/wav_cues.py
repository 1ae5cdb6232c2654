"""Cue points of WAV files, which are read as chapters and written from them, and names of chunks that have no place here."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from tsmgan.audio.info import Chapter

LARGEST_CHUNK = 2**24
"""Most bytes of a chunk of cue points or of labels."""
UNREAD_CHUNKS = {b"smpl": "smpl", b"inst": "inst", b"iXML": "iXML", b"axml": "axml", b"acid": "acid", b"MARK": "MARK", b"INST": "INST"}
"""Chunks that tell times, takes and tuning of the input, and what messages call them."""


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Names and sizes of the chunks of a RIFF or AIFF file, which is then at the chunk's content. The end of the file may cut the last."""
    file.seek(0)
    magic = file.read(12)[:4]
    order, long_data = ">" if magic in (b"FORM", b"RIFX") else "<", None
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack(order + "4sI", head)
        start = file.tell()
        if name == b"ds64":
            long_data = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
            file.seek(start)
        elif name == b"data" and length == 0xFFFFFFFF and long_data is not None:
            length = long_data
        yield name, length
        file.seek(start + length + length % 2, os.SEEK_SET)


def read_cues(file: BinaryIO, samplerate: int) -> tuple[tuple[Chapter, ...], tuple[str, ...]]:
    """The cue points of a WAV file as chapters, with their labels and lengths, and the names of chunks that are not read."""
    points: dict[int, int] = {}
    labels: dict[int, str] = {}
    lengths: dict[int, int] = {}
    unread = set()
    for name, length in chunks(file):
        if name in UNREAD_CHUNKS:
            unread.add(UNREAD_CHUNKS[name])
        elif name == b"cue " and length < LARGEST_CHUNK:
            content = file.read(length)[4:]
            for at in range(0, len(content) - 23, 24):
                number, position, _, _, _, offset = struct.unpack_from("<II4sIII", content, at)
                # Some programs fill only one of the two.
                points[number] = offset or position
        elif name == b"LIST" and length < LARGEST_CHUNK:
            content = file.read(length)
            if content[:4] == b"adtl":
                _read_labels(content[4:], labels, lengths)
    made = sorted((position, number) for number, position in points.items())
    ends = {number: (points[number] + lengths[number]) / samplerate for number in points if lengths.get(number)}
    return tuple(Chapter(position / samplerate, ends.get(number), labels.get(number, "")) for position, number in made), tuple(
        sorted(unread)
    )


def _read_labels(content: bytes, labels: dict[int, str], lengths: dict[int, int]) -> None:
    """Labels and lengths of cue points, by the points' numbers, from the inside of an `adtl` list."""
    at = 0
    while at + 12 <= len(content):
        name, length, number = struct.unpack_from("<4sII", content, at)
        inside = content[at + 12 : at + 8 + length]
        if name in (b"labl", b"note"):
            text = inside.split(b"\0")[0]
            try:
                labels.setdefault(number, text.decode("utf-8"))
            except UnicodeDecodeError:
                labels.setdefault(number, text.decode("cp1252", "replace"))
        elif name == b"ltxt" and len(inside) >= 4:
            (lengths[number],) = struct.unpack_from("<I", inside)
        at += 8 + length + length % 2


def cue_chunks(chapters: tuple[Chapter, ...], samplerate: int) -> list[tuple[bytes, bytes]]:
    """Names and contents of the chunks that hold chapters as cue points. None where a point lies beyond what 32 bits count."""
    starts = [round(chapter.start * samplerate) for chapter in chapters]
    if not starts or max(starts) >= 2**32:
        return []
    points = b"".join(struct.pack("<II4sIII", number, start, b"data", 0, 0, start) for number, start in enumerate(starts, 1))
    labels = b""
    for number, (chapter, start) in enumerate(zip(chapters, starts), 1):
        if chapter.title:
            labels += _inner(b"labl", number, chapter.title.encode("utf-8") + b"\0")
        if chapter.end is not None and round(chapter.end * samplerate) > start:
            labels += _inner(b"ltxt", number, struct.pack("<I4s4H", round(chapter.end * samplerate) - start, b"rgn ", 0, 0, 0, 0))
    return [(b"cue ", struct.pack("<I", len(starts)) + points), *([(b"LIST", b"adtl" + labels)] if labels else [])]


def _inner(name: bytes, number: int, content: bytes) -> bytes:
    return name + struct.pack("<II", 4 + len(content), number) + content + b"\0" * (len(content) % 2)
