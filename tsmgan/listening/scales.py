"""What the pictures of `tsmgan compare` and `tsmgan plot` share: colours, the range of a spectrogram, the marks of the frequency axis."""

from __future__ import annotations

SPECTROGRAM_COLOURS = (
    "#000004", "#140e36", "#3b0f70", "#641a80", "#8c2981", "#b73779", "#de4968", "#f7705c", "#fe9f6d", "#fecf92", "#fcfdbf",
)  # fmt: skip
"""From RANGE_DB below the loudest up to it, evenly spaced (matplotlib's magma)."""
FIELD_COLOURS = (
    "#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78", "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838",
)  # fmt: skip
"""From 0 to 1, evenly spaced (matplotlib's cividis, which reads alike for colour-blind eyes)."""
RANGE_DB = 80.0
TICKS_HZ = (100, 300, 1000, 3000, 10000)


def hertz_label(hz: float) -> str:
    """300 Hz, 3 kHz."""
    return f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"
