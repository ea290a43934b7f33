"""From attention maps to word alignments, by the methods of the literature.

A word is what white space separates in the text, whatever the pieces make of it; `</s>` is none. A map of words has a
target word in each row and a source word in each column; an alignment is such an array of booleans, True where the two
words are linked.

Shapes: N maps of one sentence (layers, heads, means over them), S source words, T target words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from translate.attention.maps import AttentionMaps, Floats, Stack, merge_words
from translate.data.pieces import END, WORD_START, WordSpan, words_of

Method = Literal[
    "argmax", "threshold", "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"
]  # fmt: skip
METHODS: tuple[Method, ...] = get_args(Method)
Links = npt.NDArray[np.bool_]
Point = tuple[int, int]  # of a map: row, column
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


class MapChoice(NamedTuple):
    """A map of the encoder-decoder attention: of a layer and a head (from 0), or the mean over those that are None."""

    layer: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        layer = "mean of layers" if self.layer is None else f"layer {self.layer}"
        return f"{layer}, mean of heads" if self.head is None else f"{layer}, head {self.head}"


def all_choices(layers: Sequence[int], num_heads: int) -> list[MapChoice]:
    """Every head, the mean of each layer's heads, and the mean of all."""
    each = [MapChoice(layer, head) for layer in layers for head in (*range(num_heads), None)]
    return [*each, MapChoice()]


def word_maps(
    maps: AttentionMaps, source: str, target: str, choices: Sequence[MapChoice], is_shifted: bool
) -> Floats | None:
    """The chosen maps between the words of two texts: the sum over a source word's pieces, the mean over a target
    word's; (N, T, S). A word without pieces has no weight. None where it is not clear which pieces are a word's.

    is_shifted: a target piece's row is the one in which it is read, not produced: one row later (Shift-Att, Chen et al.
    2020). The last piece's is then that in which `</s>` is produced.
    """
    columns, rows = ([n for n, piece in enumerate(side) if piece != END] for side in (maps.source, maps.target))
    source_words = words_of_text(source, [maps.source[n] for n in columns])
    target_words = words_of_text(target, [maps.target[n] for n in rows])
    if source_words is None or target_words is None:
        return None
    between = np.zeros((len(choices), len(target_words), len(source_words)), dtype=np.float32)
    with_pieces = [[n for n, word in enumerate(side) if word] for side in (target_words, source_words)]
    if all(with_pieces):
        shifted = [row + is_shifted for row in rows]
        weights = _chosen(maps.stack("cross"), choices)[:, shifted][:, :, columns]
        target_spans, source_spans = ([word for word in side if word] for side in (target_words, source_words))
        between[np.ix_(range(len(choices)), *with_pieces)] = merge_words(weights, target_spans, source_spans)
    return between


def words_of_text(text: str, pieces: Sequence[str]) -> list[WordSpan | None] | None:
    """Each word of a text with its pieces, or None for a word that has none; None where that is not clear.

    Normalization can make several words in pieces of one (of one with a zero-width space), or none (of a sign that
    pieces cannot hold). Letters tell which are whose; where they do not, both have to have as many words.
    """
    words, spans = text.split(), words_of(pieces) if pieces else []
    if words == [spelled for spelled, _ in spans]:
        return [*spans]
    found: list[WordSpan | None] = []
    place = 0
    for word in words:
        start, letters, read = place, _letters(word), ""
        while place < len(spans) and len(read) < len(letters):
            read += _letters(spans[place][0])
            place += 1
        if read != letters:
            return [*spans] if len(spans) == len(words) else None
        found.append((word, slice(spans[start][1].start, spans[place - 1][1].stop)) if place > start else None)
    if any(_letters(spelled) for spelled, _ in spans[place:]):
        return None
    return found


def align(weights: Floats, method: Method, threshold: float | None = None, reverse: Floats | None = None) -> Links:
    """Maps of words -> alignments, both (N, T, S).

    argmax: each target word with the source word that it looked at most. threshold: every link of at least that weight.
    The others put two directions together: argmax, and for each source word the target word that looked at it most; or,
    with the maps of a model of the reverse direction, (N, S, T), that model's argmax. Where two weights are equal, the
    first counts.
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
    """(N, rows, columns) -> a link in each row that has weight, where it is largest."""
    links = np.zeros(weights.shape, dtype=np.bool_)
    if links.size:
        np.put_along_axis(links, weights.argmax(axis=2)[:, :, None], True, axis=2)
    return links & (weights > 0)


def combine(forward: Links, backward: Links, method: Method) -> Links:
    """Alignments of the two directions, (N, T, S) each, as one: Och and Ney 2003; Koehn, Och and Marcu 2003."""
    if method == "intersection":
        return forward & backward
    if method == "union":
        return forward | backward
    combined = np.zeros_like(forward)
    for each, one, other in zip(combined, forward, backward, strict=True):
        for row, column in _grown(_points(one), _points(other), method):
            each[row, column] = True
    return combined


def pharaoh(links: Links) -> str:
    """An alignment, (T, S), as `i-j` for source word i and target word j, both from 0, sorted by source word."""
    return " ".join(f"{i}-{j}" for i, j in np.argwhere(links.T).tolist())


def _chosen(stack: Stack, choices: Sequence[MapChoice]) -> Floats:
    """(L, H, rows, columns) -> (N, rows, columns)."""
    chosen = []
    for layer, head in choices:
        of_layers = stack.weights if layer is None else stack.weights[[stack.layers.index(layer)]]
        chosen.append((of_layers if head is None else of_layers[:, [head]]).mean(axis=(0, 1)))
    return np.stack(chosen)


def _letters(word: str) -> str:
    """What normalization leaves of a word, and no spaces."""
    normal = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in normal if letter != WORD_START and unicodedata.category(letter)[0] not in "CZ")


def _points(links: Links) -> set[Point]:
    return {(row, column) for row, column in np.argwhere(links).tolist()}


def _grown(forward: set[Point], backward: set[Point], method: Method) -> set[Point]:
    """Koehn et al. 2005: from the intersection to neighbours of what is linked, as long as the union has some.

    A neighbour is taken where its row or its column has no link yet. `-final` then takes links of each direction by the
    same rule, wherever they lie; `-final-and` only where neither row nor column has a link.
    """
    grown = forward & backward
    rows, columns = {row for row, _ in grown}, {column for _, column in grown}

    def add(point: Point) -> None:
        grown.add(point)
        rows.add(point[0])
        columns.add(point[1])

    union = forward | backward
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
