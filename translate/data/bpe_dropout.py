"""BPE-dropout (Provilkov et al. 2020): segment text with some of the merges dropped at random.

This is our own implementation, because that of sentencepiece is not reproducible: it draws other pieces in each
process, whatever its seed. It cuts the pieces from sentencepiece into characters and merges these, word by word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from translate.data.pieces import WORD_START
from translate.data.vocab import Vocab

CACHED_WORDS = 2**17  # cached ways to merge a word; about 50 MB
MAX_WORD = 12  # pieces; longer words, as in scripts without spaces, are merged in parts


class Merged(NamedTuple):
    """A word in pieces, for one choice of merges to drop."""

    ids: tuple[int, ...]
    num_merges: int  # made or dropped


class MergeDropout:
    """Samples segmentations with a BPE vocabulary (`Vocab.has_merges`)."""

    def __init__(self, vocab: Vocab, dropout: float) -> None:
        """dropout: the probability that a merge is dropped, 0 < dropout < 1."""
        self._pieces = vocab.pieces(range(vocab.size))
        self._starts_word = [piece.startswith(WORD_START) for piece in self._pieces]
        self._ids = {piece: id_ for id_, piece in enumerate(self._pieces)}
        self._ranks = vocab.merge_ranks
        self._log_kept = math.log1p(-dropout)
        self._merged = lru_cache(CACHED_WORDS)(self._merge)

    def draw(self, rows: Sequence[list[int]], seed: int) -> list[list[int]]:
        """Return other pieces of the same texts; a pure function of its arguments.

        rows: the pieces of each text from `Vocab.encode`.
        """
        random = Random(seed)
        to_go = self._num_kept(random)  # merges until the next that is dropped
        drawn = []
        for row in rows:
            ids: list[int] = []
            for word in self._words(row):
                dropped: tuple[int, ...] = ()
                merged = self._merged(word, dropped)
                while to_go < merged.num_merges:
                    dropped = (*dropped, to_go)
                    merged = self._merged(word, dropped)
                    to_go += 1 + self._num_kept(random)
                to_go -= merged.num_merges
                ids += merged.ids
            drawn.append(ids)
        return drawn

    def _num_kept(self, random: Random) -> int:
        """Draw the number of merges between two dropped ones: a geometric distribution."""
        return int(math.log1p(-random.random()) / self._log_kept)

    def _words(self, row: list[int]) -> Iterator[tuple[int, ...]]:
        start = 0
        for place in range(1, len(row)):
            if place - start == MAX_WORD or self._starts_word[row[place]]:
                yield tuple(row[start:place])
                start = place
        if row:
            yield tuple(row[start:])

    def _merge(self, word: tuple[int, ...], dropped: tuple[int, ...]) -> Merged:
        """dropped: the indices of dropped merges, in the order in which they are considered.

        The merge of the best rank comes first, the leftmost of equal ones. A dropped merge is considered again only
        when one of its two parts has changed, as in sentencepiece.
        """
        parts = [part for id_ in word for part in self._smallest(self._pieces[id_])]
        ranks = [self._rank(parts, place) for place in range(len(parts) - 1)]
        number = 0
        while ranks and (best := min(ranks)) < math.inf:
            place = ranks.index(best)
            if number in dropped:
                ranks[place] = math.inf
            else:
                parts[place : place + 2] = [parts[place] + parts[place + 1]]
                del ranks[place]
                for neighbour in range(max(place - 1, 0), min(place + 1, len(ranks))):
                    ranks[neighbour] = self._rank(parts, neighbour)
            number += 1
        return Merged(tuple(self._ids[part] for part in parts), number)

    def _rank(self, parts: list[str], place: int) -> float:
        return self._ranks.get(parts[place] + parts[place + 1], math.inf)

    def _smallest(self, piece: str) -> Sequence[str]:
        """Return the characters that a piece is merged from, or itself: a byte, a sign, or unknown characters."""
        return piece if piece in self._ranks and all(character in self._ids for character in piece) else [piece]
