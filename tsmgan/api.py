"""The Python interface: the engine with models by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from tsmgan.core.field import Field
from tsmgan.core.pitch import Formanting, PitchShifter, ratio_of
from tsmgan.core.runs import Run
from tsmgan.core.samples import MOST_CHANNELS, checked_block, require_channels_first
from tsmgan.core.timemap import TimeMap, check_rate
from tsmgan.errors import UsageError
from tsmgan.limits import require_coherence, require_formants, require_pitch, require_seed
from tsmgan.models import find_model, open_decider

if TYPE_CHECKING:
    from tsmgan.maps.pause_finder import Pause


class Stretcher(PitchShifter):
    """Stretch a stream of any length in bounded memory.

    Feed blocks of any size to `process` and finish with `flush`. What they return, joined, is the stretched recording: exactly
    `time_map.output_length(samples)` long, and the same for every division into blocks. The output lags by up to about 2 x 96 frames
    and what the limiter holds back (1.4 s). Where a block is long enough for several runs of 96 frames, two cores share the work. No
    thread outlives a call.

    Args:
        samplerate: in Hz, 1 kHz to 768 kHz.
        channels: number of channels, 1 to 1024.
        rate: speed, 0.05 to 20; 1.5 plays 1.5 times as fast. Give this or time_map. Above 6, parts of the input are skipped.
        time_map: which input instant each output instant looks at.
        pitch: semitones, -24 to 24; 2 is a whole tone higher, -0.5 is 50 cents lower. With it, rate and time_map may be left out.
        formants: "keep" leaves them where they are, "follow" lets them go with the pitch, and a number moves them by semitones, which also
            works without a pitch. None keeps those of voices and lets those of other sounds follow.
        model: name of a shipped model, or a model folder.
        coherence: overrides the model's coherence by one value in [0, 1]: 0 is a phase vocoder, 1 keeps the waveform's shape.
        seed: of the generator's noise.
        device, threads: what the generator runs on, see `tsmgan.core.generator`.
        observer: called with each run of frames and its field, in order, from another thread.

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
        pitch: float = 0.0,
        formants: Formanting = None,
        model: str = "default",
        coherence: float | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        observer: Callable[[Run, Field], None] | None = None,
    ) -> None:
        if rate is None and time_map is None and (pitch != 0 or formants is not None):
            rate = 1.0
        if (rate is None) == (time_map is None):
            raise UsageError("Give either a rate or a time map.")
        if time_map is not None and not isinstance(time_map, TimeMap):
            raise UsageError(
                f"The time map is of the type {type(time_map).__name__}; give a tsmgan.TimeMap, as in TimeMap([0, 4], [0, 8])."
            )
        if int(channels) != channels or not 1 <= channels <= MOST_CHANNELS:
            raise UsageError(f"The number of channels is {channels}; 1 to {MOST_CHANNELS} are possible.")
        require_coherence(coherence)
        require_seed(seed)
        require_pitch(pitch)
        require_formants(formants)
        chosen = time_map if time_map is not None else TimeMap.from_rate(rate)  # type: ignore[arg-type]
        decider = open_decider(find_model(model), device, threads, slowest=chosen.slowest / ratio_of(pitch))
        super().__init__(
            samplerate,
            channels,
            chosen,
            decider,
            semitones=pitch,
            formants=formants,
            coherence=coherence,
            seed=int(seed),
            observer=observer,
        )


@overload
def stretch(
    y: np.ndarray,
    samplerate: int,
    rate: float | None = None,
    *,
    time_map: TimeMap | None = None,
    pauses: float | Literal["first"] | None = None,
    pitch: float = 0.0,
    formants: Formanting = None,
    model: str = "default",
    coherence: float | None = None,
    seed: int = 0,
    return_map: Literal[False] = False,
) -> np.ndarray: ...


@overload
def stretch(
    y: np.ndarray,
    samplerate: int,
    rate: float | None = None,
    *,
    time_map: TimeMap | None = None,
    pauses: float | Literal["first"] | None = None,
    pitch: float = 0.0,
    formants: Formanting = None,
    model: str = "default",
    coherence: float | None = None,
    seed: int = 0,
    return_map: Literal[True],
) -> tuple[np.ndarray, TimeMap]: ...


def stretch(
    y: np.ndarray,
    samplerate: int,
    rate: float | None = None,
    *,
    time_map: TimeMap | None = None,
    pauses: float | Literal["first"] | None = None,
    pitch: float = 0.0,
    formants: Formanting = None,
    model: str = "default",
    coherence: float | None = None,
    seed: int = 0,
    return_map: bool = False,
) -> np.ndarray | tuple[np.ndarray, TimeMap]:
    """Change the speed of a recording, its pitch, or both, and keep its voice and stereo image.

    >>> import numpy as np, tsmgan
    >>> y = np.sin(np.linspace(0, 2000, 48000, dtype=np.float32))
    >>> tsmgan.stretch(y, 48000, rate=1.5).shape
    (32000,)

    Args:
        y: (samples,) or (channels, samples). Floating-point samples have full scale 1.0. Integers (uint8, int16, int32) are scaled to it as
            `soundfile` scales them. Any byte order will do.
        samplerate: in Hz.
        rate: speed, 0.05 to 20; 1.5 plays 1.5 times as fast. Give this or time_map. Above 6, parts of the input are skipped.
        time_map: which input instant each output instant looks at; see `TimeMap`.
        pauses: the share of their length that pauses of speech keep, 0 to 1, with `rate` (1 if it is left out); or "first": with a rate,
            the output is as long as ever, but pauses change before words do.
        pitch, formants, model, coherence, seed: see Stretcher.
        return_map: whether the time map is returned as well, so that labels can follow: `time_map.output_at(label_seconds)`.

    Returns:
        (round(samples / rate),) or (channels, round(samples / rate)), or as long as the map says; float64 where y is float64 or
        int32, float32 otherwise. With return_map, this and the `TimeMap` in seconds.

    Raises:
        UsageError: an argument is out of its range, y is no array of samples of one or two dimensions, or it looks transposed: more
            channels than samples, or more than 1024.
        AudioError: y holds NaN or infinite samples.
        ModelError: the model cannot be used.
    """
    y = np.asarray(y)
    require_channels_first(y)
    channels = 1 if y.ndim == 1 else y.shape[0]
    if pauses is not None:
        if time_map is not None:
            raise UsageError("Pauses go with a rate; a time map says already where every pause belongs.")
        time_map, rate = map_of_pauses(y, samplerate, rate, pauses), None
    stream = Stretcher(
        samplerate,
        channels,
        rate=rate,
        time_map=time_map,
        pitch=pitch,
        formants=formants,
        model=model,
        coherence=coherence,
        seed=seed,
    )
    out = np.concatenate([stream.process(y), stream.flush()], axis=1)
    out = out[0] if y.ndim == 1 else out
    return (out, stream.time_map.in_seconds(samplerate)) if return_map else out


def pauses(y: np.ndarray, samplerate: int) -> np.ndarray:
    """Find the pauses of speech: at least 0.15 s of nothing but the background between words.

    A pause is judged by the recording's own background and level. Breaths, applause and other sounds are none, and music has none.

    Args:
        y: (samples,) or (channels, samples), as `stretch` takes it.
        samplerate: in Hz.

    Returns:
        (pauses, 2) float64: where each begins and ends, in seconds.

    Raises:
        UsageError, AudioError: y is no recording, or the sample rate impossible, as `stretch` says.
    """
    from tsmgan.maps.pause_finder import joined

    found = np.array(joined(_find_pauses(y, samplerate)), np.float64).reshape(-1, 2)
    return found / samplerate


def _find_pauses(y: np.ndarray, samplerate: int) -> list[Pause]:
    from tsmgan.core.geometry import geometry
    from tsmgan.maps.pauses import find_pauses

    geometry(samplerate)  # refuses what is no sample rate
    y = np.asarray(y)
    require_channels_first(y)
    block = checked_block(y, 1 if y.ndim == 1 else y.shape[0], 0.0, samplerate)
    return find_pauses(iter([block]), samplerate, len(block))[0]


def map_of_pauses(y: np.ndarray, samplerate: int, rate: float | None, kept: float | Literal["first"]) -> TimeMap:
    """The map in samples that `--pauses` makes at a rate; arguments as of `stretch`."""
    from tsmgan.maps.pause_finder import joined
    from tsmgan.maps.pauses import give_way_first, shorten
    from tsmgan.options import FIRST, require_pauses

    require_pauses(kept)
    if kept == FIRST and rate is None:
        raise UsageError('pauses="first" needs a rate.')
    speed = check_rate(1.0 if rate is None else rate)
    found, frames = _find_pauses(y, samplerate), y.shape[-1]
    if kept == FIRST:
        return give_way_first(joined(found), frames, round(frames / speed), samplerate)
    return shorten(found, kept, speed, samplerate)
