"""Compare lines with the source side of the training text: its words, pieces and pairs of neighbouring pieces.

A line of another language, of unknown words or of shuffled words differs from them, even where the model is sure. This
module does not import numpy, so that the ctranslate2 engine starts faster. The counterpart in JavaScript is
`report/page/engine/source_text.js`.

Shapes: W words, P pairs, V source pieces, S pieces of a line including `</s>`.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from translate.data.vocab import Vocab
from translate.evaluation.metrics import HAN, OTHER_UNSPACED

UNSPACED = HAN.pattern[1:-1] + OTHER_UNSPACED.pattern[1:-1]  # each of these characters counts as a word
# Spaces and punctuation, except the joiners within words of Persian and Indic scripts (U+200C, U+200D).
SEPARATORS = (
    r"\s!-/:-@\[-`{-~\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u0589\u05be\u060c\u061b\u061f"
    r"\u066a-\u066d\u06d4\u0964\u0965\u2000-\u200b\u200e-\u206f\u2190-\u2bff\u3000-\u3004\u3007-\u3020\u3030"
    r"\u30fb\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ufffd"
)
WORD = re.compile(rf"[{UNSPACED}]|[^{UNSPACED}{SEPARATORS}]+")
NUMBER = re.compile(r"\d")  # a word with a digit is neither known nor unknown
SCALE = 10  # stored whole numbers are this many times the nats that they stand for
MAX_REMEMBERED = 100_000  # words and pairs that have been looked up
ARRAYS = {"U8": "B", "I8": "b", "U32": "I", "U64": "Q"}  # names of types in safetensors files and in Python's arrays

# The tables, by name. All but `words` and `pairs` are indexed by pieces or pairs:
# words       (W,) sorted hashes of the words
# pairs       (P,) sorted codes of pairs of neighbouring pieces of which the second begins a word
# affinities  (P,) log p(second | first) / p(second)
# unpaired    (V + 1,) the same after each piece, or at the start of a line, for a pair that is not listed
# surprisals  (V,) -log p(piece)
# begins      (V,) 1 if the piece begins a word
Tables = dict[str, "array[int]"]
K = TypeVar("K")
V = TypeVar("V")


class SourceSignals(NamedTuple):
    """How a line compares with the training text."""

    unseen: tuple[str, ...]  # words that the training text does not have
    unseen_share: float  # share of the letters that are in them
    affinity: float  # mean over the words, in nats: above 0 where words follow that often follow each other
    surprisal: float  # mean over the pieces, in nats: high for rare pieces


class SourceText:
    """What is known of the source side of the training text."""

    def __init__(self, tables: Tables, vocab: Vocab) -> None:
        self.tables, self._vocab = tables, vocab
        self._words = dict[str, bool]()
        self._affinities = dict[int, int]()

    def signals(self, ids: Sequence[int]) -> SourceSignals:
        """Compare a line with the training text. ids: (S,) its pieces, ending with `</s>`."""
        words = words_in(self._vocab.decode(ids[:-1]))
        unseen = [word for word in words if not self._has(word)]
        share = sum(map(len, unseen)) / max(1, sum(map(len, words)))
        begins, start = self.tables["begins"], self._vocab.size
        pairs = zip((start, *ids), ids, strict=False)
        affinities = [self._affinity(first, second) for first, second in pairs if begins[second]]
        surprisal = sum(map(self.tables["surprisals"].__getitem__, ids)) / (SCALE * len(ids))
        return SourceSignals(
            tuple(dict.fromkeys(unseen)), share, sum(affinities) / (SCALE * max(1, len(affinities))), surprisal
        )

    def _affinity(self, first: int, second: int) -> int:
        code = pair_code(first, second, self._vocab.size)
        if (known := self._affinities.get(code)) is None:
            place = _find(self.tables["pairs"], code)
            known = self.tables["unpaired"][first] if place is None else self.tables["affinities"][place]
            _remember(self._affinities, code, known)
        return known

    def _has(self, word: str) -> bool:
        """Return whether the training text has the word. Hashes may collide, so a few words pass that it has not."""
        if (known := self._words.get(word)) is None:
            known = _find(self.tables["words"], hash_of(word)) is not None
            _remember(self._words, word, known)
        return known


def words_in(text: str) -> list[str]:
    """Return the words of a text, without punctuation and numbers."""
    return [word for word in WORD.findall(text) if not NUMBER.search(word) and any(map(str.isalpha, word))]


def hash_of(word: str) -> int:
    """Return the 32-bit hash of a word; upper and lower case have the same."""
    return zlib.crc32(word.lower().encode("utf-8", "replace"))


def pair_code(first: int, second: int, size: int) -> int:
    """Return a number for a pair of pieces. first: a piece, or the vocabulary's size for the start of a line."""
    return first * (size + 1) + second


def read_tables(content: bytes) -> Tables:
    """Return the tables in a safetensors file, whose content must be intact."""
    length = int.from_bytes(content[:8], "little")
    tables: Tables = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tables[name] = array(ARRAYS[entry["dtype"]], content[start:end])
        if sys.byteorder == "big":
            tables[name].byteswap()
    return tables


def _find(table: array[int], code: int) -> int | None:
    place = bisect_left(table, code)
    return place if place < len(table) and table[place] == code else None


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
