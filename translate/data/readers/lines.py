"""Line readers for text files, plain or packed, which all formats are based on.

Text is UTF-8, or UTF-16 with a byte-order mark. Only "\\n" ends a line; U+2028, U+0085 and similar characters do not.
Line numbers match `wc -l` and text editors. A "\\r" at the end of a line and a byte-order mark at the start of a file
are dropped.
"""

from __future__ import annotations

import hashlib
import re
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
LINE_BREAK = re.compile(r"[ \t]*[\r\n]\s*")
BLOCK_BYTES = 2**20
MAX_LINE_BYTES = 1_000_000  # maximum line length, including the line feed; real sentences are shorter
OVERLONG = f"is longer than {MAX_LINE_BYTES:,} bytes; is this a text file with one sentence per line?"

MAX_SKIPPED_BYTES = 100_000_000  # maximum length of a line to skip; a file with a longer line is not considered text
SHOWN_BYTES = 1_000  # number of bytes to show from an unreadable line

LineTrouble = Literal["not_utf8", "endless", "columns", "record"]  # reasons why a line or row cannot be read


class BadLineError(ValueError):
    """An error for a line, row or unit that cannot be read.

    Its message continues a sentence that starts with the line number. shown: what can be shown of the text.
    """

    def __init__(self, trouble: LineTrouble, message: str, shown: str = "") -> None:
        super().__init__(message)
        self.trouble, self.shown = trouble, shown


class UnreadableLineError(UserError):
    """Names a line, row or unit that cannot be read. Those before it were read."""


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
            raise UnreadableLineError(f"{name}: line {number} {error}") from None
        yield (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).removesuffix("\r")


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines with their endings. Overlong lines are split; all parts but the last are over MAX_LINE_BYTES long."""
    return iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")


def truncated_lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield lines with their endings, and of each overlong line the start, which is longer than MAX_LINE_BYTES.

    Raises UserError if a line is so long that the file is not text.
    """
    num_bytes = 0  # length of the current line so far
    for part in raw_lines(stream):
        if not num_bytes:
            yield part
        num_bytes += len(part)
        if num_bytes > MAX_SKIPPED_BYTES:
            raise UserError(
                f"{name}: a line is longer than {MAX_SKIPPED_BYTES:,} bytes; expected one sentence per line"
            )
        if len(part) <= MAX_LINE_BYTES or part.endswith(b"\n"):
            num_bytes = 0


def lines_or_errors(stream: BinaryIO, name: str) -> Iterator[str | BadLineError]:
    """Yield the lines of a stream as `split_lines` does, and for each that cannot be read the reason."""
    for number, raw in enumerate(truncated_lines(stream, name)):
        try:
            line = decode_line(raw)
        except BadLineError as error:
            yield error
        else:
            yield (line if number else line.removeprefix(BYTE_ORDER_MARK)).removesuffix("\r")


def in_one_line(text: str) -> str:
    """Return a text with each line break, and the spaces around it, replaced by a space; none at its ends."""
    return LINE_BREAK.sub(" ", text).strip(" ") if "\n" in text or "\r" in text else text


def decode_line(raw: bytes) -> str:
    """Return the text of a line without the line feed. Raises BadLineError if it is overlong or not UTF-8."""
    if len(raw) > MAX_LINE_BYTES:
        raise BadLineError("endless", OVERLONG, raw[:SHOWN_BYTES].decode("utf-8", "replace"))
    try:
        return raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        fault = f"is not UTF-8 (0x{raw[error.start]:02X} is byte {error.start + 1} of the line); {way_out_of(raw)}"
        if is_half_pair(raw[error.start :]):
            fault = "contains half of a surrogate pair; the file is incomplete or damaged UTF-16"
        shown = raw[:SHOWN_BYTES].decode("utf-8", "backslashreplace").rstrip("\r\n")
        raise BadLineError("not_utf8", fault, shown) from None


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


@contextmanager
def open_unpacked(path: Path, digest: Digest = None) -> Iterator[BinaryIO]:
    """Open a file as UTF-8 text. Reading updates the digest with the raw file bytes. Raises UserError on failure."""
    with open_binary(path, digest) as stream:
        yield as_text(stream, str(path))


@contextmanager
def open_binary(path: Path, digest: Digest = None) -> Iterator[BufferedReader]:
    """Do the same as `open_unpacked` for a file that is not necessarily text."""
    try:
        with open_file(path, digest) as file:
            yield unpacked(path, file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def as_text(stream: BufferedReader[Any], name: str) -> BufferedReader[Any]:
    """Return text as UTF-8. Raises UserError if the stream begins like something else."""
    head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    if has_utf16_mark(head):
        return utf8_of_utf16(stream)
    if reason := why_not_text(head):
        raise UserError(f"{name}: {reason}")
    return stream


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
