"""What the readers of files with several columns, keys or languages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from translate.config.limits import Column, Header
from translate.data.readers.lines import BadLineError
from translate.errors import UserError
from translate.system.terminal_text import print_message

# A row, line or unit of a file: the texts in its columns, the reason why it cannot be read, or None for a header.
Row: TypeAlias = tuple[str, ...] | BadLineError | None

SETTINGS = "data.src_column and data.tgt_column (--src-column, --tgt-column)"


class Wanted(NamedTuple):
    """The columns to read from a file: numbers from 1, or names, which are codes of languages in some formats."""

    path: Path
    columns: tuple[Column, ...]
    header: Header = "auto"
    order: dict[int, str] | None = None  # names by number in the files of the text read before, completed


def two_of(names: Iterable[str], wanted: Wanted, kind: str) -> list[str]:
    """Return the names of the columns of a file that numbers its two names in their order.

    names: the keys or languages of the file. kind: what they are. Raises UserError if there are more or fewer, or if a
    name is not among them.
    """
    known = list(names)
    listed = ", ".join(known) or "none"
    is_numbered = any(isinstance(column, int) for column in wanted.columns)
    if is_numbered and len(known) != 2:
        raise UserError(f"{wanted.path}: has {len(known)} {kind} ({listed}); name two of them by {SETTINGS}")
    found = []
    for column in wanted.columns:
        if isinstance(column, int) and column > 2:
            raise UserError(f"{wanted.path}: column {column} was requested, but it has the {kind} {listed}; name one")
        name = known[column - 1] if isinstance(column, int) else column
        if name not in known:
            raise UserError(f"{wanted.path}: {name} was requested, but it has the {kind} {listed}; see {SETTINGS}")
        found.append(name)
    if is_numbered:
        check_order(known, wanted, kind)
    return found


def check_order(names: Sequence[str], wanted: Wanted, kind: str) -> None:
    """Say once what the numbers of columns stand for. Raises UserError if that differs from the text's files before."""
    note_once(f"{wanted.path}: columns 1 and 2 are its {kind} {' and '.join(names)}; to choose others, set {SETTINGS}")
    for number, name in enumerate(names, start=1):
        before = name if wanted.order is None else wanted.order.setdefault(number, name)
        if _base(before) != _base(name):
            reason = f"column {number} is {name}, but {before} in the files before"
            raise UserError(f"{wanted.path}: {reason}; name the {kind} by {SETTINGS}")


def _base(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]


@cache
def note_once(text: str) -> None:
    """Print a note to standard error, once, however often a text is read."""
    print_message(f"note: {text}")
