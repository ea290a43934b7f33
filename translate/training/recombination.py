"""Recombine the pairs of a small text: in each epoch, some exchange phrases with other pairs.

A small text shows a word in few sentences, which the model memorizes. A phrase and its translation can stand in another
pair in place of a phrase that has the same neighbors on both sides: "a [blue] shirt, ein [blaues] Hemd" and "a [torn]
shirt, ein [zerrissenes] Hemd". Most of the new pairs are correct, and all of them are new. Jia and Liang (2016), "Data
recombination for neural semantic parsing", and Andreas (2020), "Good-enough compositional data augmentation", exchange
phrases in the same way for other tasks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

import numpy as np

from translate.alignment.lexical import Sentences, align_words
from translate.alignment.phrases import Phrase, Span, phrases_of
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.pieces import BYTE_PIECE, WORD_START
from translate.data.ragged_arrays import HeldRows, PieceRows, rows_of
from translate.data.vocab import Log, Vocab, VocabPair
from translate.errors import UserError
from translate.report.progress import announced
from translate.system.distributed import World

MAX_PAIRS = 30_000  # finding the phrases of more would take minutes
MAX_LINE = 60  # words on a side of a pair that has phrases to exchange: aligning longer ones takes gigabytes
MAX_EXCHANGES = 3  # in a pair
MAX_TRIALS = 40  # phrases of a pair that are tried
EDGE = -1  # neighbor of a phrase at the start or end of a sentence

Pieces = list[int]


class Place(NamedTuple):
    """A phrase of a pair."""

    row: int  # of the pair in the corpus
    phrase: Phrase


class Choice(NamedTuple):
    """A phrase of a pair and the places, in any pairs, of the phrases with the same neighbors."""

    phrase: Phrase
    places: list[Place]


class Exchange(NamedTuple):
    """A phrase of a pair and the place of the one that replaces it."""

    phrase: Phrase
    place: Place


@dataclass(frozen=True)
class Side:
    """One side of a corpus. Punctuation marks are words of their own."""

    rows: list[Pieces]  # without `</s>`
    starts: list[list[int]]  # of each row: the first piece of each word, and the end of the last one
    words: list[list[int]]  # of each row: the number of each word, the same whatever its case
    spaced: set[int]  # the numbers of words that follow a space

    def pieces(self, row: int, span: Span) -> Pieces:
        """Return the pieces of some words."""
        starts = self.starts[row]
        return self.rows[row][starts[span.start] : starts[span.stop]]

    def neighbors(self, row: int, span: Span) -> tuple[int, ...]:
        """Return the words before and after a phrase, and whether a space precedes it."""
        words = [EDGE, *self.words[row], EDGE]
        return words[span.start], words[span.stop + 1], words[span.start + 1] in self.spaced

    def with_phrases(self, row: int, replacements: Sequence[tuple[Span, int, Span]]) -> Pieces:
        """Return a row in which words are replaced. replacements: the words, and the row and words in their place."""
        pieces, end = Pieces(), 0
        for span, other, others in sorted(replacements):
            pieces += self.pieces(row, Span(end, span.start)) + self.pieces(other, others)
            end = span.stop
        return pieces + self.pieces(row, Span(end, len(self.words[row])))


class Recombination:
    """A corpus whose pairs exchange phrases, others in every epoch: a pure function of the seed and epoch."""

    def __init__(self, corpus: EncodedCorpus, vocabs: VocabPair, share: float, seed: int, log: Log) -> None:
        """share: probability that a pair takes phrases of others. Raises UserError if the text is too large."""
        if len(corpus) > MAX_PAIRS:
            raise UserError(
                f"train.recombine = {share:g}: the text has {len(corpus):,} pairs, and at most {MAX_PAIRS:,} can be "
                "recombined; set it to 0.0"
            )
        self._corpus, self._share, self._seed = corpus, share, seed
        self._last: tuple[int, EncodedCorpus] | None = None  # estimates and training ask for the same epoch
        self._max_lengths = [int(rows.lengths.max()) for rows in (corpus.src, corpus.tgt)]
        with announced("finding phrases that pairs can exchange"):
            self._sides = [side_of(rows, vocab) for rows, vocab in zip((corpus.src, corpus.tgt), vocabs, strict=True)]
            self._choices = choices_of(*self._sides)
        num_able = sum(map(bool, self._choices))
        log(
            f"train.recombine: {num_able:,} of {len(corpus):,} pairs can take phrases of others; {share:.0%} of them do"
        )

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """Return the corpus for an epoch: as many pairs, in the same order, with the same line numbers.

        Each process computes all of it.
        """
        if not self._last or self._last[0] != epoch:
            self._last = epoch, self._recombined(epoch, vocabs)
        return self._last[1]

    def _recombined(self, epoch: int, vocabs: VocabPair) -> EncodedCorpus:
        random = Random(f"{self._seed} {epoch}")
        pairs = [self._drawn(row, random) for row in range(len(self._corpus))]
        src, tgt = (
            HeldRows(rows_of([[*pair[side], vocab.eos_id] for pair in pairs], np.min_scalar_type(vocab.size - 1)))
            for side, vocab in enumerate(vocabs)
        )
        return replace(self._corpus, src=src, tgt=tgt)

    def _drawn(self, row: int, random: Random) -> list[Pieces]:
        """Return both sides of a pair, perhaps with phrases of others, but no longer than the longest row."""
        if random.random() < self._share:
            exchanges = self._exchanges(row, random)
            sides = [
                side.with_phrases(row, [(each.phrase[n], each.place.row, each.place.phrase[n]) for each in exchanges])
                for n, side in enumerate(self._sides)
            ]
            if all(len(pieces) < most for pieces, most in zip(sides, self._max_lengths, strict=True)):
                return sides
        return [side.rows[row] for side in self._sides]

    def _exchanges(self, row: int, random: Random) -> list[Exchange]:
        """Draw up to MAX_EXCHANGES phrases of a pair that do not overlap, and others in their places."""
        exchanges = list[Exchange]()
        number, source = random.randint(1, MAX_EXCHANGES), self._sides[0]
        choices = self._choices[row]
        for phrase, places in random.sample(choices, min(MAX_TRIALS, len(choices))):
            place = random.choice(places)
            is_same = source.pieces(row, phrase.src) == source.pieces(place.row, place.phrase.src)
            if not is_same and not any(phrase.overlaps(each.phrase) for each in exchanges):
                exchanges.append(Exchange(phrase, place))
                if len(exchanges) == number:
                    break
        return exchanges


def side_of(rows: PieceRows, vocab: Vocab) -> Side:
    """Divide one side of a corpus into words. A word ends where a new one starts, and before and after punctuation."""
    kinds = [_Kind.of(piece) for piece in vocab.ids]
    texts, numbers = list(vocab.ids), dict[str, int]()
    side = Side([], [], [], set())
    for row in range(len(rows)):
        pieces = rows[row].tolist()[:-1]
        starts = [
            place
            for place, piece in enumerate(pieces)
            if not place or kinds[piece].starts_after(kinds[pieces[place - 1]])
        ]
        ends = [*starts[1:], len(pieces)]
        words = ("".join(texts[piece] for piece in pieces[start:end]) for start, end in zip(starts, ends, strict=True))
        side.rows.append(pieces)
        side.starts.append([*starts, len(pieces)])
        side.words.append([numbers.setdefault(word.lower(), len(numbers)) for word in words])
    side.spaced.update(number for word, number in numbers.items() if word.startswith(WORD_START))
    return side


class _Kind(NamedTuple):
    """What a piece says about the words around it."""

    is_mark: bool  # whether it is nothing but the mark of a new word
    has_mark: bool
    starts_in_word: bool  # whether its first character, after the mark, is a letter or digit, and not punctuation
    ends_in_word: bool

    @classmethod
    def of(cls, piece: str) -> _Kind:
        text = piece.removeprefix(WORD_START)
        if byte := BYTE_PIECE.fullmatch(piece):  # a character, or a part of one that may well be a letter
            text = chr(int(byte[1], 16)) if byte[1] < "80" else "x"
        return cls(not text, piece.startswith(WORD_START), text[:1].isalnum(), text[-1:].isalnum())

    def starts_after(self, before: _Kind) -> bool:
        """Return whether a piece of this kind starts a word, after one of another kind."""
        return self.has_mark or not (before.is_mark or (self.starts_in_word and before.ends_in_word))


def choices_of(src: Side, tgt: Side) -> list[list[Choice]]:
    """Return for each pair its phrases for which another pair has one with the same neighbors.

    A phrase that leaves at most one word, such as the full stop, would make the pair a copy of the other.
    """
    places = defaultdict[tuple[int, ...], list[Place]](list)
    phrases = list[list[tuple[Phrase, tuple[int, ...]]]]()
    are_short = [max(map(len, pair)) <= MAX_LINE for pair in zip(src.words, tgt.words, strict=True)]
    aligned = (
        [row if is_short else [] for row, is_short in zip(side.words, are_short, strict=True)] for side in (src, tgt)
    )
    for row, links in enumerate(align_words(Sentences(*aligned))):
        phrases.append([])
        for phrase in phrases_of(links):
            if phrase.src.stop - phrase.src.start >= len(src.words[row]) - 1:
                continue
            neighbors = src.neighbors(row, phrase.src) + tgt.neighbors(row, phrase.tgt)
            phrases[row].append((phrase, neighbors))
            places[neighbors].append(Place(row, phrase))
    return [
        [Choice(phrase, places[neighbors]) for phrase, neighbors in each if len(places[neighbors]) > 1]
        for each in phrases
    ]
