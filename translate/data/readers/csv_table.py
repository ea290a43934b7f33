"""Reader for comma-separated values, whose fields may be quoted (RFC 4180), read by the standard library's parser."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from translate.data.readers.lines import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    BadLineError,
    decode_line,
    in_one_line,
    raw_lines,
)
from translate.data.readers.rows import Row, Wanted
from translate.data.readers.tables import select
from translate.errors import UserError

UNIX_LINES = r"tr '\r' '\n' < FILE > NEW.csv"


def rows(stream: BinaryIO, wanted: Wanted) -> Iterator[Row]:
    """Yield the wanted columns of each row, with spaces for line breaks.

    Raises UserError where quotation marks or encoding are wrong, because the rows after such a place are doubtful.
    """
    return select(_Table(stream, wanted).rows(), wanted, "commas")


class _Table:
    def __init__(self, stream: BinaryIO, wanted: Wanted) -> None:
        self._stream, self._path = stream, wanted.path
        self._num_lines = self._num_rows = 0

    def rows(self) -> Iterator[Sequence[str] | BadLineError]:
        csv.field_size_limit(MAX_LINE_BYTES)
        reader = csv.reader(self._lines(), strict=True)
        num_columns = 0
        while True:
            first_line = self._num_lines + 1
            try:
                cells = next(reader, None)
            except (csv.Error, BadLineError) as error:
                fault = str(error).partition(" - ")[0]
                line, reason = self._num_lines, f"is not valid CSV ({fault})" if isinstance(error, csv.Error) else fault
                if fault == "unexpected end of data":
                    line, reason = first_line, "has a quotation mark that is never closed; remove it, or double it"
                elif fault.startswith("new-line character"):
                    reason = f"has carriage returns as line ends; convert the file with: {UNIX_LINES}"
                raise UserError(f"{self._path}: row {self._num_rows + 1} (line {line}) {reason}") from None
            if cells is None:
                return
            self._num_rows += 1
            if not num_columns and len(cells) == 1:
                self._refuse_other_separators(cells[0])
            num_columns = num_columns or len(cells)
            if cells and len(cells) != num_columns:
                fault = f"has {len(cells)} columns, but row 1 has {num_columns}; text with commas must be in quotes"
                yield BadLineError("columns", fault, " ".join(cells))
            else:
                yield [in_one_line(cell) for cell in cells]

    def _refuse_other_separators(self, cell: str) -> None:
        for sign, name in (";", "semicolons"), ("\t", "tabs"):
            if sign in cell:
                reason = f"row {self._num_rows} has {name} instead of commas"
                raise UserError(f"{self._path}: {reason}; save the table with commas, or with tabs as a .tsv file")

    def _lines(self) -> Iterator[str]:
        for raw in raw_lines(self._stream):
            self._num_lines += 1
            line = decode_line(raw)
            yield (line.removeprefix(BYTE_ORDER_MARK) if self._num_lines == 1 else line) + "\n" * raw.endswith(b"\n")
