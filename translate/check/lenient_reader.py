"""Read parallel text whatever is wrong with it, for the check: the same lines as `ParallelText`, with their faults."""

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
STOPPING: tuple[LineTrouble, ...] = get_args(LineTrouble)  # troubles that stop training
MAX_SKIPPED_BYTES = 100_000_000  # of one line; beyond that a file is not text
SHOWN_BYTES = 1_000  # of a line that cannot be read
BLOCK_PAIRS = 4_000  # read together, unless they exceed
BLOCK_BYTES = 4_000_000

RawPair = tuple[bytes | None, bytes | None]


class RoughLines(NamedTuple):
    """Some lines of a side and their troubles by row, of the few rows that have any."""

    texts: list[str]  # where a trouble stops training, only for showing
    troubles: dict[int, tuple[Trouble, ...]]

    def text(self, row: int) -> str:
        """Return the text of a row, "" after the end of the file."""
        return self.texts[row] if row < len(self.texts) else ""

    def is_usable(self, row: int) -> bool:
        """Whether training could read this row."""
        return not any(trouble in STOPPING for trouble in self.troubles.get(row, ()))


@dataclass(frozen=True)
class RoughBlock:
    """Some lines of both sides; fewer of a side whose file has ended."""

    first: int  # number of the first line, from 1
    src: RoughLines
    tgt: RoughLines

    def __len__(self) -> int:
        return max(len(self.src.texts), len(self.tgt.texts))

    @property
    def num_pairs(self) -> int:
        """The rows that both sides have."""
        return min(len(self.src.texts), len(self.tgt.texts))

    @property
    def unusable(self) -> list[int]:
        """Rows that are no pair, or that would stop training."""
        rows = sorted({*self.src.troubles, *self.tgt.troubles})
        stopping = [row for row in rows if not (self.src.is_usable(row) and self.tgt.is_usable(row))]
        return [*stopping, *range(self.num_pairs, len(self))]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs that training would read; empty ones for unusable rows."""
        pairs = list(itertools.starmap(Pair, itertools.zip_longest(self.src.texts, self.tgt.texts, fillvalue="")))
        for row in self.unusable:
            pairs[row] = Pair("", "")
        return pairs


def rough_blocks(src: Side, tgt: Side) -> Iterator[RoughBlock]:
    """Yield all lines of two sides, to the end of the longer. Raises UserError where a file is missing or not text."""
    first = 1
    for raws in _blocks(itertools.zip_longest(_raw_side(src), _raw_side(tgt))):
        sides = [[raw for raw in raws_of_side if raw is not None] for raws_of_side in zip(*raws, strict=True)]
        lines = [_rough_lines(raws, side, first == 1) for raws, side in zip(sides, (src, tgt), strict=True)]
        yield RoughBlock(first, *lines)
        first += len(raws)


def _rough_lines(raws: Sequence[bytes], side: Side, is_start: bool) -> RoughLines:
    """is_start: whether the first line is the first of the file."""
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
    return lines if side.format is plain.sentence else _sentences(lines, side)


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


def _sentences(lines: RoughLines, side: Side) -> RoughLines:
    """Read the sentences of a side from its lines."""
    texts, troubles = list(lines.texts), dict(lines.troubles)
    for row, text in enumerate(texts):
        try:
            texts[row] = side.format(text, side.column)
        except BadLineError as error:
            if lines.is_usable(row):
                troubles[row] = (*troubles.get(row, ()), error.trouble)
    return RoughLines(texts, troubles)


def _raw_side(side: Side) -> Iterator[bytes]:
    """Yield the lines with their ends; endless ones are cut."""
    with open_unpacked(side.path) as stream:
        parts = raw_lines(stream)
        for raw in parts:
            yield raw
            if len(raw) > MAX_LINE_BYTES:
                _skip_line(raw, parts, side)


def _skip_line(part: bytes, parts: Iterator[bytes], side: Side) -> None:
    """Read to the end of a line of which `part` is the first part."""
    num_skipped = len(part)
    while len(part) > MAX_LINE_BYTES and not part.endswith(b"\n"):
        part = next(parts, b"")
        num_skipped += len(part)
        if num_skipped > MAX_SKIPPED_BYTES:
            raise UserError(
                f"{side.path}: a line of more than {MAX_SKIPPED_BYTES:,} bytes; this is no text file with one sentence "
                "per line"
            )


def _rough_line(raw: bytes, is_first: bool) -> tuple[str, tuple[Trouble, ...]]:
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
