"""Samples as compact sound files that every browser can play without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import soundfile

BUDGET_BYTES = 8_200_000
"""For all sound files together. Base64 makes 10.9 MB of it, so that a page stays under 12 MB."""
LOWEST_SAMPLERATE, HIGHEST_SAMPLERATE = 8000, 48000
"""Browsers resample other rates, or do not play them."""
OPUS_SAMPLERATES = (8000, 12000, 16000, 24000, 48000)
MOST_BITRATE, LEAST_BITRATE = 128_000, 48_000
"""Opus, in bits per second and channel. At the highest, listening tests cannot tell it from the original."""
_OPUS_LEVELS = (256_000, 6_000)
"""Bitrates that libsndfile's compression levels 0 and 1 stand for."""


@dataclass(frozen=True)
class Sounds:
    """Encoded recordings, and a description of their encoding."""

    files: list[bytes]
    mime: str
    samplerate: int
    """In Hz, of the samples that were encoded."""
    scales: list[float]
    """The divisor of each recording's samples; above 1 where the recording went beyond full scale."""
    description: str


def playable(y: np.ndarray, samplerate: int) -> tuple[np.ndarray, int]:
    """y (channels, samples) at a sample rate, and with a number of channels, that browsers play: one or two, 8 to 48 kHz."""
    if len(y) > 2:
        y = y.mean(axis=0, keepdims=True)
    target = min(max(samplerate, LOWEST_SAMPLERATE), HIGHEST_SAMPLERATE)
    return _resample(y, samplerate, target), target


def encode(recordings: Sequence[np.ndarray], samplerate: int, *, budget: int = BUDGET_BYTES) -> Sounds:
    """16-bit FLAC where all recordings together fit the budget in bytes, else Opus, as good as fits.

    Args:
        recordings: each (channels, samples), as `playable` gives them.
        samplerate: of all of them, in Hz.
    """
    scales = [max(1.0, float(np.abs(y).max())) for y in recordings]
    whole = [y / scale for y, scale in zip(recordings, scales)]
    files = []
    for y in whole:
        files.append(_write(y, samplerate, format="FLAC", subtype="PCM_16", compression_level=0.8))
        if sum(map(len, files)) > budget:
            break
    else:
        return Sounds(files, "audio/flac", samplerate, scales, "16-bit FLAC (lossless)")
    target = min(rate for rate in OPUS_SAMPLERATES if rate >= samplerate)
    seconds = sum(y.size for y in recordings) / samplerate
    bitrate = float(np.clip(0.95 * 8 * budget / seconds, LEAST_BITRATE, MOST_BITRATE))
    most, least = _OPUS_LEVELS
    level = (most - bitrate) / (most - least)
    files = [_write(_resample(y, samplerate, target), target, format="OGG", subtype="OPUS", compression_level=level) for y in whole]
    kilobits = round(bitrate / 1000)
    return Sounds(files, "audio/ogg; codecs=opus", target, scales, f"Opus at about {kilobits} kbit/s a channel (FLAC would be too large)")


def data_uri(file: bytes, mime: str) -> str:
    """The file as a data: URI."""
    return f"data:{mime.replace(' ', '')};base64,{base64.b64encode(file).decode('ascii')}"


def _resample(y: np.ndarray, samplerate: int, target: int) -> np.ndarray:
    return y if samplerate == target else librosa.resample(y, orig_sr=samplerate, target_sr=target)


def _write(y: np.ndarray, samplerate: int, **how: object) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, y.T, samplerate, **how)
    return buffer.getvalue()
