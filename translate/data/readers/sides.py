"""One side of a parallel text: files, read one after the other in the formats indicated by their names."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from translate.config.files import unpacked_name
from translate.config.limits import Column, Header
from translate.data.readers import csv_table, json_lines, moses_zip, tmx, tsv
from translate.data.readers.lines import (
    BLOCK_BYTES,
    BadLineError,
    Digest,
    UnreadableLineError,
    open_binary,
    open_file,
    open_unpacked,
    read_lines,
)
from translate.data.readers.packings import is_packed
from translate.data.readers.rows import Row, Wanted
from translate.errors import UserError


class Format(NamedTuple):
    """How files that hold both sides are read."""

    unit: str  # what is counted
    rows: Callable[[BinaryIO, Wanted], Iterator[Row]]
    open: Callable[[Path, Digest], AbstractContextManager[BinaryIO]] = open_unpacked


@contextmanager
def _open_archive(path: Path, digest: Digest) -> Iterator[BinaryIO]:
    """Open a file that is not read in order. The digest is updated first."""
    if is_packed(path):
        raise UserError(f"{path}: a packed archive; unpack it to {path.stem}")
    if digest:
        with open_file(path, digest) as stream:
            while stream.read(BLOCK_BYTES):
                pass
    with open_binary(path) as stream:
        yield stream


JSON = Format("line", json_lines.rows)
FORMATS = {  # by suffix, before that of a packing; all other files are plain text
    ".tsv": Format("line", tsv.rows),
    ".csv": Format("row", csv_table.rows),
    ".jsonl": JSON,
    ".ndjson": JSON,
    ".json": JSON,
    ".tmx": Format("unit", tmx.rows, open_binary),
    ".zip": Format("line", moses_zip.rows, _open_archive),
}


class Side(NamedTuple):
    """One or more files and the column to read, by number from 1 or by name (ignored for plain text)."""

    path: Path
    column: Column
    header: Header = "auto"  # whether row 1 of a table is a header
    more: tuple[Path, ...] = ()  # files that follow

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.path, *self.more

    @property
    def name(self) -> str:
        """The file or files, for messages."""
        return f"{self.path} and {len(self.more)} more" if self.more else str(self.path)

    @property
    def files(self) -> list[Side]:
        """The side of each file."""
        return [self._replace(path=path, more=()) for path in self.paths]

    @property
    def format(self) -> Format | None:
        """The format of the first file, or None for plain text, in which each line is a sentence."""
        return format_of(self.path)


class Columns(NamedTuple):
    """Where the sides are in files that hold both."""

    src: Column = 1
    tgt: Column = 2
    header: Header = "auto"

    def changed(self, src: Column | None, tgt: Column | None) -> Columns:
        """Return the columns with those that are given instead."""
        return Columns(src or self.src, tgt or self.tgt, self.header)

    def sides(self, src: Path, *tgts: Path) -> list[Side]:
        """Return the sides in a source file and in target files."""
        return [Side(src, self.src, self.header), *(Side(tgt, self.tgt, self.header) for tgt in tgts)]


def format_of(path: Path) -> Format | None:
    """Return the format of a file according to its name, or None for plain text."""
    name = unpacked_name(path).lower()
    return next((format_ for suffix, format_ in FORMATS.items() if name.endswith(suffix)), None)


def wanted_of(order: dict[int, str], *sides: Side) -> Wanted:
    """Return what to read from a file for one side or for both. order: see `Wanted`."""
    first = sides[0]
    return Wanted(first.path, tuple(side.column for side in sides), first.header, order)


def read_side(side: Side, digest: Digest = None) -> Iterator[str]:
    """Yield the sentences of a side. digest: see `open_unpacked`. Raises UserError if a line cannot be read."""
    order: dict[int, str] = {}
    for file in side.files:
        if file.format:
            yield from (text for (text,) in read_rows(wanted_of(order, file), digest))
        else:
            yield from read_lines(file.path, digest)


def digest_of_side(side: Side) -> str:
    """Return the SHA-256 of the files of a side. Raises UserError if a line cannot be read."""
    digest = hashlib.sha256()
    deque(read_side(side, digest), maxlen=0)
    return digest.hexdigest()


def read_rows(wanted: Wanted, digest: Digest = None) -> Iterator[tuple[str, ...]]:
    """Yield the wanted columns of a file that is not plain text. Raises UserError if a row cannot be read."""
    format_ = format_of(wanted.path)
    assert format_
    for number, row in enumerate(rows_or_errors(wanted, digest), start=1):
        if isinstance(row, BadLineError):
            raise UnreadableLineError(f"{wanted.path}: {format_.unit} {number} {row}")
        if row is not None:
            yield row


def rows_or_errors(wanted: Wanted, digest: Digest = None) -> Iterator[Row]:
    """Yield what `read_rows` does, the reason for each row that cannot be read, and None for a header."""
    format_ = format_of(wanted.path)
    assert format_
    with format_.open(wanted.path, digest) as stream:
        yield from format_.rows(stream, wanted)
