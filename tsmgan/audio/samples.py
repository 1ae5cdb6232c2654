"""Converts samples between floating point and integers. Rounding gives an unchanged sample back; samples out of range are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tsmgan.errors import AudioError

WIDTHS = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
"""Bytes per sample of the types that are stored one by one."""

BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_24": 24, "DWVW_24": 24, "PCM_32": 32}
"""Bits of an integer subtype. All other integer-like subtypes (companded, ADPCM) code 16 bits."""
FLOATING = {"FLOAT", "DOUBLE"}
LOSSY = {"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "aac", "opus", "mp3", "ac3", "eac3"}
"""Lossy codes: libsndfile's in capitals, those of media files in lower case."""


def integer_bits(subtype: str) -> int | None:
    """Bits that samples are rounded to before they are coded; None where the coder takes floating point."""
    return None if subtype in FLOATING | LOSSY else BITS.get(subtype, 16)


def to_integers(samples: np.ndarray, bits: int) -> np.ndarray:
    """Round to the nearest of 2**bits levels, limit to the range, and move to the top bits of int16 or int32.

    libsndfile rounds downwards when it is given floating point and clips, which moves everything by half a step and
    adds a bias; rounding here keeps quiet passages clean and gives samples that were integers back bit for bit.

    Args:
        samples: any shape, floating point, full scale is 1.
        bits: 8, 16, 24 or 32.

    Returns:
        The same shape, int16 for up to 16 bits, else int32.
    """
    scale = 2.0 ** (bits - 1)
    # float32 cannot hold the largest integer of 32 bits.
    precise = samples.astype(np.float64) if bits > 24 else samples
    levels = np.clip(np.rint(precise * precise.dtype.type(scale)), -scale, scale - 1)
    return levels.astype(np.int16) << (16 - bits) if bits <= 16 else levels.astype(np.int32) << (32 - bits)


def decode(data: bytes, subtype: str, channels: int) -> np.ndarray:
    """Convert little-endian bytes to samples.

    Returns:
        Shape (samples, channels), float64 for PCM_32 and DOUBLE, else float32; integers are scaled to [-1, 1).
    """
    if subtype == "PCM_U8":
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif subtype == "PCM_16":
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 2**15
    elif subtype == "PCM_24":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = (wide.view("<i4")[:, 0] >> 8).astype(np.float32) / 2**23
    elif subtype == "PCM_32":
        samples = np.frombuffer(data, "<i4").astype(np.float64) / 2**31
    else:
        samples = np.frombuffer(data, {"FLOAT": "<f4", "DOUBLE": "<f8"}[subtype]).astype(np.float64 if subtype == "DOUBLE" else np.float32)
    return samples.reshape(-1, channels)


def encode(samples: np.ndarray, subtype: str) -> bytes:
    """Convert samples of shape (samples, channels) to little-endian bytes. The inverse of `decode`."""
    if subtype in FLOATING:
        return samples.astype({"FLOAT": "<f4", "DOUBLE": "<f8"}[subtype]).tobytes()
    integers = to_integers(samples, BITS.get(subtype, 16))
    if subtype == "PCM_U8":
        return ((integers >> 8) + 128).astype(np.uint8).tobytes()
    if subtype == "PCM_24":
        return integers.astype("<i4").reshape(-1, 1).view(np.uint8)[:, 1:].tobytes()
    return integers.astype({"PCM_16": "<i2", "PCM_32": "<i4"}[subtype]).tobytes()


def require_finite(block: np.ndarray, start: int, samplerate: int, name: str) -> None:
    """Raise AudioError with the place of the first sample that is NaN or infinite.

    Args:
        block: shape (samples, channels).
        start: samples per channel that came before the block.
    """
    # One sum is a quick test: it is not finite if any sample is not. A sum of finite samples that overflows is sorted out below.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum(dtype=np.float64)):
            return
    bad = ~np.isfinite(block)
    if bad.any():
        frame, channel = np.argwhere(bad)[0]
        kind = "not a number (NaN)" if np.isnan(block[frame, channel]) else "infinite"
        raise AudioError(
            f"{name} has a sample that is {kind} at second {(start + frame) / samplerate:.6f} in channel {channel + 1}; "
            "repair the recording first."
        )


@dataclass(frozen=True)
class Clipping:
    """Samples beyond full scale in one output."""

    samples: int
    decibels: float
    """How far the largest sample lies above full scale, in decibels."""
    limited: bool
    """True where the stored samples were cut off, False where a lossy code keeps them and players cut them off."""

    @property
    def safe_gain(self) -> float:
        """The gain in decibels, rounded to a tenth, at which all samples would have fitted."""
        return -math.ceil(self.decibels * 10 + 1e-9) / 10


class ClipMeter:
    """Counts samples beyond full scale."""

    def __init__(self) -> None:
        self.samples = 0
        self.peak = 0.0

    def update(self, block: np.ndarray) -> None:
        """Look at a block of any shape."""
        if block.size == 0:
            return
        peak = float(max(block.max(), -block.min()))
        self.peak = max(self.peak, peak)
        if peak > 1:
            self.samples += int(np.count_nonzero(np.abs(block) > 1))

    def clipping(self, subtype: str) -> Clipping | None:
        """The clipping of the blocks when they are stored as the subtype; None when nothing is beyond full scale."""
        if self.samples == 0 or subtype in FLOATING:
            return None
        return Clipping(self.samples, 20 * math.log10(self.peak), subtype not in LOSSY)
