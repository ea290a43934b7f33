"""File locks between processes. The system releases them however a process ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock


def take_lock(path: Path) -> BaseFileLock:
    """Lock `path`, a dedicated lock file, without waiting.

    Raises filelock.Timeout if another process holds the lock, and OSError if the file system does not support locks.
    """
    return FileLock(path, timeout=0, fallback_to_soft=False).acquire().lock


def release_lock(lock: BaseFileLock) -> None:
    """Release a lock and delete its file. A process that has opened the file detects this and does not lock it."""
    with suppress(OSError):  # Windows cannot delete open files
        Path(lock.lock_file).unlink()
    lock.release()
