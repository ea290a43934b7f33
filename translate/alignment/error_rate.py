"""Score alignments against a gold file by alignment error rate, precision and recall.

Shapes: N alignments of one sentence, S source words, T target words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from translate.alignment.methods import Links
from translate.data.pharaoh import SURE_OR_POSSIBLE, PharaohLink, parse_links
from translate.data.readers.lines import read_lines
from translate.errors import UserError


@dataclass(frozen=True)
class Gold:
    """The gold alignment of a line. Every sure link is also a possible link."""

    sure: Links  # (T, S)
    possible: Links  # (T, S)


@dataclass(frozen=True)
class GoldFile:
    """A file of gold links, one sentence pair per line: `i-j` is a sure link; `ipj` and `i?j` are possible links."""

    path: Path
    is_one_indexed: bool = False

    def __iter__(self) -> Iterator[list[PharaohLink]]:
        """Yield the links of each line. Raises UserError if a link is malformed."""
        for number, line in enumerate(read_lines(self.path), start=1):
            location = f"{self.path}: line {number}"
            links = parse_links(line, location, SURE_OR_POSSIBLE)
            first = int(self.is_one_indexed)
            if below := [link.text for link in links if min(link.source, link.target) < first]:
                raise UserError(f"{location}: {below[0]} refers to word 0; omit --one-indexed")
            yield [link._replace(source=link.source - first, target=link.target - first) for link in links]

    def gold(self, links: list[PharaohLink], number: int, num_target: int, num_source: int) -> Gold:
        """Return the links of line `number` as (T, S) arrays. Raises UserError if a linked word does not exist."""
        sure, possible = np.zeros((2, num_target, num_source), dtype=np.bool_)
        for link in links:
            for side, word, count in ("source", link.source, num_source), ("target", link.target, num_target):
                if word >= count:
                    first = int(self.is_one_indexed)
                    words = f"words {first} to {count - 1 + first}" if count else "no words"
                    hint = "" if self.is_one_indexed else "; if the file counts from 1, add --one-indexed"
                    raise UserError(f"{self.path}: line {number}: {link.text}: the {side} has {words}{hint}")
            possible[link.target, link.source] = True
            sure[link.target, link.source] |= link.is_sure
        return Gold(sure, possible)


class Score(NamedTuple):
    """Corpus-level scores, from 0 to 1. Precision is 0 if there are no links."""

    error_rate: float
    precision: float
    recall: float


class Errors:
    """Corpus-level link counts for N alignments (Och and Ney 2003, equations 19 to 21)."""

    def __init__(self, num_alignments: int) -> None:
        self._links, self._sure_links, self._possible_links = np.zeros((3, num_alignments), dtype=np.int64)
        self.num_sure = 0  # number of sure links in the gold alignments

    def add(self, links: Links, gold: Gold) -> None:
        """Add the counts for one line. links: the N alignments of the line, (N, T, S)."""
        self._links += links.sum(axis=(1, 2))
        self._sure_links += (links & gold.sure).sum(axis=(1, 2))
        self._possible_links += (links & gold.possible).sum(axis=(1, 2))
        self.num_sure += int(gold.sure.sum())

    def scores(self) -> list[Score]:
        """Return the scores of the N alignments. Without sure links, the scores are undefined."""
        correct = self._sure_links + self._possible_links
        error_rates = 1 - correct / (self._links + self.num_sure)
        precisions = self._possible_links / np.maximum(self._links, 1)
        recalls = self._sure_links / self.num_sure
        return [Score(*row) for row in np.stack([error_rates, precisions, recalls], axis=1).tolist()]
