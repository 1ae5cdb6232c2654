"""Runs: the pieces in which a stream goes through the engine, the input that they look at, and the threads beside the caller's.

A run is RUN consecutive frames. Runs start at multiples of RUN whatever the caller's blocks are, so the output does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from tsmgan.core.features import silence
from tsmgan.core.field import Seen
from tsmgan.core.frames import RUN, Frames

Work = TypeVar("Work")
Result = TypeVar("Result")


class Run(NamedTuple):
    """A run of frames between its analysis and its synthesis."""

    first: int
    """Number of its first frame."""
    frames: Frames
    features: np.ndarray
    """(frames, FEATURES), float32."""


class InputBuffer:
    """The input that frames still look at."""

    def __init__(self, channels: int) -> None:
        self.signal = np.zeros((channels, 0), np.float32)
        """(channels, samples), of the type of the caller's blocks."""
        self.origin = 0
        """Position of the signal's first sample in the recording."""
        self.received = 0
        """Samples of the recording so far."""
        self._blocks: list[np.ndarray] = []

    def append(self, block: np.ndarray) -> None:
        """Keep a copy of a block: the caller may fill the same array again for the next one."""
        self._blocks.append(block.copy())
        self.received += block.shape[1]

    def gather(self, oldest: int) -> None:
        """Join the blocks, and forget what lies before position `oldest` of the recording."""
        forget = min(max(0, oldest - self.origin), self.signal.shape[1])
        self.signal = np.concatenate([self.signal[:, forget:], *self._blocks], axis=1)
        self.origin += forget
        self._blocks = []

    def clear(self) -> None:
        """Forget everything but the type of the samples."""
        self._blocks, self.signal = [], self.signal[:, :0]


class Surroundings:
    """Puts each run, in order, among the frames around it."""

    def __init__(self, context: int, noise: int, seed: int) -> None:
        """
        Args:
            context: frames on either side, at most RUN.
            noise: channels of the noise z.
            seed: of the noise.
        """
        self._context, self._noise_channels, self._seed = context, noise, seed
        self._past, self._past_rates = silence(context), np.ones(context)
        self._noise = lru_cache(maxsize=3)(self._draw)

    def see(self, run: Run, after: Run | None) -> Seen:
        """What surrounds a run; `after` is the next one, None at the recording's end."""
        context, count = self._context, len(run.features)
        features, rates = silence(RUN + 2 * context), np.ones(RUN + 2 * context)
        features[:context], rates[:context] = self._past, self._past_rates
        features[context : context + count], rates[context : context + count] = run.features, run.frames.rates
        if after is not None:
            seen = min(context, len(after.features))
            features[context + RUN :][:seen], rates[context + RUN :][:seen] = after.features[:seen], after.frames.rates[:seen]
        self._past, self._past_rates = features[RUN : RUN + context], rates[RUN : RUN + context]
        return Seen(features, rates, self._noise_around(run.first))

    def _noise_around(self, first: int) -> np.ndarray:
        before, inside, after = (self._noise(first + step) for step in (-RUN, 0, RUN))
        return np.concatenate([before[RUN - self._context :], inside, after[: self._context]])

    def _draw(self, first: int) -> np.ndarray:
        """z for the run that starts at frame `first`, (RUN, channels): a function of the seed and the frame alone."""
        bits = np.random.Philox(key=np.array([self._seed % 2**64, first // RUN + 1], np.uint64))
        return np.random.Generator(bits).standard_normal((RUN, self._noise_channels), dtype=np.float32)


def in_another_thread(work: Iterable[Work], function: Callable[[list[Work]], list[Result]], at_once: int) -> Generator[Result, None, None]:
    """Results of `function`, which another thread applies to `at_once` items at a time while this thread makes the next ones.

    The thread ends with the iterator.
    """
    items = iter(work)
    with ThreadPoolExecutor(1) as worker:
        pending = None
        while group := list(islice(items, at_once)):
            before, pending = pending, worker.submit(function, group)
            if before is not None:
                yield from before.result()
        if pending is not None:
            yield from pending.result()
