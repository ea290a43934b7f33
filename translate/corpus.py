"""Checked pairs in pieces, encoded once into memory-mapped files."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from translate.files import write_text
from translate.text import ParallelText
from translate.vocab import Vocab, VocabPair

BLOCK_PAIRS = 10_000  # encoded at a time
IntArray = npt.NDArray[np.integer[Any]]


class PieceRows:
    """Rows of piece ids of unequal length, end to end in one memory-mapped array."""

    def __init__(self, pieces: IntArray, lengths: IntArray) -> None:
        self.lengths = lengths
        self._pieces = pieces
        self._ends = np.cumsum(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> IntArray:
        return self.pieces(np.array([row]))

    def pieces(self, rows: IntArray) -> IntArray:
        """The pieces of some rows, end to end."""
        lengths = self.lengths[rows]
        before = np.cumsum(lengths) - lengths
        return self._pieces[np.arange(lengths.sum()) + np.repeat(self._ends[rows] - lengths - before, lengths)]


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
