"""Locks between processes. The system releases them however a process ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock


def take_lock(path: Path) -> BaseFileLock:
    """Lock a file made for that, without waiting.

    Raises filelock.Timeout if another process holds the lock, OSError where the file system has no locks.
    """
    return FileLock(path, timeout=0, fallback_to_soft=False).acquire().lock


def release_lock(lock: BaseFileLock) -> None:
    """Release a lock and remove its file. Whoever has opened that file sees that it is gone, and locks nothing."""
    with suppress(OSError):  # Windows removes no open file
        Path(lock.lock_file).unlink()
    lock.release()
