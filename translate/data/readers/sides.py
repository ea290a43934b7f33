"""One side of a parallel text: a file, read in the format indicated by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from translate.data.readers import tsv
from translate.data.readers.lines import BadLineError, Digest, read_lines
from translate.errors import UserError

Format = Callable[[str, int], str]  # (line of the file, column) -> sentence
FORMATS: dict[str, Format] = {".tsv": tsv.sentence}  # by suffix, with or without .gz; all other files are plain text


class Side(NamedTuple):
    """A file and the column to read, numbered from 1 (ignored for plain text)."""

    path: Path
    column: int

    @property
    def format(self) -> Format | None:
        """The format of the file, or None for plain text, in which each line is a sentence."""
        name = self.path.name.lower().removesuffix(".gz")
        return next((format_ for suffix, format_ in FORMATS.items() if name.endswith(suffix)), None)


def read_side(side: Side, digest: Digest = None) -> Iterator[str]:
    """Yield the sentences of a side. digest: see `open_unpacked`. Raises UserError if a line cannot be read."""
    sentence = side.format
    for number, line in enumerate(read_lines(side.path, digest), start=1):
        try:
            yield sentence(line, side.column) if sentence else line
        except BadLineError as error:
            raise UserError(f"{side.path}: line {number} {error}") from None
