"""Whole commands, timed from outside: wall seconds and peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Finished:
    """What one run of a command cost."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(command: Sequence[str | Path]) -> Finished:
    """Run a command of this environment to its end; its output is thrown away.

    Raises:
        SystemExit: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(BIN / command[0]), *map(str, command[1:])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return Finished(wall_s, usage.ru_utime + usage.ru_stime, _max_rss_bytes(usage))


def _max_rss_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
