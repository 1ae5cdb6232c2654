"""Recordings that are broken on purpose, and what must hold whatever they are: one message or one good output, soon and in little memory.

A case is a seed (a small recording of some kind), changes to its bytes, and settings. Hypothesis makes cases in `test_fuzz.py`,
where it can shrink what fails; `run_fuzz.py` makes them by number, by the hundred thousand; `run_atheris.py` grows them out of the
same seeds, led by what each makes the readers do.
"""

from __future__ import annotations

import io
import os
import random
import struct
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from tsmgan.audio.samples import WIDTHS
from tsmgan.batch.plan import Task
from tsmgan.batch.work import stretch_task
from tsmgan.options import StretchOptions

SAMPLERATE = 8000
FRAMES = 3000
EXTREMES = (0, 1, 2, 3, 8, 16, 24, 255, 256, 1000, 0x7FFF, 0x8000, 0xFFFF, 44100, 768000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 4 * 10**9)
"""Values that headers lie with."""
RATES = (0.05, 0.7, 1.0, 1.3, 20.0)
ENDINGS = ("wav", "flac", "ogg", "aiff", "caf", "mp3")
"""Of outputs."""
KINDS = ("truncate", "flip", "field", "drop", "double", "noise")


class Change(NamedTuple):
    """One change to a recording's bytes."""

    kind: str
    """One of KINDS."""
    where: float
    """0 to 1: in the header for "field", else in the whole file."""
    value: int
    """Not negative; what it stands for depends on the kind."""


class Case(NamedTuple):
    """One broken recording and how it is stretched."""

    seed: str
    changes: tuple[Change, ...]
    rate: float
    salvage: bool
    ending: str


class Verdict(NamedTuple):
    """What became of a case."""

    refused: bool
    fault: str | None
    """What must not be; None when all is well."""


def _encoded(samples: np.ndarray, container: str, subtype: str, samplerate: int = SAMPLERATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, samplerate, format=container, subtype=subtype)
    return buffer.getvalue()


def _wav(channels: int, samplerate: int, content: bytes = b"", bits: int = 16) -> bytes:
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, samplerate, samplerate * width & 0xFFFFFFFF, width & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(content))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", len(content))
        + content
    )


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """Small recordings by name; the name's ending is the file's."""
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(FRAMES)[:, None] * np.array([0.3, 0.5])) + 0.01 * rng.standard_normal((FRAMES, 2))
    made = {}
    for ending, container, subtypes in (
        ("wav", "WAV", ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")),
        ("wav", "WAVEX", ("PCM_16",)),
        ("wav", "RF64", ("PCM_16",)),
        ("flac", "FLAC", ("PCM_16", "PCM_24")),
        ("ogg", "OGG", ("VORBIS", "OPUS")),
        ("mp3", "MP3", ("MPEG_LAYER_III",)),
        ("aiff", "AIFF", ("PCM_16", "FLOAT")),
        ("caf", "CAF", ("PCM_16", "ALAC_16")),
        ("w64", "W64", ("PCM_16",)),
        ("au", "AU", ("PCM_16",)),
        ("voc", "VOC", ("PCM_16",)),
        ("sph", "NIST", ("PCM_16",)),
        ("sf", "IRCAM", ("PCM_16",)),
        ("paf", "PAF", ("PCM_16",)),
        ("pvf", "PVF", ("PCM_16",)),
    ):
        for subtype in subtypes:
            made[f"{container}-{subtype}.{ending}"] = _encoded(tone[:, :1] if subtype == "GSM610" else tone, container, subtype)
    for name, samples in {
        "zero": tone[:0],
        "one": tone[:1],
        "two": tone[:2],
        "direct-current": np.full((FRAMES, 1), 0.9),
        "silence": np.zeros((FRAMES, 1)),
        "square": np.sign(tone[:, :1]),
        "many": np.repeat(tone[:200, :1], 255, axis=1),
    }.items():
        made[f"{name}.wav"] = _encoded(samples, "WAV", "PCM_16")
    for name, value in {"nan": np.nan, "infinite": -np.inf, "huge": 1e30, "denormal": 1e-310}.items():
        samples = tone[:, 0].copy()
        samples[1000:1002] = value
        made[f"{name}.wav"] = _encoded(samples, "WAV", "DOUBLE")
    sound = (tone[:, 0] * 32767).astype("<i2").tobytes()
    made |= {"slow.wav": _wav(1, 1, sound), "fast.wav": _wav(1, 4 * 10**9, sound), "mute.wav": _wav(0, 8000, sound)}
    made |= {"wide.wav": _wav(65535, 768000, sound), "empty.wav": b"", "text.wav": b"Dear diary,\n" * 20}
    made["random.wav"] = rng.bytes(2000)
    made["aac.m4a"] = _aac(tone)
    return {name: data for name, data in made.items() if data is not None}


def _aac(tone: np.ndarray) -> bytes | None:
    """An M4A where PyAV is installed."""
    try:
        import av
    except ImportError:
        return None
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=SAMPLERATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None, :, 0].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = SAMPLERATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return buffer.getvalue()


def change(data: bytes, changes: tuple[Change, ...]) -> bytes:
    """Apply changes in order."""
    for kind, where, value in changes:
        at = int(where * len(data))
        if kind == "truncate":
            data = data[:at]
        elif kind == "flip" and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 1 << value % 8]) + data[at + 1 :]
        elif kind == "field":
            at, width = int(where * min(len(data), 128)), (1, 2, 4)[value % 3]
            number = EXTREMES[value // 3 % len(EXTREMES)] & (1 << 8 * width) - 1
            data = data[:at] + number.to_bytes(width, "little" if value // 57 % 2 else "big") + data[at + width :]
        elif kind == "drop":
            data = data[:at] + data[at + value % 64 :]
        elif kind == "double":
            data = data[:at] + data[max(0, at - value % 4096) :]
        elif kind == "noise":
            count = value % 32
            data = data[:at] + random.Random(value).randbytes(count) + data[at + count :]
    return data


def case_by_number(number: int) -> Case:
    """The same case for the same number, anywhere."""
    chance = random.Random(number)
    changes = tuple(
        Change(chance.choice(KINDS), chance.choice([chance.random(), chance.random() ** 4]), chance.getrandbits(32))
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3, 6]))
    )
    return Case(chance.choice(sorted(seeds())), changes, chance.choice(RATES), chance.random() < 0.4, chance.choice(ENDINGS))


def judge(case: Case, folder: Path) -> Verdict:
    """Stretch a case in an empty folder, which is empty again after."""
    content = change(seeds()[case.seed], case.changes)
    return judge_content(content, os.path.splitext(case.seed)[1], case.rate, case.salvage, case.ending, folder)


def from_bytes(data: bytes) -> tuple[bytes, str, float, bool, str]:
    """A case out of whatever bytes: three that choose how it is stretched, then the recording. Arguments of `judge_content`."""
    suffix, how, ending = (*data[:3], 0, 0, 0)[:3]
    suffixes = sorted({os.path.splitext(name)[1] for name in seeds()})
    return data[3:], suffixes[suffix % len(suffixes)], RATES[how % 128 % len(RATES)], how >= 128, ENDINGS[ending % len(ENDINGS)]


def to_bytes(seed: str) -> bytes:
    """What `from_bytes` makes an unbroken seed of."""
    suffixes = sorted({os.path.splitext(name)[1] for name in seeds()})
    return bytes([suffixes.index(os.path.splitext(seed)[1]), RATES.index(1.3), 0]) + seeds()[seed]


def judge_content(content: bytes, suffix: str, rate: float, salvage: bool, ending: str, folder: Path) -> Verdict:
    """Stretch a recording of these bytes in an empty folder, which is empty again after."""
    source = folder / f"in{suffix}"
    source.write_bytes(content)
    task = Task(str(source), str(folder), f"out.{ending}", StretchOptions(rate=rate, salvage=salvage))
    try:
        entry = stretch_task(task)
        return Verdict(entry.error is not None, _fault(entry.error, entry.output_frames or 0, folder / task.output, folder))
    finally:
        for path in folder.iterdir():
            path.unlink()


def _fault(error: str | None, frames: int, output: Path, folder: Path) -> str | None:
    others = [path.name for path in folder.iterdir() if path != output and not path.name.startswith("in.")]
    if others:
        return f"left {others}"
    if error is not None:
        if output.exists():
            return "an output in spite of an error"
        is_sentence = error.endswith(".") and "\n" not in error and len(error) < 1000
        return None if is_sentence and not error.startswith(("Internal", "There is not enough memory")) else error
    with soundfile.SoundFile(output) as file:
        # Codes in blocks end with a whole one.
        is_exact, samples = file.subtype in WIDTHS or file.format == "OGG", file.read(file.frames, always_2d=True)
    if not np.isfinite(samples).all():
        return "samples that are not finite"
    return f"{len(samples)} samples instead of {frames}" if len(samples) < frames or (is_exact and len(samples) > frames) else None
