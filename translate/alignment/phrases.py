"""Phrase pairs of aligned sentences, as in phrase-based translation (Och and Ney 2004, section 2.2).

A phrase and its translation are ranges of words such that no word in one is linked to a word outside the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from translate.alignment.methods import Links

MAX_WORDS = 12  # maximum number of words in a phrase, on either side


class Span(NamedTuple):
    """The words from `start` to before `stop`."""

    start: int
    stop: int

    def overlaps(self, other: Span) -> bool:
        """Return whether the two have a word in common."""
        return self.start < other.stop and other.start < self.stop


class Phrase(NamedTuple):
    """A phrase and its translation."""

    src: Span
    tgt: Span

    def overlaps(self, other: Phrase) -> bool:
        """Return whether the two have a word in common, on either side."""
        return self.src.overlaps(other.src) or self.tgt.overlaps(other.tgt)


def phrases_of(links: Links) -> Iterator[Phrase]:
    """Yield the phrases of a pair whose first and last words are linked. links: (T, S)."""
    targets = [column.nonzero()[0].tolist() for column in links.T]  # of each source word
    sources = [row.nonzero()[0].tolist() for row in links]
    for start, first in enumerate(targets):
        if not first:
            continue
        low, high = first[0], first[-1]
        for last in range(start, min(start + MAX_WORDS, len(targets))):
            if not targets[last]:
                continue
            low, high = min(low, targets[last][0]), max(high, targets[last][-1])
            if high - low >= MAX_WORDS:
                break
            linked = [source for target in range(low, high + 1) for source in sources[target]]
            if start <= min(linked) and max(linked) <= last:
                yield Phrase(Span(start, last + 1), Span(low, high + 1))
