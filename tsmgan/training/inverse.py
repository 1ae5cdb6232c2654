"""Inverse stretchers: each turns a recording into the input of a pair whose right answer is the recording itself.

All take (samples,) float32 at a sample rate and a TimeMap, and return (map.output_length(samples),) float32. Several are used, so that the
generator does not learn the artefacts of a single one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numba as nb
import numpy as np

from tsmgan.core.analysis import Analyser
from tsmgan.core.field import BANDS, Field
from tsmgan.core.geometry import HOPS_PER_WINDOW, SYNTHESIS_SHARE, geometry
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Vocoder

WSOLA_WINDOW_SECONDS, WSOLA_SEARCH_SECONDS = 0.020, 0.008


def fit(y: np.ndarray, samples: int) -> np.ndarray:
    """y (n,) cut or zero-padded at its end."""
    return np.pad(y, (0, samples - len(y))) if len(y) < samples else y[:samples]


def _own(y: np.ndarray, samplerate: int, time_map: TimeMap, coherence: float, alpha_mix: float) -> np.ndarray:
    g, length = geometry(samplerate), time_map.output_length(len(y))
    positions, rates = time_map.instants(0, g.frames_for(length) + HOPS_PER_WINDOW, g.hop)
    frames = Analyser(g, 1)(y[None], 0, positions, rates)
    plain = (coherence, alpha_mix, 0.0, 0.0, 0.0, SYNTHESIS_SHARE, 0.0)
    field = Field(*(np.full((len(positions), BANDS), value, np.float32) for value in plain))
    out = OverlapAdd(g, 1)(Vocoder(g)(frames, field), frames)
    return fit(out[0, g.window_length // 2 :], length)


def incoherent(y: np.ndarray, samplerate: int, time_map: TimeMap) -> np.ndarray:
    """The vocoder stage at coherence 0: a phase vocoder. It keeps tones and chords and dissolves pulses."""
    return _own(y, samplerate, time_map, 0.0, 1.0)


def coherent(y: np.ndarray, samplerate: int, time_map: TimeMap) -> np.ndarray:
    """The vocoder stage at coherence 1: shifted pieces of the waveform. It keeps pulses and roughens chords."""
    return _own(y, samplerate, time_map, 1.0, 0.0)


def wsola(y: np.ndarray, samplerate: int, time_map: TimeMap) -> np.ndarray:
    """Waveform-similarity overlap-add (Verhelst and Roelands, ICASSP 1993): 20 ms windows, half overlapped, each taken within 8 ms of its
    instant where it best continues the one before."""
    length = time_map.output_length(len(y))
    hop = round(samplerate * WSOLA_WINDOW_SECONDS / 2)
    search = round(samplerate * WSOLA_SEARCH_SECONDS)
    positions, _ = time_map.instants(0, -(-length // hop) + 1, hop)
    instants = np.rint(positions).astype(np.int64)
    margin = 2 * hop + search
    padded = np.pad(y, (margin, margin + max(0, int(instants[-1]) - len(y)) + 2 * hop))
    window = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32)
    return _wsola(padded, instants + margin - hop, window, hop, search)[hop : hop + length]


@nb.njit(cache=True, nogil=True, fastmath=True)
def _wsola(x, starts, window, hop, search):
    out = np.zeros((len(starts) + 1) * hop, np.float32)
    continuation = starts[0]
    for m in range(len(starts)):
        chosen, best = starts[m], np.float32(-np.inf)
        if m > 0:
            for shift in range(-search, search + 1):
                product, energy = np.float32(0.0), np.float32(1e-9)
                for i in range(0, 2 * hop, 2):
                    value = x[starts[m] + shift + i]
                    product += value * x[continuation + i]
                    energy += value * value
                score = product / np.sqrt(energy)
                if score > best:
                    best, chosen = score, starts[m] + shift
        for i in range(2 * hop):
            out[m * hop + i] += window[i] * x[chosen + i]
        continuation = min(chosen + hop, len(x) - 2 * hop)
    return out


def signalsmith(y: np.ndarray, samplerate: int, time_map: TimeMap) -> np.ndarray:
    """Signalsmith Stretch (python-stretch) at the map's mean rate: for maps of one rate."""
    import python_stretch

    length = time_map.output_length(len(y))
    stretch = python_stretch.Signalsmith.Stretch()
    stretch.preset(1, samplerate)
    stretch.setTimeFactor(len(y) / length)
    return fit(np.asarray(stretch.process(np.ascontiguousarray(y[None], np.float32)))[0], length)


INVERSE_STRETCHERS: dict[str, Callable[[np.ndarray, int, TimeMap], np.ndarray]] = {
    "coherent": coherent,
    "incoherent": incoherent,
    "wsola": wsola,
    "signalsmith": signalsmith,
}
"""Inverse stretchers by their name in a recipe."""
WORLD = "world"
"""Not a stretcher: input and answer are synthesised from the same parameters. It is for voices, and needs `pyworld`."""
NAMES = (*INVERSE_STRETCHERS, WORLD)
"""Everything that a recipe's data.stretchers may name."""
ONE_RATE_ONLY = frozenset({"signalsmith", WORLD})
"""Those that cannot follow a rate that changes."""


def world_is_there() -> bool:
    """Whether `pyworld` is installed."""
    return importlib.util.find_spec("pyworld") is not None


def world_pair(y: np.ndarray, samplerate: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """An input at its own speed and its exact answer at `rate`, both WORLD's synthesis of the voice y (samples,), float32.

    Stretching back and forth with the vocoder stage itself fits together so well that coherence 1 looks right even where a voice is
    breath; these pairs hold no stretcher's artefacts at all.

    Raises:
        AudioError: no voice is found in y.
    """
    from tsmgan.evaluation.world import world_renderings

    x, answer = world_renderings(y, samplerate, [1.0, rate])
    return x, answer
