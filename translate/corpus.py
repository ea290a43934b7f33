"""Parallel text -> checked pairs -> pieces, encoded once into memory-mapped files.

Text is UTF-8. A line ends at "\\n" and nowhere else: U+2028, U+0085 and their like belong to the line, so that line
numbers here are those of `wc -l` and of every editor. A "\\r" before the end and a byte-order mark at the start are
dropped. Text is read as a stream; nothing the size of the corpus is held in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from translate.errors import UserError
from translate.files import write_text
from translate.vocab import Vocab, VocabPair

BLOCK_PAIRS = 10_000  # encoded at a time
BYTE_ORDER_MARK = "\ufeff"
IntArray = npt.NDArray[np.integer[Any]]


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


class PieceRows:
    """Rows of piece ids of unequal length, end to end in one memory-mapped array."""

    def __init__(self, pieces: IntArray, lengths: IntArray) -> None:
        self.lengths = lengths
        self._pieces = pieces
        self._ends = np.cumsum(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> IntArray:
        end = self._ends[row]
        return self._pieces[end - self.lengths[row] : end]


@dataclass(frozen=True)
class CorpusReport:
    """What became of a text's pairs."""

    pairs: int
    empty: int
    too_long: int

    def __str__(self) -> str:
        text = f"{self.pairs:,} pairs"
        reasons = [f"{self.empty:,} empty on a side"] * bool(self.empty)
        reasons += [f"{self.too_long:,} over data.max_pieces"] * bool(self.too_long)
        return f"{text} ({' and '.join(reasons)} left out)" if reasons else text


@dataclass(frozen=True)
class EncodedCorpus:
    """A parallel text in pieces; each row ends with `</s>`."""

    src: PieceRows
    tgt: PieceRows
    report: CorpusReport

    def __len__(self) -> int:
        return len(self.src)


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


def encode(text: ParallelText, vocabs: VocabPair, max_pieces: int, base: Path) -> CorpusReport:
    """Write the text in pieces to the files `base`.*, leaving out pairs that are empty or too long on a side."""
    base.parent.mkdir(parents=True, exist_ok=True)
    # The manifest is removed first and written last: with it the rows are whole, without it they do not count.
    manifest = base.with_suffix(".json")
    manifest.unlink(missing_ok=True)
    pairs = empty = too_long = 0
    pairs_in = iter(text)
    with (
        closing(_RowWriter(base, "src", vocabs.src)) as src_rows,
        closing(_RowWriter(base, "tgt", vocabs.tgt)) as tgt_rows,
    ):
        while block := list(itertools.islice(pairs_in, BLOCK_PAIRS)):
            full = [pair for pair in block if pair.is_full]
            src_ids = vocabs.src.encode([pair.src for pair in full])
            tgt_ids = vocabs.tgt.encode([pair.tgt for pair in full])
            fits = [max(len(src), len(tgt)) <= max_pieces for src, tgt in zip(src_ids, tgt_ids, strict=True)]
            src_rows.add(list(itertools.compress(src_ids, fits)))
            tgt_rows.add(list(itertools.compress(tgt_ids, fits)))
            pairs += sum(fits)
            empty += len(block) - len(full)
            too_long += len(full) - sum(fits)
    report = CorpusReport(pairs, empty, too_long)
    write_text(manifest, json.dumps({"report": asdict(report), "sha256": _digest_of_rows(base)}) + "\n")
    return report


def open_corpus(base: Path, vocabs: VocabPair) -> EncodedCorpus | None:
    """The corpus that `encode` wrote to `base`.*, or None where there is none, or not just as it was written."""
    try:
        manifest = json.loads(base.with_suffix(".json").read_bytes())
        report = CorpusReport(**manifest["report"])
        if manifest["sha256"] != _digest_of_rows(base):
            return None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return EncodedCorpus(_open_rows(base, "src", vocabs.src), _open_rows(base, "tgt", vocabs.tgt), report)


class _RowWriter:
    """Appends rows of piece ids, each ended by `</s>`, to one file and their lengths to another."""

    def __init__(self, base: Path, side: str, vocab: Vocab) -> None:
        self._pieces = _pieces_path(base, side).open("wb")
        self._lengths = _lengths_path(base, side).open("wb")
        self._dtype = _piece_dtype(vocab)
        self._eos_id = vocab.eos_id

    def add(self, rows: list[list[int]]) -> None:
        ended = [[*row, self._eos_id] for row in rows]
        self._pieces.write(np.fromiter(itertools.chain.from_iterable(ended), self._dtype).tobytes())
        self._lengths.write(np.array([len(row) for row in ended], dtype=np.int32).tobytes())

    def close(self) -> None:
        for file in self._pieces, self._lengths:
            file.flush()
            os.fsync(file.fileno())
            file.close()


def _open_rows(base: Path, side: str, vocab: Vocab) -> PieceRows:
    lengths = np.fromfile(_lengths_path(base, side), dtype=np.int32)
    if not len(lengths):  # an empty file cannot be mapped
        return PieceRows(np.empty(0, _piece_dtype(vocab)), lengths)
    return PieceRows(np.memmap(_pieces_path(base, side), dtype=_piece_dtype(vocab), mode="r"), lengths)


def _digest_of_rows(base: Path) -> str:
    digest = hashlib.sha256()
    for side in "src", "tgt":
        for path in _pieces_path(base, side), _lengths_path(base, side):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _pieces_path(base: Path, side: str) -> Path:
    return base.with_name(f"{base.name}.{side}.pieces")


def _lengths_path(base: Path, side: str) -> Path:
    return base.with_name(f"{base.name}.{side}.lengths")


def _piece_dtype(vocab: Vocab) -> np.dtype[Any]:
    return np.min_scalar_type(vocab.size - 1)


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
