"""Line readers for plain and gzipped text files, which all formats are based on.

Text is UTF-8. Only "\\n" ends a line; U+2028, U+0085 and similar characters do not, so line numbers match `wc -l`
and text editors. A "\\r" at the end of a line and a byte-order mark at the start of a file are dropped.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast

from translate.data.readers.signatures import CONVERT, HEAD_BYTES, why_not_text
from translate.errors import UserError
from translate.system.files import open_regular

Digest: TypeAlias = "hashlib._Hash | None"
BYTE_ORDER_MARK = "\ufeff"
BLOCK_BYTES = 2**20
MAX_LINE_BYTES = 1_000_000  # maximum line length, including the line feed; real sentences are shorter
OVERLONG = f"is longer than {MAX_LINE_BYTES:,} bytes; is this a text file with one sentence per line?"

LineTrouble = Literal["not_utf8", "endless", "columns"]  # reasons why a line cannot be read


class BadLineError(ValueError):
    """An error for a line that cannot be read. Its message continues a sentence that starts with the line number."""

    def __init__(self, trouble: LineTrouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


def read_lines(path: Path, digest: Digest = None) -> Iterator[str]:
    """Yield the lines of a file. digest: see `open_unpacked`. Raises UserError if a line cannot be read."""
    with open_unpacked(path, digest) as stream:
        yield from split_lines(stream, str(path))


def split_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a stream. Raises UserError if a line cannot be read."""
    for number, raw in enumerate(raw_lines(stream), start=1):
        try:
            line = decode_line(raw)
        except BadLineError as error:
            raise UserError(f"{name}: line {number} {error}") from None
        yield (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).removesuffix("\r")


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines with their endings. Overlong lines are split; all parts but the last are over MAX_LINE_BYTES long."""
    return iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")


def decode_line(raw: bytes) -> str:
    """Return the text of a line without the line feed. Raises BadLineError if it is overlong or not UTF-8."""
    if len(raw) > MAX_LINE_BYTES:
        raise BadLineError("endless", OVERLONG)
    try:
        return raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        fault = f"is not UTF-8 (0x{raw[error.start]:02X} is byte {error.start + 1} of the line); {CONVERT}"
        raise BadLineError("not_utf8", fault) from None


def count_lines(path: Path) -> int:
    """Count the lines that `read_lines` would yield. Raises the same errors, except for invalid UTF-8."""
    num_lines, last = 0, b"\n"
    with open_unpacked(path) as stream:
        while block := stream.read(BLOCK_BYTES):
            if len(block) == BLOCK_BYTES and b"\n" not in block:
                raise UserError(f"{path}: line {num_lines + 1} {OVERLONG}")
            num_lines += block.count(b"\n")
            last = block[-1:]
    return num_lines + (last != b"\n")


def digest_of_text(path: Path) -> str:
    """Return the SHA-256 of a text file. Raises UserError if a line cannot be read."""
    digest = hashlib.sha256()
    deque(read_lines(path, digest), maxlen=0)
    return digest.hexdigest()


def is_packed(path: Path) -> bool:
    """Return whether a file is compressed by gzip, according to its name."""
    return path.suffix.lower() == ".gz"


@contextmanager
def open_unpacked(path: Path, digest: Digest = None) -> Iterator[BinaryIO]:
    """Open a plain or .gz file. Reading updates the digest with the raw file bytes. Raises UserError on failure."""
    try:
        with open_file(path, digest) as stream:
            unpacked = gzip.GzipFile(mode="rb", fileobj=stream) if is_packed(path) else stream
            if reason := why_not_text(unpacked.peek(HEAD_BYTES)[:HEAD_BYTES]):
                raise UserError(f"{path}: {reason}")
            yield cast("BinaryIO", unpacked)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: incomplete or damaged gzip file ({error}); download or compress it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def open_file(path: Path, digest: Digest = None) -> BufferedReader:
    """Open a file without decompressing it. Raises UserError if it is missing or a folder."""
    with _explaining_missing(path):
        return path.open("rb") if digest is None else BufferedReader(_HashedFile(path, digest))


def digest_of_file(path: Path) -> bytes:
    """Return the SHA-256 of a regular file without decompressing it."""
    with _explaining_missing(path), open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").digest()


@contextmanager
def _explaining_missing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; specify a text file") from None


class _HashedFile(FileIO):
    """A file that updates a digest as it is read."""

    def __init__(self, path: Path, digest: hashlib._Hash) -> None:
        super().__init__(path)
        self._digest = digest

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        return count
