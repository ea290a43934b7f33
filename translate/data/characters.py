"""Many lines as one array of characters, and the properties of characters as tables to look them up in.

Shapes: N characters, L lines, U Unicode's code points.
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
NO_SCRIPT = "Zyyy"  # Unicode's name of what scripts share; here also of everything that is not a letter
SAME_SCRIPT = {"Hira": "Hani", "Kana": "Hani", "Bopo": "Hani", "Zinh": NO_SCRIPT, "Zzzz": NO_SCRIPT}

Array = npt.NDArray[Any]


class Characters(NamedTuple):
    """The characters of some lines, each line followed by a line feed."""

    codes: Array  # (N,) uint32, code points
    starts: Array  # (L,) int64, where each line begins
    lengths: Array  # (L,) int64, without the line feed

    def sums(self, values: Array) -> Array:
        """(N,) -> (L,): the sum over each line."""
        return np.add.reduceat(values, self.starts) if len(self.starts) else values[:0]

    def unions(self, bits: Array) -> Array:
        """(N,) -> (L,): the bits that are set anywhere in each line."""
        return np.bitwise_or.reduceat(bits, self.starts) if len(self.starts) else bits[:0]


def characters_of(lines: Sequence[str]) -> Characters:
    """Return the characters of lines that contain no line feeds."""
    text = "".join(f"{line}\n" for line in lines)
    lengths = np.fromiter(map(len, lines), np.int64, len(lines))
    ends = np.cumsum(lengths + 1)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return Characters(codes, ends - lengths - 1, lengths)


@lru_cache
def unassigned() -> Array:
    """(U,) bool: the code points without a character in Python's version of Unicode."""
    return np.fromiter((unicodedata.category(chr(code)) == "Cn" for code in range(NUM_CHARACTERS)), bool)


@lru_cache
def scripts() -> Array:
    """(U,) uint8: the number of each letter's script, 0 for what is not a letter or belongs to all scripts.

    Chinese and Japanese characters are one script.
    """
    from fontTools.unicodedata import Scripts  # in the function, because only the filters need it

    names = [SAME_SCRIPT.get(name, name) for name in Scripts.VALUES]
    number = {name: i for i, name in enumerate(dict.fromkeys([NO_SCRIPT, *names]))}
    sizes = np.diff([*Scripts.RANGES, NUM_CHARACTERS])
    numbers = np.repeat(np.array([number[name] for name in names], np.uint8), sizes)
    is_letter = np.fromiter((chr(code).isalpha() for code in range(NUM_CHARACTERS)), bool)
    return numbers * is_letter
