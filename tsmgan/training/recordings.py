"""Recordings: which files of a folder tree can be learned from, and pieces of them as mono samples at the training rate.

Everything is resampled to 24 kHz. The generator sees the band below 12 kHz in windows given in seconds and is never told a sample rate, so
higher rates would cost more and teach it nothing. Recordings of lower rates come with their bandwidth, which the losses respect.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from tsmgan.audio import count_frames, open_reader
from tsmgan.audio.opening import READABLE_SUFFIXES
from tsmgan.audio.sections import read_section
from tsmgan.errors import AudioError

SAMPLERATE = 24000
"""Sample rate of all training, Hz."""
LOWEST_USEFUL_SAMPLERATE = 4000
"""Sample rate in Hz below which a recording says too little of speech and music."""
SILENCE = 1e-4
"""RMS (-80 dB) below which a piece holds nothing to learn from."""


@dataclass(frozen=True)
class Recording:
    """A file that opens, and the folder it belongs to."""

    path: str
    folder: str
    """Its folder relative to the tree's root: recordings are drawn evenly over folders (speakers, albums)."""
    samplerate: int
    frames: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.frames / self.samplerate


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be used, and why."""

    path: str
    reason: str


def scan(folder: str | os.PathLike[str], shortest_seconds: float) -> tuple[list[Recording], list[Skipped]]:
    """All audio files below folder, in the order of their names, and those that cannot be used.

    Only headers are read here, except where a file does not state its length. A recording that turns out to be damaged or silent inside is
    skipped when it is drawn.

    Raises:
        AudioError: the folder does not exist, holds no audio files, or none that can be used.
    """
    root = Path(folder)
    if not root.is_dir():
        raise AudioError(f"{root} is not a folder; give the folder that holds the recordings.")
    files = sorted(p for p in _walk(root) if p.suffix.lower() in READABLE_SUFFIXES)
    if not files:
        raise AudioError(f"{root} holds no audio files; give a folder with recordings such as .wav, .flac, .mp3 or .m4a.")
    recordings, skipped = [], []
    for file in files:
        try:
            recordings.append(_recording(file, root, shortest_seconds))
        except AudioError as error:
            skipped.append(Skipped(str(file), _reason(error, file)))
    if not recordings:
        raise AudioError(f"None of the {len(files)} audio files in {root} can be used; the first, {files[0].name}, {skipped[0].reason}.")
    return recordings, skipped


def _walk(root: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(root):
        folders.sort()
        yield from (Path(place) / name for name in names)


def _recording(file: Path, root: Path, shortest_seconds: float) -> Recording:
    """What the header of a file says; AudioError where the file cannot be used."""
    with open_reader(file) as reader:
        info = reader.info
    frames = info.frames
    if frames is None:
        frames = count_frames(file) if info.seconds is None else int(info.seconds * info.samplerate)
    if info.samplerate < LOWEST_USEFUL_SAMPLERATE:
        raise AudioError(f"has a sample rate of {info.samplerate} Hz, and {LOWEST_USEFUL_SAMPLERATE} Hz are needed.")
    if frames < shortest_seconds * info.samplerate:
        raise AudioError(f"is shorter than {shortest_seconds:.1f} s.")
    return Recording(str(file), file.parent.relative_to(root).as_posix(), info.samplerate, frames)


def _reason(error: AudioError, path: str | Path) -> str:
    """What an error says of a file, without the file's name and the full stop."""
    return str(error).removeprefix(str(path)).lstrip(": ").rstrip(".")


def hold_out(recordings: list[Recording], share: float, seed: int) -> tuple[list[Recording], list[Recording]]:
    """Split into training and held-out recordings, evenly over folders. No held-out recording is trained on, unless it is the only one."""
    generator = np.random.default_rng([seed, 7])
    train: list[Recording] = []
    held: list[Recording] = []
    for folder in sorted({r.folder for r in recordings}):
        members = [r for r in recordings if r.folder == folder]
        count = min(len(members) - 1, max(1, round(share * len(members)))) if share > 0 else 0
        chosen = set(generator.permutation(len(members))[:count].tolist())
        held += [r for k, r in enumerate(members) if k in chosen]
        train += [r for k, r in enumerate(members) if k not in chosen]
    return train, held or train[:1]


def folder_weights(recordings: list[Recording], weights: dict[str, float]) -> tuple[list[str], np.ndarray]:
    """Folders, and the probability of drawing from each: even, times the weight of the first matching pattern (`"*music*" = 2`)."""
    folders = sorted({r.folder for r in recordings})
    values = np.array([next((w for pattern, w in weights.items() if fnmatch(f"/{f}/", pattern)), 1.0) for f in folders])
    if not (values >= 0).all() or values.sum() <= 0:
        raise AudioError("The recipe's data.weights leave no folder to draw from.")
    return folders, values / values.sum()


def read_piece(recording: Recording, seconds: float, speed: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """A random piece of a recording and its bandwidth in Hz.

    Args:
        seconds: of the piece, at most.
        speed: the piece is resampled so that pitch and formants move by this factor; 1 leaves them as they are.

    Returns:
        Samples of one channel, (samples,) float32 at 24 kHz, and the bandwidth.

    Raises:
        AudioError: the piece is damaged, not finite, or silent. The message begins with the verb.
    """
    import soxr

    count = min(recording.frames, int(seconds * speed * recording.samplerate) + 1)
    start = int(generator.integers(0, recording.frames - count + 1))
    channel = generator.random()
    try:
        channels = read_section(recording.path, start, count)
    except AudioError as error:
        raise AudioError(_reason(error, recording.path)) from error
    y = channels[int(channel * len(channels))].astype(np.float32)  # one channel: a mean could cancel
    if len(y) < 0.9 * count:
        raise AudioError("ends before its header says")
    if np.sqrt(np.mean(y**2)) < SILENCE:
        raise AudioError("is silent")
    y = soxr.resample(y, recording.samplerate * speed, SAMPLERATE, quality="HQ")
    return y.astype(np.float32), bandwidth(y)


def bandwidth(y: np.ndarray) -> float:
    """Highest frequency in Hz that carries signal: where the long-term spectrum of the louder frames last exceeds -75 dB below its peak.

    A recording of 16 kHz brought to 24 kHz has a bandwidth of 8 kHz and must not teach what lies above.
    """
    n = 1024
    if len(y) < n:
        return SAMPLERATE / 2
    frames = np.lib.stride_tricks.sliding_window_view(y, n)[:: n // 2] * np.hanning(n).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    total = power.sum(1)
    mean = power[total >= np.median(total)].mean(0)
    smooth = np.convolve(mean, np.full(9, 1 / 9), "same")
    above = np.flatnonzero(smooth > smooth.max() * 10**-7.5)
    top = float(above[-1] + 1) * SAMPLERATE / n
    return SAMPLERATE / 2 if top > 0.94 * SAMPLERATE / 2 else top
