"""FLAC: the length that the frames add up to. Decoders do not compare it with the length that the header states."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from tsmgan.audio.mpeg import id3_length

PICTURE_BLOCK = 6
"""Number of the metadata block that holds a picture."""
TAIL = 1 << 20
"""The last two frames of any recording lie within this many bytes before the end of the file."""
TOTAL_AT = 18
"""Offset of the eight bytes that hold the sample rate and, in the lower 36 bits, the length."""
STREAM = re.compile(rb"fLaC[\0\x80]\0\0\x22")
CRC8 = [0] * 256
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = (_crc << 1 ^ (0x07 if _crc & 0x80 else 0)) & 0xFF
    CRC8[_byte] = _crc


@dataclass(frozen=True)
class FlacLength:
    """Samples per channel."""

    start: int
    """Offset of the stream in the file, in bytes."""
    stated: int
    """Samples per channel that the header states; 0 when its writer did not know."""
    found: int | None
    """Sample at which the last frame ends; None when no frame was found."""
    has_another: bool
    """Whether another stream follows in the same file."""


def flac_length(path: str) -> FlacLength | None:
    """Read the header and the last frames of a FLAC file. None when the file is not FLAC."""
    with open(path, "rb") as file:
        start = id3_length(file)
        file.seek(start)
        header = file.read(42)
        if len(header) < 42 or not STREAM.match(header):
            return None
        stated = int.from_bytes(header[TOTAL_AT : TOTAL_AT + 8], "big") & (1 << 36) - 1
        has_another = _has_another(file, start + 8)
        file.seek(0, 2)
        file.seek(max(start + 42, file.tell() - TAIL))
        return FlacLength(start, stated, _last_sample(file.read(), int.from_bytes(header[10:12], "big")), has_another)


def _has_another(file: BinaryIO, position: int) -> bool:
    file.seek(position)
    before = b""
    while piece := file.read(1 << 20):
        if STREAM.search(before + piece):
            return True
        before = piece[-8:]
    return False


def _last_sample(tail: bytes, block: int) -> int | None:
    """Sample at which the last frame ends. Two frames in a row must agree, because arbitrary bytes sometimes look like one frame."""
    ends: set[int] = set()
    last = None
    for match in re.finditer(rb"\xff[\xf8\xf9]", tail):
        frame = _frame(tail[match.start() : match.start() + 16], block)
        if frame is not None:
            first, count = frame
            if first in ends or first == 0:
                last = first + count
            ends.add(first + count)
    return last


def _frame(header: bytes, block: int) -> tuple[int, int] | None:
    """First sample and number of samples of the frame with this header. None when these bytes are not a frame header."""
    if len(header) < 16 or header[3] & 1 or header[2] >> 4 == 0 or header[2] & 15 == 15 or header[3] >> 4 > 10:
        return None
    first = header[4]
    more = 0 if first < 0x80 else 7 - (first ^ 0xFF).bit_length()
    if first >= 0x80 and (more < 1 or first == 0xFF):
        return None
    number = first & (0x7F if more == 0 else (1 << 6 - more) - 1)
    for byte in header[5 : 5 + more]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 63
    at = 5 + more
    code = header[2] >> 4
    if code in (6, 7):
        count = int.from_bytes(header[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        count = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    at += {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    crc = 0
    for byte in header[:at]:
        crc = CRC8[crc ^ byte]
    if at >= len(header) or crc != header[at]:
        return None
    return (number if header[1] & 1 else number * block), count


def holds_picture(file: BinaryIO) -> bool:
    """Whether a FLAC file has a block for a picture, readable or not."""
    file.seek(0)
    if file.read(4) != b"fLaC":
        return False
    while len(head := file.read(4)) == 4:
        if head[0] & 127 == PICTURE_BLOCK:
            return True
        if head[0] & 128:
            break
        file.seek(int.from_bytes(head[1:], "big"), 1)
    return False
