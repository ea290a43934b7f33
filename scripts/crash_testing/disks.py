"""Training on a disk that is full, becomes read-only or vanishes: one error line, and no loss after the repair."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

from crash_testing.baseline import Baseline, Training
from crash_testing.commands import Ended, FindingError, check_reported, run

SMALL, LARGE = (16, 1000), 64_000  # KiB


def disturb_disk(baseline: Baseline, folder: Path, rng: random.Random) -> int:
    """Train on a disk with a fault. Returns the number of faults. Raises FindingError.

    Only a process that may mount can create a small or read-only disk; otherwise the folder is deleted.
    """
    training, disk = rng.choice(baseline.trainings), folder / "disk"
    disk.mkdir()
    moment = training.seconds * max(rng.random(), rng.random())
    way = rng.choice(("full", "full", "read-only", "vanishing"))
    size = rng.randint(*SMALL) if way == "full" else LARGE
    if way == "vanishing" or not _mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)):
        check_reported(_train(training, disk, moment, lambda: shutil.rmtree(disk, ignore_errors=True)), disk)
        return 1
    try:
        make_read_only = None if way == "full" else lambda: _make_read_only(disk)
        check_reported(_train(training, disk, moment, make_read_only), disk)
        if not _mount("-o", f"remount,rw,size={LARGE}k", str(disk)):
            raise FindingError(f"could not enlarge the disk at {disk}")
        training.check_resumes(disk / "run", f"a {way} disk of {size} KiB")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)
    return 1


def _train(training: Training, disk: Path, moment: float, action: Callable[[], object] | None) -> Ended:
    """Train on the disk, and call `action` `moment` seconds after the start."""
    timer = Timer(moment, action or (lambda: None))
    timer.start()
    try:
        return run(training.next_command(disk / "run"), disk.parent)
    finally:
        timer.cancel()
        timer.join()


def _make_read_only(disk: Path) -> None:
    """Remount the disk read-only; retry, because this fails while a file is open for writing."""
    for _ in range(200):
        if _mount("-o", "remount,ro", str(disk)):
            return
        time.sleep(0.005)


def _mount(*arguments: str) -> bool:
    return bool(shutil.which("mount")) and not subprocess.run(["mount", *arguments], capture_output=True).returncode
