"""Compares the length that a file's container states with what the file holds.

libsndfile reads a file that is cut short as if it ended there on purpose. Somebody who stretches half an interview wants
to be told, so the lengths that containers state are read here and compared with the file's size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from tsmgan.audio import media_containers, rareformats
from tsmgan.audio.stated import Payload, stated, trailing

UNKNOWN_SIZES = (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFF000, 0x7F000000)
"""Chunk sizes that programs write to pipes, where they do not know the length yet."""
UNKNOWN_SLACK = 4096
"""Some programs subtract the header or round to whole frames, so an unknown size may be this much smaller. Few make it larger."""


def is_unknown(length: int) -> bool:
    """Whether a stated size stands for "until the end". Every other size is a length, even one of more than 2 GB."""
    return any(size - UNKNOWN_SLACK <= length <= size + 64 for size in UNKNOWN_SIZES)


def _chunks(file: BinaryIO, order: str, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk over the chunks of a RIFF-like file. Yields (name, offset of the content, stated size)."""
    while file.tell() + 8 <= end:
        name, length = struct.unpack(order + "4sI", file.read(8))
        start = file.tell()
        yield name, start, length
        file.seek(start + length + length % 2)


def _is_open(length: int, present: int) -> bool:
    """Whether a stated size means "until the end"."""
    return is_unknown(length) and length > present


def _chunk_payload(file: BinaryIO, start: int, length: int, size: int, order: str) -> Payload:
    """The payload of a chunk that other chunks may follow."""
    behind, has_another = trailing(file, start + length + length % 2, size, order)
    if behind and length % 2:
        # Some programs forget the byte that pads a chunk to an even length.
        other = trailing(file, start + length, size, order)
        behind, has_another = other if other[1] or other[0] < behind else (behind, has_another)
    return Payload(length, max(0, min(length, size - start)), behind, has_another)


BLOCK_CODECS = {0x02, 0x11, 0x31}
"""WAV codes of Microsoft ADPCM, IMA ADPCM and GSM 6.10. Their blocks have a fixed number of samples."""
NO_CODING = Payload(0, 0)


def _coding(description: bytes, order: str) -> Payload:
    """Samples per block of a coded WAV or W64 file, from the first 20 bytes of `fmt `. The payload that is returned has no length."""
    code, align, block = struct.unpack(order + "H10xH4xH", description)
    return Payload(0, 0, block_frames=block, bytes_per_frame=align / block) if code in BLOCK_CODECS and align and block else NO_CODING


def _riff(file: BinaryIO, size: int) -> Payload | None:
    file.seek(0)
    magic, riff_size_bytes, kind = struct.unpack("4s4s4s", file.read(12))
    if kind == b"AVI ":
        return media_containers.avi(file, size)
    order = ">" if magic == b"RIFX" else "<"
    (riff_size,) = struct.unpack(order + "I", riff_size_bytes)
    long_size = long_frames = frames = None
    coding = NO_CODING
    for name, start, length in _chunks(file, order, size):
        if name == b"ds64":
            _, long_size, long_frames = struct.unpack("<QQQ", file.read(24))
        elif name == b"fmt " and length >= 20:
            coding = _coding(file.read(20), order)
        elif name == b"fact" and length >= 4:
            (frames,) = struct.unpack(order + "I", file.read(4))
        elif name == b"data":
            present = size - start
            if magic in (b"RF64", b"BW64") and length == 0xFFFFFFFF and long_size is not None:
                length, frames = long_size, long_frames
            elif _is_open(length, present) or (length == 0 and riff_size in (0, 0xFFFFFFFF)):
                return replace(coding, declared=present, present=present)
            found = _chunk_payload(file, start, length, size, order)
            return replace(found, frames=frames, block_frames=coding.block_frames, bytes_per_frame=coding.bytes_per_frame)
    return None


def _form(file: BinaryIO, size: int) -> Payload | None:
    file.seek(12)
    for name, start, length in _chunks(file, ">", size):
        if name in (b"SSND", b"BODY"):
            present = size - start
            if _is_open(length, present) or (name == b"SSND" and length <= 8):
                return Payload(present, present)
            return _chunk_payload(file, start, length, size, ">")
    return None


AU_BITS = {23: 4, 25: 3, 26: 5}
"""Bits per sample of the AU encodings G.721 and G.723 (24 and 40 kbit/s), whose decoders cannot tell where the sound ends."""


def _au(file: BinaryIO, size: int) -> Payload | None:
    file.seek(0)
    order = ">" if file.read(4) == b".snd" else "<"
    start, length, encoding = struct.unpack(order + "III", file.read(12))
    if is_unknown(length):
        present = max(0, size - start)
        return Payload(present, present)
    return stated(file, start, length, size, bytes_per_frame=AU_BITS[encoding] / 8 if encoding in AU_BITS else None)


def _caf(file: BinaryIO, size: int) -> Payload | None:
    position, found = 8, None
    while position + 12 <= size:
        file.seek(position)
        name, length = struct.unpack(">4sq", file.read(12))
        start = position + 12
        if name == b"data" and found is None:
            if length < 0:
                return Payload(size - start, size - start)
            found = Payload(length, min(length, size - start))
        elif length < 0 or start + length > size or not name.isalnum():
            break
        position = start + length
    if found is None:
        return None
    behind, has_another = trailing(file, position, size)
    return replace(found, behind=behind, has_another=has_another)


def _w64(file: BinaryIO, size: int) -> Payload | None:
    file.seek(40)
    frames, coding = None, NO_CODING
    while file.tell() + 24 <= size:
        guid, length = struct.unpack("<16sQ", file.read(24))
        start = file.tell()
        length -= 24
        if guid[:4] == b"data":
            present = size - start
            if length >= 2**62 or length <= 0:
                return replace(coding, declared=present, present=present)
            behind, has_another = trailing(file, start + length, size)
            if not has_another:
                behind, has_another = _behind_w64(file, start + (length + 7) // 8 * 8, size)
            return replace(coding, declared=length, present=min(length, present), behind=behind, has_another=has_another, frames=frames)
        if length < 0:
            return None
        if guid[:4] == b"fmt " and length >= 20:
            coding = _coding(file.read(20), "<")
        elif guid[:4] == b"fact" and length >= 8:
            (frames,) = struct.unpack("<Q", file.read(8))
        file.seek(start + (length + 7) // 8 * 8)
    return None


def _behind_w64(file: BinaryIO, position: int, size: int) -> tuple[int, bool]:
    while position + 24 <= size:
        file.seek(position)
        guid, length = struct.unpack("<16sQ", file.read(24))
        if guid.startswith(b"riff") or length < 24 or position + length > size + 7 or not guid[:4].isascii():
            return trailing(file, position, size)
        position += (length + 7) // 8 * 8
    return max(0, size - position), False


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
    b"Crea": rareformats.voc,
    b"NIST": rareformats.nist,
    b"2BIT": rareformats.avr,
    b"MATL": rareformats.mat5,
    b"\0\0\0\0": rareformats.mat4,
    b"\0\0\3\xe8": rareformats.mat4,
    b"ALaw": rareformats.psion,
    b".SoX": rareformats.sox,
    b"XoS.": rareformats.sox,
    b"FLV\1": media_containers.flv,
    b"TTA1": media_containers.tta,
    b"\x1a\x45\xdf\xa3": media_containers.matroska,
    b"\x30\x26\xb2\x75": media_containers.asf,
}
"""The function that follows each container, by the first four bytes of a file."""


def _walker(magic: bytes):
    if magic[:2] == b"\1\4":
        return rareformats.mpc2k
    if magic[:2] == b"\xf0\x7e":
        return rareformats.sds
    return media_containers.mp4 if magic[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") else WALKERS.get(magic[:4])


def payload(path: str) -> Payload | None:
    """What a file's container states about its sound. None where it states nothing, or where it cannot be followed."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        walker = _walker(file.read(8))
        try:
            return walker(file, size) if walker else None
        except (struct.error, ValueError, OverflowError, OSError, IndexError):
            # A seek fails where a damaged file states a size that no file can have.
            return None
