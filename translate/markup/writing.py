"""The translation of a line with its items, with whitespace around them as in the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from translate.markup.items import Item, MarkedLine
from translate.markup.units import Unit


def written(
    line: MarkedLine,
    translation: str,
    units: Sequence[Unit],
    elements: Sequence[tuple[int, int]],
    nouns: Mapping[int, str],
    escape: Callable[[str], str] = str,
) -> str:
    """Return the translation with the items where they have been placed.

    units: of the translation. elements: the gap and the index of each item; see `place`. nouns: what to write in
    place of units. escape: applied to the translation itself.
    """
    at_gaps: dict[int, list[int]] = {}
    for gap, index in elements:
        at_gaps.setdefault(gap, []).append(index)
    spacing = _Spacing(line, units)
    result, end = list[str](), 0
    for gap in range(len(units) + 1):
        unit = units[gap] if gap < len(units) else None
        space = translation[end : unit.start if unit else len(translation)]
        result += spacing.joined(gap, at_gaps[gap], space) if gap in at_gaps else [space]
        if unit:
            result.append(nouns.get(gap) or escape(translation[unit.start : unit.end]))
            end = unit.end
    return "".join(result)


class _Spacing:
    """Whitespace between the items in a gap of the translation, and the units around them."""

    def __init__(self, line: MarkedLine, units: Sequence[Unit]) -> None:
        self._text, self._items, self._units = line.text, line.items, units

    def joined(self, gap: int, indices: Sequence[int], space: str) -> list[str]:
        """Return the items of a gap with whitespace between them. space: that of the translation in the gap."""
        around = [-1, *indices, -1]
        wishes = [self._wish(left, right, gap) for left, right in pairwise(around)]
        wishes[0] = "" if gap == 0 else wishes[0]
        wishes[-1] = "" if gap == len(self._units) else wishes[-1]
        if None in wishes:
            wishes[wishes.index(None)] = space
        parts = [wishes[0] or ""]
        for index, wish in zip(indices, wishes[1:], strict=True):
            parts += [self._items[index].raw, wish or ""]
        return parts

    def _wish(self, before: int, after: int, gap: int) -> str | None:
        """Return the whitespace between neighbors: indices of items, or -1 for a unit. None: as in the translation."""
        left, right = (self._items[index] if index >= 0 else None for index in (before, after))
        if left and right and after == before + 1 and left.start == right.start:  # neighbors in the source, too
            return right.before
        wishes = [self._right_of(left, gap) if left else None, self._left_of(right, gap) if right else None]
        return next((wish for wish in wishes if wish), "" if "" in wishes else None)

    def _right_of(self, item: Item, gap: int) -> str | None:
        if item.kind == "close" and self._has_text(item):  # a space before it may be all that parts two words
            return "" if item.before and not item.is_free_right else None
        if item.after:
            return item.after
        is_glued = item.kind == "open" or not (item.is_free_right or self._is_within_word(item))
        following = self._text[item.start : item.start + 2].strip()[:1].isalnum()
        is_similar = gap < len(self._units) and self._units[gap].is_word == following
        return "" if is_glued and (item.kind == "open" or is_similar) else None

    def _left_of(self, item: Item, gap: int) -> str | None:
        if item.kind == "open" and self._has_text(item):
            return "" if item.after and not item.is_free_left else None
        if item.before:
            return item.before
        is_glued = item.kind == "close" or not item.is_free_left
        preceding = self._text[max(0, item.start - 1) : item.start].isalnum()
        is_similar = gap > 0 and self._units[gap - 1].is_word == preceding
        return "" if is_glued and (item.kind == "close" or is_similar) else None

    def _has_text(self, tag: Item) -> bool:
        return self._items[tag.partner].start != tag.start

    def _is_within_word(self, item: Item) -> bool:
        around = self._text[max(0, item.start - 1) : item.start + 1]
        return len(around) == 2 and around.isalnum()
