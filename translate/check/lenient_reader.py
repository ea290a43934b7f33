"""Read faulty parallel text for the check: the same lines as `ParallelText`, together with their faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from translate.data.parallel_text import Pair
from translate.data.readers import plain
from translate.data.readers.lines import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    BadLineError,
    LineTrouble,
    decode_line,
    open_unpacked,
    raw_lines,
)
from translate.data.readers.sides import Side
from translate.errors import UserError

Trouble = LineTrouble | Literal["crlf", "bom"]
STOPPING: tuple[LineTrouble, ...] = get_args(LineTrouble)  # troubles that make training stop
MAX_SKIPPED_BYTES = 100_000_000  # of one line; a file with a longer line is not text
SHOWN_BYTES = 1_000  # number of bytes shown of a line that cannot be read
BLOCK_PAIRS = 4_000  # maximum size of a block
BLOCK_BYTES = 4_000_000  # a block ends early when it exceeds this

RawPair = tuple[bytes | None, bytes | None]


class SideLines(NamedTuple):
    """Consecutive lines of one side, and the troubles of those rows that have any."""

    texts: list[str]  # for display only, if a trouble of the row stops training
    troubles: dict[int, tuple[Trouble, ...]]

    def text(self, row: int) -> str:
        """Return the text of a row, or "" after the end of the file."""
        return self.texts[row] if row < len(self.texts) else ""

    def is_usable(self, row: int) -> bool:
        """Return whether training could read this row."""
        return not any(trouble in STOPPING for trouble in self.troubles.get(row, ()))


@dataclass(frozen=True)
class LineBlock:
    """Consecutive lines of both sides; a side whose file has ended has fewer lines."""

    first: int  # number of the first line, from 1
    src: SideLines
    tgt: SideLines

    def __len__(self) -> int:
        return max(len(self.src.texts), len(self.tgt.texts))

    @property
    def num_pairs(self) -> int:
        """The number of rows that both sides have."""
        return min(len(self.src.texts), len(self.tgt.texts))

    @property
    def unusable(self) -> list[int]:
        """The rows that have only one side, or would make training stop."""
        rows = sorted({*self.src.troubles, *self.tgt.troubles})
        stopping = [row for row in rows if not (self.src.is_usable(row) and self.tgt.is_usable(row))]
        return [*stopping, *range(self.num_pairs, len(self))]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs as training would read them, with an empty pair for each unusable row."""
        pairs = list(itertools.starmap(Pair, itertools.zip_longest(self.src.texts, self.tgt.texts, fillvalue="")))
        for row in self.unusable:
            pairs[row] = Pair("", "")
        return pairs


def read_blocks(src: Side, tgt: Side) -> Iterator[LineBlock]:
    """Yield all lines of both sides, to the end of the longer one.

    Raises UserError if a file is missing or is not text.
    """
    first = 1
    for raws in _blocks(itertools.zip_longest(_raw_lines_of(src), _raw_lines_of(tgt))):
        sides = [[raw for raw in raws_of_side if raw is not None] for raws_of_side in zip(*raws, strict=True)]
        lines = [_decode_lines(raws, side, first == 1) for raws, side in zip(sides, (src, tgt), strict=True)]
        yield LineBlock(first, *lines)
        first += len(raws)


def _decode_lines(raws: Sequence[bytes], side: Side, is_start: bool) -> SideLines:
    """Decode lines and find their troubles. is_start: whether the first line is the first one of the file."""
    try:
        if max(map(len, raws), default=0) > MAX_LINE_BYTES:
            raise ValueError
        text = b"".join(raws).decode("utf-8")
    except ValueError:
        text = "\r"  # forces a look at each line
    if "\r" not in text and not (is_start and text.startswith(BYTE_ORDER_MARK)):
        lines = SideLines(text.split("\n")[: len(raws)], {})
    else:
        decoded = [_decode_raw_line(raw, is_start and row == 0) for row, raw in enumerate(raws)]
        troubles = {row: troubles for row, (_, troubles) in enumerate(decoded) if troubles}
        lines = SideLines([text for text, _ in decoded], troubles)
    return lines if side.format is plain.sentence else _extract_sentences(lines, side)


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


def _extract_sentences(lines: SideLines, side: Side) -> SideLines:
    """Extract the sentence from each line by the format of the side."""
    texts, troubles = list(lines.texts), dict(lines.troubles)
    for row, text in enumerate(texts):
        try:
            texts[row] = side.format(text, side.column)
        except BadLineError as error:
            if lines.is_usable(row):
                troubles[row] = (*troubles.get(row, ()), error.trouble)
    return SideLines(texts, troubles)


def _raw_lines_of(side: Side) -> Iterator[bytes]:
    """Yield the raw lines of a side with their line endings; overlong lines are truncated."""
    with open_unpacked(side.path) as stream:
        parts = raw_lines(stream)
        for raw in parts:
            yield raw
            if len(raw) > MAX_LINE_BYTES:
                _skip_line(raw, parts, side)


def _skip_line(part: bytes, parts: Iterator[bytes], side: Side) -> None:
    """Skip the rest of an overlong line. part: its first part."""
    num_skipped = len(part)
    while len(part) > MAX_LINE_BYTES and not part.endswith(b"\n"):
        part = next(parts, b"")
        num_skipped += len(part)
        if num_skipped > MAX_SKIPPED_BYTES:
            raise UserError(
                f"{side.path}: a line is longer than {MAX_SKIPPED_BYTES:,} bytes; expected one sentence per line"
            )


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
