"""TimeMap: which input instant each output sample looks at, and how long the output is.

A map is a monotone, piecewise linear function between input and output time. Positions are always computed from the
map itself, never by adding up hops, so nothing drifts however long a recording is.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from os import PathLike

import numpy as np

from tsmgan.errors import UsageError

SLOWEST, FASTEST = 0.05, 20.0
"""Rates that a map may hold, at every point."""


class TimeMap:
    """A monotone, piecewise linear map between input and output positions in samples.

    Outside its knots the map goes on with the rate of its first and last piece.

    Args:
        input_positions: input position of each knot in samples, increasing, at least two.
        output_positions: output position of each knot in samples, increasing.

    Raises:
        UsageError: fewer than two knots, not finite, not increasing, or a rate outside 0.05 to 20.
    """

    def __init__(self, input_positions: Sequence[float] | np.ndarray, output_positions: Sequence[float] | np.ndarray) -> None:
        x = np.asarray(input_positions, dtype=np.float64)
        y = np.asarray(output_positions, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
            raise UsageError("A time map needs at least two points, each an input and an output position.")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise UsageError("A time map must hold finite numbers only.")
        for name, steps in (("input", np.diff(x)), ("output", np.diff(y))):
            if (steps <= 0).any():
                k = int(np.argmax(steps <= 0)) + 2
                raise UsageError(f"The time map does not go forward: at point {k} the {name} time is not later than at the point before.")
        self._x, self._y, self._rates = x, y, np.diff(x) / np.diff(y)
        for k, rate in enumerate(self._rates):
            if not SLOWEST * (1 - 1e-9) <= rate <= FASTEST * (1 + 1e-9):
                possible = f"rates from {SLOWEST} to {FASTEST:g} are possible"
                raise UsageError(f"Between points {k + 1} and {k + 2} the time map asks for rate {rate:.4g}; {possible}.")

    @classmethod
    def from_rate(cls, rate: float) -> TimeMap:
        """The same speed throughout: 1.5 plays 1.5 times as fast.

        Raises:
            UsageError: rate is not a number from 0.05 to 20.
        """
        rate = check_rate(rate)
        return cls([0.0, rate], [0.0, 1.0])

    @classmethod
    def from_lengths(cls, input_length: int, output_length: int) -> TimeMap:
        """One speed that turns input_length samples into output_length samples.

        Raises:
            UsageError: a length is not positive, or the rate would be outside 0.05 to 20.
        """
        if input_length <= 0 or output_length <= 0:
            raise UsageError("A target length needs a recording and a length above zero.")
        rate = input_length / output_length
        if not SLOWEST <= rate <= FASTEST:
            raise UsageError(f"That length would need rate {rate:.4g}; rates from {SLOWEST} to {FASTEST:g} are possible.")
        return cls([0.0, float(input_length)], [0.0, float(output_length)])

    @classmethod
    def from_seconds(cls, input_seconds: Sequence[float], output_seconds: Sequence[float], samplerate: int) -> TimeMap:
        """A map through points given in seconds. The point (0, 0) is added when the first point is later."""
        x, y = [float(v) * samplerate for v in input_seconds], [float(v) * samplerate for v in output_seconds]
        if x and x[0] > 0 and y[0] > 0:
            x, y = [0.0, *x], [0.0, *y]
        if x and (x[0] != 0 or y[0] != 0):
            raise UsageError("The time map must begin at input second 0 and output second 0, or later on both sides.")
        return cls(x, y)

    @classmethod
    def from_csv(cls, path: str | PathLike[str], samplerate: int) -> TimeMap:
        """Read a map from a CSV file with one `input second, output second` pair a line.

        Empty lines, lines that begin with `#` and one heading line are skipped.

        Raises:
            UsageError: the file cannot be read, or a line does not hold two numbers that go forward.
        """
        points: list[tuple[float, float]] = []
        try:
            with open(path, newline="", encoding="utf-8-sig") as f:
                rows = csv.reader(f, skipinitialspace=True)
                for row in rows:
                    if not row or not "".join(row).strip() or row[0].lstrip().startswith("#"):
                        continue
                    try:
                        if len(row) != 2:
                            raise ValueError
                        x, y = float(row[0]), float(row[1])
                    except ValueError:
                        if not points and not any(c.isdigit() for c in row[0]):
                            continue  # a heading
                        message = f"Line {rows.line_num} of {path} is not an input second and an output second, as in `12.5, 10.0`."
                        raise UsageError(message) from None
                    if not (math.isfinite(x) and math.isfinite(y) and x >= 0 and y >= 0):
                        raise UsageError(f"Line {rows.line_num} of {path} holds a time that is negative or not finite.")
                    if points and (x <= points[-1][0] or y <= points[-1][1]):
                        raise UsageError(f"Line {rows.line_num} of {path} goes back in time, or stands still: both columns must grow.")
                    points.append((x, y))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"The time map {path} cannot be read as a CSV file: {error}") from error
        if not points or points == [(0.0, 0.0)]:
            raise UsageError(f"The time map {path} holds no points; it needs lines of `input second, output second`.")
        return cls.from_seconds([p[0] for p in points], [p[1] for p in points], samplerate)

    def input_at(self, output_positions: np.ndarray) -> np.ndarray:
        """Input positions, in samples, that output positions (any shape, samples) look at; float64."""
        p = np.asarray(output_positions, dtype=np.float64)
        piece = np.clip(np.searchsorted(self._y, p, side="right") - 1, 0, len(self._rates) - 1)
        return self._x[piece] + (p - self._y[piece]) * self._rates[piece]

    def rate_at(self, output_positions: np.ndarray) -> np.ndarray:
        """Local rate at output positions (any shape, samples); float64."""
        p = np.asarray(output_positions, dtype=np.float64)
        return self._rates[np.clip(np.searchsorted(self._y, p, side="right") - 1, 0, len(self._rates) - 1)]

    def output_at(self, input_positions: float | np.ndarray) -> np.ndarray:
        """Output positions, in samples, at which input positions (any shape, samples) are heard; float64. The inverse of `input_at`."""
        p = np.asarray(input_positions, dtype=np.float64)
        piece = np.clip(np.searchsorted(self._x, p, side="right") - 1, 0, len(self._rates) - 1)
        return self._y[piece] + (p - self._x[piece]) / self._rates[piece]

    def output_length(self, input_length: int) -> int:
        """Samples that an input of input_length samples becomes: round(n / rate) for a single rate."""
        return round(float(self.output_at(input_length)))

    @property
    def is_identity(self) -> bool:
        """Whether every output sample looks at the input sample of the same number."""
        return bool((self._rates == 1.0).all() and self._x[0] == self._y[0])


def check_rate(rate: float) -> float:
    """Return rate as a float, or raise a UsageError that says what rates are possible."""
    try:
        value = float(rate)
    except (TypeError, ValueError):
        value = math.nan
    if not SLOWEST <= value <= FASTEST:
        raise UsageError(f"The rate is {rate}; it must be a number from {SLOWEST} to {FASTEST:g} (1.5 plays 1.5 times as fast).")
    return value
