"""Samples: what a caller may give as sound, and its form inside the engine, (channels, samples) in native float32 or float64."""

from __future__ import annotations

import numpy as np

from tsmgan.errors import AudioError, UsageError

MOST_CHANNELS = 1024
FEW_CHANNELS = 8
"""An array with more channels than this, and with more channels than samples, is taken for a transposed one."""
LARGEST_SAMPLE = 1e6
"""Larger samples, relative to full scale, are taken for a corrupt file; their squares would leave float32."""


def require_channels_first(y: np.ndarray) -> None:
    """Refuse (samples, channels), as `soundfile.read` returns it, before anything is allocated for so many channels.

    Raises:
        UsageError: y has neither one nor two dimensions, or looks transposed.
    """
    if y.ndim not in (1, 2):
        raise UsageError(f"The signal has {y.ndim} dimensions; it must be (samples,) or (channels, samples).")
    if y.ndim == 2 and (y.shape[0] > MOST_CHANNELS or (y.shape[0] > FEW_CHANNELS and y.shape[0] > y.shape[1] > 0)):
        raise UsageError(f"The signal has {y.shape[0]} channels of {y.shape[1]} samples, so it looks transposed; give y.T.")


def checked_block(block: np.ndarray, channels: int, start: float, samplerate: int) -> np.ndarray:
    """A block as (channels, samples), in native float32 or float64 with full scale 1.0.

    Args:
        block: what the caller gave.
        channels: how many it must have.
        start: second of the recording at which it begins.
        samplerate: in Hz.

    Raises:
        UsageError: its shape or type is wrong.
        AudioError: it holds NaN, infinite or absurdly large samples.
    """
    block = np.asarray(block)
    if block.ndim == 1:
        block = block[None]
    if block.ndim != 2 or block.shape[0] != channels:
        raise UsageError(f"A block has shape {block.shape}; it must be ({channels}, samples).")
    block = _as_float(block)
    sound = np.abs(block) <= LARGEST_SAMPLE  # False for NaN as well
    if not sound.all():
        first = int(np.argmin(sound.all(axis=0)))
        value, at = block[np.argmin(sound[:, first]), first], start + first / samplerate
        what = "a NaN or infinite sample" if not np.isfinite(value) else f"a sample of {value:.3g} times full scale, which is no audio,"
        raise AudioError(f"The input holds {what} at {at:.4f} s; repair the recording first.")
    return block


def _as_float(block: np.ndarray) -> np.ndarray:
    """Samples as native float32 or float64 with full scale 1.0; integers are scaled as soundfile scales them."""
    kind, size = block.dtype.kind, block.dtype.itemsize
    if kind == "f":
        return block.astype(np.float32 if size <= 4 else np.float64, copy=False)
    if kind == "i" and size == 2:
        return block.astype(np.float32) / np.float32(1 << 15)
    if kind == "i" and size == 4:
        return block.astype(np.float64) / float(1 << 31)
    if kind == "u" and size == 1:
        return (block.astype(np.float32) - np.float32(128)) / np.float32(128)
    raise UsageError(f"The samples are {block.dtype}; give float32 or float64 with full scale 1.0, or int16, int32 or uint8.")
