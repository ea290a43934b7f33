"""Alignments against those that a person made: gold files, alignment error rate, precision, recall.

Shapes: N alignments of one sentence, S source words, T target words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from translate.alignment.methods import Links
from translate.data.pharaoh import SURE_OR_POSSIBLE, PharaohLink, parse_links
from translate.data.readers.lines import read_lines
from translate.errors import UserError


@dataclass(frozen=True)
class Gold:
    """The alignment of a line that a person made. What is sure is possible, too."""

    sure: Links  # (T, S)
    possible: Links  # (T, S)


@dataclass(frozen=True)
class GoldFile:
    """A file with a line of links for each pair: `i-j` sure, `ipj` or `i?j` possible."""

    path: Path
    is_one_indexed: bool = False

    def __iter__(self) -> Iterator[list[PharaohLink]]:
        """The links of each line. Raises UserError naming the line and the link that cannot be read."""
        for number, line in enumerate(read_lines(self.path), start=1):
            links = parse_links(line, f"{self.path}: line {number}", SURE_OR_POSSIBLE)
            yield [self._from_zero(link, number) for link in links]

    def gold(self, links: list[PharaohLink], number: int, num_target: int, num_source: int) -> Gold:
        """The links of line `number` between so many words. Raises UserError where a word is not there."""
        sure, possible = (np.zeros((num_target, num_source), dtype=np.bool_) for _ in range(2))
        for link in links:
            for side, place, count in ("source", link.source, num_source), ("target", link.target, num_target):
                if place >= count:
                    raise UserError(self._beyond(link, number, side, count))
            possible[link.target, link.source] = True
            sure[link.target, link.source] |= link.is_sure
        return Gold(sure, possible)

    def _from_zero(self, link: PharaohLink, number: int) -> PharaohLink:
        source, target = link.source - self.is_one_indexed, link.target - self.is_one_indexed
        if min(source, target) < 0:
            raise UserError(f"{self.path}: line {number}: {link.text} has a word 0; leave out --one-indexed")
        return link._replace(source=source, target=target)

    def _beyond(self, link: PharaohLink, number: int, side: str, count: int) -> str:
        first = int(self.is_one_indexed)
        there = f"words {first} to {count - 1 + first}" if count else "no words"
        hint = "" if self.is_one_indexed else "; if the file counts from 1, add --one-indexed"
        return f"{self.path}: line {number}: {link.text}: the {side} has {there}{hint}"


class Score(NamedTuple):
    """Of a corpus, each from 0 to 1. Precision is 0 where nothing was linked."""

    error_rate: float
    precision: float
    recall: float


class Errors:
    """Counts over a corpus, of N alignments at once. Och and Ney 2003, equations 19 to 21."""

    def __init__(self, num_alignments: int) -> None:
        self._linked = np.zeros(num_alignments, dtype=np.int64)
        self._linked_sure = np.zeros(num_alignments, dtype=np.int64)
        self._linked_possible = np.zeros(num_alignments, dtype=np.int64)
        self._sure = 0

    def add(self, links: Links, gold: Gold) -> None:
        """A line more: N alignments, (N, T, S)."""
        self._linked += _count(links)
        self._linked_sure += _count(links & gold.sure)
        self._linked_possible += _count(links & gold.possible)
        self._sure += int(gold.sure.sum())

    @property
    def has_gold(self) -> bool:
        """Whether there was a sure link."""
        return self._sure > 0

    def scores(self) -> list[Score]:
        """Of each of the N alignments; needs a sure link in the gold."""
        correct = self._linked_sure + self._linked_possible
        error_rates = 1 - correct / (self._linked + self._sure)
        precisions = self._linked_possible / np.maximum(self._linked, 1)
        recalls = self._linked_sure / self._sure
        columns = (each.tolist() for each in (error_rates, precisions, recalls))
        return [Score(*row) for row in zip(*columns, strict=True)]


def _count(links: Links) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = links.sum(axis=(1, 2), dtype=np.int64)
    return counts
