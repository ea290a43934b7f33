"""Ragged arrays in files: rows of numbers with different lengths, read on demand.

Each array, such as the pieces of the source side, has two files: `base`.NAME.pieces contains the numbers in all rows,
and `base`.NAME.lengths contains the length of each row (int32).
"""

from __future__ import annotations

import hashlib
import itertools
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from translate.data.readers.lines import digest_of_file
from translate.system.files import naming_disk_errors

COUNTED_BYTES = 2**22  # number of bytes to read at a time; a multiple of every dtype's item size

IntArray = npt.NDArray[np.integer[Any]]


class PieceRows:
    """Rows of piece ids or other numbers in a file, read on demand.

    With a memory map, reading a few hundred random batches would load the entire file into process memory.
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
        """Return the (size,) frequencies of the numbers below `size`. The file is read in blocks."""
        counts = np.zeros(size, dtype=np.int64)
        for offset in range(0, int(self.lengths.sum()) * self._dtype.itemsize, COUNTED_BYTES):
            block = os.pread(self._file, COUNTED_BYTES, offset)
            counts += np.bincount(np.frombuffer(block, self._dtype), minlength=size)
        return counts

    def __getitem__(self, row: int) -> IntArray:
        return self.pieces(np.array([row]))

    def pieces(self, rows: IntArray) -> IntArray:
        """Return the concatenated pieces of the given rows."""
        ends, lengths = self._ends[rows], self.lengths[rows]
        offsets = ((ends - lengths) * self._dtype.itemsize).tolist()
        sizes = (lengths * self._dtype.itemsize).tolist()
        return np.frombuffer(b"".join(map(os.pread, itertools.repeat(self._file), sizes, offsets)), self._dtype)


class Rows(NamedTuple):
    """Concatenated rows of pieces, with the length of each row."""

    pieces: IntArray
    lengths: IntArray  # (N,) int32


class HeldRows(PieceRows):
    """Rows in memory."""

    def __init__(self, rows: Rows) -> None:
        self.lengths = rows.lengths
        self._pieces, self._ends = rows.pieces, np.cumsum(rows.lengths, dtype=np.int64)

    def counts(self, size: int) -> IntArray:
        """Return the (size,) frequencies of the numbers below `size`."""
        return np.bincount(self._pieces, minlength=size)

    def pieces(self, rows: IntArray) -> IntArray:
        """Return the concatenated pieces of the given rows."""
        ends = self._ends[rows].tolist()
        starts = (self._ends[rows] - self.lengths[rows]).tolist()
        return np.concatenate([self._pieces[start:end] for start, end in zip(starts, ends, strict=True)])


def rows_of(rows: Sequence[Sequence[int]], dtype: np.dtype[Any]) -> Rows:
    """Concatenate rows and record their lengths."""
    numbers = np.fromiter(itertools.chain.from_iterable(rows), dtype)
    return Rows(numbers, np.array([len(row) for row in rows], dtype=np.int32))


class RowWriter:
    """A writer for the two files of an array. Its methods raise UserError if the disk is full or a write fails."""

    def __init__(self, base: Path, name: str) -> None:
        self._base = base.with_name(f"{base.name}.{name}")
        for path in paths_of(base, name):
            path.unlink(missing_ok=True)  # opening a pipe would block
        self._files = [path.open("wb") for path in paths_of(base, name)]

    def add(self, rows: Rows) -> None:
        """Append rows to both files."""
        with naming_disk_errors(self._base):
            for file, numbers in zip(self._files, rows, strict=True):
                file.write(numbers.tobytes())

    def close(self) -> None:
        """Flush all data to disk and close the files."""
        for file in self._files:
            with naming_disk_errors(self._base):
                file.flush()
                os.fsync(file.fileno())
                file.close()


def open_rows(base: Path, name: str, dtype: np.dtype[Any]) -> PieceRows:
    """Open the array that a RowWriter wrote to `base`.NAME.*."""
    pieces_path, lengths_path = paths_of(base, name)
    return PieceRows(pieces_path, dtype, np.fromfile(lengths_path, np.int32))


def digest_of_rows(base: Path, names: Sequence[str]) -> str:
    """Return the combined SHA-256 of the named arrays' files. Raises UserError if a file is missing."""
    digests = [digest_of_file(path) for name in names for path in paths_of(base, name)]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def paths_of(base: Path, name: str) -> tuple[Path, Path]:
    """Return the paths of an array's pieces file and lengths file."""
    return base.with_name(f"{base.name}.{name}.pieces"), base.with_name(f"{base.name}.{name}.lengths")
