"""Films that tests make: a flash and a click each second, and in each picture its number, drawn without a font."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV (extra media) is not installed")

WIDTH, HEIGHT = 96, 48
POINT = 4
"""Pixels of a point of a digit."""
GLYPHS = (
    ("###", "#.#", "#.#", "#.#", "###"),
    (".#.", "##.", ".#.", ".#.", "###"),
    ("###", "..#", "###", "#..", "###"),
    ("###", "..#", "###", "..#", "###"),
    ("#.#", "#.#", "###", "..#", "..#"),
    ("###", "#..", "###", "..#", "###"),
    ("###", "#..", "###", "#.#", "###"),
    ("###", "..#", "..#", "..#", "..#"),
    ("###", "#.#", "###", "#.#", "###"),
    ("###", "#.#", "###", "..#", "###"),
)
DIGITS = np.array([[[point == "#" for point in row] for row in glyph] for glyph in GLYPHS])
"""The ten digits, three points wide and five high."""
PLACES = 5
TOP, LEFT = 12, 8
RATE = 48000
FLASH_LEVEL, DARK_LEVEL = 235, 40
CLICK_SECONDS = 0.001


def picture(number: int, is_flash: bool) -> np.ndarray:
    """A grey picture with its number; bright where it is a flash. The digits differ from the ground in both."""
    shown = np.full((HEIGHT, WIDTH), FLASH_LEVEL if is_flash else DARK_LEVEL, np.uint8)
    for place, digit in enumerate(f"{number:0{PLACES}d}"):
        glyph = np.kron(DIGITS[int(digit)], np.ones((POINT, POINT), bool))
        left = LEFT + place * 4 * POINT
        shown[TOP : TOP + 5 * POINT, left : left + 3 * POINT][glyph] = 130
    return shown


def read_number(shown: np.ndarray) -> int:
    """The number in a decoded picture: for each place the digit that fits best."""
    ground = float(np.median(shown))
    number = 0
    for place in range(PLACES):
        left = LEFT + place * 4 * POINT
        part = np.abs(shown[TOP : TOP + 5 * POINT, left : left + 3 * POINT].astype(float) - ground) > 0.5 * abs(130 - ground)
        points = part.reshape(5, POINT, 3, POINT).mean(axis=(1, 3)) > 0.5
        number = 10 * number + int(np.argmin([(points != digit).sum() for digit in DIGITS]))
    return number


class Clicks:
    """Faint noise with a click at the beginning of each second, made second by second: hours of it need no memory."""

    def __init__(self, seconds: float, seed: int = 0, samplerate: int = RATE) -> None:
        self.samplerate = samplerate
        self._chance = np.random.default_rng(seed)
        self._left = round(seconds * samplerate)
        self._waiting = np.zeros(0, np.float32)

    def next(self, count: int) -> np.ndarray:
        """The next samples, (samples,) float32; fewer than asked for where the sound ends."""
        while len(self._waiting) < count and self._left:
            second = 0.002 * self._chance.standard_normal(min(self.samplerate, self._left))
            click = np.hanning(round(CLICK_SECONDS * self.samplerate))
            second[: len(click)] += 0.8 * click[: len(second)]
            self._left -= len(second)
            self._waiting = np.concatenate([self._waiting, second.astype(np.float32)])
        given, self._waiting = np.split(self._waiting, [count])
        return given


def is_flash(second: float, fps: float) -> bool:
    """Whether a picture is the first one of a second."""
    return second - np.floor(second + 1e-9) < 1 / fps - 1e-9


def make_film(
    path: str | Path,
    *,
    seconds: float = 20.0,
    fps: float = 25,
    times: Sequence[float] | None = None,
    container: str | None = None,
    video: str = "libx264",
    sound: str = "aac",
    samplerate: int = RATE,
    tracks: int = 1,
    sound_delay: float = 0.0,
    options: dict[str, str] | None = None,
    key_every: int = 50,
    before_close: Callable[[Any], None] = lambda output: None,
) -> None:
    """Write a film. `times` are the seconds at which pictures are shown, for a variable frame rate."""
    shown = [number / fps for number in range(round(seconds * fps))] if times is None else list(times)
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        stream = output.add_stream(video, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12800)
        stream.codec_context.gop_size = key_every
        if video == "libx264":
            stream.options = {"preset": "ultrafast", "bf": "2", "b-adapt": "0", "crf": "18"}
        sounds = [output.add_stream(sound, rate=samplerate, layout="mono") for _ in range(tracks)]
        samples = [Clicks(seconds, seed, samplerate) for seed in range(tracks)]
        done = [0] * tracks
        for number, second in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture(number, is_flash(second, fps)), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(second * 12800), Fraction(1, 12800)
            output.mux(stream.encode(frame))
            for track, each in enumerate(sounds):
                done[track] = _encode_until(output, each, samples[track], done[track], second + 0.1, sound_delay)
        for track, each in enumerate(sounds):
            _encode_until(output, each, samples[track], done[track], seconds + 1, sound_delay)
            output.mux(each.encode(None))
        output.mux(stream.encode(None))
        before_close(output)


def _encode_until(output: Any, stream: Any, sound: Clicks, done: int, second: float, delay: float) -> int:
    """Encode the sound up to a second of the film, and return how many samples are encoded."""
    rate = sound.samplerate
    samples = sound.next(max(0, round(second * rate) - done))
    if len(samples):
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, done + round(delay * rate), Fraction(1, rate)
        output.mux(stream.encode(frame))
    return done + len(samples)


def shown_pictures(path: str | Path) -> Iterator[tuple[float, np.ndarray]]:
    """Second and brightness of each picture that a player shows."""
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            yield float(frame.pts * frame.time_base), frame.to_ndarray(format="gray")


def flashes(path: str | Path) -> list[float]:
    """Seconds at which flashes begin."""
    found, was_bright = [], False
    for second, shown in shown_pictures(path):
        bright = float(np.median(shown)) > 150
        if bright and not was_bright:
            found.append(second)
        was_bright = bright
    return found


def heard_clicks(path: str | Path, track: int = 0) -> list[float]:
    """Seconds at which clicks are loudest, on the film's clock."""
    found: list[float] = []
    peak = 0.0
    with av.open(str(path)) as film:
        for frame in film.decode(audio=track):
            samples = np.abs(frame.to_ndarray().reshape(-1))
            start = float(frame.pts * frame.time_base)
            for place in np.flatnonzero(samples > 0.2):
                second = start + place / frame.sample_rate
                if not found or second - found[-1] > 0.05:
                    found.append(second)
                    peak = samples[place]
                elif samples[place] > peak:
                    found[-1], peak = second, samples[place]
    return found


def video_packets(path: str | Path) -> list[bytes]:
    """The packets of the pictures, in their order."""
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(video=0) if packet.size]


def video_times(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of showing and of decoding of each packet of the pictures, in the file's order. The second are NaN where none are stored."""
    with av.open(str(path)) as film:
        found = [(packet.pts, packet.dts, float(packet.time_base)) for packet in film.demux(video=0) if packet.size]
    return np.array([pts * base for pts, _, base in found]), np.array([np.nan if dts is None else dts * base for _, dts, base in found])
