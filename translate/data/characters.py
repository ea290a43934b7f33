"""Many lines as one array of characters, and what kind each character is: looked up for all of them at once.

Shapes: N characters, L lines.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NUM_CHARACTERS = sys.maxunicode + 1
LINE_FEED = 10
NO_SCRIPT = 0  # of what is not a letter
ONE_WRITING = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "BOPOMOFO": "CJK"}  # scripts that are written together
IGNORED = ("MODIFIER", "FEMININE", "MASCULINE", "FULLWIDTH", "HALFWIDTH", "MATHEMATICAL", "SUPERSCRIPT", "SUBSCRIPT")

Array = npt.NDArray[Any]


class Characters(NamedTuple):
    """The characters of some lines, each line followed by a line feed."""

    codes: Array  # (N,) uint32, code points
    starts: Array  # (L,) int64, where each line begins
    lengths: Array  # (L,) int64, without the line feed

    def sums(self, values: Array) -> Array:
        """(N,) -> (L,): of each line; of no lines nothing."""
        return np.add.reduceat(values, self.starts) if len(self.starts) else values[:0]

    def unions(self, bits: Array) -> Array:
        """(N,) -> (L,): the bits that are set anywhere in each line."""
        return np.bitwise_or.reduceat(bits, self.starts) if len(self.starts) else bits[:0]


def characters_of(lines: Sequence[str]) -> Characters:
    """The characters of lines that hold no line feeds."""
    text = "".join(f"{line}\n" for line in lines)
    lengths = np.fromiter(map(len, lines), np.int64, len(lines))
    ends = np.cumsum(lengths + 1)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return Characters(codes, ends - lengths - 1, lengths)


@lru_cache
def unassigned() -> Array:
    """(NUM_CHARACTERS,) bool: which characters Unicode, as Python knows it, gives no meaning."""
    return np.fromiter(
        (unicodedata.category(chr(code)) == "Cn" for code in range(NUM_CHARACTERS)), bool, NUM_CHARACTERS
    )


class Scripts(NamedTuple):
    """The writing that each letter belongs to."""

    names: tuple[str, ...]  # by number; NO_SCRIPT is none
    numbers: Array  # (NUM_CHARACTERS,) uint8


@lru_cache
def scripts() -> Scripts:
    """Scripts by the first word of the letters' names in Unicode, such as LATIN; Chinese and Japanese are one, CJK."""
    names = [""]
    numbers = np.zeros(NUM_CHARACTERS, np.uint8)
    known: dict[str, int] = {}
    for code in range(0x30000):  # beyond, there are no alphabets
        character = chr(code)
        if character.isalpha():
            word = unicodedata.name(character, "").partition(" ")[0].partition("-")[0]
            word = ONE_WRITING.get(word, word)
            if word and word not in IGNORED and (word in known or len(names) < 256):
                numbers[code] = known.setdefault(word, len(names))
                if known[word] == len(names):
                    names.append(word)
    return Scripts(tuple(names), numbers)
