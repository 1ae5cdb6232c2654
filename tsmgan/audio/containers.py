"""What a file's container promises against what the file holds.

libsndfile reads a file that is cut short as if it ended there on purpose. Somebody who stretches half an interview wants
to be told, so the lengths that containers state are read here and compared with the file's size.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

UNKNOWN_SIZES = range(0x7F000000, 0x100000000)
"""Chunk sizes that programs write to pipes, not knowing the length yet: 0xFFFFFFFF, 0x80000000, 0x7FFFF000, 0x7F000008 and neighbours."""


@dataclass(frozen=True)
class Payload:
    """Sample data of a container, in bytes."""

    declared: int
    present: int
    behind: int = 0
    """Bytes behind the declared end that are no chunk."""


def _chunks(file: BinaryIO, size: int, order: str, end: int):
    """Walk over chunks of RIFF's shape: yields (name, offset of the content, stated size)."""
    while file.tell() + 8 <= end:
        name, length = struct.unpack(order + "4sI", file.read(8))
        start = file.tell()
        yield name, start, length
        file.seek(start + length + length % 2)


def _is_open(length: int, present: int) -> bool:
    """Whether a stated size means "until the end"."""
    return length in UNKNOWN_SIZES and length > present


def _riff(file: BinaryIO, size: int, magic: bytes) -> Payload | None:
    order = ">" if magic == b"RIFX" else "<"
    (riff_size,) = struct.unpack(order + "I", file.read(4))
    file.read(4)
    long_size = None
    for name, start, length in _chunks(file, size, order, size):
        if name == b"ds64":
            _, long_size = struct.unpack("<QQ", file.read(16))
        elif name == b"data":
            present = size - start
            if magic in (b"RF64", b"BW64") and length == 0xFFFFFFFF and long_size is not None:
                length = long_size
            elif _is_open(length, present) or (length == 0 and riff_size in (0, 0xFFFFFFFF)):
                return Payload(present, present)
            return Payload(length, min(length, present), _behind(file, start + length + length % 2, size))
    return None


def _behind(file: BinaryIO, start: int, size: int) -> int:
    """Bytes from start to the end of the file when they cannot be chunks, tags or padding."""
    if start >= size:
        return 0
    file.seek(start)
    head = file.read(8)
    if len(head) < 8 or not head.strip(b"\0") or head[:3] in (b"TAG", b"ID3"):
        return 0
    name, length = struct.unpack("<4sI", head)
    is_chunk = all(32 <= byte < 127 for byte in name) and start + 8 + length <= size + 1
    return 0 if is_chunk else size - start


def _form(file: BinaryIO, size: int, magic: bytes) -> Payload | None:
    file.read(8)
    for name, start, length in _chunks(file, size, ">", size):
        if name == b"SSND":
            present = size - start
            return Payload(present, present) if _is_open(length, present) or length <= 8 else Payload(length, min(length, present))
    return None


def _au(file: BinaryIO, size: int, magic: bytes) -> Payload | None:
    start, length = struct.unpack((">" if magic == b".snd" else "<") + "II", file.read(8))
    present = max(0, size - start)
    return Payload(present, present) if length in UNKNOWN_SIZES else Payload(length, min(length, present))


def _caf(file: BinaryIO, size: int, magic: bytes) -> Payload | None:
    file.read(4)
    while file.tell() + 12 <= size:
        name, length = struct.unpack(">4sq", file.read(12))
        start = file.tell()
        if name == b"data":
            present = size - start
            return Payload(present, present) if length < 0 else Payload(length, min(length, present))
        if length < 0:
            return None
        file.seek(start + length)
    return None


def _w64(file: BinaryIO, size: int, magic: bytes) -> Payload | None:
    file.seek(40)
    while file.tell() + 24 <= size:
        guid, length = struct.unpack("<16sQ", file.read(24))
        start = file.tell()
        if guid[:4] == b"data":
            present = size - start
            length -= 24
            return Payload(present, present) if length >= 2**62 or length <= 0 else Payload(length, min(length, present))
        if length < 24:
            return None
        file.seek(start + (length - 24 + 7) // 8 * 8)
    return None


WALKERS = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"FORM": _form,
    b".snd": _au,
    b"dns.": _au,
    b"caff": _caf,
    b"riff": _w64,
}


def payload(path: str) -> Payload | None:
    """Declared and present sample data of a WAV, RF64, AIFF, AU, CAF or W64 file; None for others and for what cannot be followed."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        magic = file.read(4)
        walker = WALKERS.get(magic)
        try:
            return walker(file, size, magic) if walker else None
        except (struct.error, ValueError, OverflowError, OSError):
            # Sizes that no file has cannot be sought to.
            return None


def ogg_is_complete(path: str) -> bool:
    """Whether the last page of an Ogg file is whole and marked as the end of its stream."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(0, size - 2 * 65307))
        tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0 or start + 27 > len(tail):
        return False
    segments = tail[start + 26]
    length = 27 + segments + sum(tail[start + 27 : start + 27 + segments])
    return bool(tail[start + 5] & 4) and start + length <= len(tail)


@dataclass(frozen=True)
class MpegLength:
    """MPEG audio frames of a file."""

    frames: int
    """Whole frames that stand in the file, the one with the header excluded."""
    declared: int | None
    """Frames that the Xing, Info or VBRI header states; None without one."""
    samples_per_frame: int
    samplerate: int
    audio_start: int
    """Offset of the first frame with sound in bytes."""

    @property
    def is_as_declared(self) -> bool:
        """Whether the header's count is right. One frame more or less is how encoders differ in what they count."""
        return self.declared is not None and abs(self.declared - self.frames) <= 1


_BITRATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (MPEG version, 2 for 2.5 as well; layer) and the header's index minus one."""


def _mpeg_frame(header: bytes) -> tuple[int, int, int] | None:
    """Bytes, samples and sample rate of the MPEG audio frame with this header of four bytes; None if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version_bits, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_index, samplerate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version_bits == 1 or layer == 4 or rate_index in (0, 15) or samplerate_index == 3:
        return None
    version = 1 if version_bits == 3 else 2
    samplerate = (44100, 48000, 32000)[samplerate_index] // {3: 1, 2: 2, 0: 4}[version_bits]
    bitrate = _BITRATES[version, layer][rate_index - 1] * 1000
    samples = 384 if layer == 1 else 576 if layer == 3 and version == 2 else 1152
    if layer == 1:
        return (12 * bitrate // samplerate + padding) * 4, samples, samplerate
    return samples // 8 * bitrate // samplerate + padding, samples, samplerate


def _is_followed(buffer: bytes, position: int, length: int) -> bool:
    """Whether a frame of the same kind comes next: four bytes alone look like a header now and then."""
    here, there = buffer[position : position + 4], buffer[position + length : position + length + 4]
    return _mpeg_frame(there) is not None and here[1] == there[1] and here[2] & 0x0C == there[2] & 0x0C


def _stated_frames(frame: bytes) -> int | None:
    """Number of frames in a Xing, Info or VBRI header; 0 when the header states none, None when the frame holds no header."""
    for magic in (b"Xing", b"Info"):
        at = frame.find(magic, 4, 64)
        if at >= 0:
            flags, count = struct.unpack(">II", frame[at + 4 : at + 12].ljust(8, b"\0"))
            return count if flags & 1 else 0
    if frame[36:40] == b"VBRI":
        return struct.unpack(">I", frame[50:54])[0]
    return None


def mpeg_length(path: str) -> MpegLength | None:
    """Count the frames of an MPEG audio file by walking over their headers; None if there are none.

    Without a Xing header libsndfile guesses the length from the first frame and stops there, and with the header of
    the first of several joined files it stops after that one. Both lose sound, so the length is counted.
    """
    with open(path, "rb") as file:
        data = file.read(10)
        start = 0
        if data[:3] == b"ID3" and len(data) == 10:
            start = 10 + sum((byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0)))
            start += 10 if data[5] & 16 else 0
        file.seek(start)
        buffer, position, offset = file.read(1 << 20), 0, start
        count, declared, samples_per_frame, samplerate, audio_start, seen_frame = 0, None, 0, 0, start, False
        while True:
            if len(buffer) - position < 4096:
                offset += position
                buffer, position = buffer[position:] + file.read(1 << 20), 0
            if len(buffer) - position < 4:
                break
            frame = _mpeg_frame(buffer[position : position + 4])
            if frame is None or (not seen_frame and not _is_followed(buffer, position, frame[0])):
                # Tags, covers or damage between frames: search for the next frame.
                following = buffer.find(b"\xff", position + 1)
                position = following if following >= 0 else len(buffer)
                continue
            length = frame[0]
            if not seen_frame:
                seen_frame, audio_start = True, offset + position
                _, samples_per_frame, samplerate = frame
                stated = _stated_frames(buffer[position : position + length])
                if stated is not None:
                    declared, audio_start = stated or None, offset + position + length
                    position += length
                    continue
            if position + length <= len(buffer):
                count += 1
            position += length
    return MpegLength(count, declared, samples_per_frame, samplerate, audio_start) if seen_frame else None
