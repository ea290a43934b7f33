"""Turn attention maps into word alignments with published methods.

Words are separated by white space in the text, regardless of their pieces; `</s>` is not a word. A word-level map has
one row per target word and one column per source word; an alignment is a boolean array of that shape, True for links.

Shapes: N maps of one sentence (heads, or means over heads and layers), S source words, T target words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from translate.attention.maps import AttentionMaps, Floats, Stack, merge_words
from translate.data.pieces import END, WORD_START, WordSpan, words_of

Method = Literal["argmax", "threshold", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
METHODS: tuple[Method, ...] = get_args(Method)
Links = npt.NDArray[np.bool_]
Point = tuple[int, int]  # row and column in a map
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


class MapChoice(NamedTuple):
    """The cross-attention map of a layer and head (from 0). None stands for the mean over all layers or heads."""

    layer: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        layer = "mean of layers" if self.layer is None else f"layer {self.layer}"
        return f"{layer}, mean of heads" if self.head is None else f"{layer}, head {self.head}"


def word_maps(
    maps: AttentionMaps, source: str, target: str, choices: Sequence[MapChoice], is_shifted: bool
) -> Floats | None:
    """Return the chosen maps at word level, (N, T, S), or None if words and pieces cannot be matched.

    Weights are summed over the pieces of a source word and averaged over those of a target word. A word without pieces
    has zero weight. is_shifted: use the row in which a target piece is the decoder's input, one after the row that
    predicts it (Shift-Att, Chen et al. 2020); for the last piece, it is the row that predicts `</s>`.
    """
    columns, rows = ([n for n, piece in enumerate(side) if piece != END] for side in (maps.source, maps.target))
    source_words = words_of_text(source, [maps.source[n] for n in columns])
    target_words = words_of_text(target, [maps.target[n] for n in rows])
    if source_words is None or target_words is None:
        return None
    merged = np.zeros((len(choices), len(target_words), len(source_words)), dtype=np.float32)
    with_pieces = [[n for n, word in enumerate(side) if word] for side in (target_words, source_words)]
    if all(with_pieces):
        weights = _chosen(maps.stack("cross"), choices)[:, [row + is_shifted for row in rows]][:, :, columns]
        spans = ([word for word in side if word] for side in (target_words, source_words))
        merged[np.ix_(range(len(choices)), *with_pieces)] = merge_words(weights, *spans)
    return merged


def words_of_text(text: str, pieces: Sequence[str]) -> list[WordSpan | None] | None:
    """Return each word of a text with its pieces (None for a word without any), or None if they cannot be matched.

    Normalization can split a word (at a zero-width space) or remove it (if no piece has its characters). Words and
    pieces are matched by their letters; failing that, text and pieces must have the same number of words.
    """
    words, spans = text.split(), words_of(pieces) if pieces else []
    if words == [spelled for spelled, _ in spans]:
        return [*spans]
    matched: list[WordSpan | None] = []
    end = 0
    for word in words:
        start, letters, read = end, _letters(word), ""
        while end < len(spans) and len(read) < len(letters):
            read += _letters(spans[end][0])
            end += 1
        if read != letters:
            return [*spans] if len(spans) == len(words) else None
        matched.append((word, slice(spans[start][1].start, spans[end - 1][1].stop)) if end > start else None)
    return None if any(_letters(spelled) for spelled, _ in spans[end:]) else matched


def align(weights: Floats, method: Method, threshold: float | None = None, reverse: Floats | None = None) -> Links:
    """Convert word-level maps to alignments, both (N, T, S).

    argmax links each target word to the source word with the largest weight; threshold links all pairs of words
    with at least that weight. The other methods combine the argmax of two directions: over the rows and the columns of
    a map or, with `reverse`, over the rows of both models' maps. reverse: (N, S, T) maps of a model of the reverse
    direction. Ties are resolved in favour of the first word.
    """
    if method == "threshold":
        assert threshold is not None
        return weights >= threshold
    forward = best_of_rows(weights)
    if method == "argmax":
        return forward
    backward = best_of_rows(np.swapaxes(weights, 1, 2) if reverse is None else reverse)
    return combine(forward, np.swapaxes(backward, 1, 2), method)


def best_of_rows(weights: Floats) -> Links:
    """Link each row to its largest weight, unless all its weights are 0. weights: (N, rows, columns)."""
    links = np.zeros(weights.shape, dtype=np.bool_)
    if links.size:
        np.put_along_axis(links, weights.argmax(axis=2)[:, :, None], True, axis=2)
    return links & (weights > 0)


def combine(forward: Links, backward: Links, method: Method) -> Links:
    """Symmetrize the (N, T, S) alignments of two directions (Och and Ney 2003; Koehn, Och and Marcu 2003)."""
    if method == "intersection":
        return forward & backward
    if method == "union":
        return forward | backward
    combined = np.zeros_like(forward)
    for each, *directions in zip(combined, forward, backward, strict=True):
        points, others = ({(row, column) for row, column in np.argwhere(links).tolist()} for links in directions)
        for row, column in _grown(points, others, method):
            each[row, column] = True
    return combined


def pharaoh(links: Links) -> str:
    """Format a (T, S) alignment in Pharaoh format: `i-j` for source word i and target word j, from 0, sorted by i."""
    return " ".join(f"{i}-{j}" for i, j in np.argwhere(links.T).tolist())


def _chosen(stack: Stack, choices: Sequence[MapChoice]) -> Floats:
    """Return the chosen maps of a stack, (N, rows, columns)."""
    chosen = []
    for layer, head in choices:
        layer_maps = stack.weights if layer is None else stack.weights[[stack.layers.index(layer)]]
        chosen.append((layer_maps if head is None else layer_maps[:, [head]]).mean(axis=(0, 1)))
    return np.stack(chosen)


def _letters(word: str) -> str:
    """Return the normalized letters of a word, without spaces and control characters."""
    normal = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in normal if letter != WORD_START and unicodedata.category(letter)[0] not in "CZ")


def _grown(forward: set[Point], backward: set[Point], method: Method) -> set[Point]:
    """Grow the intersection by neighbouring links from the union (Koehn et al. 2005).

    A neighbour is added if its row or its column has no link yet. `-final` then adds links of each direction by the
    same rule, wherever they are; `-final-and` adds them only if neither the row nor the column has a link.
    """
    grown, union = forward & backward, forward | backward
    rows, columns = {row for row, _ in grown}, {column for _, column in grown}

    def add(point: Point) -> None:
        grown.add(point)
        rows.add(point[0])
        columns.add(point[1])

    reading_order = sorted(union)
    is_growing = len(grown) < len(union)
    while is_growing:
        is_growing = False
        for point in (point for point in reading_order if point in grown):
            for neighbour in ((point[0] + down, point[1] + right) for down, right in NEIGHBOURS):
                is_free = neighbour[0] not in rows or neighbour[1] not in columns
                if is_free and neighbour in union:
                    add(neighbour)
                    is_growing = True
    if method != "grow-diag":
        needed = 2 if method == "grow-diag-final-and" else 1
        for direction in forward, backward:
            for row, column in sorted(direction):
                if (row not in rows) + (column not in columns) >= needed:
                    add((row, column))
    return grown
