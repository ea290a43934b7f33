"""A single scan of a text finds the same values as separate passes."""

from __future__ import annotations

import gzip
import heapq
from pathlib import Path

import pytest

from translate.data.filters import sample, shortened
from translate.data.parallel_text import ParallelText, fingerprint, line_hash, split
from translate.data.readers.sides import Side
from translate.data.text_scan import scan_text


def text_of(folder: Path, src: bytes, tgt: bytes) -> ParallelText:
    (folder / "a.en").write_bytes(src)
    (folder / "a.fr").write_bytes(tgt)
    return ParallelText(Side(folder / "a.en", 1), Side(folder / "a.fr", 1))


@pytest.mark.parametrize("valid_pairs", [1, 7, 40, 5000])
def test_a_scan_matches_separate_passes(tmp_path: Path, valid_pairs: int) -> None:
    sources = "".join("\n" if i % 11 == 0 else f"sentence {i % 700}\u2028 \r{i % 3}\r\n" for i in range(2000)).encode()
    targets = "".join(" \n" if i % 13 == 0 else f"phrase {i}\n" for i in range(2000)).encode()
    text = text_of(tmp_path, sources, targets)
    full = [pair for pair in text if pair.is_full]
    hashes = heapq.nsmallest(valid_pairs, (line_hash(pair.src) for pair in full))
    scan = scan_text(text, valid_pairs)
    assert (scan.num_lines, scan.num_pairs) == (2000, len(full))
    assert scan.sample == sample(map(shortened, text))
    assert scan.fingerprint == fingerprint(text)
    assert scan.split_at == hashes[min(valid_pairs, len(full) // 20) - 1] + 1
    assert list(scan.valid_pairs()) == list(scan.valid_pairs()) == list(split(text, scan.split_at).valid)


def test_the_fingerprint_covers_the_compressed_files_and_the_alignment(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo\n" * 50_000) + gzip.compress(b"three\n"))
    (tmp_path / "a.tsv").write_bytes(b"x\teins\n" * 100_001)
    (tmp_path / "a.align").write_bytes(b"0-0\n" * 100_001)
    text = ParallelText(Side(tmp_path / "a.gz", 1), Side(tmp_path / "a.tsv", 2), alignment=tmp_path / "a.align")
    assert scan_text(text).fingerprint == fingerprint(text)
    assert list(scan_text(text).valid_pairs()) == []


def test_the_validation_split_shares_no_source_with_training(tmp_path: Path) -> None:
    sources = [f"sentence {i % 300}" for i in range(1000)]
    lines = "".join(f"{line}\n" for line in sources).encode()
    text = text_of(tmp_path, lines, lines)
    train, valid = split(text, scan_text(text, valid_pairs=30).split_at)
    assert not {pair.src for pair in train} & {pair.src for pair in valid}
    assert len(list(train)) + len(list(valid)) == 1000
    assert 30 <= len(list(valid)) < 40
    assert sorted([*train, *valid]) == sorted(text)


def test_at_most_a_twentieth_of_a_small_text_is_split_off(tmp_path: Path) -> None:
    lines = "".join(f"sentence {i}\n" for i in range(201)).encode()
    text = text_of(tmp_path, lines, lines)
    assert len(list(split(text, scan_text(text, valid_pairs=100).split_at).valid)) == 10


def test_nothing_is_split_off_a_text_that_is_too_small_to_spare_it(tmp_path: Path) -> None:
    lines = "".join(f"sentence {i}\n" for i in range(200)).encode()
    assert scan_text(text_of(tmp_path, lines, lines), valid_pairs=100).split_at == 0


def test_an_empty_text_cannot_be_split(tmp_path: Path) -> None:
    text = text_of(tmp_path, b"\n\n", b"\n\n")
    assert list(split(text, scan_text(text, valid_pairs=5).split_at).valid) == []
