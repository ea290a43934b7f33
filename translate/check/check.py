"""What is wrong with a parallel text, told before anything is trained on it.

One pass learns what is usual in the text, a second one looks at every pair. What the findings about pairs count is
exactly what data.filter would leave out, because both ask the same rules. Memory is bounded: of each pair three
hashes of 8 bytes are kept.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from translate.check.character_counts import CharacterCounts, CountedCharacter
from translate.check.findings import MAX_LISTED, MEANINGS, Example, Finding, Tally
from translate.check.lenient_reader import RoughBlock, raw_pairs, rough_blocks, rough_lines
from translate.config.settings import Config
from translate.data.characters import Array, characters_of
from translate.data.filters import (
    FILTER_NAMES,
    SHORT,
    CorpusStatistics,
    Filters,
    PairFilter,
    SeenLines,
    corpus_statistics,
    if_short,
    sample,
)
from translate.data.parallel_text import Pair, ParallelText, Side, is_tsv
from translate.data.vocab import VocabPair

NUM_LONGEST = 3  # lines of a side that are named
BYTES_A_PIECE = 4  # in most languages, a piece is no longer: without a vocabulary, lengths are guessed by it


@dataclass(frozen=True)
class Texts:
    """What is checked, and what it should not overlap with."""

    train: ParallelText
    valid: ParallelText | None = None
    test: ParallelText | None = None


class LongLine(NamedTuple):
    """One of the longest lines."""

    characters: int
    line: int
    pieces: int  # by the vocabulary, or guessed


@dataclass(frozen=True)
class CheckReport:
    """All that a check found."""

    num_lines: tuple[int, int]  # of the source and of the target file
    num_left_out: int  # pairs, by training under the settings
    findings: tuple[Finding, ...]  # the most important first
    longest: tuple[tuple[LongLine, ...], tuple[LongLine, ...]]  # of each side
    length_ratio: float  # characters of the target for one of the source: the median
    vocab_size: int  # pieces of the target side
    knows_languages: bool  # whether the languages of the two sides could be told apart

    @property
    def num_pairs(self) -> int:
        """Pairs of lines; what one file has more is none."""
        return min(self.num_lines)


def check(
    texts: Texts, config: Config, vocabs: VocabPair | None, num_examples: int, tell: Callable[[int], object]
) -> CheckReport:
    """Look at every pair of a text. Raises UserError where a file is missing or no text at all.

    vocabs: to count pieces and unknown characters; without, both are guessed. tell: given the number of pairs of each
    block that was looked at.
    """
    return _Check(texts, config, vocabs, num_examples).run(tell)


class _Check:
    def __init__(self, texts: Texts, config: Config, vocabs: VocabPair | None, num_examples: int) -> None:
        self._text, self._config, self._vocabs = texts.train, config, vocabs
        self._tallies = {name: Tally(num_examples) for name in MEANINGS}
        self._usual = _usual(texts.train)
        self._sieve = PairFilter(Filters(FILTER_NAMES, config.data.max_length_ratio), self._usual)
        self._sources = SeenLines()
        self._others = {
            f"overlap_{name}": _seen(text) for name, text in (("valid", texts.valid), ("test", texts.test)) if text
        }
        self._num_same = dict.fromkeys(self._others, 0)
        self._characters = (CharacterCounts(), CharacterCounts())
        self._longest: list[list[tuple[int, int, str]]] = [[], []]
        self._num_left_out = 0

    def run(self, tell: Callable[[int], object]) -> CheckReport:
        num_src = num_tgt = 0
        for block in rough_blocks(self._text.src, self._text.tgt):
            num_src, num_tgt = num_src + len(block.src.texts), num_tgt + len(block.tgt.texts)
            self._look_at(block)
            tell(len(block))
        return CheckReport(
            (num_src, num_tgt),
            self._num_left_out,
            tuple(self._findings()),
            (self._long_lines(0), self._long_lines(1)),
            self._usual.length_ratio,
            self._vocab_size(),
            self._usual.languages is not None,
        )

    def _look_at(self, block: RoughBlock) -> None:
        """Count what there is in some pairs."""
        pairs, first = block.pairs, block.first
        usable = np.ones(len(pairs), bool)
        usable[block.unusable] = False
        self._count_troubles(block)
        has_src, has_tgt = (np.fromiter((bool(pair[i].strip()) for pair in pairs), bool, len(pairs)) for i in (0, 1))
        found = self._sieve.doubts(pairs)
        found["empty_source"] = usable & ~has_src & has_tgt
        found["empty_target"] = usable & has_src & ~has_tgt
        found["empty_both"] = usable & ~has_src & ~has_tgt
        found |= self._repeats(pairs, has_src & has_tgt, found["duplicates"])
        lengths = self._measure(pairs, first)
        found["too_long" if self._vocabs else "maybe_too_long"] = (
            (lengths > self._config.data.max_pieces) & has_src & has_tgt
        )
        is_left_out = ~has_src | ~has_tgt
        for name, rows in found.items():
            if name in self._config.data.filter or name == "too_long":
                is_left_out |= rows
            for row in np.flatnonzero(rows).tolist():
                self._tallies[name].add(Example(first + row, *pairs[row]))
        self._num_left_out += int((is_left_out & usable).sum())

    def _count_troubles(self, block: RoughBlock) -> None:
        def shown(row: int) -> Example:
            return Example(block.first + row, block.src.text(row), block.tgt.text(row))

        for row in sorted({*block.src.troubles, *block.tgt.troubles}):
            for trouble in dict.fromkeys(block.src.troubles.get(row, ()) + block.tgt.troubles.get(row, ())):
                self._tallies[trouble].add(shown(row))
        for row in range(min(len(block.src.texts), len(block.tgt.texts)), len(block)):
            self._tallies["line_counts"].add(shown(row))

    def _repeats(self, pairs: Sequence[Pair], is_full: Array, is_duplicate: Array) -> dict[str, Array]:
        """Sources that came before with another target, and those that are in another text."""
        sources = [pair.src.strip() for pair in pairs]
        found = {"same_source": self._sources.add(sources) & is_full & ~is_duplicate}
        for name, (other_sources, other_pairs) in self._others.items():
            found[name] = other_sources.holds(sources) & is_full
            rows = np.flatnonzero(found[name]).tolist()
            self._num_same[name] += int(other_pairs.holds([pairs[row].essence for row in rows]).sum())
        return found

    def _measure(self, pairs: Sequence[Pair], first: int) -> Array:
        """Count the characters; returns the pieces of each pair's longer side, where they may be too many."""
        pieces = np.zeros(len(pairs), np.int64)
        for side in (0, 1):
            lines = [pair[side] for pair in pairs]
            characters = characters_of(lines)
            self._characters[side].add(characters, first)
            top = np.argsort(characters.lengths)[-NUM_LONGEST:].tolist()
            self._longest[side] = heapq.nlargest(
                NUM_LONGEST, [*self._longest[side], *((len(lines[row]), -(first + row), lines[row]) for row in top)]
            )
            # No side has more pieces than bytes, and one for the start of a word.
            rows = np.flatnonzero(4 * characters.lengths >= self._config.data.max_pieces).tolist()
            rows = [row for row in rows if len(lines[row].encode()) >= self._config.data.max_pieces]
            pieces[rows] = np.maximum(pieces[rows], self._num_pieces(side, [lines[row] for row in rows]))
        return pieces

    def _num_pieces(self, side: int, lines: Sequence[str]) -> list[int]:
        if self._vocabs:
            return [len(row) for row in self._vocabs[side].encode(lines)]
        if self._is_by_character:
            return [len(line) + 1 for line in lines]  # and the mark of its first word
        return [len(line.encode()) // BYTES_A_PIECE for line in lines]

    def _vocab_size(self) -> int:
        if self._vocabs:
            return self._vocabs.tgt.size
        if self._is_by_character:
            return int(np.count_nonzero(self._characters[0].counts + self._characters[1].counts))
        return self._config.vocab.size

    @property
    def _is_by_character(self) -> bool:
        return self._config.vocab.algorithm == "char" and not self._config.vocab.model

    def _long_lines(self, side: int) -> tuple[LongLine, ...]:
        longest = self._longest[side]
        counts = self._num_pieces(side, [line for _, _, line in longest])
        return tuple(LongLine(size, -place, count) for (size, place, _), count in zip(longest, counts, strict=True))

    def _findings(self) -> Iterator[Finding]:
        data = self._config.data
        notes = {name: f"{same:,} of them as the same pair" for name, same in self._num_same.items()}
        unknown, name = self._unknown_characters(), "unknown_characters" if self._vocabs else "rare_characters"
        self._tallies[name].count = sum(character.times for character in unknown)
        self._tallies[name].lines += sorted({character.first_line for character in unknown})[:MAX_LISTED]
        notes[name] = _listed(unknown)
        for name, tally in self._tallies.items():
            if tally.count:
                yield tally.finding(name, data, notes.get(name, ""))

    def _unknown_characters(self) -> list[CountedCharacter]:
        src, tgt = self._characters
        if self._vocabs and not self._vocabs.joint:
            return [*src.unknown_to(self._vocabs.src), *tgt.unknown_to(self._vocabs.tgt)]
        both = CharacterCounts.total(src, tgt)
        return both.unknown_to(self._vocabs.src) if self._vocabs else both.beyond(self._config.vocab.character_coverage)


class _Seen(NamedTuple):
    """What another text holds."""

    sources: SeenLines
    pairs: SeenLines


def _seen(text: ParallelText) -> _Seen:
    seen = _Seen(SeenLines(), SeenLines())
    for block in rough_blocks(text.src, text.tgt):
        full = [pair for pair in block.pairs if pair.is_full]
        seen.sources.add(pair.src.strip() for pair in full)
        seen.pairs.add(pair.essence for pair in full)
    return seen


def _usual(text: ParallelText) -> CorpusStatistics:
    """What is usual in a text, by the pairs that can be read; the same sample from which training learns it."""
    sides = text.src, text.tgt
    chosen = sample(_if_short(raws, sides) for raws in raw_pairs(*sides))
    raws_of_sides = ([raws[i] for raws in chosen] for i in (0, 1))
    lines = [rough_lines(raws, side, True) for raws, side in zip(raws_of_sides, sides, strict=True)]
    return corpus_statistics(RoughBlock(1, *lines).pairs)


def _if_short(raws: tuple[bytes, bytes], sides: tuple[Side, Side]) -> tuple[bytes, bytes]:
    """The lines of a pair if `if_short` keeps it, without columns that are not read; else empty ones."""
    if max(map(len, raws)) <= SHORT:
        return raws
    lines = [rough_lines([raw], side, False) for raw, side in zip(raws, sides, strict=True)]
    src, tgt = if_short(RoughBlock(1, *lines).pairs[0])
    return _as_raw(src, sides[0]), _as_raw(tgt, sides[1])


def _as_raw(line: str, side: Side) -> bytes:
    return b"\t" * (side.column - 1 if is_tsv(side.path) else 0) + line.encode() + b"\n"


def _listed(characters: Iterable[CountedCharacter]) -> str:
    shown = list(itertools.islice(characters, 10))
    return ", ".join(f"{each.character} (U+{ord(each.character):04X}) {each.times:,} times" for each in shown)
