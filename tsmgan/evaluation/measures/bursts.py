"""Attack and pre-echo: whether bursts of noise, stretched, begin as sharply as they did, and out of silence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tsmgan.evaluation.measures.measure import ShiftMeasure, SyntheticMeasure

BURST_RISE_SECONDS, BURST_DECAY_SECONDS = 0.0005, 0.006
"""Time to full amplitude, and time constant of the decay after it: a click with a body, like a hi-hat or a wood block."""
BURST_SPACING_SECONDS = 0.6
BURST_JITTER_SECONDS = 0.025
"""The most by which bursts are off their even spacing. Stretchers that work in segments treat each place differently."""
BURSTS = 4
ATTACK_SECONDS = 0.005
ONSET_LEVEL, ONSET_SECONDS = 0.03, 0.001
"""A burst begins where the power, averaged over this time, first exceeds this share of its maximum (-15 dB)."""
BEFORE_SECONDS, BEHIND_SECONDS = 0.020, 0.100
"""`attack` counts what lies so far before and after the instant where a burst belongs as the energy of that burst."""
PRE_ECHO_SECONDS = 0.050
"""How far before an attack its echo is looked for."""


def bursts(samplerate: int, seed: int) -> np.ndarray:
    """Bursts of white noise that rise in 0.5 ms and decay with a time constant of 6 ms, in digital silence, about 0.6 s apart.

    Float32 (samples,), peak 0.5.
    """
    rng = np.random.default_rng(seed)
    spacing, jitter = round(BURST_SPACING_SECONDS * samplerate), round(BURST_JITTER_SECONDS * samplerate)
    y = np.zeros((BURSTS, spacing))
    for cell in y:
        start = spacing // 2 + rng.integers(-jitter, jitter + 1)
        t = np.arange(1, spacing - start + 1) / samplerate
        cell[start:] = rng.standard_normal(len(t)) * np.minimum(1, t / BURST_RISE_SECONDS) * np.exp(-t / BURST_DECAY_SECONDS)
    return (0.5 * y / np.abs(y).max()).ravel().astype(np.float32)


def _energies(source: np.ndarray, y: np.ndarray, samplerate: int, rate: float, before: float, behind: float) -> Iterator[np.ndarray]:
    """For each burst of a source, the squared samples of its stretched version y, from `before` to `behind` seconds around its instant."""
    for cell in range(BURSTS):
        first = round(cell * BURST_SPACING_SECONDS * samplerate)
        start = first + np.flatnonzero(source[first : first + round(BURST_SPACING_SECONDS * samplerate)])[0]
        instant = round(start / rate)
        yield y[max(0, instant - round(before * samplerate)) : instant + round(behind * samplerate)].astype(np.float64) ** 2


def _attack_share(source: np.ndarray, y: np.ndarray, samplerate: int, rate: float) -> float:
    shares, span = [], round(ONSET_SECONDS * samplerate)
    for energy in _energies(source, y, samplerate, rate, BEFORE_SECONDS, BEHIND_SECONDS):
        if not np.any(energy):
            shares.append(0.0)
            continue
        power = np.convolve(energy, np.ones(span) / span, mode="same")
        onset = int(np.argmax(power > ONSET_LEVEL * power.max()))
        shares.append(energy[onset : onset + round(ATTACK_SECONDS * samplerate)].sum() / energy.sum())
    return float(np.mean(shares))


def attack(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Share of a burst's energy that lies in its first 5 ms: the share in the stretched bursts over the share in the source.

    The onset is where the burst itself begins in the output: where its power, averaged over 1 ms, first exceeds 3 % of its maximum. So a
    stretcher is blamed for smearing a burst or for sounding before it, but not for moving it by a few milliseconds. The whole energy is
    that from 20 ms before to 100 ms after the instant where the burst belongs. A burst that is missing there counts as 0.

    1: attacks are as sharp as they were. Near 0: smeared. Where the decay is stretched with the rest it is 0.68 at rate 0.5 and 1.23 at
    rate 2.

    At 24 kHz and the rates 0.5 / 2, Rubber Band R3 has about 0.91 / 0.62, Sonic 0.71 / 1.09, Signalsmith 0.56 / 1.08, librosa 0.23 / 0.35.

    Raises:
        ValueError: the output is silent.
    """
    if not np.any(output):
        raise ValueError("Attack: the output is silent.")
    return _attack_share(source, output, samplerate, rate) / _attack_share(source, source, samplerate, 1.0)


def shifted_attack(source: np.ndarray, output: np.ndarray, samplerate: int, pitch: float) -> float:
    """`attack` where the pitch is shifted by semitones and the speed stays: whatever the pitch, a burst begins and decays as it did."""
    return attack(source, output, samplerate, 1.0)


def pre_echo(source: np.ndarray, output: np.ndarray, samplerate: int, rate: float) -> float:
    """Energy in the 50 ms before the attack of a stretched burst, over the energy of the whole burst; a mean over bursts.

    The attack is where the 5 ms after an instant exceed the 5 ms before it by most; it includes the last millisecond before that instant.
    A burst that is missing is left out.

    0: silence before the attack. 0.01 (-20 dB): an audible swish.

    Raises:
        ValueError: the output is silent.
    """
    shares, length, rise = [], round(ATTACK_SECONDS * samplerate), round(ONSET_SECONDS * samplerate)
    half = BURST_SPACING_SECONDS / 2 / max(rate, 1.0) - BURST_JITTER_SECONDS
    for energy in _energies(source, output, samplerate, rate, half, half):
        if not np.any(energy):
            continue
        sums = np.convolve(energy, np.ones(length))  # sums[n]: energy of the length samples that end with n
        start = int(np.argmax(sums[length - 1 :] - np.concatenate([[0.0], sums[: len(energy) - 1]])))
        before = energy[max(0, start - round(PRE_ECHO_SECONDS * samplerate)) : max(0, start - rise)]
        shares.append(before.sum() / energy.sum())
    if not shares:
        raise ValueError("Pre-echo: the output is silent.")
    return float(np.mean(shares))


ATTACK = SyntheticMeasure(
    name="attack",
    title="Attack",
    unit="out / in",
    digits=2,
    ideal=1.0,
    explanation="A dry drum hit, stretched: how much of its energy still comes in the first 5 thousandths of a second. 1 is as crisp as "
    "before, near 0 is smeared.",
    signal=bursts,
    function=attack,
)
PRE_ECHO = SyntheticMeasure(
    name="pre_echo",
    title="Pre-echo",
    ideal=0.0,
    explanation="Sound before that drum hit, where silence should be, as a share of its energy. 0 is none; above 0.01 you hear a swish "
    "before each hit.",
    signal=bursts,
    function=pre_echo,
)
SHIFTED_ATTACK = ShiftMeasure(
    name="shifted_attack",
    title="Attack under a shift",
    unit="out / in",
    digits=2,
    ideal=1.0,
    explanation="A dry drum hit at another pitch: how much of its energy still comes in the first 5 thousandths of a second. 1 is as crisp "
    "as before, near 0 is smeared.",
    signal=bursts,
    function=shifted_attack,
)
