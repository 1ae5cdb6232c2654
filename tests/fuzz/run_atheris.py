"""Grow broken recordings out of the seeds, led by which lines of the readers each one reaches, and print what came of them.

    python tests/fuzz/run_atheris.py --cases 20000

Needs atheris (on Linux); without it Hypothesis chooses the bytes, led by nothing. A case that raises, crashes, hangs, gives samples that
are not finite, takes more than 2 s of a processor or 500 MB of memory ends the run: its bytes are kept in a file, which is named, and
which `--repeat FILE` tries again. The exit code is 1 then.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

# As the program itself does: NumPy's threads would wait by spinning.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
LONGEST_BYTES = 16384
HANG_SECONDS = 60

try:
    import atheris
except ImportError:
    atheris = None

if atheris is not None:
    # Before anything else imports them, so that their lines are counted.
    with atheris.instrument_imports(include=["tsmgan.audio"]):
        for module in ("containers", "files", "formats", "opening", "pipes", "reader", "wav", "writer"):
            importlib.import_module(f"tsmgan.audio.{module}")

from fuzz_cases import from_bytes, judge_content, seeds, to_bytes  # noqa: E402
from run_fuzz import MOST_MEGABYTES, MOST_SECONDS, peak_megabytes  # noqa: E402


class Fuzz:
    """A run: cases are counted, and the first fault ends it."""

    def __init__(self, cases: int, folder: Path) -> None:
        self.cases, self.folder = cases, folder
        self.done = self.refused = 0
        self.slowest, self.most, self.started = 0.0, 0.0, time.perf_counter()

    def __call__(self, data: bytes) -> None:
        """Judge a case. Ends the process after the last one, or the first fault."""
        signal.alarm(HANG_SECONDS)
        before, memory, fault = time.process_time(), peak_megabytes(), None
        try:
            verdict = judge_content(*from_bytes(data), self.folder)
            fault = verdict.fault
            self.refused += verdict.refused
        except Exception:
            fault = traceback.format_exc()
        signal.alarm(0)
        seconds, megabytes = time.process_time() - before, peak_megabytes() - memory
        if self.done:  # the first one compiles
            self.slowest, self.most = max(self.slowest, seconds), max(self.most, megabytes)
            fault = fault or (f"{seconds:.1f} s" if seconds > MOST_SECONDS else None)
            fault = fault or (f"{megabytes:.0f} MB" if megabytes > MOST_MEGABYTES else None)
        self.done += 1
        if fault is not None:
            with tempfile.NamedTemporaryFile(prefix="fault-", delete=False) as file:
                file.write(data)
            self.finish(f"{file.name}: {fault}")
        if self.done == self.cases:
            self.finish(None)

    def finish(self, fault: str | None) -> None:
        """Print the counts and leave; atheris would go on."""
        if fault is not None:
            print(fault)
        print(
            f"{self.done} cases in {time.perf_counter() - self.started:.0f} s by {'atheris' if atheris else 'Hypothesis'}: "
            f"{self.done - self.refused} stretched, {self.refused} refused, {int(fault is not None)} faults; "
            f"slowest {self.slowest:.2f} s, most memory {self.most:.0f} MB",
            flush=True,
        )
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        os._exit(1 if fault is not None else 0)


def run_hypothesis(fuzz: Fuzz, seed: int) -> None:
    """Without atheris."""
    import hypothesis
    from hypothesis import strategies as st

    # Each example is a seed with a few bytes replaced.
    changes = st.lists(st.tuples(st.integers(0, LONGEST_BYTES), st.binary(min_size=1, max_size=8)), max_size=6)

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=fuzz.cases, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.sampled_from(sorted(seeds())), changes, st.binary(min_size=3, max_size=3))
    def target(name: str, changes: list[tuple[int, bytes]], how: bytes) -> None:
        data = to_bytes(name)
        data = data[:1] + how[1:] + data[3:]
        for at, piece in changes:
            at %= len(data)
            data = data[:at] + piece + data[at + len(piece) :]
        fuzz(data)

    while True:  # until the last case ends the process; a small space is soon exhausted
        target()


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="one case again")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    work, corpus = base / "work", base / "corpus"
    work.mkdir()
    corpus.mkdir()
    # Decoders in C print what they think of a damaged file, and libFuzzer each thing that is new.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    if arguments.repeat is not None:
        Fuzz(1, work)(arguments.repeat.read_bytes())
    fuzz = Fuzz(arguments.cases, work)
    fuzz(to_bytes("WAV-PCM_16.wav"))
    if atheris is None:
        run_hypothesis(fuzz, arguments.seed)
    for name in seeds():
        (corpus / name).write_bytes(to_bytes(name))
    options = [f"-max_len={LONGEST_BYTES}", f"-seed={arguments.seed}", "-rss_limit_mb=0", f"-timeout={HANG_SECONDS}", "-detect_leaks=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
