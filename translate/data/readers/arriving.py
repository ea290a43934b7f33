"""Lines that arrive while they are translated, from a pipe, a terminal or a socket."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, cast

from translate.data.readers.lines import split_lines

BLOCK_BYTES = 2**16  # the usual capacity of a pipe
PAUSE_SECONDS = 0.05  # who writes a line and then nothing for this time is waiting for its translation


def lines_of(stream: BinaryIO, name: str) -> Iterator[str]:
    """Return the lines of a file, or ArrivingLines. The stream must not have been read before."""
    with suppress(OSError):  # it has no descriptor
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return ArrivingLines(stream, name)
    return split_lines(stream, name)


class ArrivingLines(Iterator[str]):
    """The lines of a stream, as from `split_lines`, that tells whether more of them have arrived.

    Attributes: `num_read`, the number of lines read so far.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.num_read = 0
        self._stream, self._received, self._is_complete = stream, bytearray(), False
        self._lines = split_lines(cast("BinaryIO", self), name)  # which only calls `readline`

    def __next__(self) -> str:
        line = next(self._lines)
        self.num_read += 1
        return line

    def has_next(self, deadline: float) -> bool:
        """Return whether a line or the end is there, waiting only for a stream that is not pausing.

        deadline: the time on the monotonic clock at which to stop waiting, even if parts of a line keep arriving.
        """
        while not self._is_complete and b"\n" not in self._received:
            wait = max(0.0, min(PAUSE_SECONDS, deadline - time.monotonic()))
            if not select.select([self._stream], [], [], wait)[0]:
                return False
            self._receive()
        return True

    def readline(self, size: int) -> bytes:
        """Return the next line, at most `size` bytes of it, or nothing at the end."""
        while not self._is_complete and b"\n" not in self._received and len(self._received) < size:
            self._receive()
        end = self._received.find(b"\n", 0, size) + 1 or size
        line = bytes(self._received[:end])
        del self._received[:end]
        return line

    def _receive(self) -> None:
        select.select([self._stream], [], [])  # the other side may have made the stream non-blocking
        block = os.read(self._stream.fileno(), BLOCK_BYTES)
        self._received += block
        self._is_complete = not block
