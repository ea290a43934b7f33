"""Files packed by gzip, bzip2, xz or Zstandard, as the endings of their names say, unpacked as they are read.

A packed file may consist of several parts, as parallel packers write them, and end in zero bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn, Protocol

from translate.errors import UserError

BUFFER_BYTES = 2**18
MAX_RATIO, RATIO_BYTES = 1000, 2**27  # no text unpacks to more times its size, if to more than this number of bytes
MAX_MEMORY = 2**28  # bytes that a file may require for its unpacking; xz -9 requires 65 MB
# Zstandard's output cannot be limited. A block of 4 bytes unpacks to 128 kB at most, and so this number to 32 MB.
ZSTD_FEED = 1024


class Decompressor(Protocol):
    """A decompressor of one part, like `bz2.BZ2Decompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Packing(NamedTuple):
    """A format: its name, what makes a decompressor, and the number of bytes to decompress at once."""

    name: str
    decompressor: Callable[[], Decompressor]
    feed: int = 2**16


def packing_of(path: Path) -> Packing | None:
    """Return how a file is packed according to its name, or None."""
    return PACKINGS.get(path.suffix.lower())


def is_packed(path: Path) -> bool:
    """Return whether a file is packed according to its name."""
    return packing_of(path) is not None


def unpacked(path: Path, stream: BufferedReader) -> BufferedReader:
    """Return the content of a stream that reads `path`: unpacked, or the stream itself if the file is not packed."""
    packing = packing_of(path)
    if packing is None:
        return stream
    if packing.name == "Zstandard" and not find_spec("zstandard"):
        raise UserError(f"{path}: reading files packed by Zstandard requires a package: pip install zstandard")
    return BufferedReader(_Unpacked(path, stream, packing), BUFFER_BYTES)


class _Unpacked(RawIOBase):
    """The unpacked content of a stream. Reading raises UserError if the file is damaged, incomplete or implausible."""

    def __init__(self, path: Path, stream: BinaryIO, packing: Packing) -> None:
        self._path, self._stream, self._packing = path, stream, packing
        self._part: Decompressor | None = None
        self._output = memoryview(b"")
        self._num_packed = self._num_unpacked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output and self._unpack_more():
            pass
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _unpack_more(self) -> bool:
        """Unpack some bytes, or read some that unpack to nothing yet. Returns False at the end of the file."""
        if self._part is None or self._part.eof:
            data = self._next_part()
            if not data:
                return False
            self._part = self._packing.decompressor()
        else:
            data = self._read() if self._part.needs_input else b""
            if not data and self._part.needs_input:
                self._refuse("it ends too early")
        try:
            output = self._part.decompress(data, BUFFER_BYTES)
        except Exception as error:  # each library has errors of its own
            self._refuse(str(error) or type(error).__name__)
        self._num_unpacked += len(output)
        if self._num_unpacked > max(RATIO_BYTES, MAX_RATIO * self._num_packed):
            reason = f"unpacks to more than {MAX_RATIO:,} times its size, as no text does"
            raise UserError(f"{self._path}: {reason}; if it is text all the same, unpack it first")
        self._output = memoryview(output)
        return True

    def _next_part(self) -> bytes:
        """Return the first bytes of the next part, or nothing if only zero bytes are left."""
        data = self._part.unused_data if self._part else self._read() or self._refuse("it is empty")
        while self._part and not (data := data.lstrip(b"\0")):
            data = self._read()
            if not data:
                break
        return data

    def _read(self) -> bytes:
        data = self._stream.read(self._packing.feed)
        self._num_packed += len(data)
        return data

    def _refuse(self, reason: str) -> NoReturn:
        kind, way_out = self._packing.name, "download or compress it again"
        raise UserError(f"{self._path}: incomplete or damaged {kind} file ({reason}); {way_out}")


class _Inflate:
    """A decompressor of gzip."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        output = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(output) < max_length
        return output


class _Zstandard:
    """A decompressor of Zstandard, whose output is not limited."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard

        self._inner = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(data)


def _bzip2() -> Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_MEMORY)


PACKINGS = {
    ".gz": Packing("gzip", _Inflate),
    ".bz2": Packing("bzip2", _bzip2),
    ".xz": Packing("xz", _xz),
    ".zst": Packing("Zstandard", _Zstandard, ZSTD_FEED),
}
