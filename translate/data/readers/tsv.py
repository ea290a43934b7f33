"""Reader for tab-separated values. Quotation marks have no meaning: each tab separates two columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from translate.data.readers.lines import BadLineError, lines_or_errors
from translate.data.readers.rows import Row, Wanted
from translate.data.readers.tables import select


def rows(stream: BinaryIO, wanted: Wanted) -> Iterator[Row]:
    """Yield the wanted columns of each line."""
    lines = lines_or_errors(stream, str(wanted.path))
    return select((line if isinstance(line, BadLineError) else line.split("\t") for line in lines), wanted, "tabs")
