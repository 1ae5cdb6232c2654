"""Lengths that rarer containers state: VOC, NIST SPHERE, AVR, MAT, 8SVX and samplers' formats.

libsndfile reads these to the end of the file, whatever their headers say. Each function here takes a file, of which the first four
bytes are read, and its size, and gives what `tsmgan.audio.containers.payload` gives.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from tsmgan.audio.stated import Payload, stated, trailing

MAT4_WIDTHS = (8, 4, 4, 2, 2, 1)
"""Bytes per number, by the second digit of the type of a MAT4 matrix."""
VOC_SOUND = {1: 2, 2: 0, 8: 0, 9: 12}
"""Types of VOC blocks that hold or describe sound, and the number of bytes in them before the sound."""


def avr(file: BinaryIO, size: int) -> Payload:
    """AVR, of Audio Visual Research on the Atari."""
    file.seek(12)
    stereo, bits = struct.unpack(">hh", file.read(4))
    file.seek(26)
    (frames,) = struct.unpack(">I", file.read(4))
    return stated(file, 128, frames * (2 if stereo else 1) * (1 if bits == 8 else 2), size)


def mat4(file: BinaryIO, size: int) -> Payload | None:
    """MATLAB 4 and Octave 2.0: a matrix with the sample rate, then one with the samples."""
    file.seek(0)
    (kind,) = struct.unpack("<I", file.read(4))
    order = "<" if kind < 1000 else ">"
    position = 0
    for _ in range(2):
        file.seek(position)
        kind, rows, columns, _, name = struct.unpack(order + "5I", file.read(20))
        start, length = position + 20 + name, rows * columns * MAT4_WIDTHS[kind // 10 % 10]
        position = start + length
    return stated(file, start, length, size)


def mat5(file: BinaryIO, size: int) -> Payload | None:
    """MATLAB 5 and Octave 2.1: the same two matrices, as nested elements."""
    file.seek(126)
    order = "<" if file.read(2) == b"IM" else ">"
    file.seek(132)
    (first,) = struct.unpack(order + "I", file.read(4))
    position = 136 + first + 8
    for _ in range(3):  # flags, dimensions, name
        file.seek(position)
        kind, length = struct.unpack(order + "II", file.read(8))
        # A content of up to four bytes takes the place of the length.
        position += 8 if kind >> 16 else 8 + (length + 7) // 8 * 8
    file.seek(position)
    _, length = struct.unpack(order + "II", file.read(8))
    return stated(file, position + 8, length, size)


def voc(file: BinaryIO, size: int) -> Payload | None:
    """VOC, of Creative Labs: blocks, each with its type and a length of three bytes."""
    file.seek(20)
    (position,) = struct.unpack("<H", file.read(2))
    declared = present = blocks = 0
    while position < size:
        file.seek(position)
        kind, *lengths = file.read(4).ljust(4, b"\0")
        if kind == 0 or kind > 9:
            position += kind == 0
            break
        length = int.from_bytes(bytes(lengths), "little")
        if kind in VOC_SOUND:
            blocks += kind != 8
            declared += max(0, length - VOC_SOUND[kind])
            present += max(0, min(length, size - position - 4) - VOC_SOUND[kind])
        position += 4 + length
    behind, has_another = trailing(file, position, size)
    return Payload(declared, present, behind, has_another, is_scattered=blocks > 1) if blocks else None


def nist(file: BinaryIO, size: int) -> Payload | None:
    """NIST SPHERE: a text header, then the samples."""
    file.seek(0)
    text = file.read(65536)
    found = {key.decode(): int(number) for key, number in re.findall(rb"\n(sample_count|sample_n_bytes|channel_count) -i (\d+)", text)}
    header = re.match(rb"NIST_1A\s+(\d+)", text)
    if header is None or "sample_count" not in found:
        return None
    # A companded sample is one byte, even where the header states the width of the decoded sample.
    start, width = int(header[1]), 1 if re.search(rb"\nsample_coding -s\d+ [au]law", text[:1024]) else found.get("sample_n_bytes", 2)
    declared = found["sample_count"] * width * found.get("channel_count", 1)
    # Some programs count the samples of all channels together.
    if declared > size - start == found["sample_count"] * width:
        declared = size - start
    return stated(file, start, declared, size)


def mpc2k(file: BinaryIO, size: int) -> Payload | None:
    """Akai MPC 2000."""
    file.seek(0)
    header = file.read(42)
    if header[:2] != b"\1\4":
        return None
    (frames,) = struct.unpack("<I", header[30:34])
    return stated(file, 42, frames * 2 * (2 if header[21] else 1), size)


def psion(file: BinaryIO, size: int) -> Payload | None:
    """WVE, of Psion."""
    file.seek(0)
    header = file.read(32)
    if not header.startswith(b"ALawSoundFile**"):
        return None
    (length,) = struct.unpack(">I", header[18:22])
    return stated(file, 32, length, size)


def sds(file: BinaryIO, size: int) -> Payload | None:
    """MIDI Sample Dump Standard: packets of 127 bytes."""
    file.seek(0)
    header = file.read(21)
    if header[:2] != b"\xf0\x7e" or header[3] != 1:
        return None
    bits, frames = header[6], header[10] | header[11] << 7 | header[12] << 14
    in_packet = 60 if bits < 15 else 40 if bits < 22 else 30
    return stated(file, 21, -(-frames // in_packet) * 127, size, bytes_per_frame=127 / in_packet)


def sox(file: BinaryIO, size: int) -> Payload:
    """The native format of SoX: samples of 32 bits."""
    file.seek(0)
    order = "<" if file.read(4) == b".SoX" else ">"
    header, samples = struct.unpack(order + "IQ", file.read(12))
    return stated(file, 4 + header, samples * 4, size)
