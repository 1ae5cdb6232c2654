"""How loud a recording sounds, so that a louder rendering does not win a listening test by loudness alone."""

from __future__ import annotations

import numpy as np
import pyloudnorm

BLOCK_SECONDS = 0.4


def loudness(y: np.ndarray, samplerate: int) -> float:
    """Integrated loudness in LUFS after ITU-R BS.1770-4: K-weighted, gated at -70 LUFS and 10 LU below the mean.

    A 997 Hz sine of full scale in one channel has -3.01 LUFS. A recording that is shorter than a gating block is one block.

    Args:
        y: (channels, samples), one or two channels, full scale 1.0.
        samplerate: in Hz, above 4 kHz.

    Returns:
        LUFS; -inf where no block is above the gate.
    """
    if not y.shape[1]:
        return -np.inf
    block = min(BLOCK_SECONDS, y.shape[1] / samplerate)
    # pyloudnorm's default filters are those of the standard at 48 kHz only; De Man's formulas hold at every sample rate.
    meter = pyloudnorm.Meter(samplerate, filter_class="DeMan", block_size=block)
    return float(meter.integrated_loudness(y.T.astype(np.float64)))
