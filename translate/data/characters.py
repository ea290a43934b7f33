"""Lines as one array of characters, and lookup tables of character properties.

Shapes: N characters, L lines, U Unicode code points.
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
NO_SCRIPT = "Zyyy"  # the Unicode script "Common"; here also that of all non-letters
SAME_SCRIPT = {"Hira": "Hani", "Kana": "Hani", "Bopo": "Hani", "Zinh": NO_SCRIPT, "Zzzz": NO_SCRIPT}

Array = npt.NDArray[Any]


class Characters(NamedTuple):
    """The characters of several lines, each of which ends with a line feed."""

    codes: Array  # (N,) uint32, code points
    starts: Array  # (L,) int64, index of the first character of each line
    lengths: Array  # (L,) int64, without the line feeds

    def reduce(self, function: np.ufunc, values: Array) -> Array:
        """Reduce (N,) values to one value per line: (L,). With `np.add`, for example, it is the sum over the line."""
        return function.reduceat(values, self.starts) if len(self.starts) else values[:0]


def characters_of(lines: Sequence[str]) -> Characters:
    """Return the characters of lines that contain no line feeds."""
    text = "".join(f"{line}\n" for line in lines)
    lengths = np.fromiter(map(len, lines), np.int64, len(lines))
    ends = np.cumsum(lengths + 1)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return Characters(codes, ends - lengths - 1, lengths)


@lru_cache
def unassigned() -> Array:
    """Return which code points are not assigned in Python's version of Unicode: (U,) bool."""
    return np.fromiter((unicodedata.category(chr(code)) == "Cn" for code in range(NUM_CHARACTERS)), bool)


@lru_cache
def scripts() -> Array:
    """Return the number of each letter's script, or 0 for non-letters and letters shared by all scripts: (U,) uint8.

    Chinese and Japanese characters count as one script.
    """
    from fontTools.unicodedata import Scripts  # imported here because only the filters need it

    names = [SAME_SCRIPT.get(name, name) for name in Scripts.VALUES]
    number = {name: i for i, name in enumerate(dict.fromkeys([NO_SCRIPT, *names]))}
    sizes = np.diff([*Scripts.RANGES, NUM_CHARACTERS])
    numbers = np.repeat(np.array([number[name] for name in names], np.uint8), sizes)
    is_letter = np.fromiter((chr(code).isalpha() for code in range(NUM_CHARACTERS)), bool)
    return numbers * is_letter
