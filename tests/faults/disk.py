"""A failing disk: from the n-th call of a kind on, calls below one folder raise what a full or broken disk raises."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from unittest import mock

Call = Literal["open", "write", "sync", "rename", "mkdir"]
CALLS: tuple[Call, ...] = ("open", "write", "sync", "rename", "mkdir")
WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Faults:
    """Which calls fail, and how many such calls have been made."""

    folder: Path  # only calls below it fail
    call: Call
    first: int  # number of the first call that fails, from 1; 0: none fails
    error: int = errno.ENOSPC
    lasting: bool = True  # whether all later calls fail too: a disk stays full, a bad block is a single failure
    num_calls: int = 0

    @property
    def has_failed(self) -> bool:
        """Whether any call has failed."""
        return 0 < self.first <= self.num_calls

    def meet(self, call: Call, path: object, *names: object) -> None:
        """Count a call that is about to be made on `path`; raise OSError with `names` if this call has to fail."""
        if call != self.call or not self._is_below(path):
            return
        self.num_calls += 1
        if self.first and (self.num_calls == self.first or (self.lasting and self.num_calls > self.first)):
            # OSError takes a file name, None and another file name.
            arguments = [value for name in names for value in (str(name), None)]
            raise OSError(self.error, os.strerror(self.error), *arguments[:3])

    def _is_below(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return self.folder in (found := Path(os.fsdecode(path)).absolute()).parents or found == self.folder


@contextmanager
def failing(folder: Path, call: Call, first: int, error: int = errno.ENOSPC, lasting: bool = True) -> Iterator[Faults]:
    """Make the `first` call of a kind below `folder` fail within the block, and all later ones if `lasting`.

    open: a file for writing; write: bytes to a file, also by flushing a buffer; sync: fsync; rename: also replace;
    mkdir. As on a real disk, errors of write and sync name no file. With `first` 0, calls are only counted.
    """
    faults = Faults(folder.resolve(), call, first, error, lasting)
    patches = [
        *(mock.patch.object(module, "open", _opening(faults)) for module in (io, builtins)),
        *(mock.patch.object(os, name, function) for name, function in _calls(faults).items()),
    ]
    for patch in patches:
        patch.start()
    try:
        yield faults
    finally:
        for patch in reversed(patches):
            patch.stop()


class _File(io.FileIO):
    """A file opened for writing whose writes may fail."""

    def __init__(self, path: Any, mode: str, faults: Faults, opener: Any) -> None:
        super().__init__(path, mode, opener=opener)
        self._faults = faults

    def write(self, content: Any, /) -> int:
        self._faults.meet("write", self.name if not isinstance(self.name, int) else _path_of(self.name))
        return super().write(content)


def _opening(faults: Faults) -> Callable[..., Any]:
    """Return an `open` whose files fail."""
    real = io.open

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+") or isinstance(file, int):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        faults.meet("open", file, file)
        raw = _File(file, mode.replace("b", "").replace("t", ""), faults, opener)
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
        buffered = kind(raw, buffering) if buffering > 1 else kind(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline, line_buffering=buffering == 1)

    return opened


def _calls(faults: Faults) -> dict[str, Callable[..., Any]]:
    """Return failing versions of the functions of `os`, by name."""
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "rename", "mkdir")}

    def opened(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & WRITING_FLAGS:
            faults.meet("open", path, path)
        return cast("int", real["open"](path, flags, *arguments, **named))

    def write(descriptor: int, content: Any) -> int:
        faults.meet("write", _path_of(descriptor))
        return cast("int", real["write"](descriptor, content))

    def fsync(descriptor: Any) -> None:
        faults.meet("sync", _path_of(descriptor if isinstance(descriptor, int) else descriptor.fileno()))
        real["fsync"](descriptor)

    def moving(name: str) -> Callable[..., None]:
        def move(source: Any, target: Any, **named: Any) -> None:
            faults.meet("rename", source, source, target)
            real[name](source, target, **named)

        return move

    def mkdir(path: Any, *arguments: Any, **named: Any) -> None:
        faults.meet("mkdir", path, path)
        real["mkdir"](path, *arguments, **named)

    return {
        "open": opened,
        "write": write,
        "fsync": fsync,
        "replace": moving("replace"),
        "rename": moving("rename"),
        "mkdir": mkdir,
    }


def _path_of(descriptor: int) -> str | None:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return None
