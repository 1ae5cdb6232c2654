"""The first run: two other processes compile the kernels, one those of the vocoder stage, the other the rest.

Compiling is most of what a first run does, and numba compiles one function at a time, mostly in Python. Where two cores are free, two
processes take little more than half the time, and the process that stretches needs neither numba nor its memory. The results are passed on
only through the kernels' files.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tsmgan import processes, stopping
from tsmgan.core.compiled import kernels

SHARES = (("tsmgan.core.attacks", "tsmgan.core.analysis", "tsmgan.core.features", "tsmgan.core.overlap"), ("tsmgan.core.vocoder",))
"""The modules whose kernels each process compiles."""
FORMANTS = "tsmgan.core.formants"
"""Compiled by the first process, which has less to do, and only where formants are moved: its kernels take half as long as that process's
others, and most first runs do without."""


class Partners:
    """The processes that compile. They start when the first kernel has to be compiled.

    Args:
        formants: compile the kernels of the formants as well.
    """

    def __init__(self, *, formants: bool = False) -> None:
        first, *others = SHARES
        self._shares = ((*first, FORMANTS) if formants else first, *others)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, kernel: kernels.Kernel) -> bool:
        """Wait for the process that compiles this kernel. Whether there is one and it succeeded."""
        shares = [k for k, modules in enumerate(self._shares) if kernel.function.__module__ in modules]
        if not shares:
            return False
        if not self._processes and kernels.can_keep():
            for modules in self._shares:
                command = processes.calling("tsmgan.first_run:compile_kernels", *modules)
                self._processes.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                )
            stopping.on_leaving(self.end)
        return bool(self._processes) and self._processes[shares[0]].wait() == 0

    def end(self) -> None:
        """Kill the processes. What they have compiled so far is kept."""
        for process in self._processes:
            process.kill()


def share(*, formants: bool = False) -> None:
    """Let other processes compile the kernels that have to be compiled, if there is a second core. For programs, not for libraries.

    Args:
        formants: the kernels of the formants will be needed too.
    """
    if kernels.partner is None and (os.cpu_count() or 1) > 1 and sys.executable and not getattr(sys, "frozen", False):
        kernels.partner = Partners(formants=formants)


def compile_kernels(*modules: str) -> None:
    """Compile the kernels of these modules for the array types of a stretch, without running them."""
    import numpy as np

    from tsmgan.core.analysis import Analyser
    from tsmgan.core.features import frame_features
    from tsmgan.core.field import BANDS, Field
    from tsmgan.core.formants import Formants
    from tsmgan.core.geometry import geometry
    from tsmgan.core.grains import Grains
    from tsmgan.core.overlap import OverlapAdd
    from tsmgan.core.timemap import TimeMap
    from tsmgan.core.vocoder import Vocoder

    g = geometry(8000)
    field = Field(*(np.zeros((2, BANDS), np.float32) for _ in Field._fields))._replace(grain=np.ones((2, BANDS), np.float32))
    with kernels.only_compiling(modules):
        frames = Analyser(g, 1)(np.zeros((1, g.window_length), np.float32), 0, *TimeMap.from_rate(1.0).instants(0, 2, g.hop))
        frame_features(frames, g)
        turned = Grains(g)(Vocoder(g)(frames, field), frames, field)
        OverlapAdd(g, 1)(turned, frames)
        Formants(g, 0.9, shifted=0.9, resampled=1.1)(turned, frames, field)
