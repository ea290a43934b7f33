"""Parallel text read whatever is wrong with it, for the check. `text` reads the same lines, and stops at the first
mistake."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from translate.data.parallel_text import BYTE_ORDER_MARK, MAX_LINE_BYTES, Pair, Side, is_tsv, open_unpacked, raw_lines
from translate.errors import UserError

Trouble = Literal["not_utf8", "endless", "columns", "crlf", "bom"]
STOPPING: tuple[Trouble, ...] = ("not_utf8", "endless", "columns")  # with which training cannot begin
MAX_PASSED_OVER = 100_000_000  # bytes of one line, after which a file is no text
SHOWN_BYTES = 1_000  # of a line that is not to be read
BLOCK_PAIRS = 4_000  # looked at together, if they are no more than
BLOCK_BYTES = 4_000_000

RawPair = tuple[bytes | None, bytes | None]


class RoughLines(NamedTuple):
    """Some lines of a side, and what reading them met: troubles by row, of the few rows that have any."""

    texts: list[str]  # where a trouble stops training, only for showing
    troubles: dict[int, tuple[Trouble, ...]]

    def text(self, row: int) -> str:
        """The text of a row, "" where the file has ended before."""
        return self.texts[row] if row < len(self.texts) else ""

    def is_usable(self, row: int) -> bool:
        """Whether training could go on beyond this row."""
        return not any(trouble in STOPPING for trouble in self.troubles.get(row, ()))


@dataclass(frozen=True)
class RoughBlock:
    """Some lines of both sides; of one there may be fewer, where its file has ended."""

    first: int  # number of the first line, from 1
    src: RoughLines
    tgt: RoughLines

    def __len__(self) -> int:
        return max(len(self.src.texts), len(self.tgt.texts))

    @property
    def unusable(self) -> list[int]:
        """Rows that are no pair, or that training would stop at."""
        rows = sorted({*self.src.troubles, *self.tgt.troubles})
        stopping = [row for row in rows if not (self.src.is_usable(row) and self.tgt.is_usable(row))]
        return [*stopping, *range(min(len(self.src.texts), len(self.tgt.texts)), len(self))]

    @property
    def pairs(self) -> list[Pair]:
        """What training would read; an empty pair where it could not."""
        pairs = list(itertools.starmap(Pair, itertools.zip_longest(self.src.texts, self.tgt.texts, fillvalue="")))
        for row in self.unusable:
            pairs[row] = Pair("", "")
        return pairs


def rough_blocks(src: Side, tgt: Side) -> Iterator[RoughBlock]:
    """All lines of two sides, to the end of the longer. Raises UserError where a file is not there, or no text."""
    first = 1
    for raws in _blocks(itertools.zip_longest(_raw_side(src), _raw_side(tgt))):
        sides = [[raw for raw in raws_of_side if raw is not None] for raws_of_side in zip(*raws, strict=True)]
        lines = [rough_lines(raws, side, first == 1) for raws, side in zip(sides, (src, tgt), strict=True)]
        yield RoughBlock(first, *lines)
        first += len(raws)


def raw_pairs(src: Side, tgt: Side) -> Iterator[tuple[bytes, bytes]]:
    """The lines of two sides as they stand in the files, to the end of the shorter."""
    return zip(_raw_side(src), _raw_side(tgt), strict=False)


def rough_lines(raws: Sequence[bytes], side: Side, is_start: bool) -> RoughLines:
    """What some lines of a side hold. is_start: whether the first is the first of the file."""
    try:
        if max(map(len, raws), default=0) > MAX_LINE_BYTES:
            raise ValueError
        text = b"".join(raws).decode("utf-8")
    except ValueError:
        text = "\r"  # the lines have to be looked at one by one
    if "\r" not in text and not (is_start and text.startswith(BYTE_ORDER_MARK)):
        lines = RoughLines(text.split("\n")[: len(raws)], {})
    else:
        found = [_rough_line(raw, is_start and row == 0) for row, raw in enumerate(raws)]
        troubles = {row: troubles for row, (_, troubles) in enumerate(found) if troubles}
        lines = RoughLines([text for text, _ in found], troubles)
    return _column(lines, side.column) if is_tsv(side.path) else lines


def _blocks(raws: Iterator[RawPair]) -> Iterator[list[RawPair]]:
    block, num_bytes = list[RawPair](), 0
    for pair in raws:
        block.append(pair)
        num_bytes += len(pair[0] or b"") + len(pair[1] or b"")
        if len(block) == BLOCK_PAIRS or num_bytes > BLOCK_BYTES:
            yield block
            block, num_bytes = [], 0
    if block:
        yield block


def _column(lines: RoughLines, number: int) -> RoughLines:
    texts, troubles = list(lines.texts), dict(lines.troubles)
    for row, text in enumerate(texts):
        columns = text.split("\t")
        if len(columns) >= number:
            texts[row] = columns[number - 1]
        elif lines.is_usable(row):
            troubles[row] = (*troubles.get(row, ()), "columns")
    return RoughLines(texts, troubles)


def _raw_side(side: Side) -> Iterator[bytes]:
    """A line each, with its end, though an endless one is cut."""
    with open_unpacked(side.path) as stream:
        parts = raw_lines(stream)
        for raw in parts:
            yield raw
            if len(raw) > MAX_LINE_BYTES:
                _pass_over(raw, parts, side)


def _pass_over(part: bytes, parts: Iterator[bytes], side: Side) -> None:
    """Read to the end of a line of which `part` is the first part."""
    num_passed = len(part)
    while len(part) > MAX_LINE_BYTES and not part.endswith(b"\n"):
        part = next(parts, b"")
        num_passed += len(part)
        if num_passed > MAX_PASSED_OVER:
            raise UserError(
                f"{side.path}: a line of more than {MAX_PASSED_OVER:,} bytes; this is no text file with one sentence "
                "a line"
            )


def _rough_line(raw: bytes, is_first: bool) -> tuple[str, tuple[Trouble, ...]]:
    if len(raw) > MAX_LINE_BYTES:
        return raw[:SHOWN_BYTES].decode("utf-8", "replace"), ("endless",)
    troubles: list[Trouble] = []
    try:
        text = raw.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        return raw[:SHOWN_BYTES].decode("utf-8", "backslashreplace").rstrip("\r\n"), ("not_utf8",)
    if is_first and text.startswith(BYTE_ORDER_MARK):
        text = text.removeprefix(BYTE_ORDER_MARK)
        troubles.append("bom")
    if text.endswith("\r"):
        text = text.removesuffix("\r")
        troubles.append("crlf")
    return text, tuple(troubles)
