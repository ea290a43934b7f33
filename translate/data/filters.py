"""Which pairs of a text are doubtful, and by what rule: for `data.filter`, which leaves them out, and for the check.

What is usual in a text is learnt from the text itself, so that the rules know no language. Shapes: N characters, L
lines, P pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

import numpy as np

from translate.config.settings import DataSettings, FilterName
from translate.data.characters import Array, Characters, Scripts, characters_of, scripts
from translate.data.language_id import LanguageProfile, learn_languages
from translate.data.line_faults import LINE_FAULTS, line_faults
from translate.data.parallel_text import Pair, ParallelText, line_hash
from translate.data.word_links import LinkedPair

FILTER_NAMES: tuple[FilterName, ...] = get_args(FilterName)
BLOCK_PAIRS = 4_000  # looked at together
SAMPLE_PAIRS = 2**15  # from which is learnt what is usual: at least so many, at most twice as many
SAMPLE_CHARACTERS = 500  # of a line
SHORT = 2_000  # characters of a side, above which a pair is not sampled, to bound memory
SPARE_CHARACTERS = 20  # by which one side may be longer, whatever the ratio
T = TypeVar("T")
MAIN_SCRIPT = 0.03  # share of a side's letters from which on their script is one of the side
MIN_FOREIGN = 3  # letters of another script in a line before it counts as written in it


@dataclass(frozen=True)
class Filters:
    """The rules that a training leaves pairs out by, in the order in which they are asked."""

    names: tuple[FilterName, ...]
    max_length_ratio: float

    @classmethod
    def of(cls, data: DataSettings) -> Filters:
        return cls(tuple(dict.fromkeys(data.filter)), data.max_length_ratio)

    def __str__(self) -> str:
        """Names what is left out; "" where nothing is."""
        ratio = f" {self.max_length_ratio:g}"
        return ", ".join(f"{name}{ratio if name == 'length_ratio' else ''}" for name in self.names)


NO_FILTERS = Filters((), 1.0)


@dataclass(frozen=True)
class CorpusStatistics:
    """What is usual in a text."""

    length_ratio: float  # characters of the target side for one of the source side: the median
    is_foreign: tuple[Array, Array]  # of each side: which characters are letters of none of its scripts
    languages: LanguageProfile | None


class PairFilter:
    """Tells doubtful pairs. Duplicates are those of pairs that this sieve has seen before."""

    def __init__(self, filters: Filters, usual: CorpusStatistics) -> None:
        self.counts: dict[str, int] = dict.fromkeys(
            filters.names, 0
        )  # pairs left out by `kept`, each by the first rule that hits
        self._filters = filters
        self._usual = usual
        self._seen = SeenLines()

    def kept(self, linked: Iterable[LinkedPair]) -> Iterator[LinkedPair]:
        """The pairs to train on: without the doubtful ones, but with those empty on a side, which no rule judges."""
        linked = iter(linked)
        while block := list(itertools.islice(linked, BLOCK_PAIRS)):
            doubts = self.doubts([each.pair for each in block])
            is_kept = np.ones(len(block), bool)
            for name in self._filters.names:
                self.counts[name] += int((is_kept & doubts[name]).sum())
                is_kept &= ~doubts[name]
            yield from itertools.compress(block, is_kept.tolist())

    def doubts(self, pairs: Sequence[Pair]) -> dict[str, Array]:
        """Of each rule, which of the next pairs it hits: (P,) bool. A pair that is empty on a side is hit by none."""
        names = set(self._filters.names)
        is_full = np.fromiter((pair.is_full for pair in pairs), bool, len(pairs))
        found: dict[str, Array] = {}
        if "identical" in names:
            found["identical"] = np.fromiter((src.strip() == tgt.strip() for src, tgt in pairs), bool, len(pairs))
        if "duplicates" in names:
            found["duplicates"] = self._seen.add(pair.essence for pair in pairs)
        if names - {"identical", "duplicates"}:
            found |= self._doubts_by_characters(pairs)
        return {name: found[name] & is_full for name in self._filters.names}

    def _doubts_by_characters(self, pairs: Sequence[Pair]) -> dict[str, Array]:
        sides = [[pair.src for pair in pairs], [pair.tgt for pair in pairs]]
        src, tgt = characters = [characters_of(lines) for lines in sides]
        by_side = [line_faults(lines, side) for lines, side in zip(sides, characters, strict=True)]
        found: dict[str, Array] = {name: by_side[0][name] | by_side[1][name] for name in LINE_FAULTS}
        found["length_ratio"] = self._is_unequal(src.lengths, tgt.lengths)
        found["script"] = _is_foreign(src, self._usual.is_foreign[0]) | _is_foreign(tgt, self._usual.is_foreign[1])
        languages = self._usual.languages
        found["language"] = (
            languages.is_like_target(src) | languages.is_like_source(tgt) if languages else np.zeros(len(pairs), bool)
        )
        return found

    def _is_unequal(self, src_lengths: Array, tgt_lengths: Array) -> Array:
        """Whether a side is too long for the other, both measured as if the text's usual ratio were 1."""
        root = self._usual.length_ratio**0.5
        lengths = np.stack([src_lengths * root, tgt_lengths / root])
        return lengths.max(0) > self._filters.max_length_ratio * lengths.min(0) + SPARE_CHARACTERS


class SeenLines:
    """Which lines came before, in 8 bytes a line: their hashes, sorted, in arrays each larger than the next."""

    def __init__(self) -> None:
        self._arrays: list[Array] = []

    def add(self, lines: Iterable[str]) -> Array:
        """(L,) bool: which of the lines came before, or earlier among these."""
        new = np.fromiter(map(line_hash, lines), np.uint64)
        unique, first, places = np.unique(new, return_index=True, return_inverse=True)
        is_old = first[places] != np.arange(len(new))
        is_known = self._hold(unique)
        unseen = unique[~is_known]
        while self._arrays and len(self._arrays[-1]) <= len(unseen):
            unseen = np.concatenate([unseen, self._arrays.pop()])
            unseen.sort()
        if len(unseen):
            self._arrays.append(unseen)
        return is_old | is_known[places]

    def holds(self, lines: Iterable[str]) -> Array:
        """(L,) bool: which of the lines came before; they are not remembered."""
        return self._hold(np.fromiter(map(line_hash, lines), np.uint64))

    def _hold(self, hashes: Array) -> Array:
        found = np.zeros(len(hashes), bool)
        for known in self._arrays:
            found |= known[np.searchsorted(known, hashes).clip(max=len(known) - 1)] == hashes
        return found


def pair_filter(text: ParallelText, filters: Filters) -> PairFilter:
    """The sieve for a part of a text; what is usual is learnt from the whole, read once to its end."""
    return PairFilter(filters, corpus_statistics(sample(map(if_short, ParallelText(text.src, text.tgt)))))


def kept_pairs(text: ParallelText, filters: Filters) -> Iterator[Pair]:
    """The pairs of a text that are trained on, and those that are empty on a side."""
    linked = (LinkedPair(pair, (), number) for number, pair in text.numbered())
    return (each.pair for each in (pair_filter(text, filters).kept(linked) if filters.names else linked))


def sample(items: Iterable[T]) -> list[T]:
    """Items from all over a text, evenly spread: SAMPLE_PAIRS at least, less than twice as many, or all there are."""
    chosen: list[T] = []
    step = 1
    for number, item in enumerate(items):
        if number % step == 0:
            chosen.append(item)
            if len(chosen) == 2 * SAMPLE_PAIRS:
                chosen, step = chosen[::2], 2 * step
    return chosen


def if_short(pair: Pair) -> Pair:
    """The pair, or an empty one where a side has over SHORT characters."""
    return pair if len(pair.src) <= SHORT and len(pair.tgt) <= SHORT else Pair("", "")


def corpus_statistics(pairs: Sequence[Pair]) -> CorpusStatistics:
    """What is usual in a sample of pairs."""
    full = [pair for pair in pairs if pair.is_full]
    sides = [[pair[side][:SAMPLE_CHARACTERS] for pair in full] for side in (0, 1)]
    src, tgt = (characters_of(lines) for lines in sides)
    ratio = float(np.median((tgt.lengths + 1) / (src.lengths + 1))) if full else 1.0
    return CorpusStatistics(ratio, (_foreign_letters(src), _foreign_letters(tgt)), learn_languages(*sides))


def main_scripts(characters: Characters, known: Scripts) -> list[int]:
    """The numbers of the scripts that a side is written in."""
    counts = np.bincount(known.numbers[characters.codes], minlength=len(known.names))
    counts[0] = 0
    return np.flatnonzero(counts > MAIN_SCRIPT * counts.sum()).tolist()


def _foreign_letters(characters: Characters) -> Array:
    """Which characters are letters of other scripts than these; none where these have no letters."""
    known = scripts()
    main = main_scripts(characters, known)
    return ~np.isin(known.numbers, [0, *main] if main else known.numbers)


def _is_foreign(characters: Characters, is_foreign: Array) -> Array:
    """(L,) bool: lines most of whose letters are of another script than the side is written in."""
    num_foreign = characters.sums(is_foreign[characters.codes].astype(np.int32))
    num_letters = characters.sums((scripts().numbers[characters.codes] > 0).astype(np.int32))
    return (num_foreign >= MIN_FOREIGN) & (2 * num_foreign > num_letters)
