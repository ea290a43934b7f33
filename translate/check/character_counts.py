"""Count the characters in a text and find those that a vocabulary does not cover."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from translate.config.settings import VocabSettings
from translate.data.characters import LINE_FEED, NUM_CHARACTERS, Array, Characters
from translate.data.letters import rare_letters, uncovered
from translate.data.pieces import BYTE_PIECE
from translate.data.vocab import Vocab


class CountedCharacter(NamedTuple):
    """A character with its frequency and first occurrence."""

    character: str
    times: int
    first_line: int  # number of the first line that contains it, from 1


class CharacterCounts:
    """Character frequencies on one or both sides, accumulated block by block."""

    def __init__(self) -> None:
        self.counts = np.zeros(NUM_CHARACTERS, np.int64)
        self._first_lines = np.zeros(NUM_CHARACTERS, np.int64)

    def add(self, characters: Characters, first_line: int) -> None:
        """Count the characters in a block. first_line: line number of the first line in the block."""
        counts = np.bincount(characters.codes, minlength=NUM_CHARACTERS)
        counts[LINE_FEED] = 0
        if ((counts > 0) & (self.counts == 0)).any():
            codes, positions = np.unique(characters.codes, return_index=True)
            is_new = self.counts[codes] == 0
            rows = np.searchsorted(characters.starts, positions[is_new], "right") - 1
            self._first_lines[codes[is_new]] = first_line + rows
        self.counts += counts

    @classmethod
    def total(cls, src: CharacterCounts, tgt: CharacterCounts) -> CharacterCounts:
        """Return the combined counts for both sides of a text."""
        both = cls()
        both.counts = src.counts + tgt.counts
        firsts = (np.where(side.counts > 0, side._first_lines, np.iinfo(np.int64).max) for side in (src, tgt))
        both._first_lines = np.minimum(*firsts)
        return both

    def unknown_to(self, vocab: Vocab) -> list[CountedCharacter]:
        """Return the characters that the vocabulary has no piece for, most frequent first."""
        codes = np.flatnonzero(self.counts)
        rows = vocab.encode([chr(code) for code in codes])
        is_unknown = [vocab.unk_id in row or any(map(BYTE_PIECE.fullmatch, vocab.pieces(row))) for row in rows]
        return self._counted(codes[np.array(is_unknown, bool)])

    def not_covered(self, settings: VocabSettings) -> list[CountedCharacter]:
        """Return the rare characters that a vocabulary with these settings would omit."""
        kept = [ord(letter) for letter in rare_letters(self.counts, settings, settings.size).required]
        return self._counted(np.setdiff1d(uncovered(self.counts, settings.coverage), kept))

    def _counted(self, codes: Array) -> list[CountedCharacter]:
        codes = codes[np.argsort(-self.counts[codes], kind="stable")]
        times, first_lines = self.counts[codes].tolist(), self._first_lines[codes].tolist()
        return list(map(CountedCharacter, map(chr, codes), times, first_lines))
