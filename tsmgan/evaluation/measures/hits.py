"""Highs of attacks, and dips before them: whether drums over music stay crisp, and what stood before them sounds on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, sosfilt

from tsmgan.evaluation.compositions import composition_renderings
from tsmgan.evaluation.measures.measure import SyntheticMeasure

RISE_DB = 6.0
"""By which the 5 ms after an attack are louder than the 20 ms before it."""
RISE_SECONDS, CALM_SECONDS = 0.005, 0.020
APART_SECONDS = 0.080
"""Of two attacks that are nearer to each other, only the greater rise counts."""
SEARCH_SECONDS = 0.020
"""How far from where it belongs an attack is looked for in the output."""
HIGHS_HZ = (4000.0, 10000.0)
HIGHS_SECONDS = 0.020
DIP_NEAREST, DIP_FARTHEST = 0.010, 0.060
"""Seconds of the output before an attack where the sound must not drop out."""
SMOOTH_SECONDS = 0.005
AUDIBLE_DB = 50.0
"""A dip counts where the source is within so many dB of its loudest moment."""


@lru_cache(maxsize=16)
def band(samplerate: int, seed: int) -> np.ndarray:
    """Bass, chords, melody and drums (`compose`), mixed to mono: float32 (samples,), five seconds."""
    return composition_renderings(seed, [1.0], channels=1, samplerate=samplerate)[0][0]


def _rise(y: np.ndarray, samplerate: int) -> np.ndarray:
    """dB by which the power of the 5 ms after each sample exceeds that of the 20 ms before it: (samples,)."""
    power = np.square(y, dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    n = np.arange(len(y))
    before, behind = (
        np.maximum(n - round(CALM_SECONDS * samplerate), 0),
        np.minimum(n + round(RISE_SECONDS * samplerate), len(y)),
    )
    floor = 1e-6 * power.max() + 1e-20
    after = (sums[behind] - sums[n]) / np.maximum(behind - n, 1)
    calm = (sums[n] - sums[before]) / np.maximum(n - before, 1)
    return 10 * np.log10((after + floor) / (calm + floor))


def attacks(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Samples at which attacks begin in y (samples,), away from its ends."""
    rise = _rise(y, samplerate)
    margin = round(0.2 * samplerate)
    peaks = np.flatnonzero((rise == maximum_filter1d(rise, 2 * round(APART_SECONDS * samplerate) + 1)) & (rise > RISE_DB))
    return peaks[(peaks > margin) & (peaks < len(y) - margin)]


def _attacks_of_both(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> list[tuple[int, int]]:
    """Attacks of the source and where they are in the output.

    Raises:
        ValueError: the source has none that the output has room for.
    """
    rise, reach, found = _rise(output, samplerate), round(SEARCH_SECONDS * samplerate), []
    for start in attacks(source, samplerate):
        place = round(start / rate)
        first = max(0, place - reach)
        if first < place + reach < len(output) - round(HIGHS_SECONDS * samplerate) and place > round(0.1 * samplerate):
            found.append((int(start), first + int(np.argmax(rise[first : place + reach]))))
    if not found:
        raise ValueError("Hits: there is no attack in the signal.")
    return found


def attack_highs(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Energy from 4 to 10 kHz in the 20 ms after an attack over that in the source, in dB, a mean over the attacks of any recording.

    0: crisp. Below: the stick or the consonant has lost its edge.

    Raises:
        ValueError: there is no attack in the source.
    """
    sos = butter(4, [HIGHS_HZ[0], min(HIGHS_HZ[1], 0.49 * samplerate)], "bandpass", fs=samplerate, output="sos")
    before, after = (np.square(sosfilt(sos, y.astype(np.float64))) for y in (source, output))
    length, early = round(HIGHS_SECONDS * samplerate), round(0.001 * samplerate)
    changes = [
        10 * np.log10((after[there - early : there + length].sum() + 1e-12) / (before[here - early : here + length].sum() + 1e-12))
        for here, there in _attacks_of_both(source, output, samplerate, rate)
    ]
    return float(np.mean(changes))


def dip(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Lowest level, over 5 ms, in the 10 to 60 ms of the output before an attack, over the lowest of the source in the span that belongs
    there, in dB: a mean over the attacks of any recording.

    0: what stood before a hit sounds on. Below: it drops out.

    Raises:
        ValueError: the source has no attack with sound before it.
    """
    smooth = round(SMOOTH_SECONDS * samplerate)
    before, after = (np.maximum(uniform_filter1d(np.square(y, dtype=np.float64), smooth), 1e-12) for y in (source, output))
    changes = []
    for here, there in _attacks_of_both(source, output, samplerate, rate):
        spans = []
        for levels, at, pace in ((before, here, rate), (after, there, 1.0)):
            edge = smooth // 2  # The average must not reach into the attack.
            first, last = at - round(DIP_FARTHEST * pace * samplerate), at - max(round(DIP_NEAREST * pace * samplerate), edge)
            spans.append(levels[max(0, first) : max(1, last)].min())
        if spans[0] > 10 ** (-AUDIBLE_DB / 10) * before.max():
            changes.append(10 * np.log10(spans[1] / spans[0]))
    if not changes:
        raise ValueError("Hits: there is no attack with sound before it in the signal.")
    return float(np.mean(changes))


ATTACK_HIGHS = SyntheticMeasure(
    name="attack_highs",
    title="Highs of attacks",
    unit="dB",
    digits=1,
    ideal=0.0,
    explanation="How much of a drum's brightness, 4 to 10 kHz in its first 20 ms, is left when it plays with a band. 0 is all of it.",
    signal=band,
    function=attack_highs,
)
DIP = SyntheticMeasure(
    name="dip",
    title="Dip before attacks",
    unit="dB",
    digits=1,
    ideal=0.0,
    explanation="Whether the music drops out just before each drum hit. 0 is not at all; from about -3 dB on it stutters.",
    signal=band,
    function=dip,
)
