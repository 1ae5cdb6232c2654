"""The results of a benchmark, as tables and as JSON."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from tsmgan import __version__
from tsmgan.benchmark.programs import Program, baseline_of
from tsmgan.benchmark.stages import StageTime


@dataclass(frozen=True)
class Results:
    """All figures of one benchmark."""

    source: str
    seconds: float
    """Length of the part of the recording that was used."""
    samplerate: int
    channels: int
    rate: float
    runs: int
    device: str
    stages: list[StageTime]
    starts: list[Program]
    programs: list[Program]

    def tables(self) -> list[Table]:
        """Stages, start-up and whole programs."""
        return [self._stages(), *([self._starts()] if self.starts else []), *([self._programs()] if self.programs else [])]

    def _stages(self) -> Table:
        table = _table(f"Stages of {self.seconds:.0f} s at rate {self.rate:g}, on {self.device}")
        for column in ("stage", "seconds", "share", "x real time"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        total = next(stage.seconds for stage in self.stages if stage.name == "total")
        for stage in self.stages:
            share = "" if "(" in stage.name else f"{100 * stage.seconds / total:.0f} %"
            table.add_row(stage.name, f"{stage.seconds:.3f}", share, f"{stage.real_time:.0f}")
        return table

    def _starts(self) -> Table:
        table = _table("Start-up")
        for column in ("command", "seconds", "memory MB"):
            table.add_column(column, justify="left" if column == "command" else "right")
        for start in self.starts:
            cost = start.median()
            table.add_row(escape(start.name), f"{cost.wall:.3f}", _number(cost.peak, 1e-6, 0))
        return table

    def _programs(self) -> Table:
        baseline = baseline_of(self.programs)
        table = _table(f"Whole programs, {self.runs} rounds")
        for column in ("program", "seconds", "CPU s", "x real time", "memory MB", f"/ {baseline.name}"):
            table.add_column(column, justify="left" if column == "program" else "right", no_wrap=True)
        for program in sorted((each for each in self.programs if each.costs), key=lambda each: each.median().wall):
            cost = program.median()
            ratio = "1" if program is baseline else f"{program.ratio(baseline):.2f}"
            speed = f"{self.seconds / cost.wall:.0f}"
            table.add_row(program.name, f"{cost.wall:.3f}", _number(cost.cpu, 1, 3), speed, _number(cost.peak, 1e-6, 0), ratio)
        return table

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; times in seconds, memory in bytes."""
        ran = [program for program in self.programs if program.costs]
        baseline = baseline_of(self.programs) if self.programs else None
        return {
            "version": __version__,
            "machine": {
                "system": platform.platform(),
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
            },
            "recording": {"file": self.source, "seconds": self.seconds, "samplerate": self.samplerate, "channels": self.channels},
            "rate": self.rate,
            "runs": self.runs,
            "device": self.device,
            "stages": [stage._asdict() for stage in self.stages],
            "starts": [{"name": start.name, **start.median()._asdict()} for start in self.starts],
            "baseline": baseline.name if baseline else None,
            "programs": [
                {
                    "name": program.name,
                    **program.median()._asdict(),
                    "real_time": self.seconds / program.median().wall,
                    "ratio": program.ratio(baseline),
                    "rounds": [cost._asdict() for cost in program.costs],
                }
                for program in ran
                if baseline
            ],
            "missing": {program.name: program.problem for program in self.programs if not program.costs},
        }


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))


def _number(value: float | None, scale: float, digits: int) -> str:
    return "" if value is None else f"{value * scale:.{digits}f}"
