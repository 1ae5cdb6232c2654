"""The whole way of the data: TimeMap, analysis, features, generator, vocoder stage, for streams and for arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np

from tsmgan.core.analysis import Analyser, Frames
from tsmgan.core.attacks import LOOKAHEAD_SECONDS
from tsmgan.core.features import frame_features, silence
from tsmgan.core.generator import Generator
from tsmgan.core.geometry import HOPS_PER_WINDOW, geometry
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import BANDS, Field, Vocoder
from tsmgan.errors import AudioError, UsageError
from tsmgan.models import LARGEST_CONTEXT, find_model

RUN = LARGEST_CONTEXT
"""Frames that are processed together: as many as a generator may look to either side, so that a run's neighbours hold all that it sees.
Runs start at multiples of this whatever the caller's blocks are, so the output does not depend on them."""
MOST_CHANNELS = 1024
FEW_CHANNELS = 8
"""An array with more channels than this, and with more channels than samples, is taken for a transposed one."""
LARGEST_SAMPLE = 1e6
"""Larger samples, relative to full scale, are taken for a corrupt file; their squares would leave float32."""
_MOVED = np.iinfo(np.int64).min


class _Run(NamedTuple):
    """A run of frames between its analysis and its synthesis."""

    first: int
    instants: np.ndarray
    rates: np.ndarray
    frames: Frames
    features: np.ndarray


class Stretcher:
    """Stretch a stream of any length in bounded memory.

    Feed blocks of any size to `process` and finish with `flush`; what they return, joined, is the stretched recording, exactly
    `time_map.output_length(samples)` long and the same for every division into blocks. Output lags by up to about
    2 x 96 frames (1.3 s). Where a block is long enough for several runs of 96 frames, two cores share the work: one analyses a
    run while the other renders the one before. No thread outlives a call.

    Args:
        samplerate: in Hz, 1 kHz to 768 kHz.
        channels: number of channels, 1 to 1024.
        rate: speed, 0.05 to 20; 1.5 plays 1.5 times as fast. Give this or time_map.
        time_map: which input instant each output instant looks at.
        model: name of a shipped model, or a model folder.
        coherence: overrides the generator's coherence field by one value in [0, 1]: 0 is a phase vocoder, 1 keeps the waveform's shape.
        seed: of the generator's noise.
        device, threads: what the generator runs on, see tsmgan.core.generator.

    Raises:
        UsageError: an argument is out of its range.
        ModelError: the model cannot be used.
        TsmganError: the device was asked for and cannot be used here.
    """

    def __init__(
        self,
        samplerate: int,
        channels: int = 1,
        *,
        rate: float | None = None,
        time_map: TimeMap | None = None,
        model: str = "default",
        coherence: float | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        if (rate is None) == (time_map is None):
            raise UsageError("Give either a rate or a time map.")
        if int(channels) != channels or not 1 <= channels <= MOST_CHANNELS:
            raise UsageError(f"The number of channels is {channels}; 1 to {MOST_CHANNELS} are possible.")
        if coherence is not None and not 0 <= coherence <= 1:
            raise UsageError(f"The coherence is {coherence}; it must be a number from 0 (phase vocoder) to 1 (keep the waveform's shape).")
        if int(seed) != seed or seed < 0:
            raise UsageError(f"The seed is {seed}; it must be a whole number that is not negative.")
        self._geometry = geometry(samplerate)
        self.samplerate, self.channels = int(samplerate), int(channels)
        self.time_map = (time_map if time_map is not None else TimeMap.from_rate(rate)).in_samples(self.samplerate)  # type: ignore[arg-type]
        self._generator = Generator(find_model(model), device, threads)
        self._coherence, self._seed = coherence, int(seed)
        self._analyser = Analyser(self._geometry, self.channels)
        self._vocoder = Vocoder(self._geometry, self.channels)
        self._blocks: list[np.ndarray] = []
        self._signal = np.zeros((self.channels, 0), np.float32)
        self._origin = 0
        self._received = 0
        self._sent = -self._geometry.window_length // 2  # the first half window stands before the recording
        self._analysed = 0
        self._needed = self._input_needed()
        self._waiting: _Run | None = None
        self._unsent: list[_Run] = []
        self._past = silence(self._generator.context)
        self._past_rates = np.ones(self._generator.context)
        self._offsets = np.full(HOPS_PER_WINDOW - 1, _MOVED)
        self._flushed = False

    @property
    def device(self) -> str:
        """What the generator runs on: `cpu`, `cuda`, `coreml` or `directml`."""
        return self._generator.device

    def process(self, block: np.ndarray) -> np.ndarray:
        """Take the next block of input and return the output that is ready.

        Args:
            block: (channels, samples), or (samples,) for one channel; see `stretch` for the types of samples. The array may be filled
                anew as soon as the call returns.

        Returns:
            (channels, ready samples), possibly none; of the block's dtype, of integers as `stretch` says.

        Raises:
            UsageError: the block's shape or type is wrong, or the stream was flushed.
            AudioError: the block holds NaN, infinite or absurdly large samples.
        """
        if self._flushed:
            raise UsageError("The stream was flushed; make a new Stretcher for the next recording.")
        return self._joined(list(self._rendered(self._runs_of(self._checked(block)))))

    def flush(self) -> np.ndarray:
        """End the input and return the rest of the output, (channels, samples)."""
        if self._flushed:
            return self._joined([])
        self._flushed = True
        length = self.time_map.output_length(self._received)
        frames = self._geometry.frames_for(length)
        out = list(self._rendered(self._last_runs(frames)))
        if self._analysed:
            out.append(self._tail(length - self._sent))
        self._blocks, self._signal = [], self._signal[:, :0]
        return self._joined(out)

    def _checked(self, block: np.ndarray) -> np.ndarray:
        block = np.asarray(block)
        if block.ndim == 1:
            block = block[None]
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise UsageError(f"A block has shape {block.shape}; it must be ({self.channels}, samples).")
        block = _as_float(block)
        sound = np.abs(block) <= LARGEST_SAMPLE  # False for NaN as well
        if not sound.all():
            first = int(np.argmin(sound.all(axis=0)))
            value, at = block[np.argmin(sound[:, first]), first], (self._received + first) / self.samplerate
            what = "a NaN or infinite sample" if not np.isfinite(value) else f"a sample of {value:.3g} times full scale, which is no audio,"
            raise AudioError(f"The input holds {what} at {at:.4f} s; repair the recording first.")
        return block

    def _joined(self, pieces: list[np.ndarray]) -> np.ndarray:
        if not pieces:
            return np.zeros((self.channels, 0), self._signal.dtype)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    def _instants(self, first: int, count: int) -> np.ndarray:
        return np.rint(self.time_map.input_at((first + np.arange(count)) * self._geometry.hop)).astype(np.int64)

    def _input_needed(self) -> int:
        """Input samples that the next run of frames looks at."""
        lookahead = -(-self.samplerate * LOOKAHEAD_SECONDS // 1)
        return int(self._instants(self._analysed + RUN - 1, 1)[0]) + self._geometry.window_length // 2 + int(lookahead)

    def _runs_of(self, block: np.ndarray) -> Iterator[tuple[_Run, _Run | None]]:
        """Runs that the block makes complete, each with the one behind it, whose beginning it looks at."""
        while block.shape[1]:  # no more than a run needs at a time: however long the block is, it is copied once
            piece, block = np.split(block, [max(0, self._needed - self._received)], axis=1)
            self._blocks.append(piece.copy())  # the caller may fill the same array again for the next call
            self._received += piece.shape[1]
            if self._received >= self._needed:
                yield from self._advance(RUN)

    def _last_runs(self, frames: int) -> Iterator[tuple[_Run, _Run | None]]:
        """Runs up to the recording's end, where no more input comes."""
        while self._analysed < frames:
            yield from self._advance(min(RUN, frames - self._analysed))
        if self._waiting is not None:
            yield self._waiting, None

    def _advance(self, count: int) -> Iterator[tuple[_Run, _Run]]:
        """Analyse the next count frames, which complete the context of the run before them."""
        self._gather()
        first, g = self._analysed, self._geometry
        instants = self._instants(first, count)
        frames = self._analyser(self._signal, self._origin, instants)
        rates = self.time_map.rate_at((first + np.arange(count)) * g.hop)
        run = _Run(first, instants, rates, frames, frame_features(frames, g))
        self._analysed += count
        self._needed = self._input_needed()
        before, self._waiting = self._waiting, run
        self._unsent.append(run)
        if before is not None:
            yield before, run

    def _rendered(self, runs: Iterator[tuple[_Run, _Run | None]]) -> Iterator[np.ndarray]:
        """Output of runs. A second thread renders as many as the generator decides together while this one analyses the next."""
        with ThreadPoolExecutor(1) as worker:
            rendering = None
            while pairs := list(islice(runs, self._generator.batch)):
                before, rendering = rendering, worker.submit(self._render, pairs)
                if before is not None:
                    yield from itertools.starmap(self._send, before.result())
            if rendering is not None:
                yield from itertools.starmap(self._send, rendering.result())

    def _gather(self) -> None:
        """Join the received blocks, and forget the input that no frame will look at again."""
        oldest = self._unsent[0].instants[0] if self._unsent else 0
        forget = min(max(0, int(oldest) - 2 * self._geometry.window_length - self._origin), self._signal.shape[1])
        self._signal = np.concatenate([self._signal[:, forget:], *self._blocks], axis=1)
        self._origin += forget
        self._blocks = []

    def _noise(self, first: int) -> np.ndarray:
        """z for the run that starts at frame first, (RUN, noise): a function of the seed and the frame alone."""
        bits = np.random.Philox(key=np.array([self._seed % 2**64, first // RUN + 1], np.uint64))
        return np.random.Generator(bits).standard_normal((RUN, self._generator.noise), dtype=np.float32)

    def _seen(self, run: _Run, after: _Run | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the generator sees of a run: always RUN + 2 context frames, silence beyond the recording's ends."""
        context, count = self._generator.context, len(run.rates)
        features = silence(RUN + 2 * context)
        rates = np.ones(RUN + 2 * context)
        features[:context], rates[:context] = self._past, self._past_rates
        features[context : context + count], rates[context : context + count] = run.features, run.rates
        if after is not None:
            seen = min(context, len(after.rates))
            features[context + RUN :][:seen], rates[context + RUN :][:seen] = after.features[:seen], after.rates[:seen]
        noise = np.concatenate(
            [self._noise(run.first - RUN)[RUN - context :], self._noise(run.first), self._noise(run.first + RUN)[:context]]
        )
        self._past, self._past_rates = features[RUN : RUN + context], rates[RUN : RUN + context]
        return features, rates, noise

    def _fields(self, pairs: list[tuple[_Run, _Run | None]]) -> list[Field]:
        """The generator's decisions for runs."""
        context, out = self._generator.context, []
        for (run, _), field in zip(pairs, self._generator.decide(*zip(*itertools.starmap(self._seen, pairs)))):
            field = Field(*(values[context : context + len(run.rates)] for values in field))
            if self._coherence is not None:
                field = field._replace(coherence=np.full((len(run.rates), BANDS), self._coherence, np.float32))
            out.append(field)
        return out

    def _render(self, pairs: list[tuple[_Run, _Run | None]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The samples of each run, and which of its frames were left as they are."""
        vocoder, out = self._vocoder, []
        for (run, _), field in zip(pairs, self._fields(pairs)):
            out.append(vocoder.synthesise(run.frames, field, run.rates, *vocoder.rotations(run.frames, field, run.rates)))
        return out

    def _send(self, out: np.ndarray, unmoved: np.ndarray) -> np.ndarray:
        """The output of the oldest run that was not sent yet."""
        run = self._unsent.pop(0)
        positions = (run.first + np.arange(len(unmoved))) * self._geometry.hop
        offsets = np.where(unmoved, run.instants - positions, _MOVED)
        if run.first == 0:
            self._offsets[:] = offsets[0]  # no frames stand before the first
        return self._emit(out, offsets)

    def _tail(self, count: int) -> np.ndarray:
        """The last count samples, which no further frame reaches."""
        hops, ahead = -(-count // self._geometry.hop), max(0, -self._sent)
        return self._emit(self._vocoder.tail(hops), np.full(hops, self._offsets[-1]))[:, : count - ahead]

    def _emit(self, out: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Samples from position self._sent on; where every frame that covers a hop was left as it is, the input's own samples.

        A transform and its inverse give those back but for the last bit or two, so the samples themselves are taken: a recording
        at rate 1, or a piece of one, comes out bit for bit.
        """
        hop = self._geometry.hop
        out = out.astype(self._signal.dtype, copy=False)
        offsets = np.concatenate([self._offsets, offsets])
        windows = np.lib.stride_tricks.sliding_window_view(offsets, HOPS_PER_WINDOW)
        for k in map(int, np.flatnonzero((windows == windows[:, :1]).all(axis=1) & (windows[:, 0] != _MOVED))):
            at = self._sent + k * hop
            start = at + int(windows[k, 0]) - self._origin
            first, last = max(start, 0), min(start + hop, self._signal.shape[1])
            if last > first:
                out[:, k * hop + first - start : k * hop + last - start] = self._signal[:, first:last]
        self._offsets = offsets[len(offsets) - (HOPS_PER_WINDOW - 1) :]
        ahead = max(0, -self._sent)
        self._sent += out.shape[1]
        return out[:, ahead:]


def stretch(
    y: np.ndarray,
    samplerate: int,
    rate: float | None = None,
    *,
    time_map: TimeMap | None = None,
    model: str = "default",
    coherence: float | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Change the speed of a recording and keep its pitch, voice and stereo image.

    >>> import numpy as np, tsmgan
    >>> y = np.sin(np.linspace(0, 2000, 48000, dtype=np.float32))
    >>> tsmgan.stretch(y, 48000, rate=1.5).shape
    (32000,)

    Args:
        y: (samples,) or (channels, samples). Floating-point samples have full scale 1.0. Integers (uint8, int16, int32) are scaled to it as
            `soundfile` scales them. Any byte order will do.
        samplerate: in Hz.
        rate: speed, 0.05 to 20; 1.5 plays 1.5 times as fast. Give this or time_map.
        time_map, model, coherence, seed: see Stretcher.

    Returns:
        (round(samples / rate),) or (channels, round(samples / rate)), or as long as the map says; float64 where y is float64 or
        int32, float32 otherwise.

    Raises:
        UsageError: an argument is out of its range, y is no array of samples of one or two dimensions, or it looks transposed: more channels
            than samples, or more than 1024.
        AudioError: y holds NaN or infinite samples.
        ModelError: the model cannot be used.
    """
    y = np.asarray(y)
    if y.ndim not in (1, 2):
        raise UsageError(f"The signal has {y.ndim} dimensions; it must be (samples,) or (channels, samples).")
    _require_channels_first(y)
    stretcher = Stretcher(
        samplerate, 1 if y.ndim == 1 else y.shape[0], rate=rate, time_map=time_map, model=model, coherence=coherence, seed=seed
    )
    out = np.concatenate([stretcher.process(y), stretcher.flush()], axis=1)
    return out[0] if y.ndim == 1 else out


def _require_channels_first(y: np.ndarray) -> None:
    """Refuse (samples, channels), as `soundfile.read` returns it, before anything is allocated for so many channels."""
    if y.ndim == 2 and (y.shape[0] > MOST_CHANNELS or (y.shape[0] > FEW_CHANNELS and y.shape[0] > y.shape[1] > 0)):
        raise UsageError(f"The signal has {y.shape[0]} channels of {y.shape[1]} samples, so it looks transposed; give y.T.")


def _as_float(block: np.ndarray) -> np.ndarray:
    """Samples as native float32 or float64 with full scale 1.0; integers are scaled as soundfile scales them."""
    kind, size = block.dtype.kind, block.dtype.itemsize
    if kind == "f":
        return block.astype(np.float32 if size <= 4 else np.float64, copy=False)
    if kind == "i" and size == 2:
        return block.astype(np.float32) / np.float32(1 << 15)
    if kind == "i" and size == 4:
        return block.astype(np.float64) / float(1 << 31)
    if kind == "u" and size == 1:
        return (block.astype(np.float32) - np.float32(128)) / np.float32(128)
    raise UsageError(f"The samples are {block.dtype}; give float32 or float64 with full scale 1.0, or int16, int32 or uint8.")
