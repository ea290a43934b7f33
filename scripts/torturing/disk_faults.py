"""A disk that fails: from the n-th call of a kind on, a call below one folder raises what a full or broken disk does.

`failing` is for tests in one process. As a program it runs a whole command so:

    python -m torturing.disk_faults FOLDER write 3 ENOSPC decode RUN --input FILE --output FILE
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
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
    """Which call fails from when on, and how many such calls were made."""

    folder: Path  # only what lies below it fails
    call: Call
    first: int  # the number, from 1, of the first call that fails; 0: none does
    error: int = errno.ENOSPC
    lasting: bool = True  # whether all later ones fail as well: a disk stays full, a bad block is one
    num_calls: int = 0

    @property
    def has_failed(self) -> bool:
        """Whether a call failed."""
        return 0 < self.first <= self.num_calls

    def meet(self, call: Call, path: object, *names: object) -> None:
        """Count a call that is about to be made on `path`; raise OSError, with the file names given, where it fails."""
        if call != self.call or not self._is_below(path):
            return
        self.num_calls += 1
        if self.first and (self.num_calls == self.first or (self.lasting and self.num_calls > self.first)):
            told = [value for name in names for value in (str(name), None)]  # OSError takes a file, None, another file
            raise OSError(self.error, os.strerror(self.error), *told[:3])

    def _is_below(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return self.folder in (found := Path(os.fsdecode(path)).absolute()).parents or found == self.folder


@contextmanager
def failing(folder: Path, call: Call, first: int, error: int = errno.ENOSPC, lasting: bool = True) -> Iterator[Faults]:
    """Within the block the `first` call of that kind below `folder`, and where `lasting` all later ones, fail.

    open: of a file to write; write: of bytes to a file, also by the flush of a buffer; sync: fsync; rename: also by
    replace; mkdir. As on a real disk, the errors of write and sync name no file. With `first` 0 calls are only counted.
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
    """A file opened for writing, whose writes may fail."""

    def __init__(self, path: Any, mode: str, faults: Faults, opener: Any) -> None:
        super().__init__(path, mode, opener=opener)
        self._faults = faults

    def write(self, content: Any, /) -> int:
        self._faults.meet("write", self.name if not isinstance(self.name, int) else _path_of(self.name))
        return super().write(content)


def _opening(faults: Faults) -> Callable[..., Any]:
    """An `open` whose files fail."""
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
    """The functions of `os` that fail, by name."""
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


def main() -> None:
    """Run a command of `translate` on a failing disk."""
    from translate import cli

    folder, call, first, error, *arguments = sys.argv[1:]
    sys.argv[1:] = arguments
    with failing(Path(folder), cast("Call", call), int(first), getattr(errno, error)):
        cli.main()


if __name__ == "__main__":
    main()
