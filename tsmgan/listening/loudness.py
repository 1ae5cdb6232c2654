"""How loud a recording sounds, so that a louder rendering does not win a listening test for that alone."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

BLOCK_SECONDS = 0.4
ABSOLUTE_GATE = -70.0
RELATIVE_GATE = -10.0


def _shelf(samplerate: int) -> tuple[np.ndarray, np.ndarray]:
    """First filter of the K-weighting: the head lifts high frequencies by 4 dB."""
    k, gain, q = np.tan(np.pi * 1681.974450955533 / samplerate), 10 ** (3.999843853973347 / 20), 0.7071752369554196
    middle = gain**0.4996667741545416
    b = np.array([gain + middle * k / q + k * k, 2 * (k * k - gain), gain - middle * k / q + k * k])
    a = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return b / a[0], a / a[0]


def _high_pass(samplerate: int) -> tuple[np.ndarray, np.ndarray]:
    """Second filter of the K-weighting: lows below about 40 Hz count little."""
    k, q = np.tan(np.pi * 38.13547087602444 / samplerate), 0.5003270373238773
    a = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return np.array([1.0, -2.0, 1.0]), a / a[0]


def loudness(y: np.ndarray, samplerate: int) -> float:
    """Integrated loudness in LUFS: K-weighted, gated at -70 LUFS and 10 LU below the mean; every channel counts 1.

    Source: ITU-R BS.1770-4, its filters by the formulas of libebur128 for any sample rate. A 997 Hz sine of full scale in one channel has
    -3.01 LUFS.

    Args:
        y: (channels, samples), full scale 1.0.
        samplerate: in Hz, above 4 kHz.

    Returns:
        LUFS; -inf where no block is above the gate.
    """
    weighted = lfilter(*_high_pass(samplerate), lfilter(*_shelf(samplerate), y.astype(np.float64)))
    energy = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=0))])
    block = min(round(BLOCK_SECONDS * samplerate), y.shape[1])
    starts = np.arange(0, y.shape[1] - block + 1, max(1, block // 4))
    power = (energy[starts + block] - energy[starts]) / max(1, block)
    power = power[_lufs(power) > ABSOLUTE_GATE]
    if len(power):
        power = power[_lufs(power) > _lufs(power.mean()) + RELATIVE_GATE]
    return float(_lufs(power.mean())) if len(power) else -np.inf


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-20))
