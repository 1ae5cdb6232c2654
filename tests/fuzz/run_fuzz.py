"""Judge very many hostile cases of every class and print what came of them.

    python tests/fuzz/run_fuzz.py --cases 100000 --jobs 2

Broken recordings are the most; `fuzz_classes.py` has the other classes. Every case is counted; one that breaks its class's promise, raises,
crashes, hangs, takes more than 2 s of a processor or 500 MB of memory is printed with its number, which `--first N --cases 1` repeats.
`--only CLASS` judges the cases of one class among the numbers. The exit code is 1 when there was a fault.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fuzz_cases import case_by_number, judge
from fuzz_classes import CLASSES, class_of, describe, judge_number

from tsmgan.batch.pool import Died, Done, Pool

CHUNK = 50
MOST_SECONDS, MOST_MEGABYTES = 2.0, 500.0
HANG_SECONDS = 60


class Report(NamedTuple):
    """Of a chunk of cases."""

    done: collections.Counter[str]
    """Cases of each class."""
    refused: collections.Counter[str]
    slowest: dict[str, tuple[float, int]]
    """Seconds of a processor of each class's slowest case, and its number."""
    megabytes: float
    """By which the most demanding case raised the process's peak."""
    faults: list[tuple[int, str]]


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def run_chunk(numbers: list[int], report: Callable[[float], None]) -> Report:
    """Judge cases in one process; a hang is ended by the system's alarm."""
    faults, most = [], 0.0
    done: collections.Counter[str] = collections.Counter()
    refused: collections.Counter[str] = collections.Counter()
    slowest: dict[str, tuple[float, int]] = {}
    base = Path("/dev/shm") if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        if getattr(run_chunk, "is_cold", True):
            # Imports and compiled code are not the first case's. Recipes import torch where a setting gets as far as its divergence.
            for module in ("tsmgan.training.divergences", "tsmgan.training.inverse"):
                importlib.import_module(module)
            judge(case_by_number(0)._replace(seed="WAV-PCM_16.wav", changes=()), Path(name))
            run_chunk.is_cold = False  # type: ignore[attr-defined]
        for number in numbers:
            signal.alarm(HANG_SECONDS)
            before, memory = time.process_time(), peak_megabytes()
            kind = class_of(number)
            is_warm = kind == "recording" or kind in done
            done[kind] += 1
            try:
                verdict = judge_number(number, Path(name)).verdict
            except Exception as error:
                faults.append((number, f"{type(error).__name__}: {error}"))
                continue
            finally:
                signal.alarm(0)
            seconds, megabytes = time.process_time() - before, peak_megabytes() - memory
            refused[kind] += verdict.refused
            if verdict.fault is not None:
                faults.append((number, verdict.fault))
            if not is_warm:
                continue  # Imports of the class's own are not the case's.
            slowest[kind], most = max(slowest.get(kind, (0.0, number)), (seconds, number)), max(most, megabytes)
            if seconds > MOST_SECONDS:
                faults.append((number, f"{seconds:.1f} s"))
            if megabytes > MOST_MEGABYTES:
                faults.append((number, f"{megabytes:.0f} MB"))
    return Report(done, refused, slowest, most, faults)


def chunks(numbers: Sequence[int], size: int) -> Iterator[list[int]]:
    """The cases in chunks."""
    for start in range(0, len(numbers), size):
        yield list(numbers[start : start + size])


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=CLASSES, metavar="CLASS", help=", ".join(CLASSES))
    arguments = parser.parse_args()
    numbers: Sequence[int] = range(arguments.first, arguments.first + arguments.cases)
    if arguments.only is not None:
        numbers = [number for number in numbers if class_of(number) == arguments.only]
    done: collections.Counter[str] = collections.Counter()
    refused: collections.Counter[str] = collections.Counter()
    slowest: dict[str, tuple[float, int]] = {}
    most, faults, started = 0.0, [], time.perf_counter()
    dead: list[list[int]] = []

    def count(event: Done | Died) -> None:
        nonlocal most
        if isinstance(event, Died):
            # Which case it was is found out one by one.
            dead.append(event.task) if len(event.task) > 1 else faults.append((event.task[0], event.reason))
            return
        found = event.result
        done.update(found.done)
        refused.update(found.refused)
        for kind, each in found.slowest.items():
            slowest[kind] = max(slowest.get(kind, each), each)
        most = max(most, found.megabytes)
        faults.extend(found.faults)

    with Pool(run_chunk, arguments.jobs, quiet=True) as pool:
        for event in pool.run(chunks(numbers, CHUNK)):
            count(event)
        for each in dead[:]:
            for event in pool.run(chunks(each, 1)):
                count(event)
    for number, fault in sorted(faults):
        print(f"case {number}: {fault}\n    {describe(number)}")
    wrong = collections.Counter(class_of(number) for number in {number for number, _ in faults})
    for kind in CLASSES:
        seconds, number = slowest.get(kind, (0.0, None))
        print(
            f"{kind:>12}: {done[kind]} cases, {refused[kind]} refused, {wrong[kind]} with faults, slowest {seconds:.2f} s (case {number})"
        )
    print(
        f"{done.total()} cases in {time.perf_counter() - started:.0f} s: {done.total() - refused.total()} stretched, "
        f"{refused.total()} refused, {len(faults)} faults; most memory {most:.0f} MB"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    import run_fuzz  # the processes find what they run by its module's name

    sys.exit(run_fuzz.main())
