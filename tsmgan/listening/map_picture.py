"""A time map as a picture: when each moment of the input is heard, and how fast it is."""

from __future__ import annotations

import io

from tsmgan.errors import UsageError
from tsmgan.maps import Planned

FORMATS = ("png", "svg")
PARTS = 800
"""Of the passage, whose mean rates are drawn."""


def draw(planned: Planned, name: str, format: str) -> bytes:
    """The picture as a whole file.

    Args:
        planned: the map.
        name: of the recording, for the title.
        format: png or svg.

    Raises:
        UsageError: another format.
    """
    if format not in FORMATS:
        raise UsageError(f"A map is drawn as .png or .svg, not as .{format}; give one of these endings with -o.")
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
