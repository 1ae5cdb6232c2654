"""The cost of whole commands: wall time, processor time and peak memory of a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tsmgan.errors import TsmganError

TIME_LIMIT = 1800.0
"""Seconds after which a command counts as hung."""
_LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
text = child.stderr.read()
cpu = peak = None
if hasattr(os, "wait4"):
    _, status, usage = os.wait4(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
else:
    code = child.wait()
wall = time.perf_counter() - began
print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak, "code": code, "text": text.decode(errors="replace")[-2000:]}))
"""
"""Runs between this process and the command. Linux counts the memory of whoever started a process as that process's own peak, so a
small process must start it: about 12 MB, and no command's peak is found to be below that."""


class Cost(NamedTuple):
    """What a command cost."""

    wall: float
    """Seconds."""
    cpu: float | None
    """User and system time of all cores, in seconds; None where the system does not report it."""
    peak: int | None
    """Peak memory in bytes; None where the system does not report it."""


def cost_of(command: Sequence[str], time_limit: float = TIME_LIMIT, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command, with additional environment variables, and return its cost.

    Raises:
        TsmganError: it cannot be started, fails, or takes longer than time_limit seconds.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    process = subprocess.Popen(
        launcher,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        out, failure = process.communicate(timeout=time_limit)
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise TsmganError(f"{command[0]} took longer than {time_limit:g} s and was stopped.") from None
        raise
    if process.returncode:
        raise TsmganError(f"{command[0]} cannot be run: {_last_line(failure.decode(errors='replace'))}")
    told = json.loads(out)
    if told["code"]:
        raise TsmganError(f"{command[0]} ended with code {told['code']}: {_last_line(told['text'])}")
    return Cost(told["wall"], told["cpu"], told["peak"])


def sum_of(costs: Sequence[Cost]) -> Cost:
    """The cost of commands that run one after the other."""
    cpu = [cost.cpu for cost in costs if cost.cpu is not None]
    peak = [cost.peak for cost in costs if cost.peak is not None]
    return Cost(sum(cost.wall for cost in costs), sum(cpu) if len(cpu) == len(costs) else None, max(peak, default=None))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and the command that it started."""
    import signal

    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.kill()
    process.communicate()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
