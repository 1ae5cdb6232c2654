"""Measures made from listening tests. Both compare an output with its reference; both need a package of the extra `eval`."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.signals import SPEECH_RATE, at_rate


def pesq_wb(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Perceived quality of speech, wide band, at 16 kHz.

    Range 1.04 to 4.64 (identical). Signals: (samples,), equal lengths, at least a quarter of a second.
    Source: ITU-T P.862.2 (2007), package `pesq`.

    Raises:
        ImportError: `pesq` is not installed.
        ValueError: there is no speech in the reference, or it is too short.
    """
    from pesq import PesqError, pesq

    try:
        return float(pesq(SPEECH_RATE, at_rate(reference, samplerate, SPEECH_RATE), at_rate(output, samplerate, SPEECH_RATE), "wb"))
    except PesqError as error:
        message = error.args[0] if error.args else error
        raise ValueError(f"PESQ: {message.decode() if isinstance(message, bytes) else message}") from error


def estoi(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Predicted intelligibility of speech, from the correlation of short-time band envelopes.

    Range about 0 to 1 (identical). Signals: (samples,), equal lengths, at least 0.4 s of speech.
    Source: Jensen and Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise Maskers" (2016),
    package `pystoi`.

    Raises:
        ImportError: `pystoi` is not installed.
        ValueError: too little of the reference is loud enough.
    """
    import warnings

    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            return float(stoi(reference, output, samplerate, extended=True))
        except RuntimeWarning as error:
            raise ValueError("eSTOI: less than 0.4 s of the reference is loud enough.") from error
