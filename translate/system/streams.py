"""Standard streams: UTF-8 on every system, and safe to use when they are closed, full or read by nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TypeVar

STANDARD_OUTPUT = "standard output"  # the name used in error messages

Stream = TypeVar("Stream", bound=TextIOWrapper)


def reserve_descriptors() -> None:
    """Open closed standard streams on /dev/null, or the next file to be opened would receive what is written to them.

    Python itself keeps treating these streams as closed. Call this before any file is opened.
    """
    for descriptor in 0, 1, 2:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one


def prepare_streams() -> None:
    """Make standard output and standard error use UTF-8 and line feeds, and handle their errors."""
    if isinstance(sys.stdout, TextIOWrapper):
        with suppress(OSError):  # it has no descriptor
            os.set_blocking(sys.stdout.fileno(), True)  # a reader that is late must not end the command
        sys.stdout = _prepared(sys.stdout, StandardOutput)
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr = _prepared(sys.stderr, StandardError)
    elif sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def flush_output() -> None:
    """Write buffered output, or discard it if it cannot be written."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        drop_output()


def drop_output() -> None:
    """Discard buffered output that Python would otherwise fail to flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class StandardOutput(TextIOWrapper):
    """Standard output whose errors include its name."""

    def write(self, text: str, /) -> int:
        with _naming_standard_output():
            return super().write(text)

    def flush(self) -> None:
        with _naming_standard_output():
            super().flush()


class StandardError(TextIOWrapper):
    """Standard error that drops what cannot be written, because messages must not end a command."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _prepared(old: TextIOWrapper, kind: type[Stream]) -> Stream:
    is_line_buffered, is_written_through = old.line_buffering, old.write_through
    return kind(
        old.detach(),
        encoding="utf-8",
        errors="backslashreplace",  # for lone surrogates, which stand for bytes that are not UTF-8
        newline="\n",
        line_buffering=is_line_buffered,
        write_through=is_written_through,
    )


@contextmanager
def _naming_standard_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None
