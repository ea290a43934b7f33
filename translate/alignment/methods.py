"""Convert attention maps to word alignments with published methods.

Words are delimited by whitespace in the text, regardless of their pieces. `</s>` is not a word. A word-level map has
one row per target word and one column per source word. An alignment is a boolean array of the same shape (True: link).

Shapes: N maps of one sentence (single heads, or means over heads and layers), S source words, T target words.
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
Point = tuple[int, int]  # row and column of a map
NEIGHBORS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


class MapChoice(NamedTuple):
    """A cross-attention map, given by layer and head (from 0). None selects the mean over all layers or heads."""

    layer: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        layer = "mean of layers" if self.layer is None else f"layer {self.layer}"
        return f"{layer}, mean of heads" if self.head is None else f"{layer}, head {self.head}"


def word_maps(
    maps: AttentionMaps, source: str, target: str, choices: Sequence[MapChoice], is_shifted: bool
) -> Floats | None:
    """Return the chosen word-level maps, (N, T, S), or None if the words do not match the pieces.

    Weights are summed over a source word's pieces and averaged over a target word's pieces. A word without pieces has
    zero weight. is_shifted: whether to use the row in which a target piece is the decoder input, one after the row that
    predicts it (Shift-Att, Chen et al. 2020). For the last piece, this is the row that predicts `</s>`.
    """
    columns, rows = (_without_end(side) for side in (maps.source, maps.target))
    source_words = words_of_text(source, [maps.source[n] for n in columns])
    target_words = words_of_text(target, [maps.target[n] for n in rows])
    if source_words is None or target_words is None:
        return None
    source_spans, target_spans = ([word and word[1] for word in side] for side in (source_words, target_words))
    return merged_maps(maps, source_spans, target_spans, choices, is_shifted)


def merged_maps(
    maps: AttentionMaps,
    source: Sequence[slice | None],
    target: Sequence[slice | None],
    choices: Sequence[MapChoice],
    is_shifted: bool,
) -> Floats:
    """Return the chosen maps, (N, T, S), merged to the words of each side; see `word_maps`.

    source, target: the pieces of each word, counted without `</s>`; None for a word without pieces.
    """
    columns, rows = (_without_end(side) for side in (maps.source, maps.target))
    merged = np.zeros((len(choices), len(target), len(source)), dtype=np.float32)
    with_pieces = [[n for n, word in enumerate(side) if word] for side in (target, source)]
    if all(with_pieces):
        weights = _chosen(maps.stack("cross"), choices)[:, [row + is_shifted for row in rows]][:, :, columns]
        spans = ([("", word) for word in side if word] for side in (target, source))
        merged[np.ix_(range(len(choices)), *with_pieces)] = merge_words(weights, *spans)
    return merged


def words_of_text(text: str, pieces: Sequence[str]) -> list[WordSpan | None] | None:
    """Return each word and its pieces (None for a word without pieces), or None if words and pieces do not match.

    Normalization can split a word (at a zero-width space) or remove it (if no piece contains its characters). Words and
    pieces are matched by their letters. If that fails, the text and the pieces must have the same number of words.
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

    argmax links each target word to the source word with the largest weight, and threshold links every pair of words
    whose weight is at least `threshold`. The other methods combine argmax links in two directions: along the rows and
    columns of one map or, with `reverse`, along the rows of both models' maps. reverse: (N, S, T) maps from a model for
    the reverse direction. Ties are resolved in favor of the first word.
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
    """Link each row to the column with its largest weight unless all weights are 0. weights: (N, rows, columns)."""
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
    """Return a (T, S) alignment in Pharaoh format: `i-j` for source word i and target word j, 0-based, sorted by i."""
    return " ".join(f"{i}-{j}" for i, j in np.argwhere(links.T).tolist())


def _without_end(pieces: Sequence[str]) -> list[int]:
    """Return the indices of all pieces but `</s>`."""
    return [n for n, piece in enumerate(pieces) if piece != END]


def _chosen(stack: Stack, choices: Sequence[MapChoice]) -> Floats:
    """Return the chosen maps of a stack, (N, rows, columns)."""
    chosen = []
    for layer, head in choices:
        layer_maps = stack.weights if layer is None else stack.weights[[stack.layers.index(layer)]]
        chosen.append((layer_maps if head is None else layer_maps[:, [head]]).mean(axis=(0, 1)))
    return np.stack(chosen)


def _letters(word: str) -> str:
    """Return the normalized characters of a word, excluding spaces and control characters."""
    normal = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in normal if letter != WORD_START and unicodedata.category(letter)[0] not in "CZ")


def _grown(forward: set[Point], backward: set[Point], method: Method) -> set[Point]:
    """Grow the intersection by adding neighboring links from the union (Koehn et al. 2005).

    A neighbor is added if its row or column has no link yet. `-final` then applies the same rule to all links of each
    direction, adjacent or not. `-final-and` adds a link only if neither its row nor its column has one yet.
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
            for neighbor in ((point[0] + down, point[1] + right) for down, right in NEIGHBORS):
                is_free = neighbor[0] not in rows or neighbor[1] not in columns
                if is_free and neighbor in union:
                    add(neighbor)
                    is_growing = True
    if method != "grow-diag":
        needed = 2 if method == "grow-diag-final-and" else 1
        for direction in forward, backward:
            for row, column in sorted(direction):
                if (row not in rows) + (column not in columns) >= needed:
                    add((row, column))
    return grown
