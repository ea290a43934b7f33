"""Read parallel text for the check: the same lines that `ParallelText` reads, along with any problems."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.lines import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    BadLineError,
    LineTrouble,
    decode_line,
    open_unpacked,
    truncated_lines,
)
from translate.data.readers.rows import Row
from translate.data.readers.sides import Side, rows_or_errors, wanted_of
from translate.data.readers.signatures import looks_western

Trouble = LineTrouble | Literal["crlf", "bom"]
BLOCK_PAIRS, BLOCK_BYTES = 4_000, 4_000_000  # a block ends when it reaches the first limit or exceeds the second

Item = bytes | str | BadLineError  # a line of plain text, the text of another format's row, or why it cannot be read
Items = tuple[Item | None, Item | None]  # of both sides; None after the end of a side


class SideLines(NamedTuple):
    """Consecutive lines from one side, and the problems in individual rows."""

    texts: list[str]  # texts of rows that training could not read are for display only
    troubles: dict[int, tuple[Trouble, ...]]
    num_western: int = 0  # number of lines that are not UTF-8 and look like Windows-1252

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
    begins: str = ""  # name of the source file that begins with this block

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


def read_blocks(text: ParallelText) -> Iterator[LineBlock]:
    """Yield all lines of both sides in blocks. Raises UserError if a file is missing or is not what it should be.

    The lines are numbered through all files, with the headers of files that hold both sides.
    """
    first, order = 1, dict[int, str]()
    for src, tgt in text.files:
        num_headers, items = _content_of(src, tgt, order)
        first += num_headers
        begins = str(src.path)
        for block in _blocks(items):
            sides = [[item for item in side if item is not None] for side in zip(*block, strict=True)]
            source, target = (_side_lines(side, bool(begins)) for side in sides)
            yield LineBlock(first, source, target, begins)
            first += len(block)
            begins = ""


def _content_of(src: Side, tgt: Side, order: dict[int, str]) -> tuple[int, Iterator[Items]]:
    """Return the number of headers and the content of all rows of two files, or of one that holds both sides."""
    if src.path != tgt.path or not src.format:
        return 0, itertools.zip_longest(_items_of(src), _items_of(tgt))
    rows = rows_or_errors(wanted_of(order, src, tgt))
    start = list(itertools.islice(rows, 1))
    items = ((row, row) if isinstance(row, BadLineError) else (row[0], row[1]) for row in _without_header(start, rows))
    return start.count(None), items


def _without_header(*rows: Iterable[Row]) -> Iterator[tuple[str, ...] | BadLineError]:
    return (row for row in itertools.chain(*rows) if row is not None)


def _items_of(side: Side) -> Iterator[Item]:
    if side.format:
        rows = _without_header(rows_or_errors(wanted_of({}, side)))
        yield from (row if isinstance(row, BadLineError) else row[0] for row in rows)
    else:
        with open_unpacked(side.path) as stream:
            yield from truncated_lines(stream, str(side.path))


def _blocks(items: Iterator[Items]) -> Iterator[list[Items]]:
    block, num_bytes = list[Items](), 0
    for pair in items:
        block.append(pair)
        num_bytes += _size(pair[0]) + _size(pair[1])
        if len(block) == BLOCK_PAIRS or num_bytes > BLOCK_BYTES:
            yield block
            block, num_bytes = [], 0
    if block:
        yield block


def _size(item: Item | None) -> int:
    return 0 if item is None or isinstance(item, BadLineError) else len(item)


def _side_lines(items: Sequence[Item], is_start: bool) -> SideLines:
    """Return the texts of one side and their problems. is_start: whether they are at the start of the file."""
    raws = [item for item in items if isinstance(item, bytes)]
    if raws:
        return _decode_lines(raws, is_start)
    texts = [item.shown if isinstance(item, BadLineError) else str(item) for item in items]
    return SideLines(texts, {row: (item.trouble,) for row, item in enumerate(items) if isinstance(item, BadLineError)})


def _decode_lines(raws: Sequence[bytes], is_start: bool) -> SideLines:
    """Decode the lines of a plain text and record any problems."""
    try:
        if max(map(len, raws), default=0) > MAX_LINE_BYTES:
            raise ValueError
        text = b"".join(raws).decode("utf-8")
    except ValueError:
        text = "\r"  # forces a line-by-line check
    if "\r" not in text and not (is_start and text.startswith(BYTE_ORDER_MARK)):
        return SideLines(text.split("\n")[: len(raws)], {})
    decoded = [_decode_raw_line(raw, is_start and row == 0) for row, raw in enumerate(raws)]
    troubles = {row: troubles for row, (_, troubles) in enumerate(decoded) if troubles}
    num_western = sum("not_utf8" in found and looks_western(raws[row]) for row, found in troubles.items())
    return SideLines([text for text, _ in decoded], troubles, num_western)


def _decode_raw_line(raw: bytes, is_first: bool) -> tuple[str, tuple[Trouble, ...]]:
    try:
        text = decode_line(raw)
    except BadLineError as error:
        return error.shown, (error.trouble,)
    troubles: list[Trouble] = []
    if is_first and text.startswith(BYTE_ORDER_MARK):
        text = text.removeprefix(BYTE_ORDER_MARK)
        troubles.append("bom")
    if text.endswith("\r"):
        text = text.removesuffix("\r")
        troubles.append("crlf")
    return text, tuple(troubles)
