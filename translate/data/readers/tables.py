"""Tables: rows of cells, of which the first may be a header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from translate.config.languages import NAMES
from translate.data.readers.lines import BadLineError
from translate.data.readers.rows import SETTINGS, Row, Wanted, note_once
from translate.errors import UserError

# The names of columns that are recognized in the first row. The others must look like names, too: short, without signs.
SIDE = re.compile(
    r"(src|source|trg|tgt|target)([ _-]?(text|sentence|segment|lang|language))?|original|translation|reference"
)
NAME = re.compile(r"\w[\w .-]{0,29}|")
LANGUAGE_NAMES = {name.lower() for name in NAMES.values()}
SHOWN_CELLS = 8


def select(rows: Iterable[Sequence[str] | BadLineError], wanted: Wanted, separator: str) -> Iterator[Row]:
    """Yield the wanted columns of each row. separator: what separates columns, in words."""
    places: list[int] = []
    for number, cells in enumerate(rows, start=1):
        if isinstance(cells, BadLineError):
            if number == 1 and any(isinstance(column, str) for column in wanted.columns):
                raise UserError(f"{wanted.path}: row 1, which should name the columns, {cells}")
            yield cells
            continue
        if number == 1 and wanted.columns == (1, 2) and len(cells) >= 2:
            others = f" of {len(cells)} are read; to choose others, set {SETTINGS}" if len(cells) > 2 else " are read"
            note_once(f"{wanted.path}: columns 1 and 2{others}")
        if number == 1 and _begins_with_header(cells, wanted):
            places = [_place(column, cells, wanted) for column in wanted.columns]
            yield None
            continue
        places = places or [column - 1 for column in wanted.columns if isinstance(column, int)]
        try:
            yield tuple([cells[place] for place in places])
        except IndexError:
            is_blank = not any(map(str.strip, cells))
            yield ("",) * len(places) if is_blank else _short_row(cells, max(places) + 1, separator)


def is_header(cells: Sequence[str]) -> bool:
    """Return whether cells are plainly names of columns, at least two of them of sides or languages."""
    names = [cell.strip().lower() for cell in cells]
    known = {name for name in names if SIDE.fullmatch(name) or name in LANGUAGE_NAMES or _is_code(name)}
    return len(known) >= 2 and all(map(NAME.fullmatch, names))


def _is_code(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z]{2,3}([-_][a-z0-9]{2,8})?", name)) and re.split("[-_]", name)[0] in NAMES


def _begins_with_header(cells: Sequence[str], wanted: Wanted) -> bool:
    """Return whether the first row is a header: if a column is named, if the settings say so, or if it is plain."""
    if named := [column for column in wanted.columns if isinstance(column, str)]:
        if wanted.header == "no":
            raise UserError(f'{wanted.path}: column {named[0]} is named, but data.header = "no"; give its number')
        return True
    if wanted.header != "auto" or not is_header(cells):
        return wanted.header == "yes"
    names = ", ".join(cell.strip() for cell in cells[:SHOWN_CELLS])
    note_once(f"{wanted.path}: row 1 ({names}) is read as a header; if it is a pair, set data.header=no")
    return True


def _place(column: str | int, header: Sequence[str], wanted: Wanted) -> int:
    """Return the index of a column."""
    if isinstance(column, int):
        return column - 1
    found = [place for place, cell in enumerate(header) if _in_full(cell) == _in_full(column)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(cell.strip() for cell in header[:SHOWN_CELLS])
    lack = f"has {len(found)} columns called {column}" if found else f"does not name a column {column}"
    raise UserError(f"{wanted.path}: row 1 {lack} ({listed}); give the column's name there, or its number")


def _in_full(name: str) -> str:
    """Return the name of a column in lower case, and that of a language for its code."""
    name = name.strip().lower()
    return NAMES.get(name, name).lower()


def _short_row(cells: Sequence[str], num_needed: int, separator: str) -> BadLineError:
    fault = f"has {len(cells)} columns, but column {num_needed} was requested; columns are separated by {separator}"
    return BadLineError("columns", fault, " ".join(cells))
