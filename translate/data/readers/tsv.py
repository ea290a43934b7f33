"""Tab-separated values: each line has several columns, one of which is read."""

from __future__ import annotations

from translate.data.readers.lines import BadLineError


def sentence(line: str, column: int) -> str:
    """Return one column of a line, counted from 1. Raises BadLineError if the line has fewer columns."""
    columns = line.split("\t")
    if len(columns) < column:
        reason = f"has {len(columns)} columns, but column {column} was requested; columns are separated by tabs"
        raise BadLineError("columns", reason)
    return columns[column - 1]
