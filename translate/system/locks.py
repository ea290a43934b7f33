"""File locks between processes. The operating system releases a lock no matter how its process ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock


def take_lock(path: Path) -> BaseFileLock:
    """Acquire a lock on `path`, a dedicated lock file, without waiting.

    Raises filelock.Timeout if another process holds the lock, and OSError if the file system does not support locks.
    """
    return FileLock(path, timeout=0, fallback_to_soft=False).acquire().lock


def release_lock(lock: BaseFileLock) -> None:
    """Release a lock and delete its file. Other processes that have the file open detect that it was deleted."""
    with suppress(OSError):  # Windows cannot delete open files
        Path(lock.lock_file).unlink()
    lock.release()
