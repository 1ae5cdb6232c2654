"""The whole way of the data for a stream: time map, frames, features, decision, vocoder, overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple, Protocol

import numpy as np

from tsmgan.core.analysis import Analyser
from tsmgan.core.attacks import LOOKAHEAD_SECONDS
from tsmgan.core.features import frame_features
from tsmgan.core.field import BANDS, Field, Seen
from tsmgan.core.frames import RUN, Frames
from tsmgan.core.geometry import geometry
from tsmgan.core.grains import Grains
from tsmgan.core.limiter import Limiter, frame_levels
from tsmgan.core.overlap import ExactPieces, OverlapAdd
from tsmgan.core.runs import InputBuffer, Run, Surroundings, in_another_thread
from tsmgan.core.samples import checked_block
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Turned, Vocoder
from tsmgan.errors import UsageError


class Rendered(NamedTuple):
    """A run, and what was made of it."""

    run: Run
    turned: Turned
    samples: np.ndarray
    """(channels, frames * H), which the run completes."""
    levels: np.ndarray
    """How loud each frame may be, (frames,), as `frame_levels` gives them."""


class Decider(Protocol):
    """What decides the field of each run: the rule or a generator."""

    context: int
    """Frames on either side of a run that a decision depends on."""
    noise: int
    """Channels of the noise z."""
    batch: int
    """Runs that are decided together."""
    device: str
    """What it runs on."""

    def decide(self, seen: list[Seen]) -> list[Field]:
        """Fields of the frames in the middle of what is seen, arrays (RUN, BANDS), for at most `batch` runs."""
        ...


class Stretcher:
    """Stretch a stream of any length in bounded memory.

    What `process` and `flush` return, joined, is the same for every division into blocks. The output lags by up to about 2 x 96 frames
    and what the limiter holds back (1.4 s). Where a block is long enough for several runs of 96 frames, up to three cores share the work:
    one analyses a run while another decides about the one before, and the last renders the one before that. No thread outlives a call.
    """

    def __init__(
        self,
        samplerate: int,
        channels: int,
        time_map: TimeMap,
        decider: Decider,
        *,
        coherence: float | None = None,
        seed: int = 0,
        adapt: Callable[[Field, np.ndarray], Field] | None = None,
        formants: Callable[[Turned, Frames, Field], Turned] | None = None,
        observer: Callable[[Run, Field], None] | None = None,
    ) -> None:
        """
        Args:
            samplerate: in Hz, 1 kHz to 768 kHz.
            channels: number of channels.
            time_map: which input instant each output instant looks at.
            decider: decides the fields.
            coherence: overrides the field's coherence by one value in [0, 1], and leaves out grains.
            seed: of the noise z.
            adapt: what changes each decided field, which it gets with the local rates of its frames.
            formants: what gives the turned frames their envelopes; see `tsmgan.core.formants`.
            observer: called with each run and its field, in order, from another thread.
        """
        self._geometry = geometry(samplerate)
        self.samplerate, self.channels = int(samplerate), int(channels)
        self.time_map = time_map.in_samples(self.samplerate)
        self._decider, self._coherence, self._adapt, self._formants, self._observer = decider, coherence, adapt, formants, observer
        self._input = InputBuffer(self.channels)
        self._analyser = Analyser(self._geometry, self.channels)
        self._features = frame_features
        self._surroundings = Surroundings(decider.context, decider.noise, seed)
        self._vocoder, self._grains = Vocoder(self._geometry, seed), Grains(self._geometry)
        self._overlap = OverlapAdd(self._geometry, self.channels)
        self._exact = ExactPieces(self._geometry)
        self._limit = Limiter(self._geometry, self.channels)
        self._analysed = 0
        self._needed = self._input_needed()
        self._waiting: Run | None = None
        self._oldest: list[Run] = []
        self._flushed = False

    @property
    def device(self) -> str:
        """What the generator runs on: `cpu`, `cuda`, `coreml` or `directml`."""
        return self._decider.device

    def process(self, block: np.ndarray) -> np.ndarray:
        """Take the next block of input and return the output that is ready.

        Args:
            block: (channels, samples), or (samples,) for one channel; see `tsmgan.stretch` for the types of samples. The array may be
                filled anew as soon as the call returns.

        Returns:
            (channels, ready samples), possibly none; of the block's dtype, of integers as `tsmgan.stretch` says.

        Raises:
            UsageError: the block's shape or type is wrong, or the stream was flushed.
            AudioError: the block holds NaN, infinite or absurdly large samples.
        """
        if self._flushed:
            raise UsageError("The stream was flushed; make a new Stretcher for the next recording.")
        block = checked_block(block, self.channels, self._input.received / self.samplerate, self.samplerate)
        return self._joined(list(self._stretched(self._runs_of(block))))

    def flush(self) -> np.ndarray:
        """End the input and return the rest of the output, (channels, samples)."""
        if self._flushed:
            return self._joined([])
        self._flushed = True
        length = self.time_map.output_length(self._input.received)
        out = list(self._stretched(self._last_runs(self._geometry.frames_for(length))))
        if self._analysed:
            out.append(self._tail(length))
        self._input.clear()
        return self._joined(out)

    # The arrows. The first and the last are taken in the caller's thread. A second one decides, and a third one renders.

    def _stretched(self, runs: Iterator[tuple[Run, Seen]]) -> Iterator[np.ndarray]:
        """The output of runs."""
        with (
            closing(in_another_thread(runs, self._decide, self._decider.batch)) as decided,
            closing(in_another_thread(decided, self._render, 1)) as all_rendered,
        ):
            for rendered in all_rendered:
                yield self._send(rendered)

    def _analyse(self, first: int, count: int) -> Run:
        """Time map -> frames -> features, for the frames from `first` on."""
        positions, rates = self.time_map.instants(first, count, self._geometry.hop)
        frames = self._analyser(self._input.signal, self._input.origin, positions, rates)
        return Run(first, frames, self._features(frames, self._geometry))

    def _decide(self, runs: list[tuple[Run, Seen]]) -> list[tuple[Run, Field]]:
        """Features -> field."""
        fields = self._decider.decide([seen for _, seen in runs])
        return [(run, Field(*(values[: len(run.features)] for values in field))) for (run, _), field in zip(runs, fields)]

    def _render(self, runs: list[tuple[Run, Field]]) -> list[Rendered]:
        """Field -> turned frames -> samples."""
        return [self._synthesise(run, field) for run, field in runs]

    def _synthesise(self, run: Run, field: Field) -> Rendered:
        if self._adapt is not None:
            field = self._adapt(field, run.frames.rates)
        if self._coherence is not None:
            # Grains move as one piece, which is a coherence of its own.
            shape = len(run.features), BANDS
            field = field._replace(coherence=np.full(shape, self._coherence, np.float32), grain=np.zeros(shape, np.float32))
        if self._observer is not None:
            self._observer(run, field)
        turned, levels = self._vocoder(run.frames, field), frame_levels(run.frames.power, self._geometry)
        turned = self._grains(turned, run.frames, field)
        if self._formants is not None:
            before = _power(turned)  # of spectra that are changed in place
            turned = self._formants(turned, run.frames, field)
            levels *= _power(turned) / np.maximum(before, np.finfo(np.float32).tiny)
        return Rendered(run, turned, self._overlap(turned, run.frames), levels)

    def _send(self, rendered: Rendered) -> np.ndarray:
        """Samples -> output: the input's own samples where nothing was turned, nothing too loud, and nothing from before the recording."""
        self._oldest.pop(0)
        run, turned, samples, levels = rendered
        position = self._exact.position
        samples = self._exact.restore(samples, turned, run.frames, self._input.signal, self._input.origin)
        samples[:, : max(0, -position)] = 0
        return self._limit(samples, levels)[:, max(0, self._limit.delay - position) :]

    def _tail(self, length: int) -> np.ndarray:
        """The last samples of an output of this length, which no further frame reaches."""
        position = self._exact.position
        samples = self._overlap.tail(-(-(length - position) // self._geometry.hop))
        samples = self._exact.restore_tail(samples, self._input.signal, self._input.origin)
        samples[:, : max(0, -position)] = samples[:, length - position :] = 0
        held = self._limit.delay - position
        return self._limit.tail(samples)[:, max(0, held) : held + length]

    # Runs: when the input is there that they need, and in what company they are decided.

    def _input_needed(self) -> int:
        """Input samples that the next run of frames looks at."""
        last, _ = self.time_map.instants(self._analysed + RUN - 1, 1, self._geometry.hop)
        return int(last[0]) + 1 + self._geometry.window_length // 2 + int(-(-self.samplerate * LOOKAHEAD_SECONDS // 1))

    def _runs_of(self, block: np.ndarray) -> Iterator[tuple[Run, Seen]]:
        """Runs that the block makes complete, and what surrounds them."""
        # A map that grows may have changed what the next run looks at.
        self._needed = self._input_needed()
        while block.shape[1]:  # no more than a run needs at a time: however long the block is, it is copied once
            piece, block = np.split(block, [max(0, self._needed - self._input.received)], axis=1)
            self._input.append(piece)
            if self._input.received >= self._needed:
                yield from self._advance(RUN)

    def _last_runs(self, frames: int) -> Iterator[tuple[Run, Seen]]:
        """Runs up to the recording's end, where no more input comes."""
        while self._analysed < frames:
            yield from self._advance(min(RUN, frames - self._analysed))
        if self._waiting is not None:
            yield self._waiting, self._surroundings.see(self._waiting, None)

    def _advance(self, count: int) -> Iterator[tuple[Run, Seen]]:
        """Analyse the next run, which completes the surroundings of the one before it."""
        oldest = self._oldest[0].frames.instants[0] if self._oldest else 0
        self._input.gather(int(oldest) - 2 * self._geometry.window_length)
        run = self._analyse(self._analysed, count)
        self._oldest.append(run)
        self._analysed += count
        self._needed = self._input_needed()
        before, self._waiting = self._waiting, run
        if before is not None:
            yield before, self._surroundings.see(before, run)

    def _joined(self, pieces: list[np.ndarray]) -> np.ndarray:
        if not pieces:
            return np.zeros((self.channels, 0), self._input.signal.dtype)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)


def _power(turned: Turned) -> np.ndarray:
    """Power of each frame, summed over channels and bins, (frames,) float64."""
    parts = turned.spectra.view(np.float32)
    return np.einsum("cmf,cmf->m", parts, parts).astype(np.float64)
