"""Two attention folders of one text side by side: how much of each head's weight lies elsewhere.

No torch here. Sentences are read one after the other; memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from translate.attention.folder import AttentionFolder, Entry
from translate.attention.maps import AttentionMaps
from translate.model.attention_kinds import KINDS, Head, KindName


class Moved(NamedTuple):
    """How much of a head's weight one folder has where the other has none."""

    head: Head
    share: float  # 0 to 1, of a row in the mean


class Comparison(NamedTuple):
    """Of two folders."""

    num_lines: int  # that both have
    num_alike: int  # of them with the same source and target pieces; only those are compared
    heads: list[Moved]  # of the layers and heads that both have

    def mean(self, kind: KindName) -> float | None:
        """Over the heads of a kind; None where none was compared."""
        shares = [moved.share for moved in self.heads if moved.head.kind == kind]
        return sum(shares) / len(shares) if shares else None


def compare(one: AttentionFolder, other: AttentionFolder) -> Comparison:
    """Of each head: half the sum of absolute differences of a row (total variation), the mean of all rows."""
    num_lines = num_alike = 0
    sums: Counter[Head] = Counter()
    num_rows: Counter[Head] = Counter()
    for lines in common_lines(one, other):
        num_lines += 1
        mine, theirs = one.maps(lines[0]), other.maps(lines[1])
        if not have_same_pieces(mine, theirs):
            continue
        num_alike += 1
        for kind in [kind for kind in KINDS if kind in mine.stacks and kind in theirs.stacks]:
            (ours, our_layers), (its, its_layers) = mine.stacks[kind], theirs.stacks[kind]
            num_heads = min(ours.shape[1], its.shape[1])
            for layer in [layer for layer in our_layers if layer in its_layers]:
                first, second = ours[our_layers.index(layer), :num_heads], its[its_layers.index(layer), :num_heads]
                moved = np.abs(first - second).sum(axis=(1, 2), dtype=np.float64) / 2
                for head, total in enumerate(moved.tolist()):
                    sums[Head(kind, layer, head)] += total
                    num_rows[Head(kind, layer, head)] += ours.shape[2]
    heads = [Moved(head, sums[head] / num_rows[head]) for head in num_rows]
    return Comparison(num_lines, num_alike, heads)


def have_same_pieces(one: AttentionMaps, other: AttentionMaps) -> bool:
    """On both sides."""
    return (one.source, one.target) == (other.source, other.target)


def common_lines(one: AttentionFolder, other: AttentionFolder) -> Iterator[tuple[Entry, Entry]]:
    """Each line that has maps in both; the lines of both indexes are in order."""
    theirs = other.entries()
    entry = next(theirs, None)
    for mine in one.entries():
        while entry and entry.id < mine.id:
            entry = next(theirs, None)
        if entry and entry.id == mine.id and entry.file and mine.file:
            yield mine, entry
