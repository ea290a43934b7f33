"""Count the words, pieces and pairs of pieces of an encoded training text, in blocks of bounded size.

Shapes: N pieces of a block of lines, each of which ends with `</s>`; V source pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from translate.confidence.source_text import SCALE, UNSPACED, hash_of, words_in
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.pieces import WORD_START
from translate.data.vocab import Vocab

BLOCK_PIECES = 2**21  # pieces counted at a time
MAX_COUNTED = 20_000_000  # pieces whose pairs are counted: those at the beginning of the text
MAX_PAIRS = 2**19  # pairs that are stored: the most frequent ones
Array = npt.NDArray[Any]
PRIOR = 2.0  # occurrences with which a pair's estimate is drawn towards that of its second piece alone


def count_source(corpus: EncodedCorpus, vocab: Vocab) -> dict[str, Array]:
    """Return the tables of `source_text.Tables`.

    The probability of a pair is smoothed with that of its second piece (Dirichlet prior). Words are decoded from their
    pieces, so that the lines to be translated, which are encoded too, have the same.
    """
    starts, words, num_counted = _begins_word(vocab), _Words(vocab), 0
    pairs, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    firsts, seconds = np.zeros(vocab.size + 1, np.int64), np.zeros(vocab.size, np.int64)
    for pieces, is_first in _blocks(corpus):
        begins = starts[pieces] | is_first
        words.add(pieces, begins)
        if num_counted < MAX_COUNTED:
            before = np.where(is_first, vocab.size, np.roll(pieces, 1))
            codes = before * (vocab.size + 1) + pieces  # as in `pair_code`
            pairs, counts = _merged(pairs, counts, codes[starts[pieces]])
            firsts += np.bincount(before, minlength=vocab.size + 1)
            seconds += np.bincount(pieces, minlength=vocab.size)
            num_counted += len(pieces)
    probabilities = (seconds + 0.5) / (seconds.sum() + 0.5 * vocab.size)
    if len(pairs) > MAX_PAIRS:
        kept = np.sort(np.argpartition(-counts, MAX_PAIRS)[:MAX_PAIRS])
        pairs, counts = pairs[kept], counts[kept]
    first, second = np.divmod(pairs, vocab.size + 1)
    expected = PRIOR * probabilities[second]
    affinities = np.log((counts + expected) / (firsts[first] + PRIOR) / probabilities[second])
    return {
        "words": words.hashes,
        "pairs": pairs.astype(np.uint32 if (vocab.size + 1) ** 2 < 2**32 else np.uint64),
        "affinities": _stored(affinities, np.int8),
        "unpaired": _stored(np.log(PRIOR / (firsts + PRIOR)), np.int8),
        "surprisals": _stored(-np.log(probabilities), np.uint8),
        "begins": starts.astype(np.uint8),
    }


def _begins_word(vocab: Vocab) -> npt.NDArray[np.bool_]:
    """Return for each piece (V,) whether it begins a word; `</s>` and characters of unspaced scripts do."""
    unspaced = re.compile(f"[{UNSPACED}]")
    pieces = vocab.pieces(range(vocab.size))
    begins = [piece.startswith(WORD_START) or unspaced.match(piece) is not None for piece in pieces]
    begins[vocab.eos_id] = True
    return np.array(begins)


class _Words:
    """The words of a text that is added block by block, each spelled once, however often it occurs."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        random = np.random.default_rng(1)
        self._codes = random.integers(0, 2**64, vocab.size, np.uint64)
        self._known = np.empty(0, np.uint64)  # sorted codes of sequences of pieces
        self._words = set[int]()

    def add(self, pieces: Array, begins: Array) -> None:
        """Add a block. begins: (N,) where words begin."""
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=len(pieces))
        places = np.arange(len(pieces)) - np.repeat(starts, lengths)  # of the pieces in their words
        factors = (2 * places + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        codes, where = np.unique(np.add.reduceat(self._codes[pieces] * factors, starts), return_index=True)
        is_new = ~np.isin(codes, self._known, assume_unique=True)
        self._known = np.union1d(self._known, codes[is_new])
        for start, length in zip(starts[where[is_new]].tolist(), lengths[where[is_new]].tolist(), strict=True):
            text = self._vocab.decode(pieces[start : start + length].tolist())
            self._words.update(hash_of(word) for word in words_in(text))

    @property
    def hashes(self) -> Array:
        """The sorted hashes of all words."""
        return np.array(sorted(self._words), np.uint32)


def _blocks(corpus: EncodedCorpus) -> Iterator[tuple[Array, Array]]:
    """Yield blocks of lines as their pieces (N,), and where lines begin (N,)."""
    rows, ends = corpus.src, np.cumsum(corpus.src.lengths, dtype=np.int64)
    start = 0
    while start < len(rows):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK_PIECES, "right")))
        pieces = rows.pieces(np.arange(start, stop)).astype(np.int64)
        is_first = np.zeros(len(pieces), np.bool_)
        is_first[np.concatenate(([0], ends[start : stop - 1] - before))] = True
        yield pieces, is_first
        start = stop


def _merged(pairs: Array, counts: Array, codes: Array) -> tuple[Array, Array]:
    """Return the sorted pairs and their counts with those of a block added."""
    new, new_counts = np.unique(codes, return_counts=True)
    merged, places = np.unique(np.concatenate((pairs, new)), return_inverse=True)
    return merged, np.bincount(places, np.concatenate((counts, new_counts))).astype(np.int64)


def _stored(nats: Array, dtype: type[np.int8 | np.uint8]) -> Array:
    limits = np.iinfo(dtype)
    return np.rint(SCALE * nats).clip(limits.min, limits.max).astype(dtype)
