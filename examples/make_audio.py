"""Make the example recordings: a voice from pulses and formants, and a small band of plucked strings and drums.

    python examples/make_audio.py [FOLDER]

Nothing is sampled: every sound is computed here, so the files belong to the project.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter as butterworth
from scipy.signal import lfilter, sosfilt

VOICE_RATE, BAND_RATE = 24000, 48000
VOWELS = {  # formants in Hz (Peterson and Barney, 1952, men)
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3600),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3300),
}
SENTENCE = [
    ("s", 0.12),
    ("e", 0.22),
    ("i", 0.12),
    ("t", 0.09),
    ("a", 0.26),
    ("u", 0.14),
    ("s", 0.13),
    ("o", 0.28),
    ("t", 0.08),
    ("i", 0.34),
]
CHORDS = [(45, 57, 60, 64), (41, 57, 60, 65), (48, 55, 60, 64), (43, 55, 59, 62)]


def resonator(x: np.ndarray, hz: np.ndarray, bandwidth: float, samplerate: int) -> np.ndarray:
    """Two-pole resonance whose centre hz (one value a sample) moves; processed in pieces of 5 ms."""
    out, state, piece = np.empty_like(x), np.zeros(2), samplerate // 200
    radius = np.exp(-np.pi * bandwidth / samplerate)
    for start in range(0, len(x), piece):
        cosine = np.cos(2 * np.pi * hz[start] / samplerate)
        a = [1, -2 * radius * cosine, radius**2]
        out[start : start + piece], state = lfilter([sum(a)], a, x[start : start + piece], zi=state)
    return out


def voice(samplerate: int = VOICE_RATE, seed: int = 1) -> np.ndarray:
    """About four seconds of a man's voice saying two nonsense sentences, (samples,)."""
    rng = np.random.default_rng(seed)
    phones = [*SENTENCE, ("", 0.25), *reversed(SENTENCE), ("", 0.2)]
    lengths = [int(seconds * samplerate) for _, seconds in phones]
    total = sum(lengths)
    t = np.arange(total) / samplerate
    pitch = 118 * 2 ** (0.22 * np.sin(2 * np.pi * 0.45 * t) + 0.05 * np.sin(2 * np.pi * 5.1 * t) - 0.08 * t / t[-1])
    pulses = np.diff(np.floor(np.cumsum(pitch) / samplerate), prepend=0.0)
    glottis = lfilter([1], [1, -0.96], pulses) + 0.01 * rng.normal(size=total)
    formants, voiced, hiss, start = np.zeros((4, total)), np.zeros(total), np.zeros(total), 0
    last = VOWELS["e"]
    for (phone, _), length in zip(phones, lengths):
        span = slice(start, start + length)
        last = VOWELS.get(phone, last)
        formants[:, span] = np.array(last)[:, None]
        if phone in VOWELS:
            voiced[span] = 1
        elif phone == "s":
            hiss[span] = 0.5
        elif phone == "t":  # silence, then a burst
            hiss[start + length // 2 : start + length // 2 + samplerate // 60] = 1
        start += length
    smooth = np.hanning(samplerate // 25)
    smooth /= smooth.sum()
    formants = np.stack([np.convolve(np.pad(f, len(smooth), mode="edge"), smooth, "same")[len(smooth) : -len(smooth)] for f in formants])
    y = glottis * np.convolve(voiced, smooth, "same")
    for hz, bandwidth in zip(formants, (80, 100, 140, 200)):
        y = resonator(y, hz, bandwidth, samplerate)
    y = np.diff(y, prepend=0.0)
    short = np.hanning(samplerate // 200)
    noise = sosfilt(butterworth(2, [3500, 9000], "bandpass", fs=samplerate, output="sos"), rng.normal(size=total))
    y = y / np.abs(y).max() + 0.25 * noise * np.convolve(hiss, short / short.sum(), "same")
    return (0.7 * y / np.abs(y).max()).astype(np.float32)


def pluck(midi: float, seconds: float, samplerate: int, rng: np.random.Generator) -> np.ndarray:
    """A plucked string: decaying partials, the higher the shorter."""
    t, hz = np.arange(int(seconds * samplerate)) / samplerate, 440 * 2 ** ((midi - 69) / 12)
    partials = [k for k in range(1, 30) if k * hz < 0.45 * samplerate]
    tone = sum(np.sin(2 * np.pi * k * hz * t + rng.uniform(0, 6)) * np.exp(-t * (1.2 + 0.5 * k)) / k for k in partials)
    return tone * np.minimum(1, t / 0.003) * np.minimum(1, (seconds - t) / 0.02)


def drum(kind: str, samplerate: int, rng: np.random.Generator) -> np.ndarray:
    """A kick, a snare or a hi-hat."""
    t = np.arange(samplerate // 4) / samplerate
    if kind == "kick":
        return np.sin(2 * np.pi * (55 * t + 6 * (1 - np.exp(-t * 40)))) * np.exp(-t * 14)
    noise = rng.normal(size=len(t))
    if kind == "snare":
        return 0.4 * noise * np.exp(-t * 28) + 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 30)
    return 0.25 * np.diff(noise, prepend=0.0) * np.exp(-t * 70)


def band(samplerate: int = BAND_RATE, seed: int = 2) -> np.ndarray:
    """Eight seconds of chords, bass and drums in stereo, (2, samples)."""
    rng, beat = np.random.default_rng(seed), 0.5
    out = np.zeros((2, int(8.6 * samplerate)))

    def place(sound: np.ndarray, seconds: float, pan: float, level: float) -> None:
        at = int(seconds * samplerate)
        sound = sound[: out.shape[1] - at]
        out[0, at : at + len(sound)] += level * np.sqrt(1 - pan) * sound
        out[1, at : at + len(sound)] += level * np.sqrt(pan) * sound

    for bar, chord in enumerate(CHORDS):
        for k in range(4):
            now = (4 * bar + k) * beat
            place(drum("kick" if k % 2 == 0 else "snare", samplerate, rng), now, 0.5, 0.6)
            place(drum("hat", samplerate, rng), now, 0.7, 0.5)
            place(drum("hat", samplerate, rng), now + beat / 2, 0.7, 0.4)
            place(pluck(chord[0], 0.9, samplerate, rng), now, 0.45, 0.35)
        for k, note in enumerate(chord[1:]):
            place(pluck(note, 1.9, samplerate, rng), 4 * bar * beat + 0.012 * k, 0.25 + 0.2 * k, 0.3)
            place(pluck(note + 12, 0.8, samplerate, rng), (4 * bar + 2.5) * beat + 0.012 * k, 0.3 + 0.2 * k, 0.2)
    return (0.8 * out / np.abs(out).max()).astype(np.float32)


def main(folder: str = "examples") -> None:
    """Write voice.flac and band.flac into folder."""
    soundfile.write(Path(folder) / "voice.flac", voice(), VOICE_RATE, subtype="PCM_16")
    soundfile.write(Path(folder) / "band.flac", band().T, BAND_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(*sys.argv[1:2])
