"""WAV headers for streams that cannot seek: read one from a pipe, and build one for a pipe."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from tsmgan.audio.containers import is_unknown
from tsmgan.audio.samples import FLOATING, WIDTHS
from tsmgan.errors import AudioError

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""The bytes that follow the format code in the subformat of WAVE_FORMAT_EXTENSIBLE."""
INFO_TAGS = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"ICRD": "date",
    b"IGNR": "genre",
    b"ITRK": "tracknumber",
    b"ICMT": "comment",
    b"ICOP": "copyright",
    b"ISFT": "software",
}
LONGEST_CHUNK = 2**26
"""A chunk before the samples that is longer than this (64 MiB) means that the header is damaged."""


@dataclass(frozen=True)
class WavHeader:
    """What the header states."""

    samplerate: int
    channels: int
    subtype: str
    frames: int | None
    """Samples per channel; None when the writer did not know."""
    tags: dict[str, str]


def _take(stream: BinaryIO, count: int, name: str) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise AudioError(f"{name} ends within its WAV header; check the program that writes it.")
    return data


def _format_chunk(data: bytes, name: str) -> tuple[int, int, str]:
    """Sample rate, channels and subtype of a `fmt ` chunk."""
    if len(data) < 16:
        raise AudioError(f"{name} has a damaged WAV header; check the program that writes it.")
    code, channels, samplerate, _, align, bits = struct.unpack("<HHIIHH", data[:16])
    if code == EXTENSIBLE and len(data) >= 40:
        (code,) = struct.unpack("<H", data[24:26])
    if channels == 0:
        raise AudioError(f"{name} has a WAV header with no channels; check the program that writes it.")
    kinds = {(PCM, 8): "PCM_U8", (PCM, 16): "PCM_16", (PCM, 24): "PCM_24", (PCM, 32): "PCM_32"}
    kinds |= {(IEEE_FLOAT, 32): "FLOAT", (IEEE_FLOAT, 64): "DOUBLE"}
    subtype = kinds.get((code, bits))
    if subtype is None or align != channels * bits // 8:
        raise AudioError(
            f"{name} holds WAV samples of a kind that cannot be read from a pipe (code {code}, {bits} bits); "
            "use PCM of 8, 16, 24 or 32 bits or floating point, for example `ffmpeg -i in.wav -c:a pcm_s16le -f wav -`."
        )
    return samplerate, channels, subtype


def _info_tags(data: bytes) -> dict[str, str]:
    tags = {}
    at = 4
    while at + 8 <= len(data):
        key, length = struct.unpack("<4sI", data[at : at + 8])
        if key in INFO_TAGS:
            tags[INFO_TAGS[key]] = data[at + 8 : at + 8 + length].split(b"\0")[0].decode("utf-8", "replace")
        at += 8 + length + length % 2
    return tags


def read_wav_header(stream: BinaryIO, name: str) -> WavHeader:
    """Read up to the first sample.

    Raises:
        AudioError: the stream is empty, is no WAV, or ends early.
    """
    start = stream.read(12)
    if not start:
        raise AudioError(f"{name} is empty: the program before tsmgan wrote nothing.")
    if start[:4] not in (b"RIFF", b"RF64") or start[8:12] != b"WAVE":
        raise AudioError(
            f"{name} is not WAV; put `ffmpeg -i FILE -f wav - |` before tsmgan, "
            "or describe raw samples with --raw, --raw-rate and --raw-channels."
        )
    described, tags, long_size = None, {}, None
    while True:
        key, length = struct.unpack("<4sI", _take(stream, 8, name))
        if key == b"data":
            break
        if length > LONGEST_CHUNK:
            raise AudioError(f"{name} has a damaged WAV header; check the program that writes it.")
        content = _take(stream, length + length % 2, name)
        if key == b"fmt ":
            described = _format_chunk(content, name)
        elif key == b"ds64" and length >= 16:
            (long_size,) = struct.unpack("<Q", content[8:16])
        elif key == b"LIST" and content[:4] == b"INFO":
            tags = _info_tags(content[:length])
    if described is None:
        raise AudioError(f"{name} has WAV samples before their format; check the program that writes it.")
    samplerate, channels, subtype = described
    unknown = is_unknown(length) or length == 0
    if unknown and start[:4] == b"RF64" and long_size:
        unknown, length = False, long_size
    return WavHeader(samplerate, channels, subtype, None if unknown else length // (channels * WIDTHS[subtype]), tags)


def wav_header(samplerate: int, channels: int, subtype: str, frames: int | None, tags: dict[str, str] | None = None) -> bytes:
    """Everything before the samples.

    An unknown length, and one beyond 4 GiB, is written as 0xFFFFFFFF, which ffmpeg, sox and libsndfile read to the end.
    """
    width = WIDTHS[subtype]
    code, bits, align = IEEE_FLOAT if subtype in FLOATING else PCM, 8 * width, channels * width
    basic = struct.pack("<HHIIHH", code, channels, samplerate, samplerate * align & 0xFFFFFFFF, align & 0xFFFF, bits)
    if channels > 2 or (code == PCM and bits > 16):
        basic = struct.pack("<H", EXTENSIBLE) + basic[2:] + struct.pack("<HHIH", 22, bits, _speakers(channels), code) + GUID_TAIL
    chunks = _chunk(b"fmt ", basic)
    entries = b"".join(_chunk(key, tags[tag].encode() + b"\0") for key, tag in INFO_TAGS.items() if tags and tags.get(tag))
    if entries:
        chunks += _chunk(b"LIST", b"INFO" + entries)
    size = None if frames is None else frames * align
    riff_size = None if size is None else 4 + len(chunks) + 8 + size + size % 2
    if riff_size is None or riff_size >= 0xFFFFFFFF:
        size = riff_size = 0xFFFFFFFF
    return b"RIFF" + struct.pack("<I", riff_size) + b"WAVE" + chunks + b"data" + struct.pack("<I", size)


def _chunk(key: bytes, content: bytes) -> bytes:
    return key + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _speakers(channels: int) -> int:
    """The channel mask of the usual speaker layouts; 0 (not stated) for other numbers of channels."""
    return {1: 0x4, 2: 0x3, 4: 0x33, 6: 0x3F, 8: 0x63F}.get(channels, 0)
