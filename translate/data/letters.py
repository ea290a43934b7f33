"""Rare letters and digits, which get a piece each unless they are too many.

sentencepiece covers a share of the text with pieces of single characters and spells the others in bytes. In a small
text with a small alphabet, ç, î or û are among the others, although a piece for each would cost next to nothing.

Shapes: U Unicode code points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from translate.config.settings import VocabSettings
from translate.data.characters import LINE_FEED, NUM_CHARACTERS, Array, characters_of

MAX_LETTERS = 300  # rare letters that get a piece
MAX_SHARE = 0.1  # of the vocabulary
LINES_TOGETHER = 10_000
MAX_NAMED = 20  # letters in the log
CATEGORIES = ("L", "M", "Nd")  # of Unicode: letters, their marks, and decimal digits


class RareLetters(NamedTuple):
    """The rare letters and digits of a text, most frequent first, and whether they get a piece each."""

    letters: str
    are_covered: bool
    others: str = ""  # the characters that `vocab.character_coverage` covers, without the space

    @property
    def required(self) -> str:
        """The characters that get a piece each, or "" if sentencepiece chooses them.

        All are named, because sentencepiece counts those that are named as frequent and so leaves out others. But it
        would name none if the space, which it spells ▁, were among them.
        """
        return self.others + self.letters if self.are_covered else ""

    def __str__(self) -> str:
        if self.are_covered:
            more = " …" * (len(self.letters) > MAX_NAMED)
            return f"rare letters and digits, a piece each: {' '.join(self.letters[:MAX_NAMED])}{more}"
        return f"rare letters and digits spelled in bytes: {len(self.letters):,} (vocab.character_coverage)"


def rare_letters_of(lines: Iterable[str], settings: VocabSettings, max_size: int) -> RareLetters:
    """Return the rare letters of a text as `rare_letters` does, or none if `vocab.character_coverage` is set."""
    if settings.character_coverage:
        return RareLetters("", False)
    return rare_letters(_counts_of(lines, settings.normalization), settings, max_size)


def rare_letters(counts: Array, settings: VocabSettings, max_size: int) -> RareLetters:
    """Return the letters that `vocab.character_coverage` does not cover, given the (U,) counts of the characters.

    They get a piece each if the setting is 0 and they are few, in relation to the size of the vocabulary, too.
    """
    rare = uncovered(counts, settings.coverage).tolist()
    letters = "".join(letter for letter in map(chr, rare) if unicodedata.category(letter).startswith(CATEGORIES))
    limit = 0 if settings.character_coverage else min(MAX_LETTERS, round(MAX_SHARE * max_size))
    others = "".join(map(chr, sorted({*np.flatnonzero(counts).tolist()} - {*rare})))
    return RareLetters(letters, 0 < len(letters) <= limit, others.replace(" ", ""))


def uncovered(counts: Array, coverage: float) -> Array:
    """Return the code points that are too rare for a share of the text, most frequent first, as sentencepiece does."""
    codes = np.flatnonzero(counts)
    codes = codes[np.argsort(-counts[codes], kind="stable")]
    num_before = np.cumsum(counts[codes]) - counts[codes]
    return codes[num_before >= coverage * counts.sum()]


def _counts_of(lines: Iterable[str], rule: str) -> Array:
    """Return the (U,) counts of the characters after normalization by a rule of `vocab.normalization`."""
    counts = np.zeros(NUM_CHARACTERS, np.int64)
    rest = iter(lines)
    while block := list(islice(rest, LINES_TOGETHER)):
        counts += np.bincount(characters_of(list(_normalized(block, rule))).codes, minlength=NUM_CHARACTERS)
    counts[ord(" ")] += counts[LINE_FEED]  # sentencepiece begins each line with a space
    counts[LINE_FEED] = 0
    return counts


def _normalized(lines: Iterable[str], rule: str) -> Iterator[str]:
    """Yield the lines with the characters that the rule would leave, approximately."""
    for line in lines:
        text = line if rule == "identity" else unicodedata.normalize("NFC" if rule == "nfc" else "NFKC", line)
        yield (text.casefold() if rule.endswith("_cf") else text).replace("\n", " ")
