"""Stretch very many broken recordings and print what came of them.

    python tests/fuzz/run_fuzz.py --cases 100000 --jobs 2

Every case is counted; one that raises, crashes, hangs, gives samples that are not finite, takes more than 2 s of a processor or
500 MB of memory is printed with its number, which `--first N --cases 1` repeats. The exit code is 1 when there was one.
"""

from __future__ import annotations

import argparse
import collections
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fuzz_cases import case_by_number, judge

from tsmgan.batch.pool import Died, Done, Pool

CHUNK = 50
MOST_SECONDS, MOST_MEGABYTES = 2.0, 500.0
HANG_SECONDS = 60


class Report(NamedTuple):
    """Of a chunk of cases."""

    stretched: int
    refused: int
    seconds: float
    """Of a processor, for the slowest case."""
    megabytes: float
    """By which the most demanding case raised the process's peak."""
    faults: list[tuple[int, str]]


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def run_chunk(numbers: range, report: Callable[[float], None]) -> Report:
    """Judge cases in one process; a hang is ended by the system's alarm."""
    faults, refused, slowest, most = [], 0, 0.0, 0.0
    base = Path("/dev/shm") if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        if getattr(run_chunk, "is_cold", True):
            # Imports and compiled code are not the first case's.
            judge(case_by_number(0)._replace(seed="WAV-PCM_16.wav", changes=()), Path(name))
            run_chunk.is_cold = False  # type: ignore[attr-defined]
        for number in numbers:
            signal.alarm(HANG_SECONDS)
            before, memory = time.process_time(), peak_megabytes()
            try:
                verdict = judge(case_by_number(number), Path(name))
            except Exception as error:
                faults.append((number, f"{type(error).__name__}: {error}"))
                continue
            finally:
                signal.alarm(0)
            seconds, megabytes = time.process_time() - before, peak_megabytes() - memory
            slowest, most, refused = max(slowest, seconds), max(most, megabytes), refused + verdict.refused
            if verdict.fault is not None:
                faults.append((number, verdict.fault))
            if seconds > MOST_SECONDS:
                faults.append((number, f"{seconds:.1f} s"))
            if megabytes > MOST_MEGABYTES:
                faults.append((number, f"{megabytes:.0f} MB"))
    return Report(len(numbers) - refused, refused, slowest, most, faults)


def chunks(first: int, count: int, size: int) -> Iterator[range]:
    """The cases from first on, in chunks."""
    for start in range(first, first + count, size):
        yield range(start, min(start + size, first + count))


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    total: collections.Counter[str] = collections.Counter()
    slowest, most, faults, started = 0.0, 0.0, [], time.perf_counter()
    dead: list[range] = []

    def count(event: Done | Died) -> None:
        nonlocal slowest, most
        if isinstance(event, Died):
            # Which case it was is found out one by one.
            dead.append(event.task) if len(event.task) > 1 else faults.append((event.task.start, event.reason))
            return
        found = event.result
        total.update(stretched=found.stretched, refused=found.refused)
        slowest, most = max(slowest, found.seconds), max(most, found.megabytes)
        faults.extend(found.faults)

    with Pool(run_chunk, arguments.jobs, quiet=True) as pool:
        for event in pool.run(chunks(arguments.first, arguments.cases, CHUNK)):
            count(event)
        for each in dead[:]:
            for event in pool.run(chunks(each.start, len(each), 1)):
                count(event)
    for number, fault in sorted(faults):
        print(f"case {number}: {fault}\n    {case_by_number(number)}")
    print(
        f"{total.total()} cases in {time.perf_counter() - started:.0f} s: {total['stretched']} stretched, {total['refused']} refused, "
        f"{len(faults)} faults; slowest {slowest:.2f} s, most memory {most:.0f} MB"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
