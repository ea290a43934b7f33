"""Main memory of the machine and this process. This module does not import torch."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def main_memory() -> int | None:
    """Return the memory size of this machine or container in bytes, or None if the system does not report it."""
    sizes = []
    with suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes":
        with suppress(OSError, ValueError):  # "max" is not a number
            sizes.append(int(Path(limit).read_text()))
    return min((size for size in sizes if size > 0), default=None)


def peak_main_memory() -> int:
    """Return this process's peak memory use so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage may include the parent's memory use at the time of the fork
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # imported here because it does not exist on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
