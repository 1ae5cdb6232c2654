"""Attacks: the instants at which something begins, and which bins began with it.

A phase vocoder blurs a drum: its bins continue phases of what sounded before, each its own. Where an attack is known, the bins that
began with it can take their phases from the recording instead, moved as a whole to where the attack belongs (in the spirit of Robel,
"A New Approach to Transient Processing in the Phase Vocoder", DAFx 2003), while tones that only go on sounding keep their own way.

An attack is found in the time domain. Energies are taken of the signal, its first and its second difference (the higher the difference,
the more a cymbal counts against a bass), in blocks of 1 ms on a grid that starts with the recording; each instant is as strong an
attack as the largest ratio, of the three, of the 12 ms behind it, the nearest most, to the 28 ms before it. So long a past keeps the
pulses of tones above 40 Hz from being attacks.
"""

from __future__ import annotations

import numpy as np

from tsmgan.core.compiled import fft
from tsmgan.core.compiled.kernels import kernel
from tsmgan.core.geometry import Geometry

BLOCK_SECONDS = 0.001
BEFORE_BLOCKS, BEHIND_BLOCKS = 28, 12
"""Lengths of past and future that an instant's strength compares; the last block of the past is left out, the attack may lie in it."""
BEHIND_WEIGHTS = tuple(float(w) for w in 0.75 ** np.arange(BEHIND_BLOCKS) / (0.75 ** np.arange(BEHIND_BLOCKS)).sum())
"""What each block of the future counts: the next most, or a click would be as strong an attack anywhere in the 12 ms before it."""
ATTACK_REACH = 0.6
"""An attack that belongs further from its frame's middle than this share of the window is none of that frame's business."""
RIVAL_BLOCKS = 12
"""An attack is stronger than all other instants as near as this."""
LEAST_STRENGTH = 2.1
"""Natural logarithm of the ratio of energies above which an instant is an attack (9 dB): more than a pulse has that is alone in 28 ms."""
ENERGY_FLOOR = 1e-9
"""Mean square, relative to full scale, that is silence (-90 dB)."""
PAST_SECONDS, FUTURE_SECONDS, LEAD_SECONDS = 0.014, 0.010, 0.001
"""Windows, before and behind, whose spectra say which bins began with an attack; both look at this much before it."""
SHARE_THRESHOLD, SHARE_SLOPE = 2.0, 4.0
"""Logarithm of the ratio of powers at which half a bin belongs to the attack, and how sharp the decision is."""
LOOKAHEAD_SECONDS = (RIVAL_BLOCKS + BEHIND_BLOCKS + 2) * BLOCK_SECONDS
"""Signal that must be known beyond the end of the last frame."""


def frame_attacks(
    signal: np.ndarray, origin: int, positions: np.ndarray, rates: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The instant at which each frame looks, and the attack within it, if there is one; of several, the strongest under its window.

    Args:
        signal: (channels, samples), float32 or float64; silence is assumed outside of it.
        origin: position of the signal's first sample in the whole recording.
        positions: input position of each frame by the time map in samples of the recording, (frames,), float64, not descending.
        rates: local rate of each frame, (frames,).

    Returns:
        instants, (frames,) int64: the positions, rounded, but before the attack where it belongs further behind the frame's middle than
        ATTACK_REACH windows.
        delay, (frames,) float32, seconds: by how much later the attack belongs than it stands in the frame; NaN where there is none, or
        where it belongs outside of ATTACK_REACH.
        share, (frames, bins) float32, 0 to 1: how much of each bin began with the attack; 0 where delay is NaN.
    """
    instants, reach, count = np.rint(positions).astype(np.int64), geometry.window_length // 2, len(positions)
    delay, share = np.full(count, np.nan, np.float32), np.zeros((count, geometry.bins), np.float32)
    first, last = int(instants[0]) - 2 * reach, int(instants[-1]) + reach
    places, strengths = find_attacks(signal, origin, first, last, geometry.samplerate)
    if not len(places):
        return instants, delay, share
    strongest = _strongest(places, strengths, instants, geometry)
    belongs = (places[strongest] - positions) / rates / geometry.window_length
    early = (strongest >= 0) & (belongs > ATTACK_REACH)
    instants[early] = np.minimum(instants[early], places[strongest[early]] - reach - round(LEAD_SECONDS * geometry.samplerate))
    strongest[early] = _strongest(places, strengths, instants[early], geometry)
    belongs = (places[strongest] - positions) / rates / geometry.window_length
    near = np.flatnonzero((strongest >= 0) & (np.abs(belongs) <= ATTACK_REACH))
    if len(near):
        used, index = np.unique(strongest[near], return_inverse=True)
        share[near] = beginning_share(signal, places[used] - origin, geometry)[index]
        later = (1 / rates[near] - 1) * (places[strongest[near]] - positions[near])
        delay[near] = (later + (instants[near] - positions[near])) / geometry.samplerate
    return instants, delay, share


def _strongest(places: np.ndarray, strengths: np.ndarray, instants: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Number of the attack that is strongest under the window of each frame, (frames,); -1 where there is none."""
    distance = places - instants[:, None]
    seen = strengths * np.cos(np.pi / geometry.window_length * distance) ** 2 * (np.abs(distance) < geometry.window_length // 2)
    return np.where(seen.max(1, initial=0) > 0, seen.argmax(1), -1)


def find_attacks(signal: np.ndarray, origin: int, first: int, last: int, samplerate: int) -> tuple[np.ndarray, np.ndarray]:
    """Attacks from position first to position last of a recording.

    Args:
        signal, origin: as for `frame_attacks`; LOOKAHEAD_SECONDS beyond last, and 40 ms before first, have their say.

    Returns:
        Positions, (attacks,) int64, samples of the recording, ascending; and strengths, (attacks,) float32: natural logarithm of the
        ratio of energies.
    """
    block = max(1, round(samplerate * BLOCK_SECONDS))
    start, stop = first // block, last // block + 1
    margin = RIVAL_BLOCKS + BEFORE_BLOCKS
    energies = np.empty((stop - start + margin + RIVAL_BLOCKS + BEHIND_BLOCKS, 3))
    strengths = np.empty(stop - start + 2 * RIVAL_BLOCKS, np.float32)
    # Each block's sum is its own, in one order: the same attacks are found however the recording is divided.
    _strengths(np.ascontiguousarray(signal, np.float32), (start - margin) * block - origin, block, energies, strengths)
    rivals = np.lib.stride_tricks.sliding_window_view(strengths, 2 * RIVAL_BLOCKS + 1)
    # argmax: of equals the first counts
    found = np.flatnonzero((rivals.argmax(1) == RIVAL_BLOCKS) & (rivals[:, RIVAL_BLOCKS] > LEAST_STRENGTH))
    return (start + found).astype(np.int64) * block, rivals[found, RIVAL_BLOCKS]


@kernel()
def _strengths(signal, position, block, energies, strengths):
    """Fills energies (blocks, 3), the first block at a position of signal, and strengths (blocks - 28 - 12,)."""
    channels, samples = signal.shape
    for k in range(len(energies)):
        energies[k, 0], energies[k, 1], energies[k, 2] = 0.0, 0.0, 0.0
        start = position + k * block
        for c in range(channels):  # each channel's sums by themselves, so that left and right may be exchanged
            plain, first, second = 0.0, 0.0, 0.0
            before = signal[c, start - 1] if 1 <= start <= samples else 0.0
            slope = before - signal[c, start - 2] if 2 <= start <= samples else 0.0
            for i in range(start, start + block):
                now = signal[c, i] if 0 <= i < samples else 0.0
                rise = now - before
                plain += now * now
                first += rise * rise
                second += (rise - slope) * (rise - slope)
                before, slope = now, rise
            energies[k, 0] += plain / block
            energies[k, 1] += first / block
            energies[k, 2] += second / block
    for k in range(len(strengths)):
        largest = 1.0
        for d in range(3):
            past, future = 0.0, 0.0
            for i in range(k, k + BEFORE_BLOCKS - 1):
                past += energies[i, d]
            for i in range(k + BEFORE_BLOCKS, k + BEFORE_BLOCKS + BEHIND_BLOCKS):
                future += energies[i, d] * BEHIND_WEIGHTS[i - k - BEFORE_BLOCKS]
            largest = max(largest, (future + ENERGY_FLOOR) / (past / (BEFORE_BLOCKS - 1) + ENERGY_FLOOR))
        strengths[k] = np.log(largest)


def beginning_share(signal: np.ndarray, places: np.ndarray, geometry: Geometry) -> np.ndarray:
    """How much of each bin began at the given places: a logistic function of the ratio of its power behind to its power before.

    Args:
        signal: (channels, samples); silence is assumed outside of it.
        places: (attacks,), samples of the signal.

    Returns:
        (attacks, bins) float32, 0 to 1.
    """
    samplerate = geometry.samplerate
    lead = round(LEAD_SECONDS * samplerate)
    past, future = (max(4, round(seconds * samplerate)) for seconds in (PAST_SECONDS, FUTURE_SECONDS))
    before, behind = _power(signal, places - lead - past, past, geometry), _power(signal, places - lead, future, geometry)
    exponent = SHARE_SLOPE * (np.log((behind + ENERGY_FLOOR) / (before + ENERGY_FLOOR)) - SHARE_THRESHOLD)
    return (1 / (1 + np.exp(-np.clip(exponent, -30, 30)))).astype(np.float32)


def _power(signal: np.ndarray, starts: np.ndarray, length: int, geometry: Geometry) -> np.ndarray:
    """Power spectra, relative to the window's energy, of stretches of a signal: (stretches, bins)."""
    window = np.hanning(length + 2)[1:-1]
    blocks = np.zeros((len(signal), len(starts), geometry.window_length), np.float32)
    for k, start in enumerate(starts.tolist()):
        first, last = max(0, start), min(start + length, signal.shape[1])
        if first < last:
            blocks[:, k, first - start : last - start] = signal[:, first:last] * window[first - start : last - start]
    spectra = fft.rfft(blocks)
    return (spectra.real**2 + spectra.imag**2).sum(0) / np.float32((window**2).sum())
