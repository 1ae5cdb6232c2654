"""The length of the sound that a container states, the length that the file holds, and what follows the sound."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

RECORDINGS = tuple(b"RIFF RIFX RF64 BW64 FORM fLaC OggS caff .snd dns. riff NIST_1A Creative 2BIT MATLAB ALawSoun".split())
"""First bytes of recordings."""
SOUND_CHUNKS = (b"data", b"SSND", b"BODY")


@dataclass(frozen=True)
class Payload:
    """Sample data of a container, in bytes."""

    declared: int
    present: int
    behind: int = 0
    """Bytes after the stated end that are neither chunk nor tag nor padding."""
    has_another: bool = False
    """Whether another recording, or more sound, follows the stated end."""
    is_scattered: bool = False
    """Whether the sound lies in several blocks with headers between them."""
    frames: int | None = None
    """Samples per channel, where the container states them besides the number of bytes."""
    bytes_per_frame: float | None = None
    """Bytes per sample of all channels of coded sound, where the container tells."""
    block_frames: int | None = None
    """Samples per channel of a coded block, where the container states them."""

    @property
    def is_cut(self) -> bool:
        """Whether bytes are missing."""
        return self.present < self.declared


def stated(file: BinaryIO, start: int, length: int, size: int, *, bytes_per_frame: float | None = None) -> Payload:
    """The payload of a container in which nothing but padding and tags may follow the sound."""
    behind, has_another = trailing(file, start + length, size)
    return Payload(length, max(0, min(length, size - start)), behind, has_another, bytes_per_frame=bytes_per_frame)


def trailing(file: BinaryIO, position: int, size: int, order: str = "<") -> tuple[int, bool]:
    """Look at what lies between `position` and the end of the file.

    Returns:
        The number of bytes that are neither RIFF-like chunks nor tags nor padding, and whether another recording or more sound
        begins there.
    """
    file.seek(0)
    own = file.read(8)
    while position < size:
        file.seek(position)
        head = file.read(8)
        if head.startswith(RECORDINGS) or head == own:
            return size - position, True
        tag = _tag_length(head + file.read(16))
        if tag:
            position += tag
            continue
        if len(head) < 8 or _is_zero(file, position):
            return 0, False
        name, length = struct.unpack(order + "4sI", head)
        if not all(32 <= byte < 127 for byte in name) or position + 8 + length > size + 1:
            return size - position, False
        if name in SOUND_CHUNKS and length:
            return size - position, True
        position += 8 + length + length % 2
    return 0, False


def _tag_length(head: bytes) -> int:
    """Length in bytes of a tag of the kinds that are appended to recordings; 0 when there is none."""
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"ID3"):
        return 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0)))
    if head.startswith(b"APETAGEX") and len(head) == 24:
        length, _, flags = struct.unpack("<III", head[12:24])
        return 32 + (length if flags >> 29 & 1 else 0)
    # A lyrics tag states its length only at its end. Nothing but tags follows it.
    return 1 << 62 if head.startswith(b"LYRICSBE") else 0


def _is_zero(file: BinaryIO, position: int) -> bool:
    """Whether only zeros follow."""
    file.seek(position)
    while piece := file.read(1 << 16):
        if piece.strip(b"\0"):
            return False
    return True
