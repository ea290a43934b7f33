"""BPE-dropout (Provilkov et al. 2020): segmentation of text with randomly dropped merges.

The sentencepiece implementation ignores the seed, so each process samples different pieces. This implementation is
reproducible: it splits the sentencepiece output into characters and merges the characters again, word by word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random

from translate.data.pieces import WORD_START
from translate.data.vocab import Vocab

CACHED_WORDS = 2**17  # number of cached segmentations, which take about 50 MB
MAX_WORD = 12  # maximum word length in pieces; longer words, common in scripts without spaces, are processed in parts


class MergeDropout:
    """A segmentation sampler for BPE vocabularies (`Vocab.has_merges`)."""

    def __init__(self, vocab: Vocab, dropout: float) -> None:
        """Create a sampler. dropout: probability of dropping a merge, greater than 0 and less than 1."""
        self._ids, self._ranks = vocab.ids, vocab.merge_ranks
        self._starts_word = [piece.startswith(WORD_START) for piece in vocab.ids]
        # For each id, the characters that the piece is merged from, or the piece itself if it cannot be split.
        self._parts = [
            piece if piece in self._ranks and vocab.ids.keys() >= set(piece) else [piece] for piece in vocab.ids
        ]
        self._log_kept = math.log1p(-dropout)
        self._merged = lru_cache(CACHED_WORDS)(self._merge)

    def draw(self, rows: Sequence[list[int]], seed: int) -> list[list[int]]:
        """Resample the segmentation of each row of piece ids from `Vocab.encode`. A pure function of its arguments."""
        random = Random(seed)
        num_until_drop = self._num_kept(random)  # number of merges before the next drop
        drawn = []
        for row in rows:
            ids: list[int] = []
            for word in self._words(row):
                dropped: tuple[int, ...] = ()
                word_ids, num_merges = self._merged(word, dropped)
                while num_until_drop < num_merges:
                    dropped = (*dropped, num_until_drop)
                    word_ids, num_merges = self._merged(word, dropped)
                    num_until_drop += 1 + self._num_kept(random)
                num_until_drop -= num_merges
                ids += word_ids
            drawn.append(ids)
        return drawn

    def _num_kept(self, random: Random) -> int:
        """Draw the number of merges between two drops from a geometric distribution."""
        return int(math.log1p(-random.random()) / self._log_kept)

    def _words(self, row: list[int]) -> Iterator[tuple[int, ...]]:
        start = 0
        for end in range(1, len(row)):
            if end - start == MAX_WORD or self._starts_word[row[end]]:
                yield tuple(row[start:end])
                start = end
        if row:
            yield tuple(row[start:])

    def _merge(self, word: tuple[int, ...], dropped: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Segment a word. Returns its piece ids and the number of merges that were applied or dropped.

        Merges are numbered in the order in which they are considered, and `dropped` lists the numbers of those to drop.
        The merge with the lowest rank comes first; ties go to the leftmost merge. As in sentencepiece, a dropped merge
        is reconsidered only after one of its two parts has changed.
        """
        parts = [part for id_ in word for part in self._parts[id_]]
        ranks = [self._rank(parts, index) for index in range(len(parts) - 1)]
        number = 0
        while ranks and (best := min(ranks)) < math.inf:
            index = ranks.index(best)
            if number in dropped:
                ranks[index] = math.inf
            else:
                parts[index : index + 2] = [parts[index] + parts[index + 1]]
                del ranks[index]
                for neighbor in range(max(index - 1, 0), min(index + 1, len(ranks))):
                    ranks[neighbor] = self._rank(parts, neighbor)
            number += 1
        return tuple(self._ids[part] for part in parts), number

    def _rank(self, parts: list[str], index: int) -> float:
        return self._ranks.get(parts[index] + parts[index + 1], math.inf)
