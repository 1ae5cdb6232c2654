"""A recording as a picture: waveform, spectrogram, and the coherence field that the generator chose for it."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tsmgan.core.field import BAND_CENTRES_HZ, Field
from tsmgan.core.geometry import geometry
from tsmgan.listening.field import bands_below, frame_seconds
from tsmgan.listening.scales import FIELD_COLOURS, RANGE_DB, SPECTROGRAM_COLOURS, TICKS_HZ, hertz_label

COLUMNS = 1600
"""Columns of the pictures: longer recordings are shown by the extremes of a column, never by every n-th sample."""


def plot(y: np.ndarray, samplerate: int, field: Field, *, title: str = "", format: str = "png") -> bytes:
    """Draw a recording and its field.

    Args:
        y: (channels, samples); the waveform shows the extremes over channels, the spectrogram their mean power.
        samplerate: in Hz.
        field: of the frames of y, as `tsmgan.listening.field.stretch_and_watch` gives it.
        title: over the picture.
        format: png or svg.

    Returns:
        The file's bytes; the same for the same input.
    """
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    wave, spectrum, decisions = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2, 1.4))
    seconds = y.shape[1] / samplerate
    figure.suptitle(title, fontweight="bold")
    _draw_wave(wave, y, seconds)
    figure.colorbar(_draw_spectrum(spectrum, y, samplerate, seconds), ax=spectrum, label="dB", pad=0.01)
    figure.colorbar(_draw_field(decisions, field, samplerate), ax=decisions, label="0 tones ... 1 pulses", pad=0.01)
    decisions.set(xlabel="seconds", xlim=(0, seconds))
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, dpi=130, metadata={"Date": None} if format == "svg" else {"Software": "tsmgan"})
    return buffer.getvalue()


def extremes(y: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of y (channels, samples) in each of at most `columns` equal parts, (parts,) each."""
    edges = np.unique(np.linspace(0, y.shape[1], columns + 1).astype(np.int64)[:-1])
    return np.minimum.reduceat(y.min(axis=0), edges), np.maximum.reduceat(y.max(axis=0), edges)


def spectrogram(y: np.ndarray, samplerate: int, columns: int) -> np.ndarray:
    """Power in dB below the loudest, (bins, columns) float32: 43 ms Hann windows, mean over channels, the loudest of a column's frames."""
    frames = geometry(samplerate)
    n, hop = frames.window_length, frames.hop
    padded = np.pad(y, [(0, 0), (n // 2, n // 2)])
    starts = np.arange(0, padded.shape[1] - n + 1, hop)
    out = np.zeros((frames.bins, min(columns, len(starts))), np.float32)
    for group, column in zip(np.array_split(starts, out.shape[1]), range(out.shape[1])):
        pieces = padded[:, group[:, None] + np.arange(n)] * frames.window()
        out[:, column] = (np.abs(np.fft.rfft(pieces)) ** 2).mean(axis=0).max(axis=0)
    return 10 * np.log10(out / max(float(out.max()), 1e-20) + 1e-20)


def _draw_wave(axes, y: np.ndarray, seconds: float) -> None:
    low, high = extremes(y, COLUMNS)
    axes.fill_between(np.linspace(0, seconds, len(low)), low, high, color="#0b6e69", linewidth=0.4)
    limit = 1.05 * max(float(np.abs(y).max()), 1e-4)
    axes.set(ylim=(-limit, limit), ylabel="waveform")
    axes.grid(alpha=0.3)


def _draw_spectrum(axes, y: np.ndarray, samplerate: int, seconds: float):
    decibels = spectrogram(y, samplerate, COLUMNS)
    times, frequencies = np.linspace(0, seconds, decibels.shape[1] + 1), geometry(samplerate).frequencies()
    half = frequencies[1] / 2
    edges = np.concatenate([[0.0], frequencies[:-1] + half, [frequencies[-1]]])
    colours = LinearSegmentedColormap.from_list("spectrogram", SPECTROGRAM_COLOURS)
    image = axes.pcolormesh(times, mel(edges), decibels, cmap=colours, norm=Normalize(-RANGE_DB, 0), rasterized=True)
    _scale(axes, 0.0, min(16000.0, samplerate / 2), "spectrogram")
    return image


def _draw_field(axes, field: Field, samplerate: int):
    bands = bands_below(samplerate)
    values = field.coherence[:, :bands].T
    centres = mel(np.array(BAND_CENTRES_HZ[:bands]))
    half = (centres[1] - centres[0]) / 2
    times = (np.arange(values.shape[1] + 1) - 0.5) * frame_seconds(samplerate)
    edges = np.append(centres - half, centres[-1] + half)
    colours = LinearSegmentedColormap.from_list("field", FIELD_COLOURS)
    image = axes.pcolormesh(times, edges, values, cmap=colours, norm=Normalize(0, 1), rasterized=True)
    _scale(axes, 700 * (10 ** edges[0] - 1), 700 * (10 ** edges[-1] - 1), f"coherence (mean {values.mean():.2f})")
    return image


def mel(hz):
    """Position of a frequency in Hz on the mel scale (O'Shaughnessy's, in decades of 1 + f / 700)."""
    return np.log10(1 + np.asarray(hz) / 700)


def _scale(axes, lowest: float, highest: float, label: str) -> None:
    axes.set(ylim=(mel(lowest), mel(highest)), ylabel=label)
    axes.yaxis.set_major_locator(FixedLocator(mel([hz for hz in TICKS_HZ if lowest < hz < highest])))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: hertz_label(round(700 * (10**value - 1)))))
