"""Put items around and between the units of a translation: each once, and nested as in the source.

A pair of tags goes around the translation of what it surrounds; a point next to the translation of the word that it
touches, else to where it parts the translation as it parts the source. What has no aligned word, or crosses another
pair, is placed by order. Pure functions of the items, the units and the links between them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from translate.markup.items import Item
from translate.markup.spans import LinkTable, Span
from translate.markup.units import Linked


@dataclass
class Node:
    """A pair of tags, or a single item, and its place."""

    opening: int  # index of the item; for the whole line -1
    closing: int  # likewise; of a single item the same as `opening`
    first: int  # source units that it surrounds; a point has none
    end: int
    is_cut: bool = False  # whether a tag is within a word
    children: list[Node] = field(default_factory=list)
    low: int = 0  # target units that it surrounds
    high: int = 0
    is_unsafe: bool = False


class Placement(NamedTuple):
    """Where the items go."""

    elements: list[tuple[int, int]]  # gap of the target and index of each item, in the order of the target
    unsafe: list[int]  # indices of items that were placed by order


def place(items: Sequence[Item], linked: Linked) -> Placement:
    """Place the items that have no stand-in."""
    placer = _Placer(items, linked)
    root = placer.placed()
    elements, unsafe = list[tuple[int, int]](), list[int]()
    waiting = [(child, True) for child in reversed(root.children)]
    while waiting:
        node, is_opening = waiting.pop()
        elements.append((node.low, node.opening) if is_opening else (node.high, node.closing))
        if is_opening and node.is_unsafe:
            unsafe.append(node.opening)
        if is_opening and node.closing != node.opening:
            waiting.append((node, False))
            waiting += [(child, True) for child in reversed(node.children)]
    return Placement(elements, sorted(unsafe))


class _Placer:
    """Places the items of a line, from the outer pairs to the inner ones."""

    def __init__(self, items: Sequence[Item], linked: Linked) -> None:
        self._items, self._source = items, linked.source
        self._table = LinkTable(linked.links, len(linked.source), len(linked.target))
        self._taken = np.zeros(len(linked.target), dtype=np.bool_)

    def placed(self) -> Node:
        """Return the whole line as a tree, in which the children of each node are in the order of the target."""
        root = self._tree()
        root.high = self._table.num_target
        waiting = [root]
        while waiting:
            node = waiting.pop()
            self._place_children(node)
            waiting += [child for child in node.children if child.children]
        return root

    def _tree(self) -> Node:
        starts, ends = [unit.start for unit in self._source], [unit.end for unit in self._source]
        root = Node(-1, -1, 0, len(self._source))
        stack = [root]
        for index, item in enumerate(self._items):
            if item.has_stand_in:
                continue
            gap = bisect_right(ends, item.start)
            is_within = gap < len(starts) and starts[gap] < item.start
            if item.partner > index:
                stack.append(Node(index, item.partner, gap, gap, is_within))
                stack[-2].children.append(stack[-1])
            elif item.partner >= 0:
                node = stack.pop()
                node.end, node.is_cut = gap + is_within, node.is_cut or is_within
            else:
                stack[-1].children.append(Node(index, index, gap, gap, is_within))
        return root

    def _place_children(self, node: Node) -> None:
        """Place the children of a node within its span: the pairs, beginning with the surest, and then the points."""
        pairs = [child for child in node.children if child.end > child.first]
        self._taken[node.low : node.high] = False
        wanted = [(self._wanted(child, node), child) for child in pairs]
        spans, remaining = list[tuple[int, int]](), list[Node]()
        for span, child in sorted(wanted, key=lambda each: -each[0].gain):
            if span.gain and self._taken[span.low : span.high].any():
                span = self._table.span(child.first, child.end, (node.low, node.high), self._taken)
            child.low, child.high, _ = span
            child.is_unsafe = child.is_cut or not span.gain
            if span.gain:
                self._taken[child.low : child.high] = True
                insort(spans, (child.low, child.high))
            else:
                remaining.append(child)
        for child in sorted(remaining, key=lambda child: child.opening):
            child.low, child.high = self._by_order(child, node, spans)
            self._taken[child.low : child.high] = True
            insort(spans, (child.low, child.high))
        for child in node.children:
            if child.end == child.first:
                gap, is_safe = self._gap(child, node)
                child.low = child.high = _outside(gap, spans)
                child.is_unsafe = not is_safe
        node.children.sort(key=lambda child: (child.low, child.high, child.opening))

    def _wanted(self, child: Node, node: Node) -> Span:
        """Return the best span for a pair, whatever its siblings want."""
        if (child.first, child.end) == (node.first, node.end):
            return Span(node.low, node.high, 1.0)
        low, high, gain = self._table.span(child.first, child.end, (node.low, node.high))
        # What has no links at the edge goes with what is next to it.
        if gain and child.first == node.first and not self._table.num_linked(node.low, low):
            low = node.low
        if gain and child.end == node.end and not self._table.num_linked(high, node.high):
            high = node.high
        return Span(low, high, gain)

    def _by_order(self, child: Node, node: Node, spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return a span at the same share of the line as in the source, without units if those there are taken."""
        scale = (node.high - node.low) / max(1, node.end - node.first)
        low, high = (node.low + round((each - node.first) * scale) for each in (child.first, child.end))
        gap = _outside(low, spans)
        next_span = bisect_left(spans, (low, -1))
        is_free = gap == low and (next_span == len(spans) or spans[next_span][0] >= high)
        return (low, high) if is_free else (gap, gap)

    def _gap(self, child: Node, node: Node) -> tuple[int, bool]:
        """Return the gap of a point, and whether it is safe."""
        within, gap = (node.low, node.high), child.first
        if child.is_cut:
            return self._table.span(gap, gap + 1, within).high, False
        if gap in (node.first, node.end):
            return (node.low if gap == node.first else node.high), True
        is_free_left, is_free_right = self._items[child.opening].is_free_left, self._items[child.closing].is_free_right
        if is_free_left != is_free_right:
            anchor = gap if is_free_left else gap - 1
            span = self._table.span(anchor, anchor + 1, within)
            if span.gain:
                return (span.low if is_free_left else span.high), True
        return self._table.cut(gap, within)


def _outside(gap: int, spans: Sequence[tuple[int, int]]) -> int:
    """Return the gap, or if it is within one of the spans, which are in order, the nearer end of that."""
    at = bisect_left(spans, (gap, -1)) - 1  # the last that begins before the gap
    low, high = spans[at] if at >= 0 else (gap, gap)
    return gap if gap >= high else low if gap - low < high - gap else high
