"""Correct the maps of a model by a lexicon: which words of the training text translate each other.

A map knows where a word of the translation comes from in its sentence, and often also looks at the neighbors. The
lexicon knows which words translate each other in any sentence, but not which of two equal words is meant. Here a map is
the prior of a link, and the lexicon is the likelihood.

Shapes: N maps of one sentence, S source words, T target words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from translate.alignment.lexical import Floats as Doubles
from translate.alignment.lexical import Numbers, Sentences, WordTable, posteriors
from translate.attention.maps import Floats
from translate.data.parallel_text import Pair, training_text
from translate.errors import UserError
from translate.run.folder import Run

MAX_LINKS = 30_000_000  # possible links of the pairs that the lexicon is estimated from; takes about 2 GB
MAX_WORDS = 100  # of a side of such a pair
SMOOTHING = 0.01  # added to weights: a map may overlook a word that the lexicon is sure of

Vocabulary = Mapping[str, int]


@dataclass(frozen=True)
class Lexicon:
    """The words of a text with the probabilities of their translations in both directions."""

    words: tuple[Vocabulary, Vocabulary]  # the number of each word of both sides
    forward: WordTable
    backward: WordTable
    num_pairs: int  # from which it was estimated

    @classmethod
    def of_text(cls, text: Iterable[Pair]) -> Lexicon:
        """Estimate a lexicon from a text, or, if it is very long, from pairs at equal distances in it."""
        words: tuple[dict[str, int], dict[str, int]] = {}, {}
        kept, num_links, distance = list[tuple[list[int], list[int]]](), 0, 1
        for number, pair in enumerate(text):
            if number % distance:
                continue
            src, tgt = (
                [known.setdefault(word, len(known)) for word in words_of_line(line)]
                for known, line in zip(words, pair, strict=True)
            )
            if not (0 < len(src) <= MAX_WORDS and 0 < len(tgt) <= MAX_WORDS):
                continue
            kept.append((src, tgt))
            num_links += (1 + len(src)) * (1 + len(tgt))
            if num_links > MAX_LINKS:
                kept, distance = kept[::2], 2 * distance
                num_links = sum((1 + len(src)) * (1 + len(tgt)) for src, tgt in kept)
        sentences = Sentences([src for src, _ in kept], [tgt for _, tgt in kept])
        return cls(words, WordTable.estimated(sentences), WordTable.estimated(sentences.exchanged), len(kept))

    @classmethod
    def of_run(cls, run: Run, others: Iterable[Pair] = ()) -> Lexicon:
        """Estimate a lexicon from a run's training text, after other pairs.

        Raises UserError if a file of the text no longer exists.
        """
        try:
            text = training_text(run.load_config().data)
        except UserError as error:
            raise UserError(f"--lexicon: {error}, or omit --lexicon") from error
        return cls.of_text(chain(others, text))

    def corrected(self, source: str, target: str, maps: Floats, reverse: Floats | None) -> tuple[Floats, Floats]:
        """Return the probability of each link of a target word, (N, T, S), and of a source word, (N, S, T).

        maps: (N, T, S). reverse: maps of a model of the other direction, (N, S, T). The prior of a link is its weight,
        or the product of both weights. The rows of words that are most probably linked to none are 0.
        """
        src, tgt = (
            np.array([[known.get(word, -1) for word in words_of_line(line)]], np.int64)
            for known, line in zip(self.words, (source, target), strict=True)
        )
        prior = maps.astype(np.float64) + SMOOTHING
        if reverse is not None:
            prior *= np.swapaxes(reverse, 1, 2) + SMOOTHING
        return _links(self.forward, src, tgt, prior), _links(self.backward, tgt, src, np.swapaxes(prior, 1, 2))


def words_of_line(line: str) -> list[str]:
    """Return the words between spaces in lower case, without the punctuation around them."""
    return [_core(word) for word in line.split()]


@lru_cache(maxsize=100_000)
def _core(word: str) -> str:
    letters = word.casefold()
    kept = [n for n, letter in enumerate(letters) if unicodedata.category(letter)[0] not in "PS"]
    return letters[kept[0] : kept[-1] + 1] if kept else letters


def _links(table: WordTable, src: Numbers, tgt: Numbers, prior: Doubles) -> Floats:
    """Return the probabilities of links, (N, T, S). prior: proportional to that of each link of a word, (N, T, S)."""
    if not prior.size:
        return prior.astype(np.float32)
    found = posteriors(table.of(src, tgt), prior / prior.sum(axis=2, keepdims=True))
    linked = found[:, :, 1:] * (found.argmax(axis=2) > 0)[:, :, None]
    result: Floats = linked.astype(np.float32)
    return result
