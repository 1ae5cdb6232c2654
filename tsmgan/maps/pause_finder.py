"""Finds the pauses of speech in a stream, relative to the recording's own background and level.

A pause is at least 0.15 s of nothing but the background between words. Five things decide that, the first four in windows that reach 8 s
back and 3 s ahead, so that noise may come and go, and no level is absolute:

1. the *background* of each of eleven bands is a low percentile of its level in the window;
2. a frame is *quiet* when its bands lie on average no further above the background than noise does by chance;
3. the window is *deep enough* when its loud frames rise well above the background. Where they do not (room tone, applause, rain, a pause of
   many seconds), what was last known of the background goes on;
4. the window sounds *like speech*: from 0.1 s to the next its spectrum changes more than that of music, whose notes last;
5. the pause *as a whole* is no higher than noise is by chance, the less the longer it is: a soft consonant between two closures may hide
   behind the noise in each frame, and shows in their mean.

Whatever stands out of the background, a breath, applause or a door, is therefore no pause, and nothing in music is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tsmgan.core.compiled import fft

HOP_SECONDS = 0.01
"""From frame to frame; a frame is twice as long."""
BAND_EDGES_HZ = np.array([80.0, 250, 450, 700, 1000, 1400, 1900, 2500, 3200, 4000, 5500, 8000])
"""Of the bands whose levels are watched. Those above half of the sample rate are left out."""
SPEECH_HZ = (100.0, 4000.0)
"""Part of the spectrum whose change from frame to frame tells speech from music."""
STEP, BACK, AHEAD = 100, 800, 300
"""Frames that are decided together, and those that their window holds before and behind them."""
LOW_PERCENT, HIGH_PERCENT = 8.0, 90.0
"""Percentiles that stand for the background and for the loud frames."""
DEEPEST = 60.0
"""Decibels below the loud frames at which a background counts as silence."""
QUIET = 3.8
"""Decibels that frames of the background lie above its low percentile at most: 99 % of frames of noise lie below."""
DEPTH = 8.0
"""Decibels that the loud frames must rise above the background, as means over the bands."""
SMOOTH = 5
"""Frames over which a frame's height above the background is averaged."""
SHORTEST_SECONDS = 0.15
"""Closures of plosives are shorter."""
SMOOTHED_AWAY, SMOOTHED_DB = 4, (15.0, 25.0)
"""Frames by which a pause between loud words looks shorter than it is, since its first and last ones are averaged with theirs; and the
decibels of loud frames above the background at which that begins and is complete."""
SURELY_SPEECH = 2.5
"""Logarithm of the odds of speech from which on such a shorter pause is one: detached notes have such gaps between them, too."""
LONGEST_SECONDS = 4.0
"""A longer pause is given in pieces of this length, so that the delay has a bound."""
HIGHEST_MEAN, LONGER_IS_HIGHER = 2.77, 0.30
"""Decibels that the frames of a pause of one second lie above the background on average at most, and what is added for each factor e of its
length: the mean of a few frames of noise may be as high by chance, but what has only few frames must be surer."""
DEEP_ENOUGH, DEEPER_IS_HIGHER = 20.0, 0.1
"""Decibels of loud frames above the background from which on the mean may be higher, and by how much for each decibel: where hardly any
noise hides them, soft consonants stand out by themselves, and a room's reverberation may count as its silence."""
PAUSE_ENDS = 2
"""Frames at each end of a pause that its mean leaves out: half of the neighbouring word is in them."""
CHANGE_FRAMES, FLUX_FRAMES = 10, 5
"""Distances of the frames whose spectra and whose levels are compared."""
SPEECH_WEIGHTS, SPEECH_BIAS = np.array([-1.64, 4.81, 4.32, 4.2, 5.05, -7.02, -1.26, -13.61]), 4.35
"""Logistic regression of speech against music, of `evidence` (`tests/benchmarks/find_pauses.py --fit`)."""
FEWEST_ACTIVE = 40
"""Frames that must stand out of the background of a window before it tells anything."""
MEMORY = 0.06
"""Share of a step in the running mean of the evidence for speech."""
DELAY_SECONDS = LONGEST_SECONDS + (STEP + AHEAD + SMOOTH) * HOP_SECONDS
"""By so much the finder lags behind its input at most."""


def _running_mean(values: np.ndarray, size: int) -> np.ndarray:
    """Mean over `size` frames around each, along the first axis; the ends are mirrored."""
    from scipy.ndimage import uniform_filter1d  # a third of a second that only a search for pauses should cost

    return np.asarray(uniform_filter1d(values, size, axis=0))


class Pause(NamedTuple):
    """Samples `start` to `end` of the recording, of which the last is not part of the pause."""

    start: int
    end: int


def evidence(levels: np.ndarray, similarity: np.ndarray, height: np.ndarray) -> np.ndarray | None:
    """What tells speech from music in a window, eight numbers, or None where too little stands out of the background.

    They are, of the frames that stand out: the mean similarity, and the logarithm of one minus its median (notes last); the logarithm of
    the mean change of level; the logarithms of the deviation of the tilt from low to high bands (vowels fall, fricatives rise), and of the
    mean deviation of the bands' levels; the correlation of the changes in low and in high bands (vowels and fricatives take turns, drums
    have both); and the deviation of the contrast between loud and soft bands. The last one is the share of frames that stand out at all
    (music has no gaps between its words).

    Args:
        levels: (frames, bands), decibels.
        similarity: (frames,), cosine of each frame's spectrum and that of 0.1 s before.
        height: (frames,), decibels above the background.
    """
    least = QUIET + 1.2
    active = height > max(least, percentile(height, 60))
    if active.sum() < FEWEST_ACTIVE:
        return None
    smooth = _running_mean(levels, 3)
    change = (smooth[FLUX_FRAMES:] - smooth[:-FLUX_FRAMES])[active[FLUX_FRAMES:]]
    low, high = change[:, :3].mean(axis=1), change[:, -3:].mean(axis=1)
    together = float(np.corrcoef(low, high)[0, 1]) if low.std() > 0 and high.std() > 0 else 1.0
    standing, alike = levels[active], similarity[active]
    half = standing.shape[1] // 2
    tilt = standing[:, half:].mean(axis=1) - standing[:, : half + 1].mean(axis=1)
    ranked = np.sort(standing, axis=1)
    contrast = ranked[:, -2:].mean(axis=1) - ranked[:, :4].mean(axis=1)
    logarithms = np.log(
        [
            max(1 - percentile(alike, 50), 0.0) + 1e-4,
            np.abs(change).mean() + 1e-3,
            tilt.std() + 0.1,
            standing.std(axis=0).mean() + 0.1,
        ]
    )
    return np.array([alike.mean(), *logarithms, together, contrast.std(), (height > least).mean()])


def percentile(values: np.ndarray, percent: float) -> float:
    """The value (frames,) that this part of the values lies below, without interpolation."""
    rank = int(percent / 100 * (len(values) - 1))
    return float(np.partition(values, rank)[rank])


class _Frames:
    """Band levels and spectral change of a stream, in groups of STEP frames whatever the blocks are, so that nothing depends on these."""

    def __init__(self, samplerate: int, channels: int) -> None:
        self.hop = max(1, round(HOP_SECONDS * samplerate))
        hz = np.fft.rfftfreq(2 * self.hop, 1 / samplerate)
        self._starts = np.unique(np.searchsorted(hz, BAND_EDGES_HZ[BAND_EDGES_HZ < 0.5 * samplerate]))
        self._ends = np.append(self._starts[1:], np.searchsorted(hz, min(BAND_EDGES_HZ[-1], 0.5 * samplerate)))
        if BAND_EDGES_HZ[-1] < 0.5 * samplerate:
            self._starts, self._ends = self._starts[:-1], self._ends[:-1]
        self._compared = slice(*np.searchsorted(hz, SPEECH_HZ))
        self._heard = max(int(self._ends[-1]), self._compared.stop)
        self._window = np.hanning(2 * self.hop).astype(np.float32)
        # The first frame is centred on the first sample.
        self._rest = np.zeros((channels, self.hop), np.float32)
        self._before = np.zeros((CHANGE_FRAMES, self._compared.stop - self._compared.start), np.float32)

    def __call__(self, block: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self._rest = np.concatenate([self._rest, block.astype(np.float32, copy=False)], axis=1)
        needed = (STEP + 1) * self.hop
        while self._rest.shape[1] >= needed:
            yield self._measure(self._rest[:, :needed])
            self._rest = self._rest[:, STEP * self.hop :]

    def flush(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        whole = self._rest.shape[1] // self.hop
        if whole >= 2:
            yield self._measure(self._rest[:, : whole * self.hop])

    def _measure(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        power: np.ndarray | float = 0.0
        for channel in samples:
            frames = np.lib.stride_tricks.sliding_window_view(channel, 2 * self.hop)[:: self.hop]
            spectrum = fft.rfft((frames * self._window).astype(np.float32))[:, : self._heard]
            power = power + spectrum.real**2 + spectrum.imag**2
        assert isinstance(power, np.ndarray)
        sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1, dtype=np.float64)], axis=1)
        levels = 10 * np.log10(np.maximum(sums[:, self._ends] - sums[:, self._starts], 0) + 1e-20)
        shape = np.sqrt(power[:, self._compared])
        shape /= np.linalg.norm(shape, axis=1, keepdims=True) + 1e-20
        joined = np.concatenate([self._before, shape])
        self._before = joined[-CHANGE_FRAMES:]
        return levels, np.einsum("tk,tk->t", shape, joined[: len(shape)])


class PauseFinder:
    """Finds pauses in a stream. What it finds does not depend on how the stream is divided into blocks.

    Args:
        samplerate: in Hz.
        channels: of the stream. Their powers are added, so that a voice on one side is a voice.
    """

    def __init__(self, samplerate: int, channels: int = 1) -> None:
        self._frames = _Frames(samplerate, channels)
        self._hop = self._frames.hop
        self._shortest = round(SHORTEST_SECONDS * samplerate / self._hop)
        self._longest = round(LONGEST_SECONDS * samplerate / self._hop)
        self._levels: np.ndarray | None = None
        self._similarity = np.zeros(0)
        self._first = 0
        """The frame that the window begins with."""
        self._decided = 0
        self._begun: int | None = None
        """The first frame of a pause that has not ended, or of what may become one."""
        self._is_piece = False
        self._heights: list[float] = []
        """Of the frames since then, decibels above the background."""
        self._background: np.ndarray | None = None
        self._depth = 0.0
        self._speech: float | None = None

    @property
    def known(self) -> int:
        """Every pause that begins before this sample has been given."""
        return (self._decided if self._begun is None else self._begun) * self._hop

    def process(self, block: np.ndarray) -> list[Pause]:
        """Hear the next block (channels, samples), and return the pauses that have become known."""
        return [pause for group in self._frames(block) for pause in self._take(*group)]

    def flush(self) -> list[Pause]:
        """End the stream, and return the pauses that are left."""
        found = [pause for group in self._frames.flush() for pause in self._take(*group)]
        if self._levels is not None:
            end = self._first + len(self._levels)
            while self._decided < end:
                found += self._decide(min(end, self._decided + STEP), at_end=True)
        if self._begun is not None:
            found += self._close(self._decided)
        return found

    def _take(self, levels: np.ndarray, similarity: np.ndarray) -> Iterator[Pause]:
        self._levels = levels if self._levels is None else np.concatenate([self._levels, levels])
        self._similarity = np.concatenate([self._similarity, similarity])
        while self._first + len(self._levels) >= self._decided + STEP + AHEAD:
            yield from self._decide(self._decided + STEP)
        # At the recording's end the window reaches further back, by what it lacks ahead.
        surplus = self._decided - BACK - AHEAD - STEP - self._first
        if surplus > 0:
            self._levels, self._similarity, self._first = self._levels[surplus:], self._similarity[surplus:], self._first + surplus

    def _decide(self, end: int, *, at_end: bool = False) -> list[Pause]:
        """Decide the frames up to one, and return the pauses that end there."""
        assert self._levels is not None
        start = max(0, self._decided - BACK - (AHEAD if at_end else 0) - self._first)
        levels, similarity = self._levels[start:], self._similarity[start:]
        if not at_end:
            levels, similarity = levels[: end + AHEAD - self._first - start], similarity[: end + AHEAD - self._first - start]
        self._learn(levels, similarity)
        heights, smooth = np.full((2, end - self._decided), np.inf)
        if self._background is not None and self._speech is not None and self._speech > 0:
            here = self._decided - self._first - start
            height = np.maximum(0, levels - self._background).mean(axis=1)
            heights, smooth = (each[here : here + len(heights)] for each in (height, _running_mean(height, SMOOTH)))
        return self._follow(smooth < QUIET, heights)

    def _learn(self, levels: np.ndarray, similarity: np.ndarray) -> None:
        """Take from a window what the background is, and whether there is speech before it."""
        loudest = 10 * np.log10(percentile((10 ** (levels / 10)).sum(axis=1), HIGH_PERCENT))
        rank = int(LOW_PERCENT / 100 * (len(levels) - 1))
        background = np.maximum(np.partition(levels, rank, axis=0)[rank], loudest - DEEPEST)
        height = _running_mean(np.maximum(0, levels - background).mean(axis=1), SMOOTH)
        depth = percentile(height, HIGH_PERCENT)
        if depth < DEPTH:
            return
        seen = evidence(levels, similarity, height)
        if seen is None:
            return
        odds = float(np.clip(SPEECH_WEIGHTS @ seen + SPEECH_BIAS, -4, 4))
        self._speech = odds if self._speech is None else self._speech + MEMORY * (odds - self._speech)
        self._background, self._depth = background, depth

    def _follow(self, quiet: np.ndarray, heights: np.ndarray) -> list[Pause]:
        """Go on with the frames that are decided, and return the pauses that have ended."""
        found = []
        for is_quiet, height in zip(quiet, heights):
            if is_quiet:
                if self._begun is None:
                    self._begun, self._heights = self._decided, []
                elif self._decided - self._begun >= self._longest:
                    found += self._piece(self._decided)
                self._heights.append(float(height))
            elif self._begun is not None:
                found += self._close(self._decided)
            self._decided += 1
        return found

    def _piece(self, end: int) -> list[Pause]:
        """Give what has become too long to wait for its end. What follows it goes on as it has begun."""
        assert self._begun is not None
        start, is_pause = self._begun, self._is_piece or self._is_low()
        self._begun, self._heights, self._is_piece = end, [], is_pause
        return [Pause(start * self._hop, end * self._hop)] if is_pause else []

    def _close(self, end: int) -> list[Pause]:
        assert self._begun is not None
        # The last frame that is quiet is the one before `end`.
        start, end, is_piece = self._begun, end - 1, self._is_piece
        self._begun, self._is_piece = None, False
        lost = SMOOTHED_AWAY * float(np.interp(self._depth, SMOOTHED_DB, (0, 1)))
        is_pause = end > start if is_piece else end - start >= round(self._shortest - lost) and self._is_low()
        if not is_piece and end - start < self._shortest:
            is_pause = is_pause and self._speech is not None and self._speech >= SURELY_SPEECH
        return [Pause(start * self._hop, end * self._hop)] if is_pause else []

    def _is_low(self) -> bool:
        """Whether the frames since a pause has begun are all together no higher than noise is."""
        inside = self._heights[PAUSE_ENDS:-PAUSE_ENDS] or self._heights
        seconds = len(self._heights) * HOP_SECONDS
        highest = HIGHEST_MEAN + LONGER_IS_HIGHER * np.log(seconds) + DEEPER_IS_HIGHER * max(0.0, self._depth - DEEP_ENOUGH)
        return float(np.mean(inside)) < highest


def joined(pauses: list[Pause]) -> list[Pause]:
    """Pauses whose pieces are put together."""
    out: list[Pause] = []
    for pause in pauses:
        if out and out[-1].end == pause.start:
            out[-1] = Pause(out[-1].start, pause.end)
        else:
            out.append(pause)
    return out
