"""Tones whose pitch is shifted: their frequency, their level, and what should not be heard beside them."""

from __future__ import annotations

import numpy as np

from tsmgan.evaluation.measures.measure import ShiftMeasure

SECONDS = 2.0
LOW_HZ, SPREAD = 400.0, 200.0
"""The lower tone lies at this frequency, and up to so much above it, by the seed."""
HIGH_SHARE = 0.46
"""Frequency of the upper tone as a share of the sample rate: 1.5 semitones upwards move it out of the band."""
NEAR_HZ = 150.0
"""What lies so near to a tone belongs to it."""
PADDED = 1 << 20


def tones(samplerate: int, seed: int) -> np.ndarray:
    """A low and a high tone of equal levels, peak 0.5; float32 (samples,)."""
    t = np.arange(round(SECONDS * samplerate)) / samplerate
    low = LOW_HZ + SPREAD * np.random.default_rng(seed).random()
    return (0.25 * (np.sin(2 * np.pi * low * t) + np.sin(2 * np.pi * HIGH_SHARE * samplerate * t))).astype(np.float32)


def _spectrum(y: np.ndarray, samplerate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and amplitudes of the middle of y: a tone of amplitude a has a peak of a."""
    middle = y[len(y) // 5 : -len(y) // 5].astype(np.float64)
    window = np.kaiser(len(middle), 20)
    return np.fft.rfftfreq(PADDED, 1 / samplerate), 2 * np.abs(np.fft.rfft(middle * window, PADDED)) / window.sum()


def _low_tone(source: np.ndarray, output: np.ndarray, samplerate: int, pitch: float) -> tuple[float, float]:
    """Frequency of the lower tone as a share of what it should be, and its amplitude as a share of what it was.

    Raises:
        ValueError: the output is silent.
    """
    (hz, before), (_, after) = _spectrum(source, samplerate), _spectrum(output, samplerate)
    low = hz < 0.2 * samplerate
    place, wanted = int(before[low].argmax()), hz[before[low].argmax()] * 2 ** (pitch / 12)
    near = np.abs(hz - wanted) < 0.2 * wanted
    if not np.any(after[near]):
        raise ValueError("The output of the tones is silent.")
    found = int(np.flatnonzero(near)[after[near].argmax()])
    return float(hz[found] / wanted), float(after[found] / before[place])


def tone_frequency(source: np.ndarray, output: np.ndarray, samplerate: int, pitch: float) -> float:
    """Error of the lower tone's frequency in cents, without its sign."""
    return abs(1200 * float(np.log2(_low_tone(source, output, samplerate, pitch)[0])))


def tone_level(source: np.ndarray, output: np.ndarray, samplerate: int, pitch: float) -> float:
    """Change of the lower tone's level in dB."""
    return 20 * float(np.log10(_low_tone(source, output, samplerate, pitch)[1]))


def aliasing(source: np.ndarray, output: np.ndarray, samplerate: int, pitch: float) -> float:
    """Level in dB of the strongest component that is none of the shifted tones, relative to the lower tone."""
    (hz, before), (_, amplitude) = _spectrum(source, samplerate), _spectrum(output, samplerate)
    low = hz < 0.2 * samplerate
    tone = hz[before[low].argmax()] * 2 ** (pitch / 12)
    high = HIGH_SHARE * samplerate * 2 ** (pitch / 12)
    own = np.abs(hz - tone) < NEAR_HZ
    other = ~own & (np.abs(hz - high) >= NEAR_HZ)
    if not np.any(amplitude[own]):
        raise ValueError("The output of the tones is silent.")
    return 20 * float(np.log10((amplitude[other].max() + 1e-12) / amplitude[own].max()))


TONE_FREQUENCY = ShiftMeasure(
    name="tone_frequency",
    title="Frequency of a tone",
    unit="cents",
    digits=2,
    ideal=0.0,
    explanation="How far a tone is from the frequency that it should have after the shift. 100 cents are a semitone.",
    signal=tones,
    function=tone_frequency,
)
TONE_LEVEL = ShiftMeasure(
    name="tone_level",
    title="Level of a tone",
    unit="dB",
    digits=2,
    ideal=0.0,
    explanation="How much louder or softer a tone has become by the shift.",
    signal=tones,
    function=tone_level,
)
ALIASING = ShiftMeasure(
    name="aliasing",
    title="Aliasing",
    unit="dB",
    digits=0,
    ideal=-120.0,
    explanation="The strongest sound beside two shifted tones, one of which leaves the band when it goes up. Below -90 dB nobody hears it.",
    signal=tones,
    function=aliasing,
)
