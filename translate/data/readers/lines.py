"""Line readers for text files, plain or packed, which all formats are based on.

Text is UTF-8, or UTF-16 with a byte-order mark. Only "\\n" ends a line; U+2028, U+0085 and similar characters do not.
Line numbers match `wc -l` and text editors. A "\\r" at the end of a line and a byte-order mark at the start of a file
are dropped.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from translate.data.readers.packings import unpacked
from translate.data.readers.signatures import HEAD_BYTES, way_out_of, why_not_text
from translate.data.readers.utf16 import has_utf16_mark, is_half_pair, utf8_of_utf16
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
        fault = f"is not UTF-8 (0x{raw[error.start]:02X} is byte {error.start + 1} of the line); {way_out_of(raw)}"
        if is_half_pair(raw[error.start :]):
            fault = "contains half of a surrogate pair; the file is incomplete or damaged UTF-16"
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


@contextmanager
def open_unpacked(path: Path, digest: Digest = None) -> Iterator[BinaryIO]:
    """Open a file as UTF-8 text. Reading updates the digest with the raw file bytes. Raises UserError on failure."""
    with _naming_read_errors(path), open_file(path, digest) as file:
        stream = unpacked(path, file)
        head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        if has_utf16_mark(head):
            stream = utf8_of_utf16(stream)
        elif reason := why_not_text(head):
            raise UserError(f"{path}: {reason}")
        yield stream


@contextmanager
def open_binary(path: Path, digest: Digest = None) -> Iterator[BinaryIO]:
    """Do the same as `open_unpacked` for a file that is not necessarily text."""
    with _naming_read_errors(path), open_file(path, digest) as file:
        yield unpacked(path, file)


def open_file(path: Path, digest: Digest = None) -> BufferedReader:
    """Open a file without decompressing it. Raises UserError if it is missing or a folder."""
    with _explaining_missing(path):
        return path.open("rb") if digest is None else BufferedReader(_HashedFile(path, digest))


def digest_of_file(path: Path) -> bytes:
    """Return the SHA-256 of a regular file without decompressing it."""
    with _explaining_missing(path), open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").digest()


@contextmanager
def _naming_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


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
