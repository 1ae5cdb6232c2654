"""Is it as loud, and as long?"""

from __future__ import annotations

import numpy as np


def level_difference(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """RMS of the output over that of the reference, in dB, over all samples and channels. 0: level kept. `samplerate` is not used.

    Raises:
        ValueError: one of the signals is silent.
    """
    a, b = (float(np.mean(np.square(y, dtype=np.float64))) for y in (reference, output))
    if a <= 0 or b <= 0:
        raise ValueError("Level: one of the signals is silent.")
    return 10 * float(np.log10(b / a))


def length_error(input_length: int, output_length: int, rate: float, samplerate: int) -> float:
    """Output length less round(input length / rate), in milliseconds; lengths in samples. 0: exact. Negative: too short."""
    return 1000 * (output_length - round(input_length / rate)) / samplerate
