"""Parallel text read whatever is wrong with it, for the check. `text` reads the same lines, and stops at the first
mistake."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, NamedTuple

from translate.errors import UserError
from translate.text import BYTE_ORDER_MARK, MAX_LINE_BYTES, Pair, Side, is_tsv, open_unpacked, raw_lines

Trouble = Literal["not_utf8", "endless", "columns", "crlf", "bom"]
STOPPING: tuple[Trouble, ...] = ("not_utf8", "endless", "columns")  # with which training cannot begin
MAX_PASSED_OVER = 100_000_000  # bytes of one line, after which a file is no text
SHOWN_BYTES = 1_000  # of a line that is not to be read


class RoughLine(NamedTuple):
    """A line, and what reading it met. With a trouble that stops training, the text is only for showing."""

    text: str
    troubles: tuple[Trouble, ...] = ()

    @property
    def is_usable(self) -> bool:
        return not any(trouble in STOPPING for trouble in self.troubles)


class RoughPair(NamedTuple):
    """A line of each side; None where the file has ended."""

    src: RoughLine | None
    tgt: RoughLine | None

    @property
    def pair(self) -> Pair:
        """What training would read, if it can; else an empty pair."""
        if self.src and self.tgt and self.src.is_usable and self.tgt.is_usable:
            return Pair(self.src.text, self.tgt.text)
        return Pair("", "")


def rough_pairs(src: Side, tgt: Side) -> Iterator[RoughPair]:
    """All lines of two sides, to the end of the longer. Raises UserError where a file is not there, or no text."""
    return itertools.starmap(RoughPair, itertools.zip_longest(_rough_side(src), _rough_side(tgt)))


def _rough_side(side: Side) -> Iterator[RoughLine]:
    lines = _rough_lines(side)
    if not is_tsv(side.path):
        yield from lines
        return
    for line in lines:
        columns = line.text.split("\t")
        if len(columns) >= side.column:
            yield RoughLine(columns[side.column - 1], line.troubles)
        else:
            yield RoughLine(line.text, (*line.troubles, "columns"))


def _rough_lines(side: Side) -> Iterator[RoughLine]:
    with open_unpacked(side.path) as stream:
        parts = raw_lines(stream)
        for number, raw in enumerate(parts, start=1):
            line = _rough_line(raw, number == 1)
            num_passed = len(raw)
            while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                raw = next(parts, b"")
                num_passed += len(raw)
                if num_passed > MAX_PASSED_OVER:
                    raise UserError(
                        f"{side.path}: no line end in {MAX_PASSED_OVER:,} bytes from line {number} on; this is no "
                        "text file with one sentence a line"
                    )
            yield line


def _rough_line(raw: bytes, is_first: bool) -> RoughLine:
    if len(raw) > MAX_LINE_BYTES:
        return RoughLine(raw[:SHOWN_BYTES].decode("utf-8", "replace"), ("endless",))
    troubles: list[Trouble] = []
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return RoughLine(raw[:SHOWN_BYTES].decode("utf-8", "backslashreplace").rstrip("\r\n"), ("not_utf8",))
    text = text.removesuffix("\n")
    if is_first and text.startswith(BYTE_ORDER_MARK):
        text = text.removeprefix(BYTE_ORDER_MARK)
        troubles.append("bom")
    if text.endswith("\r"):
        text = text.removesuffix("\r")
        troubles.append("crlf")
    return RoughLine(text, tuple(troubles))
