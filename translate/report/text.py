"""Format text for reports: tables, counts, and input text made safe for terminals."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence

from translate.system.terminal_text import columns_of


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows as lines, with the first column left-aligned and the others right-aligned."""
    first, *others = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for label, *cells in rows:
        padded = [" " * (width - columns_of(cell)) + cell for cell, width in zip(cells, others, strict=True)]
        lines.append("  ".join([label + " " * (first - columns_of(label)), *padded]).rstrip())
    return lines


def counted(number: int, name: str) -> str:
    """Format a count with its noun, such as "1 line" or "2 lines"."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def visible(text: str, width: int = 10**9) -> str:
    """Truncate a text to `width` columns, showing unprintable characters, such as line breaks, as their codes."""
    parts = [each if each.isprintable() else _code(ord(each)) for each in text[: width + 1]]
    ends = list(itertools.accumulate(map(columns_of, parts)))
    if len(parts) == len(text) and ends[-1:] <= [width]:
        return "".join(parts)
    return "".join(parts[: bisect_right(ends, width - 1)]) + "…"


def _code(number: int) -> str:
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
