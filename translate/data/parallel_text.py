"""Parallel text as a stream of pairs: reading, validation split and fingerprints."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from translate.config.limits import Column, Files, Header
from translate.config.settings import DataSettings
from translate.data.readers.lines import Digest, digest_of_file
from translate.data.readers.sides import Side, read_rows, read_side, wanted_of
from translate.errors import UserError

SAME_SIDES = (
    "pass the translations as the other side; a file with both sides must have a name that ends in .tsv, .csv, .jsonl, "
    ".tmx or .zip, and data.src_column and data.tgt_column must differ"
)
Digests: TypeAlias = "dict[Path, hashlib._Hash]"  # of the raw bytes of the files read so far
ALL_HASHES = range(2**64)


class Pair(NamedTuple):
    """A source line and its translation."""

    src: str
    tgt: str

    @property
    def is_full(self) -> bool:
        """Whether both sides contain text. Pairs with an empty side are always left out."""
        return bool(self.src.strip() and self.tgt.strip())

    @property
    def stripped(self) -> str:
        """Both sides as one string, without leading and trailing whitespace on either side."""
        return f"{self.src.strip()}\n{self.tgt.strip()}"


@dataclass(frozen=True)
class ParallelText:
    """The pairs of lines from two files (or columns) whose source-line hashes are in the range `hashes`.

    Each side may have several files, which are read one after the other: as many on each side, of as many lines.
    """

    src: Side
    tgt: Side
    hashes: range = ALL_HASHES
    alignment: Path | None = None  # file with word links, which `word_links` reads
    is_reversed: bool = False  # whether source and target are swapped in the alignment file

    @property
    def is_one_file(self) -> bool:
        """Whether both sides are in the same file, perhaps through a link."""
        return self.src.path.samefile(self.tgt.path)

    @property
    def unit(self) -> str:
        """What is counted: "line", or the unit of files that hold both sides."""
        return self.src.format.unit if self.src.format and self.src.path == self.tgt.path else "line"

    @property
    def paths(self) -> list[Path]:
        """All files of the text, twice if they are read twice."""
        return [*self.src.paths, *self.tgt.paths, *([self.alignment] if self.alignment else [])]

    @property
    def files(self) -> list[tuple[Side, Side]]:
        """The two sides of each file. Raises UserError if the sides have different numbers of files."""
        src, tgt = self.src.files, self.tgt.files
        if len(src) != len(tgt):
            counts = f"{len(src)} and {len(tgt)}, beginning with {self.src.path} and {self.tgt.path}"
            raise UserError(f"both sides must have the same number of files, but they have {counts}")
        return list(zip(src, tgt, strict=True))

    def __iter__(self) -> Iterator[Pair]:
        """Yield the selected pairs, including empty ones. Raises UserError if reading fails or line counts differ."""
        return (pair for _, pair in self.numbered())

    def numbered(self, digests: Digests | None = None) -> Iterator[tuple[int, Pair]]:
        """Yield the same pairs with their numbers in the text, from 1. digests: completed with those of the files."""
        order: dict[int, str] = {}
        pairs = itertools.chain.from_iterable(_pairs_of(src, tgt, digests, order) for src, tgt in self.files)
        for number, (src, tgt) in enumerate(pairs, start=1):
            if self.hashes is ALL_HASHES or line_hash(src) in self.hashes:
                yield number, Pair(src, tgt)


def _pairs_of(src: Side, tgt: Side, digests: Digests | None, order: dict[int, str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of two files, or of one, which is then read once if its format allows."""
    if src.path == tgt.path and src.format:
        rows = read_rows(wanted_of(order, src, tgt), _digest_of(src.path, digests))
        yield from ((row[0], row[1]) for row in rows)
        return
    streams = (read_side(side, _digest_of(side.path, digests)) for side in (src, tgt))
    lines = itertools.zip_longest(*streams)
    for number, (source, target) in enumerate(lines):
        if source is None or target is None:
            num_more = 1 + sum(1 for _ in lines)
            num_src, num_tgt = (number + (text is not None) * num_more for text in (source, target))
            raise UserError(
                f"{src.path} has {num_src} lines but {tgt.path} has {num_tgt}; "
                "parallel files must have the same number of lines"
            )
        yield source, target


def _digest_of(path: Path, digests: Digests | None) -> Digest:
    """Return a digest to update, unless the file is not to be digested or has been, as the other side."""
    if digests is None or path in digests:
        return None
    return digests.setdefault(path, hashlib.sha256())


class TextSplit(NamedTuple):
    """The training and validation parts of a text, which have no source lines in common."""

    train: ParallelText
    valid: ParallelText


def text_of(data: DataSettings, src: Files, tgt: Files, alignment: str = "") -> ParallelText:
    """Return the parallel text in the given files. The settings define the columns and the direction.

    Raises UserError if a file is a pipe or device, because the text is read several times.
    """
    sides = side_of(src, data.src_column, data.header), side_of(tgt, data.tgt_column, data.header)
    links = Path(alignment) if alignment else None
    text = ParallelText(*(sides[::-1] if data.reverse else sides), alignment=links, is_reversed=data.reverse)
    for path in text.paths:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is a pipe or device, but the text is read several times; write it to a file first")
    return text


def training_text(data: DataSettings) -> ParallelText:
    """Return the text that a run with these settings was trained on. Raises UserError if a file no longer exists."""
    text = text_of(data, data.train_src, data.train_tgt)
    if missing := [path for path in text.paths if not path.exists()]:
        raise UserError(f"{missing[0]}, of the run's training text, is missing; restore it")
    return text


def side_of(files: Files | Path, column: Column, header: Header) -> Side:
    """Return the side that is in one or more files."""
    first, *more = map(Path, files if isinstance(files, tuple) else (files,))
    return Side(first, column, header, tuple(more))


def line_hash(line: str) -> int:
    """Return the 64-bit BLAKE2b hash of a line."""
    return int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest())


def split(text: ParallelText, at: int) -> TextSplit:
    """Split a text by source-line hashes, regardless of line order. Pairs with hashes below `at` go to validation."""
    return TextSplit(replace(text, hashes=range(at, ALL_HASHES.stop)), replace(text, hashes=range(at)))


def fingerprint(text: ParallelText, digests: Digests | None = None) -> str:
    """Return the combined SHA-256 of a text's files, without decompressing them. digests: those that are known."""
    known = {path: digest.digest() for path, digest in (digests or {}).items()}
    parts = [known[path] if path in known else digest_of_file(path) for path in text.paths]
    return hashlib.sha256(b"".join(parts)).hexdigest()
