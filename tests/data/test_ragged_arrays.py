"""Ragged arrays of numbers in files."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from translate.data import ragged_arrays as rows_module
from translate.data.ragged_arrays import PieceRows, RowWriter, open_rows, rows_of

DTYPE = np.dtype(np.uint16)


def written(base: Path) -> PieceRows:
    """Rows of 0 to 8 numbers below 400."""
    random = np.random.default_rng(1)
    writer = RowWriter(base, "src")
    writer.add(rows_of([random.integers(400, size=n % 9).tolist() for n in range(100)], DTYPE))
    writer.close()
    return open_rows(base, "src", DTYPE)


@pytest.mark.parametrize("block", [2, 64, 2**22])
def test_numbers_are_counted_over_all_blocks_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(rows_module, "COUNTED_BYTES", block)
    rows = written(tmp_path / "train")
    expected = np.bincount(rows.pieces(np.arange(100)), minlength=1000)
    assert np.array_equal(rows.counts(1000), expected)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not say which files are open")
def test_a_file_is_closed_when_its_rows_are_deleted(tmp_path: Path) -> None:
    num_open = len(list(Path("/proc/self/fd").iterdir()))
    rows = written(tmp_path / "train")
    assert len(list(Path("/proc/self/fd").iterdir())) == num_open + 1
    del rows
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == num_open


def test_a_closed_writer_has_synced_everything_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("translate.data.ragged_arrays.os.fsync", lambda file: synced.append(os.fstat(file).st_size))
    rows = written(tmp_path / "train")
    assert synced == [int(rows.lengths.sum()) * DTYPE.itemsize, len(rows) * 4]
