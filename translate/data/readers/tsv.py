"""Tab-separated values: every line holds several columns, one of which is read."""

from __future__ import annotations

from translate.data.readers.lines import BadLineError


def sentence(line: str, column: int) -> str:
    """Return one column of a line. column: from 1. Raises BadLineError where the line has fewer columns."""
    columns = line.split("\t")
    if len(columns) < column:
        raise BadLineError(
            "columns",
            f"has {len(columns)} columns, and column {column} was asked for; columns are separated by tabs",
        )
    return columns[column - 1]
