"""BPE-dropout (Provilkov et al. 2020): segment text while randomly dropping merges.

The implementation in sentencepiece is not reproducible: it samples different pieces in each process, whatever the seed.
This one splits the pieces from sentencepiece into characters and merges these, word by word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from translate.data.pieces import WORD_START
from translate.data.vocab import Vocab

CACHED_WORDS = 2**17  # number of cached segmentations; about 50 MB
MAX_WORD = 12  # pieces; longer words, as in scripts without spaces, are processed in parts


class Merged(NamedTuple):
    """The segmentation of a word for one choice of dropped merges."""

    ids: tuple[int, ...]
    num_merges: int  # merges that were applied or dropped


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
        """Return sampled segmentations of the same texts; a pure function of its arguments.

        rows: the piece ids of each text from `Vocab.encode`.
        """
        random = Random(seed)
        num_until_drop = self._num_kept(random)  # number of merges before the next dropped one
        drawn = []
        for row in rows:
            ids: list[int] = []
            for word in self._words(row):
                dropped: tuple[int, ...] = ()
                merged = self._merged(word, dropped)
                while num_until_drop < merged.num_merges:
                    dropped = (*dropped, num_until_drop)
                    merged = self._merged(word, dropped)
                    num_until_drop += 1 + self._num_kept(random)
                num_until_drop -= merged.num_merges
                ids += merged.ids
            drawn.append(ids)
        return drawn

    def _num_kept(self, random: Random) -> int:
        """Draw the number of merges between two dropped ones from a geometric distribution."""
        return int(math.log1p(-random.random()) / self._log_kept)

    def _words(self, row: list[int]) -> Iterator[tuple[int, ...]]:
        start = 0
        for end in range(1, len(row)):
            if end - start == MAX_WORD or self._starts_word[row[end]]:
                yield tuple(row[start:end])
                start = end
        if row:
            yield tuple(row[start:])

    def _merge(self, word: tuple[int, ...], dropped: tuple[int, ...]) -> Merged:
        """Segment a word. dropped: the indices of dropped merges, in the order in which merges are considered.

        The merge with the best rank comes first; of equal ranks, the leftmost. A dropped merge is considered again only
        after one of its two parts has changed, as in sentencepiece.
        """
        parts = [part for id_ in word for part in self._unmerged(self._pieces[id_])]
        ranks = [self._rank(parts, index) for index in range(len(parts) - 1)]
        number = 0
        while ranks and (best := min(ranks)) < math.inf:
            index = ranks.index(best)
            if number in dropped:
                ranks[index] = math.inf
            else:
                parts[index : index + 2] = [parts[index] + parts[index + 1]]
                del ranks[index]
                for neighbour in range(max(index - 1, 0), min(index + 1, len(ranks))):
                    ranks[neighbour] = self._rank(parts, neighbour)
            number += 1
        return Merged(tuple(self._ids[part] for part in parts), number)

    def _rank(self, parts: list[str], index: int) -> float:
        return self._ranks.get(parts[index] + parts[index + 1], math.inf)

    def _unmerged(self, piece: str) -> Sequence[str]:
        """Return the characters that a piece is merged from, or the piece itself if it cannot be split."""
        return piece if piece in self._ranks and all(character in self._ids for character in piece) else [piece]
