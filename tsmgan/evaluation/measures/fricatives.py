"""Repetition and highs of fricatives: whether an s that lasts longer is still an s, and as bright as it was."""

from __future__ import annotations

import librosa
import numpy as np
from scipy.signal import butter, lfilter, sosfiltfilt

from tsmgan.evaluation.measures.measure import SyntheticMeasure

FRAME_SECONDS, HOP_SECONDS = 0.060, 0.010
FRICATIVE_HZ = 3000.0
"""A frame is a fricative where most of its energy lies above."""
LOUD_DB = 20.0
"""A fricative's frame counts within so many dB of the loudest one."""
LEAST_LAG, GREATEST_LAG = 0.003, 0.040
"""Seconds after which a stretcher may have repeated what it had."""
HIGHS_HZ = 6000.0
VOWEL_SECONDS, FRICATIVE_SECONDS, PAIRS = 0.2, 0.25, 5


def fricatives(samplerate: int, seed: int) -> np.ndarray:
    """Five vowels of 0.2 s, each with a fricative of 0.25 s after it: float32 (samples,), peak 0.5.

    Vowels are pulses at 110 to 180 Hz through two formants, fricatives noise between 3.5 kHz and 11 kHz (or 0.47 of the sample rate).
    """
    rng = np.random.default_rng(seed)
    parts = []
    band = butter(4, [3500, min(11000, 0.47 * samplerate)], "bandpass", fs=samplerate, output="sos")
    for _ in range(PAIRS):
        t = np.arange(round(VOWEL_SECONDS * samplerate)) / samplerate
        vowel = np.diff(np.floor(rng.uniform(110, 180) * t), prepend=0)
        for hz in (rng.uniform(300, 700), rng.uniform(1000, 2000)):
            radius = np.exp(-np.pi * 80 / samplerate)
            vowel = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hz / samplerate), radius**2], vowel)
        hiss = sosfiltfilt(band, rng.standard_normal(round(FRICATIVE_SECONDS * samplerate)))
        for sound, level in ((vowel, 1.0), (hiss, 0.5)):
            fade = np.minimum(1, np.minimum(np.arange(1, len(sound) + 1), np.arange(len(sound), 0, -1)) / (0.02 * samplerate))
            parts.append(level * fade * sound / np.sqrt(np.mean(sound**2)))
    y = np.concatenate(parts)
    return (0.5 * y / np.abs(y).max()).astype(np.float32)


def _fricative_frames(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Frames (frames, samples) of fricatives, above 2 kHz alone.

    Raises:
        ValueError: there is none.
    """
    length = round(FRAME_SECONDS * samplerate)
    if len(y) < 2 * length:
        raise ValueError("Fricatives: the signal is too short.")
    high, highest = (
        sosfiltfilt(butter(6, hz, "highpass", fs=samplerate, output="sos"), y.astype(np.float64)) for hz in (2000.0, FRICATIVE_HZ)
    )
    whole, clear, above = (
        librosa.util.frame(x, frame_length=length, hop_length=round(HOP_SECONDS * samplerate)).T for x in (y, high, highest)
    )
    energy = np.sum(np.square(above), axis=1)
    chosen = energy > 0.5 * np.sum(np.square(whole, dtype=np.float64), axis=1)
    if not np.any(chosen) or not np.any(energy):
        raise ValueError("Fricatives: there is no fricative in the signal.")
    chosen &= energy > 10 ** (-LOUD_DB / 10) * energy[chosen].max()
    return clear[chosen]


def repetition(y: np.ndarray, samplerate: int) -> float:
    """Greatest normalised autocorrelation of a fricative's frame at lags of 3 to 40 ms, a mean over frames of 60 ms.

    About 0.15 for noise, because there are many lags to choose from; towards 1 where pieces are repeated.

    Raises:
        ValueError: there is no fricative in y (samples,).
    """
    frames = _fricative_frames(y, samplerate)
    length = frames.shape[1]
    first, last = round(LEAST_LAG * samplerate), round(GREATEST_LAG * samplerate)
    products = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * length, axis=1)) ** 2, axis=1)[:, first : last + 1]
    sums = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(np.square(frames), axis=1)], axis=1)
    lags = np.arange(first, last + 1)
    norms = np.sqrt(sums[:, length - lags] * (sums[:, -1:] - sums[:, lags]))
    return float(np.mean((products / (norms + 1e-12)).max(axis=1)))


def fricative_repetition(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """`repetition` of a stretched signal less that of its source, which may be a recording of speech; `rate` is not used.

    0: the noise is as new at every moment as it was. 0.1 and more: it buzzes or flutters.
    """
    return repetition(output, samplerate) - repetition(source, samplerate)


def fricative_highs(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Mean power above 6 kHz of a stretched signal's fricatives over that of its source's, in dB; `rate` is not used.

    The source may be a recording of speech, if its sample rate is above 16 kHz. 0: as bright as before. Below: dull.
    """
    high = butter(6, HIGHS_HZ, "highpass", fs=samplerate, output="sos")
    before, after = (np.mean(np.square(sosfiltfilt(high, _fricative_frames(y, samplerate), axis=1))) for y in (source, output))
    return 10 * float(np.log10((after + 1e-20) / (before + 1e-20)))


FRICATIVE_REPETITION = SyntheticMeasure(
    name="fricative_repetition",
    title="Repeating fricatives",
    digits=2,
    ideal=0.0,
    explanation="Whether an s that is made longer repeats itself. 0 is natural noise; from about 0.1 on it buzzes or flutters.",
    signal=fricatives,
    function=fricative_repetition,
)
FRICATIVE_HIGHS = SyntheticMeasure(
    name="fricative_highs",
    title="Highs of fricatives",
    unit="dB",
    digits=1,
    ideal=0.0,
    explanation="How much brighter (+) or duller (-) an s becomes: its level above 6 kHz. 0 is unchanged.",
    signal=fricatives,
    function=fricative_highs,
)
