"""Lengths that media containers (MP4, Matroska, AVI and others) state. FFmpeg reads files that are cut short without a warning."""

from __future__ import annotations

import struct
from typing import BinaryIO

from tsmgan.audio.stated import Payload, trailing

ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
MATROSKA_HEADER, MATROSKA_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
FLV_TAGS = {8, 9, 18}
"""Types of FLV tags: sound, picture and script."""


def _whole(end: int, size: int, file: BinaryIO) -> Payload:
    """The payload of a container that should end at byte `end`. The whole file counts as the payload."""
    behind, has_another = trailing(file, end, size) if end < size else (0, False)
    return Payload(end, min(end, size), behind, has_another)


def avi(file: BinaryIO, size: int) -> Payload | None:
    """AVI: one RIFF list, or several of up to a gigabyte each, which all belong to one recording."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or kind not in (b"AVI ", b"AVIX"):
            break
        if length in (0, 0xFFFFFFFF):
            # Its writer was stopped before it knew the length.
            return None
        position += 8 + length + length % 2
    return _whole(position, size, file)


def mp4(file: BinaryIO, size: int) -> Payload | None:
    """MP4, M4A and QuickTime: a row of boxes. A second `moov` belongs to another recording, which is not read."""
    position, seen = 0, set()
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        elif length == 0:
            return Payload(size, size)
        if length < 8 or not all(32 <= byte < 127 or byte == 0xA9 for byte in name):
            return _whole(position, size, file)
        if name in (b"ftyp", b"moov") and name in seen:
            return Payload(position, position, size - position, True)
        seen.add(name)
        position += length
    return _whole(position, size, file)


def _ebml_number(file: BinaryIO) -> tuple[int, bool]:
    """A variable-length size, and whether it means "unknown"."""
    first = file.read(1)[0]
    more = 8 - first.bit_length()
    value = (first ^ (0x80 >> more)) << (8 * more) | int.from_bytes(file.read(more), "big")
    return value, value == (1 << 7 * (more + 1)) - 1


def matroska(file: BinaryIO, size: int) -> Payload | None:
    """Matroska and WebM: a header and a segment. Several such pairs may follow one another."""
    position = 0
    while position + 5 <= size:
        file.seek(position)
        if file.read(4) not in (MATROSKA_HEADER, MATROSKA_SEGMENT):
            break
        length, is_unknown = _ebml_number(file)
        if is_unknown:
            return None
        position = file.tell() + length
    return _whole(position, size, file)


def flv(file: BinaryIO, size: int) -> Payload | None:
    """Flash video: tags that state their own lengths. The first tag may state the length of the whole file."""
    file.seek(5)
    (position,) = struct.unpack(">I", file.read(4))
    position += 4
    stated_size = None
    while position + 11 <= size:
        file.seek(position)
        head = file.read(11)
        length = int.from_bytes(head[1:4], "big")
        if head[0] & 31 not in FLV_TAGS:
            break
        if head[0] == 18 and stated_size is None:
            script = file.read(min(length, 1 << 16))
            at = script.find(b"\0\x08filesize\0")
            stated_size = int(struct.unpack(">d", script[at + 11 : at + 19])[0]) if at >= 0 else 0
        position += 11 + length + 4
    if 11 > size - position > 0:
        position = max(position, size + 1)
    found = _whole(max(position, stated_size or 0), size, file)
    if file_starts_again(file, position, size):
        return Payload(position, position, size - position, True)
    return found


def file_starts_again(file: BinaryIO, position: int, size: int) -> bool:
    """Whether another FLV file begins at this position."""
    if position >= size:
        return False
    file.seek(position)
    return file.read(3) == b"FLV"


def asf(file: BinaryIO, size: int) -> Payload | None:
    """WMA and WMV: a header, the packets and an index, each with its length."""
    position, end = 0, 0
    while position + 24 <= size:
        file.seek(position)
        kind, length = struct.unpack("<16sQ", file.read(24))
        if length < 24 or (position and kind[:4] == b"\x30\x26\xb2\x75"):
            break
        position += length
        if kind == ASF_DATA:
            end = position
            if length > 2**62:
                return None
    if not end:
        return None
    if position < size and end <= size:
        file.seek(position)
        if file.read(4) == b"\x30\x26\xb2\x75":
            return Payload(position, position, size - position, True)
    return _whole(max(end, min(position, size)), size, file)


def tta(file: BinaryIO, size: int) -> Payload | None:
    """True Audio: a table of the lengths of all frames."""
    file.seek(10)
    rate, frames = struct.unpack("<II", file.read(8))
    count = -(-frames // (rate * 256 // 245)) if rate else 0
    if not count or count > size // 4:
        return None
    file.seek(22)
    lengths = struct.unpack(f"<{count}I", file.read(4 * count))
    return _whole(22 + 4 * count + 4 + sum(lengths), size, file)
