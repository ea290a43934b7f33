"""How much main memory this process has held. It needs no torch, so that a process without torch can ask too."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_main_memory() -> int:
    """Bytes: the most that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would also count what the parent held when it started this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # in the function, because Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
