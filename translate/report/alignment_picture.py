"""Draw word alignments: source words above, target words below, a line for each link. Sizes are in points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translate.report.figure import figure_at, fonts_for, undrawn_warnings
from translate.system.terminal_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS = 10.0
SPACE = 9.0  # between two words
HEIGHT = 76.0  # of a pair
SOURCE_AT, TARGET_AT = 58.0, 14.0  # the middle of the words, from the bottom of a pair
POINTS = 72  # per inch
# Blue, orange and grey differ for colour-blind readers; their strokes differ in grey, too.
RIGHT, WRONG, MISSED = ("#0b5cad", "-"), ("#d55e00", "--"), ("#8a8a8a", ":")

Links = frozenset[tuple[int, int]]  # pairs of a source word and a target word, from 0


class LinkedPair(NamedTuple):
    """A pair of sentences in words, with its links, and with gold links if there are some."""

    source: Sequence[str]
    target: Sequence[str]
    links: Links
    sure: Links | None = None
    possible: Links = frozenset()  # in addition to the sure ones


def save_links(pairs: Sequence[LinkedPair], path: Path) -> list[str]:
    """Draw pairs below each other, as SVG or PNG by the suffix of the path. Returns warnings about missing fonts.

    With gold links, wrong links are orange and dashed, missing sure ones grey and dotted.
    """
    fonts, undrawn = fonts_for(printable(word) for pair in pairs for side in pair[:2] for word in side)
    with figure_at(path, 1, len(pairs) * HEIGHT / POINTS, fonts) as figure:
        places = [(_middles(pair.source), _middles(pair.target)) for pair in pairs]
        width = max(side[-1] for each in places for side in each) + SPACE
        figure.set_size_inches(width / POINTS, len(pairs) * HEIGHT / POINTS)
        for number, (pair, (sources, targets)) in enumerate(zip(pairs, places, strict=True), start=1):
            axes = figure.add_axes((0, 1 - number / len(pairs), 1, 1 / len(pairs)), xlim=(0, width), ylim=(0, HEIGHT))
            axes.set_axis_off()
            _draw(axes, pair, sources, targets)
    return undrawn_warnings(undrawn)


def _draw(axes: Axes, pair: LinkedPair, sources: Sequence[float], targets: Sequence[float]) -> None:
    for words, places, height in (pair.source, sources, SOURCE_AT), (pair.target, targets, TARGET_AT):
        for word, place in zip(words, places, strict=False):
            axes.text(place, height, printable(word), ha="center", va="center", fontsize=LETTERS)
    right = pair.links if pair.sure is None else pair.links & (pair.sure | pair.possible)
    missed = (pair.sure or frozenset()) - pair.links
    for links, (colour, style) in (missed, MISSED), (pair.links - right, WRONG), (right, RIGHT):
        for source, target in sorted(links):
            ends = (sources[source], targets[target]), (SOURCE_AT - LETTERS, TARGET_AT + LETTERS)
            axes.plot(*ends, color=colour, linestyle=style, linewidth=1.3)


def _middles(words: Sequence[str]) -> list[float]:
    """The middle of each word, from left to right, and the end of the last."""
    from matplotlib.textpath import TextPath

    middles, end = [], SPACE
    for word in words:
        width = TextPath((0, 0), printable(word), size=LETTERS).get_extents().width
        middles.append(end + width / 2)
        end += width + SPACE
    return [*middles, end]
