"""MPEG audio (MP3, MP2): how many frames a file holds, and how many its header states."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class MpegLength:
    """Number and place of the MPEG audio frames of a file."""

    frames: int
    """Whole frames that the file holds, without the frame of the header."""
    declared: int | None
    """Frames that the Xing, Info or VBRI header states; None without such a header."""
    samples_per_frame: int
    samplerate: int
    audio_start: int
    """Offset in bytes of the first frame with sound."""
    is_partial: bool = False
    """Whether the file ends within a frame."""

    @property
    def is_as_declared(self) -> bool:
        """Whether the header's count is right. Encoders count differently, so one frame more or less is right as well."""
        return self.declared is not None and abs(self.declared - self.frames) <= 1


FARTHEST = 1 << 20
"""The first frame must lie within this many bytes of the start, or of the end of the tags."""
HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]")
"""Possible beginnings of a frame: 11 bits of synchronisation, a layer, and a bit rate that is neither free nor forbidden."""


def id3_length(file: BinaryIO) -> int:
    """Bytes of the ID3 tag at the start of a file, 0 without one."""
    file.seek(0)
    data = file.read(10)
    if len(data) < 10 or data[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0))) + (10 if data[5] & 16 else 0)


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
    """Bytes, samples and sample rate of the MPEG audio frame with this header of four bytes. None if it is not a header."""
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
    """Whether another frame of the same kind follows. Four arbitrary bytes sometimes look like a header."""
    here, there = buffer[position : position + 4], buffer[position + length : position + length + 4]
    return _mpeg_frame(there) is not None and here[1] == there[1] and here[2] & 0x0C == there[2] & 0x0C


def _stated_frames(frame: bytes) -> int | None:
    """Number of frames that a Xing, Info or VBRI header states. 0 when it states no number, None when the frame holds no such header."""
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
        start = id3_length(file)
        file.seek(start)
        buffer, position, offset = file.read(1 << 20), 0, start
        count, declared, samples_per_frame, samplerate, audio_start, seen_frame, is_partial = 0, None, 0, 0, start, False, False
        while True:
            if len(buffer) - position < 4096:
                offset += position
                buffer, position = buffer[position:] + file.read(1 << 20), 0
            if len(buffer) - position < 4:
                break
            frame = _mpeg_frame(buffer[position : position + 4])
            if frame is None or (not seen_frame and not _is_followed(buffer, position, frame[0])):
                if not seen_frame and offset + position > start + FARTHEST:
                    break
                # Tags, covers or damage between frames: search for the next frame.
                following = HEADER.search(buffer, position + 1)
                position = following.start() if following else max(position + 1, len(buffer) - 2)
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
            # Four bytes alone may belong to a tag. A frame that is really cut holds more than its header.
            is_partial = position + length > len(buffer) > position + 32
            if position + length <= len(buffer):
                count += 1
            position += length
    return MpegLength(count, declared, samples_per_frame, samplerate, audio_start, is_partial) if seen_frame else None
