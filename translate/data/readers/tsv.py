"""Reader for one column of a file with tab-separated values."""

from __future__ import annotations

from translate.data.readers.lines import BadLineError


def sentence(line: str, column: int) -> str:
    """Return one column of a line; "" if the line is blank. column: column number, from 1.

    Raises BadLineError if the line has fewer columns.
    """
    columns = line.split("\t")
    if len(columns) < column and not line.strip():
        return ""
    if len(columns) < column:
        fault = f"has {len(columns)} columns, but column {column} was requested; columns are separated by tabs"
        raise BadLineError("columns", fault)
    return columns[column - 1]
