"""TimeMap: which input instant each output sample looks at, and how long the output is.

A map is a monotone, piecewise linear function between input and output time. Positions are always computed from the
map itself, never by adding up hops, so nothing drifts however long a recording is. Users give seconds; the stretcher works in samples.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from os import PathLike

import numpy as np

from tsmgan.core.times import read_text, seconds_of, time_rows
from tsmgan.errors import UsageError

SLOWEST, FASTEST = 0.05, 20.0
"""Rates that a map may hold, at every point."""


class TimeMap:
    """A monotone, piecewise linear map between input and output positions, in seconds.

    Outside its knots the map goes on with the rate of its first and last piece.

    >>> float(TimeMap([0.0, 10.0, 20.0], [0.0, 10.0, 15.0]).rate_at(12.0))  # the second ten seconds are played twice as fast
    2.0

    Args:
        input_seconds: input position of each knot, increasing, at least two.
        output_seconds: output position of each knot, increasing.

    Raises:
        UsageError: fewer than two knots, not finite, not increasing, or a rate outside 0.05 to 20.
    """

    def __init__(self, input_seconds: Sequence[float] | np.ndarray, output_seconds: Sequence[float] | np.ndarray) -> None:
        x = np.asarray(input_seconds, dtype=np.float64)
        y = np.asarray(output_seconds, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
            raise UsageError("A time map needs at least two points, each an input and an output position.")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise UsageError("A time map must hold finite numbers only.")
        for name, steps in (("input", np.diff(x)), ("output", np.diff(y))):
            if (steps <= 0).any():
                k = int(np.argmax(steps <= 0)) + 2
                raise UsageError(f"The time map does not go forward: at point {k} the {name} time is not later than at the point before.")
        self._x, self._y, self._rates = x, y, np.diff(x) / np.diff(y)
        self._in_samples = False
        for k, rate in enumerate(self._rates):
            if not SLOWEST * (1 - 1e-9) <= rate <= FASTEST * (1 + 1e-9):
                possible = f"rates from {SLOWEST} to {FASTEST:g} are possible"
                raise UsageError(f"Between points {k + 1} and {k + 2} the time map asks for rate {rate:.4g}; {possible}.")

    def __repr__(self) -> str:
        unit = ".from_samples" if self._in_samples else ""
        return f"TimeMap{unit}({self._x.tolist()}, {self._y.tolist()})"

    @classmethod
    def from_samples(cls, input_positions: Sequence[float] | np.ndarray, output_positions: Sequence[float] | np.ndarray) -> TimeMap:
        """A map whose knots are given in samples, and whose methods take and return samples, at whatever sample rate it is used."""
        time_map = cls(input_positions, output_positions)
        time_map._in_samples = True
        return time_map

    @classmethod
    def from_rate(cls, rate: float) -> TimeMap:
        """The same speed throughout: 1.5 plays 1.5 times as fast. Its methods take and return samples, or seconds, alike.

        Raises:
            UsageError: rate is not a number from 0.05 to 20.
        """
        rate = check_rate(rate)
        return cls.from_samples([0.0, rate], [0.0, 1.0])

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
        return cls.from_samples([0.0, float(input_length)], [0.0, float(output_length)])

    @classmethod
    def through(cls, input_seconds: Sequence[float], output_seconds: Sequence[float]) -> TimeMap:
        """A map from the beginning of the recording through these points. The point (0, 0) is added when the first point is later.

        A first point of 0 and a later output second is silence before the recording.

        Raises:
            UsageError: as for the class, or only the output's side of the first point is 0.
        """
        x, y = [float(v) for v in input_seconds], [float(v) for v in output_seconds]
        if x and y and x[0] > 0 and y[0] > 0:
            x, y = [0.0, *x], [0.0, *y]
        if x and y and x[0] != 0:
            raise UsageError("The time map must begin at input second 0 and output second 0, or later on both sides.")
        return cls(x, y)

    @classmethod
    def from_csv(cls, path: str | PathLike[str]) -> TimeMap:
        """Read a map from a CSV file with one pair a line: an input and an output time.

        Times are seconds (12.5), clocks (1:02:03.25) or those of subtitles (00:01:30,500). Semicolons or tabs may stand between them
        instead of a comma, and then a comma is a decimal one. A third column is a name for whoever reads it. Empty lines, lines that
        begin with `#` and one heading line are skipped.

        Raises:
            UsageError: the file cannot be read, or a line does not hold two times that go forward.
        """
        points: list[tuple[float, float]] = []
        try:
            for line, row, decimal_comma in time_rows(read_text(path)):
                point = _point(row, decimal_comma)
                if point is None:
                    if not points and not any(c.isdigit() for c in row[0]):
                        continue  # a heading
                    raise UsageError(f"Line {line} of {path} is not an input second and an output second, as in `12.5, 10.0`.")
                x, y = point
                if not (math.isfinite(x) and math.isfinite(y) and x >= 0 and y >= 0):
                    raise UsageError(f"Line {line} of {path} holds a time that is negative or not finite.")
                if points and (x <= points[-1][0] or y <= points[-1][1]):
                    raise UsageError(f"Line {line} of {path} goes back in time, or stands still: both columns must grow.")
                points.append(point)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"The time map {path} cannot be read as a CSV file: {error}") from error
        if not points or points == [(0.0, 0.0)]:
            raise UsageError(f"The time map {path} holds no points; it needs lines of `input second, output second`.")
        return cls.through([p[0] for p in points], [p[1] for p in points])

    def to_csv(self, path: str | PathLike[str], samplerate: int | None = None) -> None:
        """Write the map as `from_csv` reads it: a heading, and one `input second, output second` pair a line, to the last bit.

        Args:
            path: is overwritten.
            samplerate: in Hz, of a map in samples; a single rate needs none.

        Raises:
            UsageError: the map is in samples and no sample rate was given, or it does not begin at 0 or later.
            OSError: the file cannot be written.
        """
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write(self.csv(samplerate))

    def csv(self, samplerate: int | None = None) -> str:
        """What `to_csv` writes."""
        time_map = self if samplerate is None and self._is_one_rate else self.in_seconds(samplerate)
        if time_map._x[0] < 0 or time_map._y[0] < 0 or time_map._x[0] > time_map._y[0] == 0:
            raise UsageError("Only a time map that begins at input second 0, or later on both sides, can be written.")
        # A NumPy float would be written with its type.
        return "input second,output second\n" + "".join(f"{float(x)!r},{float(y)!r}\n" for x, y in zip(time_map._x, time_map._y))

    @property
    def knots(self) -> tuple[np.ndarray, np.ndarray]:
        """Input and output positions of the knots, two arrays (knots,) of float64 in the map's unit."""
        return self._x.copy(), self._y.copy()

    @property
    def _is_one_rate(self) -> bool:
        """Whether this is one line through the origin, which is the same in seconds and in samples."""
        return len(self._x) == 2 and self._x[0] == self._y[0] == 0

    def in_samples(self, samplerate: int) -> TimeMap:
        """This map with positions in samples at a sample rate in Hz."""
        return self if self._in_samples else TimeMap.from_samples(self._x * samplerate, self._y * samplerate)

    def in_seconds(self, samplerate: int | None = None) -> TimeMap:
        """This map with positions in seconds; the sample rate, in Hz, is that of a map in samples.

        Raises:
            UsageError: the map is in samples, and no sample rate was given.
        """
        if not self._in_samples:
            return self
        if samplerate is None:
            raise UsageError("The time map is in samples; give the sample rate as well.")
        return TimeMap(self._x / samplerate, self._y / samplerate)

    def inverse(self) -> TimeMap:
        """The map that undoes this one: its input is this one's output. In the same unit."""
        inverse = TimeMap(self._y, self._x)
        inverse._in_samples = self._in_samples
        return inverse

    def then(self, other: TimeMap) -> TimeMap:
        """This map and then another one, as one map: `other` is applied to what this one gives.

        >>> float(TimeMap.from_rate(2.0).then(TimeMap.from_rate(1.5)).rate_at(0.0))
        3.0

        Raises:
            UsageError: one map is in seconds and the other in samples, or a rate of both together lies outside 0.05 to 20.
        """
        if self._in_samples != other._in_samples and not (self._is_one_rate or other._is_one_rate):
            raise UsageError("One time map is in seconds and the other in samples; call `in_samples` of the one in seconds.")
        between = np.unique(np.concatenate([self._y, other._x]))
        # A piece of rounding errors has no rate of its own.
        between = between[np.append(True, np.diff(between) > 1e-9 * max(1.0, float(np.abs(between).max())))]
        if len(between) < 2:
            between = self._y
        joined = TimeMap(self.input_at(between), other.output_at(between))
        joined._in_samples = self._in_samples if other._is_one_rate else other._in_samples
        return joined

    def input_at(self, output_positions: np.ndarray | float) -> np.ndarray:
        """Input positions that output positions (any shape) look at; float64, both in the map's unit."""
        p = np.asarray(output_positions, dtype=np.float64)
        piece = np.clip(np.searchsorted(self._y, p, side="right") - 1, 0, len(self._rates) - 1)
        return self._x[piece] + (p - self._y[piece]) * self._rates[piece]

    def rate_at(self, output_positions: np.ndarray | float) -> np.ndarray:
        """Local rate at output positions (any shape) in the map's unit; float64."""
        p = np.asarray(output_positions, dtype=np.float64)
        return self._rates[np.clip(np.searchsorted(self._y, p, side="right") - 1, 0, len(self._rates) - 1)]

    def output_at(self, input_positions: float | np.ndarray) -> np.ndarray:
        """Output positions at which input positions (any shape) are heard; float64, both in the map's unit. The inverse of `input_at`."""
        p = np.asarray(input_positions, dtype=np.float64)
        piece = np.clip(np.searchsorted(self._x, p, side="right") - 1, 0, len(self._rates) - 1)
        return self._y[piece] + (p - self._x[piece]) / self._rates[piece]

    def instants(self, first: int, count: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
        """The input position that each output frame looks at, and the local rate there; the map must be in samples.

        Args:
            first, count: number of the first output frame, and how many follow one another.
            hop: samples from one output frame to the next. Frame m stands at output sample m * hop.

        Returns:
            (count,) float64 and (count,) float64.
        """
        positions = np.arange(first, first + count) * hop
        return self.input_at(positions), self.rate_at(positions)

    def output_length(self, input_length: int, samplerate: int | None = None) -> int:
        """Samples that an input of input_length samples becomes: round(n / rate) for a single rate.

        Raises:
            UsageError: the map is in seconds, and no sample rate (Hz) was given.
        """
        if not self._in_samples:
            if samplerate is None:
                raise UsageError("The time map is in seconds; give the sample rate as well.")
            return self.in_samples(samplerate).output_length(input_length)
        return round(float(self.output_at(input_length)))

    @property
    def slowest(self) -> float:
        """The lowest of the rates."""
        return float(self._rates.min())

    @property
    def is_identity(self) -> bool:
        """Whether every output sample looks at the input sample of the same number."""
        return bool((self._rates == 1.0).all() and self._x[0] == self._y[0])


class GrowingTimeMap(TimeMap):
    """A map in samples that becomes known piece by piece. Until it is extended, it goes on with the rate of its last piece."""

    def __init__(self, input_positions: Sequence[float] | np.ndarray, output_positions: Sequence[float] | np.ndarray) -> None:
        super().__init__(input_positions, output_positions)
        self._in_samples = True

    def extend(self, input_positions: Sequence[float], output_positions: Sequence[float]) -> None:
        """Add knots behind the last one.

        Raises:
            UsageError: they do not go forward, or a rate lies outside 0.05 to 20.
        """
        if len(input_positions):
            added = TimeMap([self._x[-1], *input_positions], [self._y[-1], *output_positions])
            self._x, self._y = np.append(self._x, added._x[1:]), np.append(self._y, added._y[1:])
            self._rates = np.append(self._rates, added._rates)


def _point(row: list[str], decimal_comma: bool) -> tuple[float, float] | None:
    """The input and the output second of a row; None where it does not hold two times, and perhaps a name."""
    if len(row) not in (2, 3) or (len(row) == 3 and _second(row[2], decimal_comma) is not None):
        return None
    x, y = _second(row[0], decimal_comma), _second(row[1], decimal_comma)
    return None if x is None or y is None else (x, y)


def _second(cell: str, decimal_comma: bool) -> float | None:
    try:
        return float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        pass
    try:
        return seconds_of(cell, decimal_comma=decimal_comma)
    except UsageError:
        return None


def check_rate(rate: float) -> float:
    """Return rate as a float, or raise a UsageError that says what rates are possible."""
    try:
        value = float(rate)
    except (TypeError, ValueError):
        value = math.nan
    if not SLOWEST <= value <= FASTEST:
        raise UsageError(f"The rate is {rate}; it must be a number from {SLOWEST} to {FASTEST:g} (1.5 plays 1.5 times as fast).")
    return value
