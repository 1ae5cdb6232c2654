"""The first run: a second process compiles the vocoder stage's kernels while this one compiles those that come before it.

Compiling is most of what a first run does, and numba compiles one function at a time, mostly in Python. Two processes do it in little more
than half the time where two cores are free. What the second one finds is left in the kernels' files, and nowhere else.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tsmgan import kernels

THEIRS = "tsmgan.vocoder"
"""The module whose kernels the second process compiles."""


class Partner:
    """The second process; it starts with the first kernel that has to be compiled."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, kernel: kernels.Kernel) -> bool:
        """Whether the other process was to compile this kernel, and has ended well."""
        is_theirs = kernel.function.__module__ == THEIRS
        if self._process is None and not is_theirs and kernels.can_keep():
            command = [sys.executable, "-m", "tsmgan.compiling"]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return is_theirs and self._process is not None and self._process.wait() == 0


def share() -> None:
    """Let a second process help, if a kernel has to be compiled at all and there is a second core. For programs, not for libraries."""
    if kernels.partner is None and (os.cpu_count() or 1) > 1 and sys.executable and not getattr(sys, "frozen", False):
        kernels.partner = Partner()


def main() -> None:
    """Compile the kernels of THEIRS for the types of arrays that a stretch has, and run none."""
    import numpy as np

    from tsmgan.analysis import Analyser
    from tsmgan.geometry import geometry
    from tsmgan.vocoder import BANDS, Field, Vocoder

    g, rates = geometry(8000), np.ones(2)
    field = Field(*(np.zeros((len(rates), BANDS), np.float32) for _ in Field._fields))
    with kernels.only_compiling(THEIRS):
        frames = Analyser(g, 1)(np.zeros((1, g.window_length), np.float32), 0, np.arange(len(rates)) * g.hop)
        vocoder = Vocoder(g, 1)
        vocoder.synthesise(frames, field, rates, *vocoder.rotations(frames, field, rates))


if __name__ == "__main__":
    main()
