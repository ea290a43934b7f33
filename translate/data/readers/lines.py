"""Lines of text files, plain or gzipped, on which all formats are based.

Text is UTF-8. Lines end only at "\\n": U+2028, U+0085 and similar characters belong to the line, so that line numbers
agree with `wc -l` and editors. A "\\r" at the end of a line and a byte-order mark at the start of a file are dropped.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast

from translate.errors import UserError

Digest: TypeAlias = "hashlib._Hash | None"
BYTE_ORDER_MARK = "\ufeff"
BLOCK_BYTES = 2**20
MAX_LINE_BYTES = 1_000_000  # including the line feed; a text with one sentence per line has no longer lines

LineTrouble = Literal["not_utf8", "endless", "columns"]  # reasons why a line cannot be read


class BadLineError(ValueError):
    """Raised for a line that cannot be read. trouble: the kind of fault; reason: its explanation."""

    def __init__(self, trouble: LineTrouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason

    def message(self, name: str, number: int) -> str:
        """Return the error message. name: file name; number: line number, from 1."""
        return f"{name}: line {number} {self.reason}"


def read_lines(path: Path, digest: Digest = None) -> Iterator[str]:
    """Yield the lines of a file. Raises UserError naming the file and the line if one cannot be read.

    digest: see `open_unpacked`.
    """
    with open_unpacked(path, digest) as stream:
        yield from split_lines(stream, str(path))


def split_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a byte stream. Raises UserError if one is not UTF-8 or exceeds MAX_LINE_BYTES."""
    for number, raw in enumerate(raw_lines(stream), start=1):
        try:
            line = decode_line(raw)
        except BadLineError as error:
            raise UserError(error.message(name, number)) from None
        yield (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).removesuffix("\r")


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines with their line endings.

    A line over MAX_LINE_BYTES comes in parts, all but the last longer than that, so that a file without line endings
    does not fill the memory.
    """
    return iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")


def decode_line(raw: bytes) -> str:
    """Return the text of a line without its line feed. Raises BadLineError if it is overlong or not UTF-8."""
    if len(raw) > MAX_LINE_BYTES:
        raise _too_long()
    try:
        return raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8"
        raise BadLineError("not_utf8", reason) from None


def count_lines(path: Path) -> int:
    """Count the lines that `read_lines` yields, without decoding them. Raises the same errors, except for UTF-8."""
    num_lines, last = 0, b"\n"
    with open_unpacked(path) as stream:
        while block := stream.read(BLOCK_BYTES):
            if len(block) == BLOCK_BYTES and b"\n" not in block:
                raise UserError(_too_long().message(str(path), num_lines + 1))
            num_lines += block.count(b"\n")
            last = block[-1:]
    return num_lines + (last != b"\n")


def digest_of_text(path: Path) -> str:
    """Return the SHA-256 of the unpacked content. Raises UserError if `read_lines` does for any of its lines."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    try:
        with open_unpacked(path) as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        deque(read_lines(path), maxlen=0)  # raises an error that names the line
        raise
    return digest.hexdigest()


@contextmanager
def open_unpacked(path: Path, digest: Digest = None) -> Iterator[BinaryIO]:
    """Open a plain or .gz file. Raises UserError if it is missing or proves to be damaged while it is read.

    digest: hash object that is updated with the bytes of the file, still packed, as they are read.
    """
    try:
        with open_file(path, digest) as stream:
            if path.suffix != ".gz":
                yield stream
                return
            with gzip.open(stream) as unpacked:
                yield cast("BinaryIO", unpacked)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: incomplete or damaged gzip file ({error}); download or compress it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def open_file(path: Path, digest: Digest = None) -> BufferedReader:
    """Open a file as it is on disk. Raises UserError if it is missing or a folder."""
    try:
        return path.open("rb") if digest is None else BufferedReader(_HashedFile(path, digest))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give a text file") from None


def digest_of_file(path: Path) -> bytes:
    """Return the SHA-256 of a file as it is on disk."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").digest()


class _HashedFile(FileIO):
    """A file that updates a digest as it is read."""

    def __init__(self, path: Path, digest: hashlib._Hash) -> None:
        super().__init__(path)
        self._digest = digest

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        return count


def _too_long() -> BadLineError:
    reason = f"is longer than {MAX_LINE_BYTES:,} bytes; is this a text file with one sentence per line?"
    return BadLineError("endless", reason)
