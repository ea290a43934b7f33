"""Items within words that the translation copies: `H<sub>2</sub>O` stays what it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from translate.markup.items import MarkedLine
from translate.markup.units import Linked, Unit


def split_copies(line: MarkedLine, translation: str, linked: Linked) -> Linked:
    """Split each word that has items within it and that is linked to a copy of itself, and the copy, at the items."""
    source, target, links = linked
    ends = [unit.end for unit in source]
    cuts: dict[int, list[int]] = {}  # source unit -> offsets in it
    for at in sorted({item.start for item in line.items if not item.has_stand_in}):
        unit = bisect_right(ends, at)
        if unit < len(source) and source[unit].start < at:
            cuts.setdefault(unit, []).append(at - source[unit].start)
    words = {unit: line.text[source[unit].start : source[unit].end] for unit in cuts}
    copies: dict[int, int] = {}  # source unit -> target unit
    for i, j in links:
        if i in words and words[i] == translation[target[j].start : target[j].end]:
            copies.setdefault(i, j)
    if not copies:
        return linked
    new_source, at_source = _split(source, {i: cuts[i] for i in copies})
    new_target, at_target = _split(target, {j: cuts[i] for i, j in copies.items()})
    parts = ((i, j, len(cuts[i]) + 1) for i, j in copies.items())
    copied = [(at_source[i] + part, at_target[j] + part) for i, j, num_parts in parts for part in range(num_parts)]
    others = [(at_source[i], at_target[j]) for i, j in links if copies.get(i) != j]
    return Linked(new_source, new_target, [*others, *copied])


def _split(units: Sequence[Unit], cuts: dict[int, list[int]]) -> tuple[list[Unit], list[int]]:
    """Return the units with some of them split at offsets, and the new index of each."""
    result, places = list[Unit](), list[int]()
    for index, unit in enumerate(units):
        places.append(len(result))
        bounds = [0, *cuts.get(index, ()), unit.end - unit.start]
        result += [Unit(unit.start + begin, unit.start + end, unit.is_word) for begin, end in pairwise(bounds)]
    return result, places
