"""Parallel text as a stream of pairs: reading, validation split and fingerprints."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from translate.config.settings import DataSettings
from translate.data.readers.lines import Digest, digest_of_file
from translate.data.readers.sides import Side, read_side
from translate.errors import UserError

SAME_SIDES = (
    "pass the translations as the other side; a file with both sides must have columns separated by tabs and a name "
    "that ends in .tsv, and data.src_column and data.tgt_column must differ"
)
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
    """The pairs of lines from two files (or columns) whose source-line hashes are in the range `hashes`."""

    src: Side
    tgt: Side
    hashes: range = ALL_HASHES
    alignment: Path | None = None  # file with word links, which `word_links` reads
    is_reversed: bool = False  # whether source and target are swapped in the alignment file

    @property
    def is_one_file(self) -> bool:
        """Whether both sides are in the same file, perhaps through a link."""
        return self.src.path.samefile(self.tgt.path)

    def __iter__(self) -> Iterator[Pair]:
        """Yield the selected pairs, including empty ones. Raises UserError if reading fails or line counts differ."""
        return (pair for _, pair in self.numbered())

    def numbered(self, src_digest: Digest = None, tgt_digest: Digest = None) -> Iterator[tuple[int, Pair]]:
        """Yield the same pairs with line numbers, from 1. src_digest, tgt_digest: see `open_unpacked`."""
        sides = itertools.zip_longest(read_side(self.src, src_digest), read_side(self.tgt, tgt_digest))
        for number, (src, tgt) in enumerate(sides, start=1):
            if src is None or tgt is None:
                counts = number - 1, number + sum(1 for _ in sides)
                num_src, num_tgt = counts if src is None else counts[::-1]
                raise UserError(
                    f"{self.src.path} has {num_src} lines but {self.tgt.path} has {num_tgt}; "
                    "parallel files must have the same number of lines"
                )
            if self.hashes is ALL_HASHES or line_hash(src) in self.hashes:
                yield number, Pair(src, tgt)


class TextSplit(NamedTuple):
    """The training and validation parts of a text, which have no source lines in common."""

    train: ParallelText
    valid: ParallelText


def text_of(data: DataSettings, src: str, tgt: str, alignment: str = "") -> ParallelText:
    """Return the parallel text in the given files. The settings define the columns and the direction."""
    sides = Side(Path(src), data.src_column), Side(Path(tgt), data.tgt_column)
    links = Path(alignment) if alignment else None
    return ParallelText(*(sides[::-1] if data.reverse else sides), alignment=links, is_reversed=data.reverse)


def check_stays(*paths: Path) -> None:
    """Raise UserError if a path is a pipe or device, because the text is read several times."""
    for path in paths:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is a pipe or device, but the text is read several times; write it to a file first")


def line_hash(line: str) -> int:
    """Return the 64-bit BLAKE2b hash of a line."""
    return int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest())


def split(text: ParallelText, at: int) -> TextSplit:
    """Split a text by source-line hashes, regardless of line order. Pairs with hashes below `at` go to validation."""
    return TextSplit(replace(text, hashes=range(at, ALL_HASHES.stop)), replace(text, hashes=range(at)))


def fingerprint(text: ParallelText) -> str:
    """Return the combined SHA-256 of a text's files, without decompressing them."""
    paths = filter(None, (text.src.path, text.tgt.path, text.alignment))
    return hashlib.sha256(b"".join(map(digest_of_file, paths))).hexdigest()
