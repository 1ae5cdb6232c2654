"""Pitch: a resampling, and a stretch that brings the length back.

Playing a recording p times as fast raises its pitch by p. So the input is resampled to 1/p of its samples, and stretched to the wanted
length. No band is lost that the output could hold: downwards, all of the recording stays within the band; upwards, the resampler cuts what
would leave it. The stretch then works on no more samples than the output has.

What decides about a sound, and the envelope of a voice, need to hear its highs all the same. So upwards the recording keeps STRETCHED_HZ
samples a second, if it has them, for the stretch, which makes more output than is wanted; another resampling takes away what is too much.

Between resampling and stretching, the rate is the listener's divided by p. Positions come from the map itself, so nothing drifts, and the
output has exactly as many samples as the map says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tsmgan.core.field import Field
from tsmgan.core.formants import Formants
from tsmgan.core.geometry import HIGHEST_SAMPLERATE, Geometry, geometry
from tsmgan.core.rule import for_pitch
from tsmgan.core.runs import Run
from tsmgan.core.samples import checked_block
from tsmgan.core.stretcher import Decider, Stretcher
from tsmgan.core.timemap import TimeMap

Formanting = float | Literal["keep", "follow"] | None
"""What becomes of the formants."""
QUALITY = "HQ"
"""Of soxr: 20 bits. Images and aliases lie below -110 dB, and the band is flat up to 0.91 of its width."""
STRETCHED_HZ = 32000
"""Samples a second that are left of a recording when it is stretched for a shift upwards."""


class Resampler:
    """Changes how many samples a stream has. Its output is not delayed, and does not depend on the division into blocks."""

    def __init__(self, factor: float, channels: int) -> None:
        """
        Args:
            factor: samples of output for each sample of input; 1 passes everything on.
            channels: number of channels.
        """
        self._factor, self._channels = factor, channels
        self._stream: Any = None

    def __call__(self, block: np.ndarray, *, last: bool = False) -> np.ndarray:
        """The output that is ready after the next block, (channels, samples) of the block's dtype; all of it after the last one."""
        if self._factor == 1:
            return block
        if self._stream is None:
            import soxr  # not needed without a shift

            self._stream = soxr.ResampleStream(1.0, self._factor, self._channels, dtype=block.dtype, quality=QUALITY)
        return np.ascontiguousarray(self._stream.resample_chunk(np.ascontiguousarray(block.T), last=last).T)


def ratio_of(semitones: float) -> float:
    """Ratio of the frequencies after and before a shift of the pitch; the stretch within it is slower by as much."""
    return float(2.0 ** (semitones / 12))


class ScaledMap(TimeMap):
    """A map whose input and output positions are another one's, multiplied by factors. It looks at the other map at each call, which may
    have grown. Its rates may lie beyond those that users may ask for.

    Args:
        time_map: in samples.
        of_input, of_output: the factors.
    """

    def __init__(self, time_map: TimeMap, of_input: float, of_output: float) -> None:
        self._scaled, self._of_input, self._of_output = time_map, of_input, of_output

    def in_samples(self, samplerate: int) -> TimeMap:
        return self

    def input_at(self, output_positions: np.ndarray | float) -> np.ndarray:
        return self._scaled.input_at(np.asarray(output_positions, np.float64) / self._of_output) * self._of_input

    def rate_at(self, output_positions: np.ndarray | float) -> np.ndarray:
        return self._scaled.rate_at(np.asarray(output_positions, np.float64) / self._of_output) * (self._of_input / self._of_output)

    def output_at(self, input_positions: np.ndarray | float) -> np.ndarray:
        return self._scaled.output_at(np.asarray(input_positions, np.float64) / self._of_input) * self._of_output

    def output_length(self, input_length: int, samplerate: int | None = None) -> int:
        return round(float(self.output_at(input_length)))


class PitchShifter:
    """A `Stretcher` that changes the pitch as well. Without a shift it passes everything to the stretcher and back.

    `process` and `flush` are those of `tsmgan.core.stretcher.Stretcher`.
    """

    def __init__(
        self,
        samplerate: int,
        channels: int,
        time_map: TimeMap,
        decider: Decider,
        *,
        semitones: float = 0.0,
        formants: Formanting = None,
        coherence: float | None = None,
        seed: int = 0,
        observer: Callable[[Run, Field], None] | None = None,
    ) -> None:
        """
        Args:
            samplerate, channels, time_map, decider, coherence, seed, observer: as of `tsmgan.core.stretcher.Stretcher`.
            semitones: how much higher the output is, -24 to 24.
            formants: "keep" leaves them where they are, "follow" lets them go with the pitch, and a number moves them by semitones. None
                keeps those of voices, as far as the field takes a band for one, and lets those of other sounds follow.

        Raises:
            UsageError: the sample rate is out of its range.
        """
        self.samplerate, self.channels = geometry(samplerate).samplerate, int(channels)
        self.time_map = time_map.in_samples(self.samplerate)
        ratio = ratio_of(semitones)
        before = max(1 / ratio, min(1.0, STRETCHED_HZ / self.samplerate))
        after = 1 / ratio / before
        self._before, self._after = Resampler(before, self.channels), Resampler(after, self.channels)
        self._is_shifted = ratio != 1
        # The sample rate at which the stretch's input sounds as the recording does: windows have their usual length, and what decides
        # hears a natural sound.
        density = min(round(self.samplerate * before), HIGHEST_SAMPLERATE)
        self._stretcher = Stretcher(
            density,
            self.channels,
            ScaledMap(self.time_map, before, 1 / after) if ratio != 1 else self.time_map,
            decider,
            coherence=coherence,
            seed=seed,
            adapt=(lambda field, rates: for_pitch(field, np.log(rates), np.log(ratio))) if ratio != 1 else None,
            formants=_formants(geometry(density), ratio, before, formants),
            observer=observer,
        )
        self._received = self._sent = 0
        self._dtype = np.dtype(np.float32)
        self._flushed = False

    @property
    def device(self) -> str:
        """What the generator runs on: `cpu`, `cuda`, `coreml` or `directml`."""
        return self._stretcher.device

    def process(self, block: np.ndarray) -> np.ndarray:
        """See `Stretcher.process`."""
        if not self._is_shifted or self._flushed:
            return self._stretcher.process(block)
        block = checked_block(block, self.channels, self._received / self.samplerate, self.samplerate)
        self._received += block.shape[1]
        self._dtype = block.dtype
        out = self._after(self._stretcher.process(self._before(block)))
        self._sent += out.shape[1]
        return out

    def flush(self) -> np.ndarray:
        """See `Stretcher.flush`."""
        if not self._is_shifted or self._flushed:
            return self._stretcher.flush()
        self._flushed = True
        nothing = np.zeros((self.channels, 0), self._dtype)
        if not self._received:
            return self._stretcher.flush()
        # Resampling rounds lengths. Some silence more makes sure that the map's own length is reached, where it is cut.
        silence = np.zeros((self.channels, 2), self._dtype)
        rest = [self._stretcher.process(np.concatenate([self._before(nothing, last=True), silence], axis=1)), self._stretcher.flush()]
        out = self._after(np.concatenate(rest, axis=1), last=True)
        missing = self.time_map.output_length(self._received) - self._sent
        return np.pad(out[:, :missing], [(0, 0), (0, max(0, missing - out.shape[1]))])


def _formants(geometry: Geometry, ratio: float, before: float, wanted: Formanting) -> Formants | None:
    """What gives the frames their envelopes, of a recording that was resampled by `before`; None where nothing is to be done."""
    if wanted == "follow":
        return None
    moved = 2.0 ** (wanted / 12) if isinstance(wanted, (int, float)) else 1.0
    if moved == ratio:
        return None
    return Formants(geometry, ratio / moved, shifted=ratio, resampled=before, by_voice=wanted is None)
