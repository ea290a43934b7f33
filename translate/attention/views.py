"""Views of attention maps: a single head, a mean over layers or heads, a difference, or a grid of all heads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from translate.attention.maps import AttentionMaps, Floats, merge_words, num_keys
from translate.data.pieces import words_of
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName, label_of


class MapView(NamedTuple):
    """An attention map and its labels."""

    weights: Floats  # (rows, columns)
    rows: list[str]
    columns: list[str]
    title: str
    row_axis: str  # label of the row axis
    column_axis: str
    masked_from: tuple[int, ...] = ()  # for each row, the first column that the causal mask forbids; () without a mask
    border: tuple[int, int] | None = None  # first row and column of the target, if it follows the source

    @property
    def kind_title(self) -> str:
        """The first part of the title, which is the same for all heads."""
        return self.title.partition(", ")[0]

    @property
    def head_title(self) -> str:
        """The rest of the title, such as "layer 0, head 1"."""
        return self.title.partition(", ")[2]


Grid = list[list[MapView]]  # one row per layer and one column per head


def view(maps: AttentionMaps, kind: KindName, layer: int | None, head: int | None, words: bool) -> MapView:
    """Return the map of a layer and head, both numbered from 0. None selects the mean over all layers or heads.

    words: whether to merge pieces into words. Raises UserError if the kind, layer or head does not exist.
    """
    weights, layers = maps.stack(kind)
    heads = range(weights.shape[1])
    weights = weights[_chosen("layer", layer, layers)][:, _chosen("head", head, heads)].mean(axis=(0, 1))
    spans_of = words_of if words else _spans_of_pieces
    rows, columns = spans_of(maps.rows(kind)), spans_of(maps.columns(kind))
    if words:
        weights = merge_words(weights, rows, columns)
    title = f"{label_of(kind, maps.stacks)}, {_describe('layer', layer, layers)}, {_describe('head', head, heads)}"
    row_labels, column_labels = ([label for label, _ in side] for side in (rows, columns))
    # A word's last piece may read all pieces before it.
    starts, visible = [span.start for _, span in columns], num_keys(kind, maps.stack(kind).weights, len(maps.source))
    ends = [bisect_left(starts, visible[span.stop - 1]) for _, span in rows]
    masked_from = tuple(ends) if KINDS[kind].is_causal else ()
    axes = KINDS[kind].row_axis, KINDS[kind].column_axis
    first_row, first_column = (sum(span.start < len(maps.source) for _, span in side) for side in (rows, columns))
    border = (first_row, first_column) if KINDS[kind].rows == "both" else None
    return MapView(weights, row_labels, column_labels, title, *axes, masked_from, border)


def difference(one: MapView, other: MapView) -> MapView:
    """Return the difference `one` minus `other`. Both maps must have the same rows and columns."""
    assert (one.rows, one.columns) == (other.rows, other.columns)
    return one._replace(weights=one.weights - other.weights)


def all_heads(maps: AttentionMaps, kind: KindName, layer: int | None, words: bool) -> Grid:
    """Return the maps of all heads in one layer, or in all layers if `layer` is None."""
    weights, layers = maps.stack(kind)
    shown = layers if layer is None else (layer,)
    return [[view(maps, kind, number, head, words) for head in range(weights.shape[1])] for number in shown]


def _spans_of_pieces(pieces: Sequence[str]) -> list[tuple[str, slice]]:
    return [(piece, slice(i, i + 1)) for i, piece in enumerate(pieces)]


def _chosen(name: str, chosen: int | None, numbers: Sequence[int]) -> list[int]:
    """Return the index of the chosen layer or head, or all indices if `chosen` is None."""
    if chosen is None:
        return list(range(len(numbers)))
    if chosen not in numbers:
        raise UserError(f"--{name} {chosen}: no such {name}; available {name}s: {', '.join(map(str, numbers))}")
    return [numbers.index(chosen)]


def _describe(name: str, chosen: int | None, numbers: Sequence[int]) -> str:
    if chosen is None and len(numbers) > 1:
        return f"mean of {len(numbers)} {name}s"
    return f"{name} {numbers[0] if chosen is None else chosen}"
