"""Draw word alignments: source words above, target words below, and a line for each link. Sizes are in points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translate.report.figure import POINTS_PER_INCH, figure_at
from translate.system.terminal_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_SIZE = 10.0
SPACE = 9.0  # between two words
HEIGHT = 76.0  # height of each pair
SOURCE_AT, TARGET_AT = 58.0, 14.0  # distance of the words' centres from the bottom of the pair
# Colour-blind readers can distinguish blue, orange and grey. The line styles differ in greyscale, too.
RIGHT, WRONG, MISSED = ("#0b5cad", "-"), ("#d55e00", "--"), ("#8a8a8a", ":")

Links = frozenset[tuple[int, int]]  # pairs of a source word and a target word, numbered from 0


class LinkedPair(NamedTuple):
    """The words of a sentence pair, with predicted links and, if known, gold links."""

    source: Sequence[str]
    target: Sequence[str]
    links: Links
    sure: Links | None = None  # None: no gold links are given
    possible: Links = frozenset()  # in addition to the sure ones


def save_links(pairs: Sequence[LinkedPair], path: Path) -> list[str]:
    """Draw pairs one below the other, as SVG or PNG depending on the suffix. Returns warnings about missing fonts.

    If gold links are given, wrong links are orange and dashed, and missed sure links are grey and dotted.
    """
    words = (word for pair in pairs for side in pair[:2] for word in side)
    height = len(pairs) * HEIGHT / POINTS_PER_INCH
    with figure_at(path, 1, height, words) as (figure, warnings):
        centres = [(_word_centres(pair.source), _word_centres(pair.target)) for pair in pairs]
        width = max(side[-1] for each in centres for side in each) + SPACE
        figure.set_size_inches(width / POINTS_PER_INCH, height)
        for number, (pair, (sources, targets)) in enumerate(zip(pairs, centres, strict=True), start=1):
            axes = figure.add_axes((0, 1 - number / len(pairs), 1, 1 / len(pairs)), xlim=(0, width), ylim=(0, HEIGHT))
            axes.set_axis_off()
            _draw(axes, pair, sources, targets)
    return warnings


def _draw(axes: Axes, pair: LinkedPair, sources: Sequence[float], targets: Sequence[float]) -> None:
    for words, centres, height in (pair.source, sources, SOURCE_AT), (pair.target, targets, TARGET_AT):
        for word, centre in zip(words, centres, strict=False):
            axes.text(centre, height, printable(word), ha="center", va="center", fontsize=FONT_SIZE)
    right = pair.links if pair.sure is None else pair.links & (pair.sure | pair.possible)
    missed = (pair.sure or frozenset()) - pair.links
    for links, (colour, style) in (missed, MISSED), (pair.links - right, WRONG), (right, RIGHT):
        for source, target in sorted(links):
            ends = (sources[source], targets[target]), (SOURCE_AT - FONT_SIZE, TARGET_AT + FONT_SIZE)
            axes.plot(*ends, color=colour, linestyle=style, linewidth=1.3)


def _word_centres(words: Sequence[str]) -> list[float]:
    """Return the centre of each word, from left to right, followed by the position after the last word."""
    from matplotlib.textpath import TextPath

    centres, end = [], SPACE
    for word in words:
        width = TextPath((0, 0), printable(word), size=FONT_SIZE).get_extents().width
        centres.append(end + width / 2)
        end += width + SPACE
    return [*centres, end]
