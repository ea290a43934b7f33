"""Check a parallel text before training.

The first pass collects statistics about the text, and the second pass checks every pair. The check and data.filter use
the same filters, so they find the same pairs. The check keeps three 8-byte hashes per pair in memory.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from translate.check.character_counts import CharacterCounts, CountedCharacter
from translate.check.findings import MAX_LISTED, MEANINGS, Example, Finding, Tally
from translate.check.lenient_reader import LineBlock, read_blocks
from translate.config.settings import Config
from translate.data.characters import Array, characters_of
from translate.data.filters import FILTER_NAMES, Filters, PairFilter, SeenLines, text_statistics
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.signatures import FROM_WESTERN
from translate.data.round_trip import changed_lines, named, speller
from translate.data.vocab import VocabPair

NUM_LONGEST = 3  # number of long lines to list per side
BYTES_PER_PIECE = 4  # rough estimate if there is no vocabulary; few languages average more


@dataclass(frozen=True)
class Texts:
    """The training text to check and the held-out texts that it must not overlap with."""

    train: ParallelText
    valid: ParallelText | None = None
    test: ParallelText | None = None


class LongLine(NamedTuple):
    """One of the longest lines on a side."""

    characters: int
    line: int
    pieces: int  # exact if there is a vocabulary, otherwise estimated


@dataclass(frozen=True)
class CheckReport:
    """The result of a check."""

    num_lines: tuple[int, int]  # number of lines in the source file and in the target file
    unit: str  # what is counted: "line", or "row" or "unit" in files that hold both sides
    starts: tuple[tuple[str, int], ...]  # of further source files: the name, and the number of its first line
    num_left_out: int  # number of pairs that training would leave out with these settings
    findings: tuple[Finding, ...]  # most important first
    longest: tuple[tuple[LongLine, ...], tuple[LongLine, ...]]  # longest lines on each side
    length_ratio: float  # median number of target characters per source character
    vocab_size: int  # number of pieces in the target vocabulary
    knows_languages: bool  # whether the check could tell the languages of the two sides apart

    @property
    def num_pairs(self) -> int:
        """The number of line pairs, which is the line count of the shorter file."""
        return min(self.num_lines)


def check(
    texts: Texts, config: Config, vocabs: VocabPair | None, num_examples: int, progress: Callable[[int], object]
) -> CheckReport:
    """Check every pair in a text. Raises UserError if a file is missing or is not a text file.

    vocabs: vocabularies for counting pieces and unknown characters (estimated if None). num_examples: maximum
    number of examples per finding. progress: callback that receives the number of pairs in each completed block.
    """
    return _Check(texts, config, vocabs, num_examples).run(progress)


class _Check:
    def __init__(self, texts: Texts, config: Config, vocabs: VocabPair | None, num_examples: int) -> None:
        self._text, self._config, self._vocabs = texts.train, config, vocabs
        self._tallies = {name: Tally(num_examples) for name in MEANINGS}
        # Compute the statistics from the same sample that training uses.
        blocks = read_blocks(texts.train)
        self._statistics = text_statistics(pair for block in blocks for pair in block.pairs[: block.num_pairs])
        self._filter = PairFilter(Filters(FILTER_NAMES, config.data.max_length_ratio), self._statistics)
        self._sources = SeenLines()
        held_out = {"overlap_valid": texts.valid, "overlap_test": texts.test}
        self._held_out = {name: _read_held_out(text) for name, text in held_out.items() if text}
        self._num_same_pairs = dict.fromkeys(self._held_out, 0)
        self._tgt_vocab = vocabs.tgt if vocabs else speller(config.vocab.normalization)
        self._lost: dict[str, Counter[str]] = {}  # lost characters by finding
        self._characters = (CharacterCounts(), CharacterCounts())
        self._longest: list[list[tuple[int, int, str]]] = [[], []]
        self._num_left_out = self._num_full = self._num_western = 0

    def run(self, progress: Callable[[int], object]) -> CheckReport:
        num_src = num_tgt = 0
        starts = []
        for block in read_blocks(self._text):
            starts += [(block.begins, block.first)] if block.begins else []
            num_src, num_tgt = num_src + len(block.src.texts), num_tgt + len(block.tgt.texts)
            self._check_block(block)
            progress(len(block))
        return CheckReport(
            (num_src, num_tgt),
            self._text.unit,
            tuple(starts[1:]),
            self._num_left_out,
            tuple(self._findings()),
            (self._long_lines(0), self._long_lines(1)),
            self._statistics.length_ratio,
            self._vocab_size(),
            self._statistics.languages is not None,
        )

    def _check_block(self, block: LineBlock) -> None:
        pairs, first = block.pairs, block.first
        usable = np.ones(len(pairs), bool)
        usable[block.unusable] = False
        self._tally_troubles(block)
        has_src, has_tgt = (np.fromiter((bool(pair[i].strip()) for pair in pairs), bool, len(pairs)) for i in (0, 1))
        is_full = has_src & has_tgt
        found = self._filter.faults(pairs)
        found["empty_source"] = usable & ~has_src & has_tgt
        found["empty_target"] = usable & has_src & ~has_tgt
        found["empty_both"] = usable & ~has_src & ~has_tgt
        found |= self._find_repeats(pairs, is_full, found["duplicates"])
        is_long = self._measure_lengths(pairs, first) > self._config.data.max_pieces
        found["too_long" if self._vocabs else "maybe_too_long"] = is_long & is_full
        is_left_out = ~is_full
        for name, rows in found.items():
            if name in self._config.data.filter or name == "too_long":
                is_left_out |= rows
            for row in np.flatnonzero(rows).tolist():
                self._tallies[name].add(Example(first + row, *pairs[row]))
        self._num_full += int(is_full.sum())
        self._num_left_out += int((is_left_out & usable).sum())
        self._tally_changes(block.first, list(itertools.compress(enumerate(pairs), is_full.tolist())))

    def _tally_troubles(self, block: LineBlock) -> None:
        self._num_western += block.src.num_western + block.tgt.num_western
        for row in sorted({*block.src.troubles, *block.tgt.troubles, *range(block.num_pairs, len(block))}):
            example = Example(block.first + row, block.src.text(row), block.tgt.text(row))
            for trouble in dict.fromkeys(block.src.troubles.get(row, ()) + block.tgt.troubles.get(row, ())):
                self._tallies[trouble].add(example)
            if row >= block.num_pairs:
                self._tallies["line_counts"].add(example)

    def _tally_changes(self, first: int, full: Sequence[tuple[int, Pair]]) -> None:
        """Find the target lines that encoding changes. full: index in the block and pair, for pairs with both sides."""
        targets = [pair.tgt for _, pair in full]
        for change in changed_lines(self._tgt_vocab, targets, self._tgt_vocab.encode(targets)):
            row, pair = full[change.row]
            self._tallies[f"{change.cause}_target"].add(Example(first + row, *pair))
            self._lost.setdefault(f"{change.cause}_target", Counter()).update(change.lost)

    def _find_repeats(self, pairs: Sequence[Pair], is_full: Array, is_duplicate: Array) -> dict[str, Array]:
        """Find sources seen earlier with a different target, and sources that also occur in a held-out text."""
        sources = [pair.src.strip() for pair in pairs]
        found = {"same_source": self._sources.add(sources) & is_full & ~is_duplicate}
        for name, (known_sources, known_pairs) in self._held_out.items():
            found[name] = known_sources.contains(sources) & is_full
            rows = np.flatnonzero(found[name]).tolist()
            self._num_same_pairs[name] += int(known_pairs.contains([pairs[row].stripped for row in rows]).sum())
        return found

    def _measure_lengths(self, pairs: Sequence[Pair], first: int) -> Array:
        """Count the characters and keep track of the longest lines.

        Returns the number of pieces on the longer side of each pair, or 0 for pairs that cannot exceed the limit.
        """
        pieces = np.zeros(len(pairs), np.int64)
        for side in (0, 1):
            lines = [pair[side] for pair in pairs]
            characters = characters_of(lines)
            self._characters[side].add(characters, first)
            top = np.argsort(characters.lengths)[-NUM_LONGEST:].tolist()
            longest = [*self._longest[side], *((len(lines[row]), -(first + row), lines[row]) for row in top)]
            self._longest[side] = heapq.nlargest(NUM_LONGEST, longest)
            # A line has at most one piece per byte, plus one for the word-start marker of its first word.
            rows = np.flatnonzero(4 * characters.lengths >= self._config.data.max_pieces).tolist()
            rows = [row for row in rows if len(lines[row].encode()) >= self._config.data.max_pieces]
            pieces[rows] = np.maximum(pieces[rows], self._num_pieces(side, [lines[row] for row in rows]))
        return pieces

    def _num_pieces(self, side: int, lines: Sequence[str]) -> list[int]:
        if self._vocabs:
            return [len(row) for row in self._vocabs[side].encode(lines)]
        if self._is_by_character:
            return [len(line) + 1 for line in lines]  # + 1 for the word-start marker
        return [len(line.encode()) // BYTES_PER_PIECE for line in lines]

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
        if self._tallies["identical"].count == self._num_full and self._text.is_one_file:
            self._tallies["same_sides"] = self._tallies["identical"]
        notes = {name: f"including {same:,} with the same target" for name, same in self._num_same_pairs.items()}
        notes |= {name: f"lines that lose a character: {named(lost)}" for name, lost in self._lost.items() if lost}
        notes["not_utf8"] = FROM_WESTERN if 2 * self._num_western > self._tallies["not_utf8"].count else ""
        unknown, name = self._unknown_characters(), "unknown_characters" if self._vocabs else "rare_characters"
        self._tallies[name].count = sum(character.times for character in unknown)
        self._tallies[name].lines += sorted({character.first_line for character in unknown})[:MAX_LISTED]
        notes[name] = ", ".join(f"{times:,} × {char} (U+{ord(char):04X})" for char, times, _ in unknown[:10])
        for name, tally in self._tallies.items():
            if tally.count:
                yield tally.finding(name, data, notes.get(name, ""))

    def _unknown_characters(self) -> list[CountedCharacter]:
        src, tgt = self._characters
        if self._vocabs and not self._vocabs.joint:
            return [*src.unknown_to(self._vocabs.src), *tgt.unknown_to(self._vocabs.tgt)]
        both = CharacterCounts.total(src, tgt)
        if self._vocabs:
            return both.unknown_to(self._vocabs.src)
        return both.not_covered(self._config.vocab)


def _read_held_out(text: ParallelText) -> tuple[SeenLines, SeenLines]:
    """Return the source lines and the pairs of a held-out text as two sets."""
    sources, pairs = SeenLines(), SeenLines()
    for block in read_blocks(text):
        full = [pair for pair in block.pairs if pair.is_full]
        sources.add(pair.src.strip() for pair in full)
        pairs.add(pair.stripped for pair in full)
    return sources, pairs
