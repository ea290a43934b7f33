"""Parallel text, read as a stream: lines, pairs, the part kept for validation, fingerprints.

Text is UTF-8. A line ends at "\\n" and nowhere else: U+2028, U+0085 and their like belong to the line, so that line
numbers here are those of `wc -l` and of every editor. A "\\r" before the end and a byte-order mark at the start are
dropped.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from translate.errors import UserError

BYTE_ORDER_MARK = "\ufeff"


class Pair(NamedTuple):
    """A source line and its translation."""

    src: str
    tgt: str

    @property
    def is_full(self) -> bool:
        """Whether there is text on both sides; a pair with an empty side is left out as a whole."""
        return bool(self.src.strip() and self.tgt.strip())


class Side(NamedTuple):
    """One side of a parallel text: a file and, where it is a .tsv file, the column (from 1) to read."""

    path: Path
    column: int


@dataclass(frozen=True)
class ParallelText:
    """Pairs of lines from two files (or two columns), of which `keep` chooses by the source line."""

    src: Side
    tgt: Side
    keep: Callable[[str], bool] = lambda line: True

    def __iter__(self) -> Iterator[Pair]:
        """Every pair that is kept, empty ones too. Raises UserError when a file is bad or the line counts differ."""
        sides = itertools.zip_longest(_read_side(self.src), _read_side(self.tgt))
        for number, (src, tgt) in enumerate(sides):
            if src is None or tgt is None:
                rest = sum(1 for _ in sides) + 1
                counts = (number, number + rest) if src is None else (number + rest, number)
                raise UserError(
                    f"{self.src.path} has {counts[0]} lines but {self.tgt.path} has {counts[1]}; "
                    "parallel files have one line for each other"
                )
            if self.keep(src):
                yield Pair(src, tgt)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, plain or .gz. Raises UserError naming the file, and the line that is not UTF-8."""
    with _open_text(path) as stream:
        if path.suffix != ".gz":
            yield from split_lines(stream, str(path))
            return
        try:
            with gzip.open(stream) as unpacked:
                yield from split_lines(unpacked, str(path))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"{path}: not a whole gzip file ({error}); fetch or pack it again") from None


def split_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a byte stream. Raises UserError where one is not UTF-8."""
    for number, raw in enumerate(stream, start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}: line {number} is not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8"
            ) from None
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        yield line.removesuffix("\n").removesuffix("\r")


def split_off(text: ParallelText, valid_pairs: int) -> tuple[ParallelText, ParallelText]:
    """Training and validation parts of one text, apart by source line: no source of one is in the other.

    The choice hashes the source line, so it does not depend on the order of the lines and needs no storing. The part
    for validation has about `valid_pairs` pairs, a twentieth of the text at most.
    """
    num_pairs = sum(1 for pair in text if pair.is_full)
    size = max(1, min(valid_pairs, num_pairs // 20))
    threshold = max(heapq.nsmallest(size, (_hash(pair.src) for pair in text if pair.is_full)), default=0)
    training = ParallelText(text.src, text.tgt, lambda line: _hash(line) > threshold)
    validation = ParallelText(text.src, text.tgt, lambda line: _hash(line) <= threshold)
    return training, validation


def fingerprint(text: ParallelText) -> str:
    """SHA-256 of what the text's files hold."""
    digest = hashlib.sha256()
    for side in text.src, text.tgt:
        with _open_text(side.path) as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _open_text(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give a text file") from None


def _read_side(side: Side) -> Iterator[str]:
    """The lines of one side. A file is read by column when it ends in .tsv or .tsv.gz, else by line."""
    lines = read_lines(side.path)
    if not side.path.name.removesuffix(".gz").endswith(".tsv"):
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


def _hash(line: str) -> int:
    return int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest())
