"""How large an attention folder will be, told from its first lines before any of it is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from translate.attention.maps import MOST_PIECES, AttentionMaps, StoredType
from translate.data.vocab import Vocab

MOST_SAMPLED = 1000  # lines
HEADER_BYTES = 280  # of an array in an .npz file, with its place in the file's directory
BYTES_OF_LABEL = 40  # numpy gives each piece the room of the longest, four bytes a character
BYTES_OF_WEIGHT = {"float32": 4.0, "float16": 2.0}
# The page has the maps once more, compressed: measured on the toy corpus and on Tatoeba.
PAGE_BYTES_OF_WEIGHT, PAGE_BYTES_OF_LINE, PAGE_BYTES = 1.9, 1200.0, 60_000.0


class Expected(NamedTuple):
    """A text that is to be translated."""

    num_lines: int
    sample: list[str]  # some of the lines, drawn at random

    @classmethod
    def of(cls, lines: Iterable[str]) -> Expected:
        """The lines are read once; the sample is that of Vitter 1985, algorithm R."""
        random, sample, num_lines = Random(1), list[str](), 0
        for num_lines, line in enumerate(lines, start=1):
            if num_lines <= MOST_SAMPLED:
                sample.append(line)
            elif (place := random.randrange(num_lines)) < MOST_SAMPLED:
                sample[place] = line
        return cls(num_lines, sample)


def foretell(maps: Sequence[AttentionMaps | None], vocab: Vocab, dtype: StoredType, expected: Expected | None) -> str:
    """What to say of the folder's size.

    maps: of the first lines. vocab: of the source. expected: the whole text; None where it is not known beforehand.
    """
    drawn = [each for each in maps if each]
    if expected is None:
        return f"about {_bytes(sum(_size(each, dtype) for each in drawn) / len(maps))} a line"
    whole = PAGE_BYTES
    if drawn and expected.sample:
        growth = sum(len(each.target) for each in drawn) / sum(len(each.source) for each in drawn)
        lengths = [len(ids) + 1 for ids in vocab.encode(expected.sample) if ids]
        sizes = (_size_of_lengths(length, round(growth * length), drawn[0], dtype) for length in lengths)
        whole += sum(sizes) * expected.num_lines / len(expected.sample)
    lines = "1 line" if expected.num_lines == 1 else f"{expected.num_lines:,} lines"
    return f"about {_bytes(whole)} for {lines}"


def _size(maps: AttentionMaps, dtype: StoredType) -> float:
    return _size_of_lengths(len(maps.source), len(maps.target), maps, dtype)


def _size_of_lengths(num_src: int, num_tgt: int, like: AttentionMaps, dtype: StoredType) -> float:
    """The bytes of a line with so many pieces and the kinds, layers and heads of another; none if it is too long."""
    if max(num_src, num_tgt) > MOST_PIECES:
        return PAGE_BYTES_OF_LINE
    cells = {"encoder": num_src**2, "decoder": num_tgt**2, "cross": num_src * num_tgt}
    weights = sum(cells[kind] * math.prod(stack.weights.shape[:2]) for kind, stack in like.stacks.items())
    labels = BYTES_OF_LABEL * (num_src + num_tgt) + HEADER_BYTES * (2 + len(like.stacks)) + PAGE_BYTES_OF_LINE
    return weights * (BYTES_OF_WEIGHT[dtype] + PAGE_BYTES_OF_WEIGHT) + labels


def _bytes(count: float) -> str:
    """In decimal units, as disks are sold."""
    power = min(int(math.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
