"""Read parallel text for the check: the same lines that `ParallelText` reads, along with any problems."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from translate.data.parallel_text import Pair
from translate.data.readers.lines import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    BadLineError,
    LineTrouble,
    decode_line,
    open_unpacked,
    raw_lines,
)
from translate.data.readers.sides import Format, Side
from translate.errors import UserError

Trouble = LineTrouble | Literal["crlf", "bom"]
MAX_SKIPPED_BYTES = 100_000_000  # maximum line length; a file with a longer line is not considered text
SHOWN_BYTES = 1_000  # number of bytes to show from an unreadable line
BLOCK_PAIRS, BLOCK_BYTES = 4_000, 4_000_000  # a block ends when it reaches the first limit or exceeds the second

RawPair = tuple[bytes | None, bytes | None]


class SideLines(NamedTuple):
    """Consecutive lines from one side, and the problems in individual rows."""

    texts: list[str]  # texts of rows that training could not read are for display only
    troubles: dict[int, tuple[Trouble, ...]]

    def text(self, row: int) -> str:
        """Return the text of a row, or "" past the end of the file."""
        return self.texts[row] if row < len(self.texts) else ""

    def is_usable(self, row: int) -> bool:
        """Return whether training could read this row."""
        return not set(self.troubles.get(row, ())) - {"crlf", "bom"}


@dataclass(frozen=True)
class LineBlock:
    """Consecutive lines from both sides. If one file ends early, its side has fewer lines."""

    first: int  # line number of the first row, from 1
    src: SideLines
    tgt: SideLines

    def __len__(self) -> int:
        return max(len(self.src.texts), len(self.tgt.texts))

    @property
    def num_pairs(self) -> int:
        """The number of rows that are present on both sides."""
        return min(len(self.src.texts), len(self.tgt.texts))

    @property
    def unusable(self) -> list[int]:
        """The rows that are missing on one side or would stop training with an error."""
        rows = sorted({*self.src.troubles, *self.tgt.troubles})
        stopping = [row for row in rows if not (self.src.is_usable(row) and self.tgt.is_usable(row))]
        return [*stopping, *range(self.num_pairs, len(self))]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs as training would read them, with an empty pair in place of each unusable row."""
        pairs = list(itertools.starmap(Pair, itertools.zip_longest(self.src.texts, self.tgt.texts, fillvalue="")))
        for row in self.unusable:
            pairs[row] = Pair("", "")
        return pairs


def read_blocks(src: Side, tgt: Side) -> Iterator[LineBlock]:
    """Yield all lines of both sides in blocks. Raises UserError if a file is missing or is not a text file."""
    first = 1
    for raws in _blocks(itertools.zip_longest(_raw_lines_of(src), _raw_lines_of(tgt))):
        sides = [[raw for raw in raws_of_side if raw is not None] for raws_of_side in zip(*raws, strict=True)]
        lines = [_decode_lines(raws, side, first == 1) for raws, side in zip(sides, (src, tgt), strict=True)]
        yield LineBlock(first, *lines)
        first += len(raws)


def _decode_lines(raws: Sequence[bytes], side: Side, is_start: bool) -> SideLines:
    """Decode lines and record any problems. is_start: whether the lines are at the start of the file."""
    try:
        if max(map(len, raws), default=0) > MAX_LINE_BYTES:
            raise ValueError
        text = b"".join(raws).decode("utf-8")
    except ValueError:
        text = "\r"  # forces a line-by-line check
    if "\r" not in text and not (is_start and text.startswith(BYTE_ORDER_MARK)):
        lines = SideLines(text.split("\n")[: len(raws)], {})
    else:
        decoded = [_decode_raw_line(raw, is_start and row == 0) for row, raw in enumerate(raws)]
        troubles = {row: troubles for row, (_, troubles) in enumerate(decoded) if troubles}
        lines = SideLines([text for text, _ in decoded], troubles)
    return _extract_sentences(lines, side.format, side.column) if side.format else lines


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


def _extract_sentences(lines: SideLines, sentence: Format, column: int) -> SideLines:
    texts, troubles = list(lines.texts), dict(lines.troubles)
    for row, text in enumerate(texts):
        try:
            texts[row] = sentence(text, column)
        except BadLineError as error:
            if lines.is_usable(row):
                troubles[row] = (*troubles.get(row, ()), error.trouble)
    return SideLines(texts, troubles)


def _raw_lines_of(side: Side) -> Iterator[bytes]:
    """Yield the raw lines of a side, including line endings. Overlong lines are truncated."""
    with open_unpacked(side.path) as stream:
        num_bytes = 0  # length of the current line so far
        for part in raw_lines(stream):
            if not num_bytes:
                yield part
            num_bytes += len(part)
            if num_bytes > MAX_SKIPPED_BYTES:
                fault = f"a line is longer than {MAX_SKIPPED_BYTES:,} bytes; expected one sentence per line"
                raise UserError(f"{side.path}: {fault}")
            if len(part) <= MAX_LINE_BYTES or part.endswith(b"\n"):
                num_bytes = 0


def _decode_raw_line(raw: bytes, is_first: bool) -> tuple[str, tuple[Trouble, ...]]:
    try:
        text = decode_line(raw)
    except BadLineError as error:
        errors = "replace" if error.trouble == "endless" else "backslashreplace"
        return raw[:SHOWN_BYTES].decode("utf-8", errors).rstrip("\r\n"), (error.trouble,)
    troubles: list[Trouble] = []
    if is_first and text.startswith(BYTE_ORDER_MARK):
        text = text.removeprefix(BYTE_ORDER_MARK)
        troubles.append("bom")
    if text.endswith("\r"):
        text = text.removesuffix("\r")
        troubles.append("crlf")
    return text, tuple(troubles)
