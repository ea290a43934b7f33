"""Ragged arrays in files: rows of numbers of unequal length, read on demand.

Each array, such as the pieces of the source side, has two files: `base`.NAME.pieces contains the numbers of all rows,
`base`.NAME.lengths the length of each row (int32).
"""

from __future__ import annotations

import hashlib
import itertools
import os
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from translate.system.files import naming_disk_errors

COUNTED_BYTES = 2**22  # bytes read at a time; a multiple of the size of every dtype

IntArray = npt.NDArray[np.integer[Any]]


class PieceRows:
    """Rows of piece ids or other numbers in a file, read on demand.

    A memory map would be as simple, but every page that is read counts towards the memory of this process: after a few
    hundred random batches, the whole file.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], lengths: IntArray) -> None:
        self.lengths = lengths  # (N,) int32
        self._dtype = dtype
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self.lengths)

    def counts(self, size: int) -> IntArray:
        """Return the frequency of each number below `size`: (size,). The file is read as a stream."""
        counts = np.zeros(size, dtype=np.int64)
        for offset in range(0, int(self.lengths.sum()) * self._dtype.itemsize, COUNTED_BYTES):
            block = os.pread(self._file, COUNTED_BYTES, offset)
            counts += np.bincount(np.frombuffer(block, self._dtype), minlength=size)
        return counts

    def __getitem__(self, row: int) -> IntArray:
        return self.pieces(np.array([row]))

    def pieces(self, rows: IntArray) -> IntArray:
        """Return the pieces of some rows, concatenated."""
        ends, lengths = self._ends[rows], self.lengths[rows]
        offsets = ((ends - lengths) * self._dtype.itemsize).tolist()
        sizes = (lengths * self._dtype.itemsize).tolist()
        read = map(os.pread, itertools.repeat(self._file), sizes, offsets)
        return np.frombuffer(b"".join(read), self._dtype)


@dataclass(frozen=True)
class NumberRows:
    """Rows of one number each, read on demand and not kept in memory."""

    base: Path
    name: str
    dtype: np.dtype[Any]

    def numbers(self, rows: Iterable[int]) -> IntArray:
        """Return the numbers of some rows."""
        size = self.dtype.itemsize
        with _pieces_path(self.base, self.name).open("rb") as file:
            read = [os.pread(file.fileno(), size, int(row) * size) for row in rows]
        return np.frombuffer(b"".join(read), self.dtype)


class Rows(NamedTuple):
    """Concatenated rows of pieces and the length of each row."""

    pieces: IntArray
    lengths: IntArray  # (N,) int32


def rows_of(rows: Sequence[Sequence[int]], dtype: np.dtype[Any]) -> Rows:
    """Concatenate rows."""
    numbers = np.fromiter(itertools.chain.from_iterable(rows), dtype)
    return Rows(numbers, np.array([len(row) for row in rows], dtype=np.int32))


class RowWriter:
    """Writes rows to the files of `base`.NAME. All methods raise UserError if the disk is full or fails."""

    def __init__(self, base: Path, name: str) -> None:
        self._base = base.with_name(f"{base.name}.{name}")
        self._pieces = _pieces_path(base, name).open("wb")
        self._lengths = _lengths_path(base, name).open("wb")

    def add(self, rows: Rows) -> None:
        """Append rows."""
        with naming_disk_errors(self._base):
            self._pieces.write(rows.pieces.tobytes())
            self._lengths.write(rows.lengths.tobytes())

    def close(self) -> None:
        """Flush everything to the disk and close the files."""
        for file in self._pieces, self._lengths:
            with naming_disk_errors(self._base):
                file.flush()
                os.fsync(file.fileno())
                file.close()


def open_rows(base: Path, name: str, dtype: np.dtype[Any]) -> PieceRows:
    """Open the rows that a RowWriter wrote to `base`.NAME."""
    return PieceRows(_pieces_path(base, name), dtype, np.fromfile(_lengths_path(base, name), np.int32))


def digest_of_rows(base: Path, names: Sequence[str]) -> str:
    """Return the SHA-256 of all files of the named arrays. Raises FileNotFoundError if one is missing."""
    digest = hashlib.sha256()
    for name in names:
        for path in _pieces_path(base, name), _lengths_path(base, name):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _pieces_path(base: Path, name: str) -> Path:
    return base.with_name(f"{base.name}.{name}.pieces")


def _lengths_path(base: Path, name: str) -> Path:
    return base.with_name(f"{base.name}.{name}.lengths")
