"""Compare two attention folders for the same text and measure how differently each head distributes its weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from translate.attention.folder import AttentionFolder, Entry
from translate.model.attention_kinds import KINDS, Head, KindName


class MapComparison(NamedTuple):
    """The result of comparing two attention folders."""

    num_lines: int  # lines with maps in both folders
    num_compared: int  # lines with maps and identical pieces in both folders
    shares: dict[Head, float]  # per head in both folders: mean share of a row's weight that moved to other columns

    def mean(self, kind: KindName) -> float | None:
        """Return the mean share across all heads of the given kind, or None if no such head was compared."""
        shares = [share for head, share in self.shares.items() if head.kind == kind]
        return sum(shares) / len(shares) if shares else None


def compare(one: AttentionFolder, other: AttentionFolder) -> MapComparison:
    """Compute each head's total variation distance (half the L1 distance between two rows), averaged over all rows."""
    num_lines = num_compared = 0
    sums: Counter[Head] = Counter()
    num_rows: Counter[Head] = Counter()
    for entry, other_entry in common_lines(one, other):
        num_lines += 1
        mine, theirs = one.maps(entry), other.maps(other_entry)
        if (mine.source, mine.target) != (theirs.source, theirs.target):
            continue
        num_compared += 1
        for kind in (kind for kind in KINDS if kind in mine.stacks and kind in theirs.stacks):
            (ours, our_layers), (its, its_layers) = mine.stacks[kind], theirs.stacks[kind]
            num_heads = min(ours.shape[1], its.shape[1])
            for layer in (layer for layer in our_layers if layer in its_layers):
                first, second = ours[our_layers.index(layer), :num_heads], its[its_layers.index(layer), :num_heads]
                moved = (first - second).astype(np.float64)
                # What a row has less than 1 lies outside the map and counts as a further column.
                distances = (np.abs(moved).sum(axis=(1, 2)) + np.abs(moved.sum(axis=2)).sum(axis=1)) / 2
                for head, distance in enumerate(distances.tolist()):
                    sums[Head(kind, layer, head)] += distance
                    num_rows[Head(kind, layer, head)] += ours.shape[2]
    return MapComparison(num_lines, num_compared, {head: sums[head] / num_rows[head] for head in num_rows})


def common_lines(one: AttentionFolder, other: AttentionFolder) -> Iterator[tuple[Entry, Entry]]:
    """Yield the index entries of lines with maps in both folders. Both indexes must be sorted by line number."""
    theirs = other.entries()
    entry = next(theirs, None)
    for mine in one.entries():
        while entry and entry.id < mine.id:
            entry = next(theirs, None)
        if entry and entry.id == mine.id and entry.file and mine.file:
            yield mine, entry
