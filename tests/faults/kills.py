"""A process that kills itself at its n-th call that changes files, as a power cut would.

The calls are all those that reach the disk: opening for writing, each write, sync, rename, replace, mkdir, unlink,
rmdir. Calls of all threads count. It cannot be disarmed, so use it in a child process.
"""

from __future__ import annotations

import builtins
import io
import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "remove", "rmdir")
WRITING_MODES = frozenset("wax+")


def kill_at(n: int) -> None:
    """Die by SIGKILL at the n-th call (from 1) that changes files: before the call, or halfway in a write."""
    numbers = itertools.count(1)
    _watch(lambda _: next(numbers) == n)


def count_calls() -> list[str]:
    """Return a list that grows by "CALL NAME" at each call that changes files.

    Read it in the same process at the end: its length is the number of calls at which `kill_at` can kill.
    """
    calls: list[str] = []

    def note(call: str) -> bool:
        calls.append(call)
        return False

    _watch(note)
    return calls


def _watch(is_last: Callable[[str], bool]) -> None:
    """Ask `is_last` before each call, and die if it returns True."""
    for name in CALLS:
        setattr(os, name, _dying(getattr(os, name), name, is_last))
    plain = io.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, *options: Any, **named: Any) -> Any:
        if not WRITING_MODES & set(mode) or not isinstance(file, str | os.PathLike):
            return plain(file, mode, buffering, *options, **named)
        if is_last(f"open {Path(file).name}"):
            _die()
        raw = _File(file, mode.replace("b", "").replace("t", ""), is_last)
        if not buffering:
            return raw
        stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return stream if "b" in mode else io.TextIOWrapper(stream, *options, **named)

    for module in io, builtins:
        vars(module)["open"] = opened


class _File(io.FileIO):
    """A file opened for writing; the process may die in the middle of a write."""

    def __init__(self, path: str | os.PathLike[str], mode: str, is_last: Callable[[str], bool]) -> None:
        super().__init__(os.fspath(path), mode)
        self._is_last = is_last

    def write(self, content: Any) -> int:
        if self._is_last(f"write {Path(str(self.name)).name}"):
            view = memoryview(content).cast("B")
            super().write(view[: len(view) // 2])
            _die()
        return super().write(content)


def _dying(plain: Callable[..., Any], name: str, is_last: Callable[[str], bool]) -> Callable[..., Any]:
    def call(target: Any, *others: Any, **named: Any) -> Any:
        if is_last(f"{name} {_name_of(target)}"):
            _die()
        return plain(target, *others, **named)

    return call


def _name_of(target: Any) -> str:
    return Path(os.fsdecode(target)).name if isinstance(target, str | bytes | os.PathLike) else ""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # until it comes
