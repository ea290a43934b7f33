"""Filters for faulty pairs: `data.filter` leaves the pairs out, and `translate check` reports them.

The filters are language-independent: they learn from the text itself what is normal.

Shapes: L lines, P pairs, U Unicode code points.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

import numpy as np

from translate.config.limits import FilterName
from translate.config.settings import DataSettings
from translate.data.characters import Array, Characters, characters_of, scripts
from translate.data.language_id import LanguageProfile, learn_languages
from translate.data.line_faults import LINE_FAULTS, line_faults
from translate.data.parallel_text import Pair, ParallelText, line_hash
from translate.data.word_links import LinkedPair

FILTER_NAMES: tuple[FilterName, ...] = get_args(FilterName)
BLOCK_PAIRS = 4_000  # number of pairs to filter at a time
SAMPLE_PAIRS = 2**15  # minimum sample size for long texts; samples have fewer than twice as many pairs
SAMPLE_CHARACTERS = 500  # number of characters to use from the start of each line in the sample
MAX_SAMPLED_CHARACTERS = 2_000  # maximum length per side in the sample, to limit memory use
SPARE_CHARACTERS = 20  # number of extra characters that one side may have regardless of the ratio
MAIN_SCRIPT = 0.03  # minimum share of a side's letters for a script to count as one of its main scripts
MIN_FOREIGN = 3  # minimum number of letters in foreign scripts for a line to be reported
T = TypeVar("T")


@dataclass(frozen=True)
class Filters:
    """The names of the filters, in the order in which they are applied, and their settings."""

    names: tuple[FilterName, ...]
    max_length_ratio: float

    @classmethod
    def of(cls, data: DataSettings) -> Filters:
        return cls(tuple(dict.fromkeys(data.filter)), data.max_length_ratio)

    def __str__(self) -> str:
        """Return the names of the filters, or "" if there are none."""
        return ", ".join(self.names).replace("length_ratio", f"length_ratio {self.max_length_ratio:g}")


NO_FILTERS = Filters((), 1.0)


@dataclass(frozen=True)
class CorpusStatistics:
    """Statistics that define what is normal for a text."""

    length_ratio: float  # median number of target characters per source character
    is_foreign: tuple[Array, Array]  # (U,) bool per side: letters outside the main scripts of that side
    languages: LanguageProfile | None


class PairFilter:
    """A filter for faulty pairs. It remembers all pairs that it has seen in order to find duplicates."""

    def __init__(self, filters: Filters, statistics: CorpusStatistics) -> None:
        self.counts: dict[str, int] = dict.fromkeys(filters.names, 0)  # number of pairs that `kept` left out, by filter
        self._filters, self._statistics, self._seen = filters, statistics, SeenLines()

    def kept(self, linked: Iterable[LinkedPair]) -> Iterator[LinkedPair]:
        """Yield the pairs that no filter matches. Other pairs are counted under the first filter that matches."""
        linked = iter(linked)
        while block := list(itertools.islice(linked, BLOCK_PAIRS)):
            is_faulty = self.faults([each.pair for each in block])
            is_kept = np.ones(len(block), bool)
            for name in self._filters.names:
                self.counts[name] += int((is_kept & is_faulty[name]).sum())
                is_kept &= ~is_faulty[name]
            yield from itertools.compress(block, is_kept.tolist())

    def faults(self, pairs: Sequence[Pair]) -> dict[str, Array]:
        """Return a (P,) bool mask for each filter, True for matching pairs. Pairs with an empty side never match."""
        names = set(self._filters.names)
        is_full = np.fromiter((pair.is_full for pair in pairs), bool, len(pairs))
        found: dict[str, Array] = {}
        if "identical" in names:
            found["identical"] = np.fromiter((src.strip() == tgt.strip() for src, tgt in pairs), bool, len(pairs))
        if "duplicates" in names:
            found["duplicates"] = self._seen.add(pair.stripped for pair in pairs)
        if names - {"identical", "duplicates"}:
            found |= self._faults_by_characters(pairs)
        return {name: found[name] & is_full for name in self._filters.names}

    def _faults_by_characters(self, pairs: Sequence[Pair]) -> dict[str, Array]:
        sides = [[pair.src for pair in pairs], [pair.tgt for pair in pairs]]
        src, tgt = characters = [characters_of(lines) for lines in sides]
        by_side = [line_faults(lines, side) for lines, side in zip(sides, characters, strict=True)]
        found: dict[str, Array] = {name: by_side[0][name] | by_side[1][name] for name in LINE_FAULTS}
        root = self._statistics.length_ratio**0.5  # normalizes both lengths by the typical ratio
        lengths = np.stack([src.lengths * root, tgt.lengths / root])
        found["length_ratio"] = lengths.max(0) > self._filters.max_length_ratio * lengths.min(0) + SPARE_CHARACTERS
        src_foreign, tgt_foreign = self._statistics.is_foreign
        found["script"] = _is_foreign(src, src_foreign) | _is_foreign(tgt, tgt_foreign)
        found["language"] = np.zeros(len(pairs), bool)
        if languages := self._statistics.languages:
            found["language"] = (languages.sides_of(src) < 0) | (languages.sides_of(tgt) > 0)
        return found


class SeenLines:
    """A set of lines, stored as 8-byte hashes in sorted arrays of decreasing size."""

    def __init__(self) -> None:
        self._arrays: list[Array] = []

    def add(self, lines: Iterable[str]) -> Array:
        """Add lines. Returns an (L,) bool mask of the lines that have occurred before, including earlier in `lines`."""
        new = np.fromiter(map(line_hash, lines), np.uint64)
        unique, first, positions = np.unique(new, return_index=True, return_inverse=True)
        is_repeated = first[positions] != np.arange(len(new))
        is_known = self._contains(unique)
        unseen = unique[~is_known]
        while self._arrays and len(self._arrays[-1]) <= len(unseen):
            unseen = np.concatenate([unseen, self._arrays.pop()])
            unseen.sort()
        if len(unseen):
            self._arrays.append(unseen)
        return is_repeated | is_known[positions]

    def contains(self, lines: Iterable[str]) -> Array:
        """Return an (L,) bool mask of the lines that are in the set."""
        return self._contains(np.fromiter(map(line_hash, lines), np.uint64))

    def _contains(self, hashes: Array) -> Array:
        is_known = np.zeros(len(hashes), bool)
        for known in self._arrays:
            is_known |= known[np.searchsorted(known, hashes).clip(max=len(known) - 1)] == hashes
        return is_known


def pair_filter(text: ParallelText, filters: Filters) -> PairFilter:
    """Return the filter for a text or part of a text. The entire text is read once to compute its statistics."""
    return PairFilter(filters, text_statistics(ParallelText(text.src, text.tgt)))


def kept_pairs(text: ParallelText, filters: Filters) -> Iterator[Pair]:
    """Yield the pairs of a text that the filters keep. Pairs with an empty side are always kept."""
    linked = (LinkedPair(pair, (), number) for number, pair in text.numbered())
    return (each.pair for each in (pair_filter(text, filters).kept(linked) if filters.names else linked))


def sample(items: Iterable[T]) -> list[T]:
    """Return evenly spaced items: at least SAMPLE_PAIRS but fewer than twice as many, or all if there are fewer."""
    chosen: list[T] = []
    step = 1
    for number, item in enumerate(items):
        if number % step == 0:
            chosen.append(item)
            if len(chosen) == 2 * SAMPLE_PAIRS:
                chosen, step = chosen[::2], 2 * step
    return chosen


def shortened(pair: Pair) -> Pair:
    """Return the pair with at most MAX_SAMPLED_CHARACTERS characters per side."""
    return Pair(pair.src[:MAX_SAMPLED_CHARACTERS], pair.tgt[:MAX_SAMPLED_CHARACTERS])


def text_statistics(pairs: Iterable[Pair]) -> CorpusStatistics:
    """Compute the statistics of a text from a sample of its pairs."""
    return corpus_statistics(sample(map(shortened, pairs)))


def corpus_statistics(pairs: Sequence[Pair]) -> CorpusStatistics:
    """Compute statistics from a sample of pairs."""
    full = [pair for pair in pairs if pair.is_full]
    sides = [[pair[side][:SAMPLE_CHARACTERS] for pair in full] for side in (0, 1)]
    src, tgt = (characters_of(lines) for lines in sides)
    ratio = float(np.median((tgt.lengths + 1) / (src.lengths + 1))) if full else 1.0
    return CorpusStatistics(ratio, (_foreign_letters(src), _foreign_letters(tgt)), learn_languages(*sides))


def _foreign_letters(characters: Characters) -> Array:
    """Return a (U,) bool mask of the letters outside the main scripts; all False if `characters` has no letters."""
    counts = np.bincount(scripts()[characters.codes])
    counts[:1] = 0
    main = np.flatnonzero(counts > MAIN_SCRIPT * counts.sum())
    return ~np.isin(scripts(), [0, *main]) if len(main) else np.zeros(len(scripts()), bool)


def _is_foreign(characters: Characters, is_foreign: Array) -> Array:
    """Return an (L,) bool mask of the lines whose letters mostly belong to scripts foreign to the side."""
    num_foreign = characters.reduce(np.add, is_foreign[characters.codes].astype(np.int32))
    num_letters = characters.reduce(np.add, (scripts()[characters.codes] > 0).astype(np.int32))
    return (num_foreign >= MIN_FOREIGN) & (2 * num_foreign > num_letters)
