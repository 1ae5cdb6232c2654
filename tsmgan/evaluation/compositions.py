"""Compositions: short pieces of music that are played at any tempo, as exact references for what a stretcher should make of them.

A composition is a list of events with times, rendered anew at each rate as a musician would play it at another tempo: notes start earlier
or later, their decays stretch, their pitch and their attacks stay, and a drum hit sounds as it always does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

SAMPLERATE = 48000
SECONDS = 5.0
"""Length of a composition at its own tempo."""
PEAK = 0.9
"""Loudest sample of a composition's loudest rendering; all renderings share one gain."""
RELEASE_SECONDS = 0.03
"""How long a note that ends takes to be silent, at any tempo: no click."""
HIT_SECONDS = {"kick": 0.25, "snare": 0.18, "hat": 0.06}

_SCALE = (0, 2, 4, 5, 7, 9, 11)
_PROGRESSIONS = ((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4), (1, 4, 0, 5))


@dataclass(frozen=True)
class Note:
    """A decaying tone of several partials. Times in seconds at the composition's own tempo, except the attack, which no tempo changes."""

    start: float
    duration: float
    hz: float
    level: float
    attack: float
    decay: float
    """Time constant of the fundamental's amplitude; partial k decays sqrt(k) times as fast."""
    tilt: float
    """Partial k has the amplitude k ** -tilt."""
    phases: tuple[float, ...]
    """Of the partials, in radians: how many there are."""
    pan: float = 0.0
    """-1: left, 1: right."""


@dataclass(frozen=True)
class Hit:
    """A stroke of the drum kit; its sound is the same at any tempo."""

    start: float
    drum: str
    """kick, snare or hat."""
    level: float
    seed: int
    """Of the noise in it."""
    pan: float = 0.0
    tuned: float = 1.0
    """Factor of its tones' frequencies; noise has none."""


Composition = Sequence[Note | Hit]


def compose(seed: int, seconds: float = SECONDS) -> list[Note | Hit]:
    """A piece for bass, chords, melody and drums in a key and a tempo of its own; one seed gives one piece.

    All notes and hits start within `seconds`, and no note lasts beyond.
    """
    rng = np.random.default_rng(seed)
    beat = 60 / rng.uniform(90, 140)
    tonic = rng.uniform(180, 300)
    progression = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    colours = {part: rng.uniform(0.8, 1.8) for part in ("bass", "chord", "melody")}
    pans = {part: rng.uniform(-0.7, 0.7) for part in ("chord", "melody", "snare", "hat")}
    events: list[Note | Hit] = []

    def note(part: str, start: float, beats: float, degree: int, octave: int, level: float, attack: float, decay: float) -> None:
        hz = tonic * 2.0 ** (octave + degree // 7 + _SCALE[degree % 7] / 12)
        partials = max(1, min(12, int(9000 / hz)))
        phases = tuple(rng.uniform(0, 2 * np.pi, partials))
        events.append(Note(start, beats * beat, hz, level, attack, decay, colours[part], phases, pans.get(part, 0.0)))

    for bar in range(int(np.ceil(seconds / (4 * beat)))):
        begin, root = 4 * bar * beat, progression[bar % len(progression)]
        for half in (0, 2):
            note("bass", begin + half * beat, 1.8, root, -2, 0.5, 0.008, 0.8)
        strum = rng.choice([0.0, 0.012])
        for voice, degree in enumerate((root, root + 2, root + 4)):
            for at in (0.0, 1.5) if rng.random() < 0.7 else (0.0,):
                note("chord", begin + at * beat + voice * strum, 1.4, degree, 0, 0.2, rng.choice([0.004, 0.03]), 0.6)
        for quaver in range(8):
            if rng.random() < 0.6:
                degree = root + int(rng.choice([0, 2, 4, 5, 7]))
                note("melody", begin + quaver * beat / 2, 0.5 * rng.integers(1, 4), degree, 1, rng.uniform(0.15, 0.3), 0.003, 0.35)
            accent = 1.0 if quaver % 2 == 0 else 0.6
            events.append(Hit(begin + quaver * beat / 2, "hat", 0.12 * accent, int(rng.integers(2**31)), pans["hat"]))
        for drum, beats, level in (("kick", (0.0, 2.0, 2.5), 0.7), ("snare", (1.0, 3.0), 0.4)):
            events += [Hit(begin + at * beat, drum, level, int(rng.integers(2**31)), pans.get(drum, 0.0)) for at in beats]
    whole = [event for event in events if event.start < seconds - 0.1]
    return [replace(event, duration=min(event.duration, seconds - event.start)) if isinstance(event, Note) else event for event in whole]


def _tone(note: Note, rate: float, samplerate: int, first: int, length: int) -> np.ndarray:
    """Samples first to first + length of a rendering, as far as this note sounds in them."""
    t = np.arange(first, first + length) / samplerate - note.start / rate
    y = np.zeros(length)
    for k, phase in enumerate(note.phases, start=1):
        if k * note.hz < 0.45 * samplerate:
            y += k**-note.tilt * np.exp(-np.sqrt(k) * rate / note.decay * t) * np.sin(2 * np.pi * k * note.hz * t + phase)
    attack = np.sin(np.pi / 2 * np.clip(t / note.attack, 0, 1)) ** 2
    release = np.cos(np.pi / 2 * np.clip(1 - (note.duration / rate - t) / RELEASE_SECONDS, 0, 1)) ** 2
    return note.level * y * attack * release


def _stroke(hit: Hit, samplerate: int) -> np.ndarray:
    """The whole sound of a hit, (samples,)."""
    t = np.arange(round(HIT_SECONDS[hit.drum] * samplerate)) / samplerate
    noise = np.random.default_rng(hit.seed).standard_normal(len(t))
    if hit.drum == "kick":
        sweep = 2 * np.pi * hit.tuned * (50 * t + 110 * 0.03 * (1 - np.exp(-t / 0.03)))  # 160 Hz falling to 50 Hz
        y = np.sin(sweep) * np.exp(-t / 0.07) + 0.3 * noise * np.exp(-t / 0.003)
    elif hit.drum == "snare":
        y = 0.5 * noise * np.exp(-t / 0.04) + 0.5 * np.sin(2 * np.pi * 190 * hit.tuned * t) * np.exp(-t / 0.05)
    else:
        y = np.diff(noise, prepend=0.0) / np.sqrt(2) * np.exp(-t / 0.015)
    fade = round(0.2 * len(t))
    y[-fade:] *= np.linspace(1, 0, fade)
    return hit.level * y


def _gains(pan: float, channels: int) -> np.ndarray:
    """Gain per channel, of constant power: shape (channels,)."""
    if channels == 1:
        return np.ones(1)
    angle = np.pi / 4 * (1 + pan)
    return np.array([np.cos(angle), np.sin(angle)])


def play(composition: Composition, rate: float, *, channels: int = 2, samplerate: int = SAMPLERATE, seconds: float = SECONDS) -> np.ndarray:
    """Play a composition at a rate: float64 (channels, round(round(seconds * samplerate) / rate)), at no particular level.

    A note starts at its time over the rate to a fraction of a sample, a hit to the nearest sample. What still sounds at the end is cut.
    """
    out = np.zeros((channels, round(round(seconds * samplerate) / rate)))
    for event in composition:
        begin = event.start / rate * samplerate
        if isinstance(event, Hit):
            first, sound = round(begin), _stroke(event, samplerate)
        else:
            first = int(np.ceil(begin))
            sound = _tone(event, rate, samplerate, first, max(0, int(np.ceil(begin + event.duration / rate * samplerate)) - first))
        sound = sound[: max(0, out.shape[1] - first)]
        out[:, first : first + len(sound)] += _gains(event.pan, channels)[:, np.newaxis] * sound
    return out


def transpose(composition: Composition, semitones: float) -> Composition:
    """The same piece in another key. Drums are tuned with it; notes keep the phases and the decays of their partials."""
    ratio = 2 ** (semitones / 12)
    return [replace(event, hz=event.hz * ratio) if isinstance(event, Note) else replace(event, tuned=ratio) for event in composition]


def composition_renderings(
    seed: int, rates: Sequence[float], pitches: Sequence[float] | None = None, *, channels: int = 2, samplerate: int = SAMPLERATE
) -> list[np.ndarray]:
    """The piece of a seed (`compose`) at each rate: float32 (channels, samples), with one gain for all.

    pitches, as many as rates, are semitones by which each rendering is transposed.
    """
    composition = compose(seed)
    keys = [transpose(composition, semitones) for semitones in pitches or [0.0] * len(rates)]
    renderings = [play(key, rate, channels=channels, samplerate=samplerate) for key, rate in zip(keys, rates)]
    gain = PEAK / max(float(np.abs(rendering).max()) for rendering in renderings)
    return [(gain * rendering).astype(np.float32) for rendering in renderings]
