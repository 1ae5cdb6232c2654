"""A time map as a picture: when each moment of the input is heard, and how fast it is."""

from __future__ import annotations

import io
from pathlib import Path

from tsmgan.errors import UsageError
from tsmgan.maps import Planned

FORMATS = ("png", "svg")
PARTS = 800
"""Of the passage, whose mean rates are drawn."""


def format_of(path: str) -> str:
    """The format of a picture by the ending of its name.

    Raises:
        UsageError: it is none of FORMATS.
    """
    ending = Path(path).suffix.lower()
    if ending[1:] not in FORMATS:
        raise UsageError(f"A map is drawn as .png or .svg, not as {ending or path}; give one of these endings with -o.")
    return ending[1:]


def draw(planned: Planned, name: str, format: str) -> bytes:
    """The picture as a whole file.

    Args:
        planned: the map.
        name: of the recording, for the title.
        format: one of FORMATS.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    seconds = np.linspace(0, planned.input_seconds, PARTS + 1)
    upper.plot(seconds, planned.time_map.output_at(seconds))
    upper.set(ylabel="output (s)", title=f"{name}: {planned.input_seconds:.2f} s -> {planned.output_seconds:.2f} s")
    lower.stairs(planned.mean_rates(PARTS), seconds)
    lower.set(xlabel="input (s)", ylabel="rate")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format=format, dpi=110, metadata={"Date": None} if format == "svg" else None)
    return out.getvalue()
