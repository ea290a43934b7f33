"""File locks between processes, which the operating system releases no matter how a process ends; locks of threads."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock


class ThreadLock:
    """Lock between the threads of a process. It is free in a forked child and in a pickled or deep copy."""

    def __init__(self) -> None:
        self._locks = {os.getpid(): threading.Lock()}

    def __reduce__(self) -> tuple[type[ThreadLock], tuple[()]]:
        return ThreadLock, ()

    @property
    def lock(self) -> threading.Lock:
        """The lock, to be used in a `with` statement. Ctrl-C cannot come between its acquisition and the block."""
        return self._locks.setdefault(os.getpid(), threading.Lock())


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
