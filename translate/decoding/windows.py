"""Windows: groups of consecutive lines that are translated together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from translate.data.readers.arriving import ArrivingLines
from translate.data.readers.lines import UnreadableLineError
from translate.decoding.arguments import check_text

FIRST_WINDOW, WINDOW_LINES = 16, 2048  # lines translated together; the first window is small, for early output
WINDOW_CHARACTERS = 500_000  # maximum size of a window of long lines
WINDOW_SECONDS = 0.5  # maximum time to wait for the lines of a window that arrive one by one

NumberedLine = tuple[int, str]  # line number (from 1) and text
T = TypeVar("T")


def windows_of(lines: Iterable[str], num_processes: int) -> Iterator[list[NumberedLine]]:
    """Group lines into windows of WINDOW_LINES lines per process, or fewer if they are long.

    The first window of a stream has FIRST_WINDOW lines. Those of a list are awaited together. An error of a line that
    cannot be read is raised after the window of the lines before it.
    """
    size, deadline = WINDOW_LINES if isinstance(lines, (list, tuple)) else FIRST_WINDOW, 0.0
    arriving = lines if isinstance(lines, ArrivingLines) else None
    window, num_characters = list[NumberedLine](), 0
    try:
        for line in enumerate(lines, start=1):
            if arriving and not window:
                deadline = time.monotonic() + WINDOW_SECONDS
            check_text(line[1], f"line {line[0]}")
            window.append(line)
            num_characters += len(line[1])
            is_full = len(window) >= size * num_processes or num_characters >= WINDOW_CHARACTERS * num_processes
            if is_full or (arriving and not arriving.has_next(deadline)):
                yield window
                window, num_characters, size = [], 0, WINDOW_LINES
    except UnreadableLineError:
        if window:
            yield window
        raise
    if window:
        yield window


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, each once the next one is there. An error of an item is raised after those before it."""
    previous = list[T]()
    try:
        for item in items:
            yield from previous
            previous = [item]
    except Exception:
        yield from previous
        raise
    yield from previous
