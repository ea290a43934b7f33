"""Text lines as a single array of characters, and lookup tables for character properties.

Shapes: N characters, L lines, U Unicode code points.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NUM_CHARACTERS = sys.maxunicode + 1
EMPTY_PLANES = range(0x40000, 0xE0000)  # planes 4 to 13 of Unicode, in which nothing is assigned
LINE_FEED = 10
NO_SCRIPT = "Zyyy"  # the Unicode script "Common"; also used here for all non-letters
SAME_SCRIPT = {"Hira": "Hani", "Kana": "Hani", "Bopo": "Hani", "Zinh": NO_SCRIPT, "Zzzz": NO_SCRIPT}

Array = npt.NDArray[Any]


class Characters(NamedTuple):
    """The characters of multiple lines, each ending with a line feed."""

    codes: Array  # (N,) uint32, code points
    starts: Array  # (L,) int64, index of the first character of each line
    lengths: Array  # (L,) int64, excluding line feeds

    def reduce(self, function: np.ufunc, values: Array) -> Array:
        """Reduce (N,) values to one value per line: (L,). For example, `np.add` computes the sum over each line."""
        return function.reduceat(values, self.starts) if len(self.starts) else values[:0]


def characters_of(lines: Sequence[str]) -> Characters:
    """Return the characters of the given lines, which must not contain line feeds."""
    text = "".join(f"{line}\n" for line in lines)
    lengths = np.fromiter(map(len, lines), np.int64, len(lines))
    ends = np.cumsum(lengths + 1)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return Characters(codes, ends - lengths - 1, lengths)


@lru_cache
def unassigned() -> Array:
    """Return a (U,) bool mask of the code points that are unassigned in Python's version of Unicode."""
    return _where(lambda characters: map("Cn".__eq__, map(unicodedata.category, characters)), in_empty_planes=True)


@lru_cache
def scripts() -> Array:
    """Return the (U,) uint8 script numbers of all code points; 0 for non-letters and letters common to all scripts.

    Chinese and Japanese characters are treated as a single script.
    """
    from fontTools.unicodedata import Scripts  # imported here because only the filters need it

    names = [SAME_SCRIPT.get(name, name) for name in Scripts.VALUES]
    number = {name: i for i, name in enumerate(dict.fromkeys([NO_SCRIPT, *names]))}
    sizes = np.diff([*Scripts.RANGES, NUM_CHARACTERS])
    numbers = np.repeat(np.array([number[name] for name in names], np.uint8), sizes)
    return numbers * _where(partial(map, str.isalpha), in_empty_planes=False)


def _where(holds: Callable[[str], Iterable[bool]], in_empty_planes: bool) -> Array:
    """Return a (U,) bool mask of the code points for which a property holds. holds: the property of each character."""
    mask = np.full(NUM_CHARACTERS, in_empty_planes)
    for part in slice(0, EMPTY_PLANES.start), slice(EMPTY_PLANES.stop, NUM_CHARACTERS):
        codes = np.arange(part.start, part.stop, dtype="<u4")
        mask[part] = np.fromiter(holds(codes.tobytes().decode("utf-32-le", "surrogatepass")), bool, len(codes))
    return mask
