"""Small recordings made on the spot, and a recipe that trains on them in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from tsmgan.training.recipe import Recipe, load_recipe


def voice(seconds: float, samplerate: int, seed: int = 0) -> np.ndarray:
    """Glottal pulses of a gliding pitch through three resonances, with breath: (samples,) float32."""
    from scipy.signal import lfilter

    generator = np.random.default_rng(seed)
    n = round(seconds * samplerate)
    pitch = generator.uniform(100, 200) * (1 + 0.1 * np.sin(2 * np.pi * generator.uniform(1, 3) * np.arange(n) / samplerate))
    phase = np.cumsum(pitch / samplerate)
    source = np.diff(np.floor(phase), prepend=0.0) + 0.01 * generator.standard_normal(n)
    y = 0.1 * source
    for hz, width in ((600, 80), (1400, 120), (2600, 200)):
        r = np.exp(-np.pi * width / samplerate)
        y = y + lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * hz / samplerate), r * r], source)
    return (0.5 * y / np.abs(y).max()).astype(np.float32)


def chord(seconds: float, samplerate: int, seed: int = 0) -> np.ndarray:
    """Decaying chords of three notes with four partials each: (samples,) float32."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * samplerate)) / samplerate
    y = np.zeros(len(t))
    for start in np.arange(0, seconds, 0.5):
        for note in generator.choice([220.0, 261.6, 329.6, 392.0, 440.0], 3, replace=False):
            for k in range(1, 5):
                y += (t >= start) * np.exp(-3 * np.maximum(t - start, 0)) / k * np.sin(2 * np.pi * note * k * t + generator.uniform(0, 6))
    return (0.5 * y / np.abs(y).max()).astype(np.float32)


def make_tree(root: Path, seconds: float = 1.6) -> Path:
    """speech/one (24 kHz), speech/two (16 kHz) and music (48 kHz stereo), three recordings each."""
    for folder, samplerate, make in (("speech/one", 24000, voice), ("speech/two", 16000, voice), ("music", 48000, chord)):
        (root / folder).mkdir(parents=True)
        for k in range(3):
            y = make(seconds, samplerate, k)
            sf.write(root / folder / f"{k}.wav", np.stack([y, 0.5 * y], 1) if folder == "music" else y, samplerate)
    return root


def tiny_recipe(*settings: str) -> Recipe:
    """The smoke recipe with settings."""
    return load_recipe("smoke", ["data.shortest=1.0", *settings])
