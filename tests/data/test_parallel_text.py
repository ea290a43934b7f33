"""Reading parallel text from files."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest

from translate.data.parallel_text import ParallelText, fingerprint
from translate.data.readers.lines import MAX_LINE_BYTES, count_lines, read_lines, split_lines
from translate.data.readers.sides import Side
from translate.errors import UserError


def text_of(folder: Path, src: bytes, tgt: bytes) -> ParallelText:
    (folder / "a.en").write_bytes(src)
    (folder / "a.fr").write_bytes(tgt)
    return ParallelText(Side(folder / "a.en", 1), Side(folder / "a.fr", 2))


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes("\ufeffone\r\ntwo\u2028still two\x85and\x0b\x0c\x1cmore\n\nfour\rstill four".encode())
    assert list(read_lines(path)) == ["one", "two\u2028still two\x85and\x0b\x0c\x1cmore", "", "four\rstill four"]


def test_gzip_is_read_like_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(b"eins\nzwei\n"))
    assert list(read_lines(path)) == ["eins", "zwei"]


# mtime: without it the header, and so the test's name, would be another in each of pytest's processes.
@pytest.mark.parametrize("content", [b"not gzip at all", gzip.compress(b"text\n" * 1000, mtime=0)[:-20]])
def test_a_broken_gzip_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.gz"
    path.write_bytes(content)
    for read in read_lines, count_lines:
        with pytest.raises(UserError, match=r"t\.gz: incomplete or damaged gzip file"):
            list(read(path))


@pytest.mark.parametrize("content", [b"", b"\n", b"one", b"one\n\ntwo", b"one\r\n\xe2\x80\xa8\n", b"line\n" * 300_000])
def test_lines_are_counted_as_they_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    packed = tmp_path / "t.gz"
    packed.write_bytes(gzip.compress(content))
    assert count_lines(path) == count_lines(packed) == len(list(read_lines(path)))


@pytest.mark.parametrize("is_packed", [False, True])
def test_an_overlong_line_is_named_without_reading_all_of_it(tmp_path: Path, is_packed: bool) -> None:
    path = tmp_path / ("t.gz" if is_packed else "t")
    longest = b"x" * (MAX_LINE_BYTES - 1) + b"\n"
    content = longest + b"two\n" + b"x" * 100 * MAX_LINE_BYTES
    path.write_bytes(gzip.compress(content, 1) if is_packed else content)
    tracemalloc.start()
    for read in read_lines, count_lines:
        with pytest.raises(UserError, match=r"t(\.gz)?: line 3 is longer than 1,000,000 bytes; is this a text file"):
            list(read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MAX_LINE_BYTES
    whole = longest + b"two\n"
    path.write_bytes(gzip.compress(whole) if is_packed else whole)
    assert [len(line) for line in read_lines(path)] == [MAX_LINE_BYTES - 1, 3]
    assert count_lines(path) == 2


def test_a_stream_is_read_only_as_far_as_requested() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stream, os.fdopen(write, "wb", buffering=0) as sender:
        lines = split_lines(stream, "standard input")
        for word in b"one", b"two":
            sender.write(word + b"\n")
            assert next(lines) == word.decode()


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(UserError, match=r"t: line 2 is not UTF-8 \(0xEF is byte 3 of the line\)"):
        list(read_lines(path))


@pytest.mark.parametrize(("src", "tgt", "counts"), [(b"a\nb\nc\n", b"x\n", "3.*1"), (b"a\n", b"x\ny\nz", "1.*3")])
def test_unequal_line_counts_name_both_files_and_counts(tmp_path: Path, src: bytes, tgt: bytes, counts: str) -> None:
    src_count, tgt_count = counts.split(".*")
    with pytest.raises(UserError, match=rf"a\.en has {src_count} lines but .*a\.fr has {tgt_count};"):
        list(text_of(tmp_path, src, tgt))


def test_tsv_columns_are_sides(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("Go.\tVa !\tCC-BY\nHi.\tSalut !\tCC-BY\n", encoding="utf-8")
    assert list(ParallelText(Side(path, 1), Side(path, 2))) == [("Go.", "Va !"), ("Hi.", "Salut !")]
    assert [pair.src for pair in ParallelText(Side(path, 2), Side(path, 1))] == ["Va !", "Salut !"]
    path.write_text("Go.\tVa !\nHi.\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.tsv: line 2 has 1 columns, but column 2 was requested"):
        list(ParallelText(Side(path, 1), Side(path, 2)))


def test_fingerprint_changes_with_the_text(tmp_path: Path) -> None:
    before = fingerprint(text_of(tmp_path, b"a\n", b"b\n"))
    assert fingerprint(text_of(tmp_path, b"a\n", b"b\n")) == before
    assert fingerprint(text_of(tmp_path, b"a\n", b"c\n")) != before
    assert fingerprint(text_of(tmp_path, b"b\n", b"a\n")) != before


def test_a_blank_line_of_a_tsv_file_is_a_pair_of_empty_sides(tmp_path: Path) -> None:
    """Whatever the case of the suffix, and whatever the columns."""
    path = tmp_path / "a.TSV"
    path.write_bytes(b"1\tGo.\tVa !\n\n \r\n\t\n2\tHi.\tSalut !\n")
    pairs = list(ParallelText(Side(path, 2), Side(path, 3)))
    assert pairs == [("Go.", "Va !"), ("", ""), ("", ""), ("", ""), ("Hi.", "Salut !")]
