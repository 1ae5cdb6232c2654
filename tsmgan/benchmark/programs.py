"""The programs that are compared: all stretch the same 16-bit WAV file, one after the other in every round."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

from tsmgan import processes
from tsmgan.benchmark.processes import Cost, cost_of, sum_of
from tsmgan.errors import TsmganError
from tsmgan.evaluation.peers import BASELINE, PEERS

TSMGAN = processes.python("from tsmgan.cli import main\nmain()\n")


@dataclass
class Program:
    """A program, the commands that do its task one after the other, and the cost of each round."""

    name: str
    commands: list[list[str]]
    outputs: list[Path] = field(default_factory=list)
    """What each command writes. It is removed before every round, and has to be there after it."""
    costs: list[Cost] = field(default_factory=list)
    problem: str | None = None
    """Why it has no costs."""
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables, beyond those of this process."""

    def run(self) -> Cost:
        """Do the task once.

        Raises:
            TsmganError: a command cannot be run, fails, or leaves no output.
        """
        for output in self.outputs:
            output.unlink(missing_ok=True)
        cost = sum_of([cost_of(command, environment=self.environment) for command in self.commands])
        for output in self.outputs:
            if not output.is_file():
                raise TsmganError(f"{self.name} ended without an error and wrote nothing.")
        return cost

    def median(self) -> Cost:
        """Median of each quantity over the rounds."""
        cpu = [cost.cpu for cost in self.costs if cost.cpu is not None]
        peak = [cost.peak for cost in self.costs if cost.peak is not None]
        return Cost(median(cost.wall for cost in self.costs), median(cpu) if cpu else None, round(median(peak)) if peak else None)

    def ratio(self, baseline: Program) -> float:
        """This program's wall time over the baseline's, the median over the rounds."""
        return median(mine.wall / theirs.wall for mine, theirs in zip(self.costs, baseline.costs))


def write_source(y: np.ndarray, samplerate: int, folder: Path) -> list[Path]:
    """Write y (channels, samples) as a 16-bit WAV file, and several channels as a file each as well, for programs that mix them."""
    soundfile.write(folder / "in.wav", y.T, samplerate, subtype="PCM_16")
    if len(y) == 1:
        return [folder / "in.wav"]
    singles = [folder / f"channel{k}.wav" for k in range(len(y))]
    for path, channel in zip(singles, y):
        soundfile.write(path, channel, samplerate, subtype="PCM_16")
    return [folder / "in.wav", *singles]


def own_starts(folder: Path, options: Sequence[str] = ()) -> list[Program]:
    """Python, the import, the help, and stretches of next to nothing and of 5 s: what starting takes."""
    nothing, short = folder / "nothing.wav", folder / "short.wav"
    soundfile.write(nothing, np.zeros(4800), 48000, subtype="PCM_16")
    soundfile.write(short, 0.1 * np.random.default_rng(0).standard_normal(5 * 48000), 48000, subtype="PCM_16")
    target = folder / "short-out.wav"
    return [
        Program("python", [[sys.executable, "-c", "pass"]]),
        Program("import tsmgan", [processes.python("import tsmgan")]),
        Program("tsmgan --help", [[*TSMGAN, "--help"]]),
        Program("tsmgan stretch, 0.1 s", [_stretch(nothing, target, 1.3, options)], [target]),
        Program("tsmgan stretch, 5 s", [_stretch(short, target, 1.3, options)], [target]),
    ]


def first_start(folder: Path, options: Sequence[str] = ()) -> Program:
    """The first stretch after an installation, of 5 s, when no kernel is compiled yet. Run it once, after `own_starts`."""
    target, cache = folder / "first-out.wav", folder / "nothing-compiled"
    command = _stretch(folder / "short.wav", target, 1.3, options)
    return Program("tsmgan stretch, 5 s, the first time", [command], [target], environment={"NUMBA_CACHE_DIR": str(cache)})


def own_programs(source: Path, folder: Path, rate: float, options: Sequence[str] = ()) -> list[Program]:
    """tsmgan as installed here, and as a plain phase vocoder, both with these options of `tsmgan stretch`."""
    target = folder / "tsmgan.wav"
    command = _stretch(source, target, rate, options)
    return [Program("tsmgan", [command], [target]), Program("tsmgan --coherence 0", [[*command, "--coherence", "0"]], [target])]


def _stretch(source: Path, target: Path, rate: float, options: Sequence[str]) -> list[str]:
    return [*TSMGAN, "stretch", str(source), "--rate", repr(rate), "-o", str(target), "--quiet", *options]


def peer_programs(names: Sequence[str], sources: Sequence[Path], folder: Path, rate: float) -> list[Program]:
    """The peers of these names. For one that is not installed, `problem` says so."""
    programs = []
    for name in names:
        peer = PEERS[name]
        parts = sources[1:] if peer.mono and len(sources) > 1 else sources[:1]
        targets = [folder / f"{name}{k}.wav" for k in range(len(parts))]
        commands = [peer.command(part, target, rate) for part, target in zip(parts, targets)]
        programs.append(Program(name, commands, targets, problem=peer.missing()))
    return programs


def run_rounds(programs: Sequence[Program], rounds: int) -> Iterator[str]:
    """Run every program once to warm up and then once in each round; yields the name of the one that has just run.

    So whatever slows the machine down for a while slows all programs down alike. A program that fails is left out from then on, and its
    `problem` says why.
    """
    for turn in range(rounds + 1):
        for program in programs:
            if program.problem is None:
                try:
                    cost = program.run()
                    program.costs += [cost] if turn else []
                except TsmganError as error:
                    program.problem, program.costs = str(error), []
            yield program.name


def baseline_of(programs: Sequence[Program]) -> Program:
    """The program that the others are compared with: BASELINE if it ran, else the first that did.

    Raises:
        TsmganError: none ran.
    """
    ran = [program for program in programs if program.costs]
    if not ran:
        raise TsmganError(f"No program could be run: {programs[0].problem}" if programs else "There is no program to run.")
    return next((program for program in ran if program.name == BASELINE), ran[0])
