"""Which units of a translation stand for nouns of the source: their stand-ins, copied or translated."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from translate.markup.items import Item, MarkedLine
from translate.markup.units import Linked, Unit, units_of


class FoundNouns(NamedTuple):
    """The nouns of a line in its translation."""

    raw: dict[int, str]  # by target unit
    items: list[Item]  # of the line; nouns that were not found have no stand-in
    links: list[tuple[int, int]]  # a found noun is linked to its unit alone


def find_nouns(line: MarkedLine, translation: str, linked: Linked) -> FoundNouns:
    """Find the unit in place of each stand-in: a copy of it, else a unit that is aligned with it.

    If there are as many copies as in the line, they are in the same order. Of the aligned words, or marks for a mark,
    that with the fewest other links is chosen, and of those the longest.
    """
    source, target, links = linked
    stand_ins = dict(_stand_ins(line, source))
    words = {line.text[source[unit].start : source[unit].end].casefold() for unit in stand_ins.values()}
    originals = _places(line.text, source, words)
    copies = _places(translation, target, {line.items[index].expected.casefold() for index in stand_ins})
    aligned, degrees = defaultdict[int, list[int]](list), defaultdict[int, int](int)
    for i, j in links:
        aligned[i].append(j)
        degrees[j] += 1
    found: dict[int, int] = {}  # target unit -> item
    bound: dict[int, int] = {}  # source unit -> target unit
    for index, unit in stand_ins.items():
        same = originals[line.text[source[unit].start : source[unit].end].casefold()]
        found_copies = copies[line.items[index].expected.casefold()]
        chosen = [j for j in aligned[unit] if j not in found and target[j].is_word == source[unit].is_word]
        chosen = sorted(chosen, key=lambda j: (degrees[j], target[j].start - target[j].end))[:1]
        if len(same) == len(found_copies):
            chosen = [found_copies[same.index(unit)]]
        for j in chosen:
            found[j], bound[unit] = index, j
    kept = {*found.values()}
    items = [
        replace(item, end=item.start) if item.has_stand_in and index not in kept else item
        for index, item in enumerate(line.items)
    ]
    free = [(i, j) for i, j in links if i not in bound and j not in found]
    return FoundNouns({j: line.items[index].raw for j, index in found.items()}, items, [*free, *bound.items()])


def all_translated(line: MarkedLine, translation: str) -> bool:
    """Return whether the usual translation of each word that stands in for a noun occurs once."""
    expected = [item.expected.casefold() for item in line.items if item.expected.isalnum()]
    if not expected:
        return True
    places = _places(translation, units_of(translation), {*expected})
    return all(len(places[word]) == 1 for word in expected)


def _stand_ins(line: MarkedLine, units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    """Yield the index of each noun that has a stand-in, and the unit that this is."""
    for index, item in enumerate(line.items):
        unit = bisect_left(units, item.start, key=lambda unit: unit.start)
        if item.has_stand_in and unit < len(units) and units[unit][:2] == (item.start, item.end):
            yield index, unit


def _places(text: str, units: Sequence[Unit], words: set[str]) -> dict[str, list[int]]:
    """Return the units that are one of these words, by word, whatever the case."""
    places: dict[str, list[int]] = {word: [] for word in words}
    for index, (start, end, _) in enumerate(units):
        if (word := text[start:end].casefold()) in places:
            places[word].append(index)
    return places
