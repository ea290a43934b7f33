"""Parallel text, read as a stream: lines, pairs, the part kept for validation, fingerprints.

Text is UTF-8. A line ends at "\\n" and nowhere else: U+2028, U+0085 and their like belong to the line, so that line
numbers here are those of `wc -l` and of every editor. A "\\r" before the end and a byte-order mark at the start are
dropped.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import itertools
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

from translate.config.settings import DataSettings
from translate.errors import UserError

Digest: TypeAlias = "hashlib._Hash | None"
BYTE_ORDER_MARK = "\ufeff"
ALL_HASHES = range(2**64)
BLOCK_BYTES = 2**20
MAX_LINE_BYTES = 1_000_000  # its end included: what is longer is not text with a sentence a line


class Pair(NamedTuple):
    """A source line and its translation."""

    src: str
    tgt: str

    @property
    def is_full(self) -> bool:
        """Whether there is text on both sides; a pair with an empty side is left out as a whole."""
        return bool(self.src.strip() and self.tgt.strip())

    @property
    def essence(self) -> str:
        """The same of two pairs that are alike but for white space at the ends of their lines."""
        return f"{self.src.strip()}\n{self.tgt.strip()}"


class Side(NamedTuple):
    """One side of a parallel text: a file and, where it is a .tsv file, the column (from 1) to read."""

    path: Path
    column: int


@dataclass(frozen=True)
class ParallelText:
    """Pairs of lines from two files (or two columns): those whose source line has its hash in `hashes`."""

    src: Side
    tgt: Side
    hashes: range = ALL_HASHES
    alignment: Path | None = None  # a file with a line for each pair, which `links` reads
    is_reversed: bool = False  # the alignment is of the sides the other way round

    def __iter__(self) -> Iterator[Pair]:
        """Every pair that is kept, empty ones too. Raises UserError when a file is bad or the line counts differ."""
        return (pair for _, pair in self.numbered())

    def numbered(self, src_digest: Digest = None, tgt_digest: Digest = None) -> Iterator[tuple[int, Pair]]:
        """The same pairs with the numbers of their lines, from 1. The digests are fed the bytes of the two files."""
        sides = itertools.zip_longest(read_side(self.src, src_digest), read_side(self.tgt, tgt_digest))
        for number, (src, tgt) in enumerate(sides, start=1):
            if src is None or tgt is None:
                num_both, num_all = number - 1, number + sum(1 for _ in sides)
                counts = (num_both, num_all) if src is None else (num_all, num_both)
                raise UserError(
                    f"{self.src.path} has {counts[0]} lines but {self.tgt.path} has {counts[1]}; "
                    "parallel files have one line for each other"
                )
            if self.hashes is ALL_HASHES or line_hash(src) in self.hashes:
                yield number, Pair(src, tgt)


class Parts(NamedTuple):
    """One text in two, apart by source line: no source of one is in the other."""

    train: ParallelText
    valid: ParallelText


def text_of(data: DataSettings, src: str, tgt: str, alignment: str = "") -> ParallelText:
    """The text in the files as the settings have it read: which columns, and from which side to which."""
    sides = Side(Path(src), data.src_column), Side(Path(tgt), data.tgt_column)
    links = Path(alignment) if alignment else None
    return ParallelText(*(sides[::-1] if data.reverse else sides), alignment=links, is_reversed=data.reverse)


def is_tsv(path: Path) -> bool:
    """Whether a file is read by column."""
    return path.name.removesuffix(".gz").endswith(".tsv")


def read_lines(path: Path, digest: Digest = None) -> Iterator[str]:
    """The lines of a text file, plain or .gz. Raises UserError naming the file, and the line that is not UTF-8."""
    with open_unpacked(path, digest) as stream:
        yield from split_lines(stream, str(path))


def read_side(side: Side, digest: Digest = None) -> Iterator[str]:
    """The lines of one side. A file is read by column when it ends in .tsv or .tsv.gz, else by line."""
    lines = read_lines(side.path, digest)
    if not is_tsv(side.path):
        yield from lines
        return
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        if len(columns) < side.column:
            raise UserError(
                f"{side.path}: line {number} has {len(columns)} columns, and column {side.column} was asked for; "
                "columns are separated by tabs"
            )
        yield columns[side.column - 1]


def split_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """The lines of a byte stream. Raises UserError where one is not UTF-8, or over MAX_LINE_BYTES."""
    for number, raw in enumerate(raw_lines(stream), start=1):
        if len(raw) > MAX_LINE_BYTES:
            raise UserError(_too_long(name, number))
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}: line {number} is not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8"
            ) from None
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        yield line.removesuffix("\n").removesuffix("\r")


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines with their ends. One over MAX_LINE_BYTES comes in parts, each but the last longer than that.

    So no more than a part is ever in memory, also of a file that has no line ends.
    """
    return iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")


def count_lines(path: Path) -> int:
    """The lines that `read_lines` gives, without making them. Raises UserError as it does, but for UTF-8."""
    num_lines, last = 0, b"\n"
    with open_unpacked(path) as stream:
        while block := stream.read(BLOCK_BYTES):
            if len(block) == BLOCK_BYTES and b"\n" not in block:
                raise UserError(_too_long(str(path), num_lines + 1))
            num_lines += block.count(b"\n")
            last = block[-1:]
    return num_lines + (last != b"\n")


@contextmanager
def open_unpacked(path: Path, digest: Digest = None) -> Iterator[BinaryIO]:
    """What a plain or .gz file holds. Raises UserError where the file is not there, or within the block not whole.

    digest: is fed the bytes of the file as they are read, still packed.
    """
    try:
        with _open_text(path, digest) as stream:
            if path.suffix != ".gz":
                yield stream
                return
            with gzip.open(stream) as unpacked:
                yield cast("BinaryIO", unpacked)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not a whole gzip file ({error}); fetch or pack it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def digest_of_text(path: Path) -> str:
    """SHA-256 of what a text file holds, unpacked. Raises UserError as `read_lines` does for any of its lines."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    try:
        with open_unpacked(path) as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        deque(read_lines(path), maxlen=0)  # which names the line
        raise
    return digest.hexdigest()


def check_stays(*paths: Path) -> None:
    """Raises UserError for a pipe or a device: a text that is trained on is read several times."""
    for path in paths:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: a pipe or a device, and the text is read several times; write it to a file first")


def line_hash(line: str) -> int:
    """64 bits of it, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest())


def split(text: ParallelText, at: int) -> Parts:
    """The parts for training and validation: pairs whose source line has its hash from `at` on, and below it.

    The choice by hash does not depend on the order of the lines, and one number stores it.
    """
    return Parts(
        replace(text, hashes=range(at, ALL_HASHES.stop)),
        replace(text, hashes=range(at)),
    )


def fingerprint(text: ParallelText) -> str:
    """SHA-256 of what the text's files hold."""
    digest = hashlib.sha256()
    for path in text.src.path, text.tgt.path, *([text.alignment] if text.alignment else []):
        digest.update(digest_of_file(path))
    return digest.hexdigest()


def digest_of_file(path: Path) -> bytes:
    """SHA-256 of a file as it lies on the disk."""
    with _open_text(path) as stream:
        return hashlib.file_digest(stream, "sha256").digest()


class _HashedFile(FileIO):
    """A file that feeds a digest as it is read."""

    def __init__(self, path: Path, digest: hashlib._Hash) -> None:
        super().__init__(path)
        self._digest = digest

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        return count


def _open_text(path: Path, digest: Digest = None) -> BufferedReader:
    try:
        return path.open("rb") if digest is None else BufferedReader(_HashedFile(path, digest))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give a text file") from None


def _too_long(name: str, number: int) -> str:
    return (
        f"{name}: line {number} is longer than {MAX_LINE_BYTES:,} bytes; is this a text file with one sentence a line?"
    )
