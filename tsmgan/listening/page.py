"""The page: one HTML file that loads nothing from the network."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from tsmgan import __version__
from tsmgan.core.field import BAND_CENTRES_HZ, Field
from tsmgan.core.timemap import TimeMap
from tsmgan.evaluation.peers import PEERS
from tsmgan.listening.comparison import Rendering
from tsmgan.listening.field import bands_below, frame_seconds
from tsmgan.listening.figures import RECORDING, SHIFTED, SYNTHETIC
from tsmgan.listening.loudness import loudness
from tsmgan.listening.measure_table import measure_table
from tsmgan.listening.scales import FIELD_COLOURS, RANGE_DB, SPECTROGRAM_COLOURS, TICKS_HZ
from tsmgan.listening.sound import Sounds, data_uri, encode, playable

SCRIPTS = ("player.js", "views.js", "abx.js", "opinion.js", "main.js")
HIGHEST_MATCH_DB = 24.0
"""The most by which a rendering is made louder or softer."""
ORIGINAL = "original"


@dataclass(frozen=True)
class Subject:
    """What the page is about."""

    name: str
    """Of the recording."""
    samples: np.ndarray
    """(channels, samples)."""
    samplerate: int
    rate: float
    attacks: np.ndarray
    """Seconds, in the recording."""
    remark: str = ""
    """Which part of the recording this is, if not all of it."""
    pitch: float = 0.0
    """Semitones by which it is shifted."""

    @property
    def at(self) -> str:
        """What the renderings have in common."""
        return f"rate {self.rate:g}" + (f", {self.pitch:+.4g} semitones" if self.pitch else "")


def build_page(subject: Subject, renderings: Sequence[Rendering]) -> str:
    """The whole HTML text."""
    heard = [result for result in renderings if result.samples is not None]
    recordings = [subject.samples, *(result.samples for result in heard if result.samples is not None)]
    sounds, gains = _sounds(recordings, subject.samplerate)
    names, fields = [ORIGINAL, *(result.name for result in heard)], [None, *(result.field for result in heard)]
    maps = [None, *(result.time_map for result in heard)]
    tracks = [_track(name, y.shape[1], subject, field, map) for name, y, field, map in zip(names, recordings, fields, maps)]
    for track, scale, gain in zip(tracks, sounds.scales, gains):
        track |= {"scale": scale, "gain": gain}
    data = {
        "name": subject.name,
        "rate": subject.rate,
        "samplerate": sounds.samplerate,
        "attacks": [round(float(second) / subject.rate, 4) for second in subject.attacks],
        "bands": [round(hz) for hz in BAND_CENTRES_HZ[: bands_below(subject.samplerate)]],
        "tracks": tracks,
        "scales": {"spectrogram": SPECTROGRAM_COLOURS, "field": FIELD_COLOURS, "decibels": RANGE_DB, "ticks": TICKS_HZ},
    }
    here = files(__package__)
    return Template((here / "page.html").read_text("utf-8")).substitute(
        title=escape(f"{subject.name} at {subject.at}"),
        name=escape(subject.name),
        at=escape(subject.at),
        facts=escape(_facts(subject)),
        style=(here / "style.css").read_text("utf-8"),
        script="\n".join((here / name).read_text("utf-8") for name in SCRIPTS),
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        sounds="\n".join(_audio(number, track, file, sounds.mime) for number, (track, file) in enumerate(zip(tracks, sounds.files))),
        problems=_problems(renderings),
        measures=measure_table("Of this recording", RECORDING, heard) + _of_test_signals(subject, heard),
        codec=escape(sounds.description),
        mixed=" The recording has more than two channels: the players mix them into one, the measures take them all."
        if len(subject.samples) > 2
        else "",
        version=escape(__version__),
        commands=_commands(heard, subject),
    )


def _commands(heard: Sequence[Rendering], subject: Subject) -> str:
    """What each other stretcher was called as, and its version."""
    known = [PEERS[result.name] for result in heard if result.name in PEERS]
    names = Path("in.wav"), Path("out.wav")
    items = []
    for peer in known:
        command = peer.shift(*names, subject.rate, subject.pitch) if subject.pitch else peer.command(*names, subject.rate)
        items.append(f"<li><b>{escape(peer.name)}</b> {escape(peer.version())}: <code>{escape(shlex.join(command))}</code></li>")
    return f'<ul class="commands">{"".join(items)}</ul>' if items else ""


def _of_test_signals(subject: Subject, heard: Sequence[Rendering]) -> str:
    if subject.pitch:
        return measure_table("Of test signals at the same pitch", SHIFTED, heard)
    return measure_table("Of test signals at the same rate", SYNTHETIC, heard)


def _sounds(recordings: Sequence[np.ndarray], samplerate: int) -> tuple[Sounds, list[float]]:
    """All recordings encoded, and the gain of each that makes it as loud as the first, in dB."""
    played = [playable(y, samplerate) for y in recordings]
    sounds = encode([y for y, _ in played], played[0][1])
    levels = [loudness(y, rate) for y, rate in played]
    gains = [levels[0] - level if np.isfinite(level) and np.isfinite(levels[0]) else 0.0 for level in levels]
    return sounds, [round(float(np.clip(gain, -HIGHEST_MATCH_DB, HIGHEST_MATCH_DB)), 3) for gain in gains]


def _track(name: str, length: int, subject: Subject, field: Field | None, time_map: TimeMap | None) -> dict[str, Any]:
    shown, seconds = None if field is None else _field(field, subject.samplerate, subject.pitch), length / subject.samplerate
    return {"name": name, "seconds": seconds, "field": shown, "map": None if time_map is None else _pieces(time_map, seconds)}


def _pieces(time_map: TimeMap, seconds: float) -> list[tuple[float, float]]:
    """Where the pieces of one rate begin in the output, in seconds, and their rates."""
    inner = time_map.knots[1]
    edges = np.concatenate([[0.0], inner[(inner > 0) & (inner < seconds)], [seconds]])
    rates = time_map.rate_at((edges[:-1] + edges[1:]) / 2)
    pieces = [(round(float(edge), 4), float(f"{rate:.4g}")) for edge, rate in zip(edges, rates)]
    return [piece for k, piece in enumerate(pieces) if k == 0 or piece[1] != pieces[k - 1][1]]


def _field(field: Field, samplerate: int, pitch: float) -> dict[str, Any]:
    """Coherence and attack mix as bytes, 255 for 1, frame after frame. Frames stand as far apart as the pitch is lower."""
    bands = bands_below(samplerate)

    def packed(values: np.ndarray) -> str:
        return base64.b64encode(np.rint(np.clip(values[:, :bands], 0, 1) * 255).astype(np.uint8).tobytes()).decode("ascii")

    return {
        "step": frame_seconds(samplerate) / 2 ** (pitch / 12),
        "bands": bands,
        "coherence": packed(field.coherence),
        "attack": packed(field.alpha_mix),
        "mean": round(float(field.coherence[:, :bands].mean()), 3),
    }


def _facts(subject: Subject) -> str:
    channels = {1: "mono", 2: "stereo"}.get(len(subject.samples), f"{len(subject.samples)} channels")
    before = subject.samples.shape[1] / subject.samplerate
    facts = f"{channels}, {subject.samplerate} Hz, {before:.2f} s become {before / subject.rate:.2f} s"
    return f"{facts}; {subject.remark}." if subject.remark else f"{facts}."


def _audio(number: int, track: dict[str, Any], file: bytes, mime: str) -> str:
    name = escape(track["name"], quote=True)
    return (
        f'<figure><figcaption>{number + 1}. {name}</figcaption><audio controls preload="none" aria-label="{name}" '
        f'src="{data_uri(file, mime)}"></audio></figure>'
    )


def _problems(renderings: Sequence[Rendering]) -> str:
    items = [f"<li><b>{escape(result.name)}</b>: {escape(result.problem)}.</li>" for result in renderings if result.problem]
    return f'<ul class="problems" aria-label="Methods that are missing or failed">{"".join(items)}</ul>' if items else ""
