"""Views of attention maps: one layer and head, a mean of several, a difference, or the grid of all heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from translate.attention.maps import AttentionMaps, Floats, merge_words
from translate.data.pieces import words_of
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName


class MapView(NamedTuple):
    """A map with its labels."""

    weights: Floats  # (rows, columns)
    rows: list[str]
    columns: list[str]
    title: str
    row_axis: str  # describes the rows
    column_axis: str

    @property
    def kind_title(self) -> str:
        """The beginning of the title, which all heads share."""
        return self.title.partition(", ")[0]

    @property
    def head_title(self) -> str:
        """The rest of the title: "layer 0, head 1"."""
        return self.title.partition(", ")[2]


Grid = list[list[MapView]]  # a row per layer, with a map per head


def view(maps: AttentionMaps, kind: KindName, layer: int | None, head: int | None, words: bool) -> MapView:
    """Return the map of a layer and head (from 0). None stands for the mean over all layers or heads.

    words: merge pieces into words (see `merge_words`). Raises UserError if the kind, layer or head does not exist.
    """
    weights, layers = maps.stack(kind)
    heads = range(weights.shape[1])
    weights = weights[_chosen("layer", layer, layers)][:, _chosen("head", head, heads)].mean(axis=(0, 1))
    rows, columns = list(maps.rows(kind)), list(maps.columns(kind))
    if words:
        row_words, column_words = words_of(rows), words_of(columns)
        weights = merge_words(weights, row_words, column_words)
        rows, columns = ([word for word, _ in side] for side in (row_words, column_words))
    title = f"{KINDS[kind].label}, {_describe('layer', layer, layers)}, {_describe('head', head, heads)}"
    return MapView(weights, rows, columns, title, KINDS[kind].row_axis, KINDS[kind].column_axis)


def difference(one: MapView, other: MapView) -> MapView:
    """Return `one` minus `other`, from -1 to 1. Both must have the same rows and columns."""
    assert (one.rows, one.columns) == (other.rows, other.columns)
    return one._replace(weights=one.weights - other.weights)


def all_heads(maps: AttentionMaps, kind: KindName, layer: int | None, words: bool) -> Grid:
    """Return the maps of all heads, in all layers or in one."""
    weights, layers = maps.stack(kind)
    shown = layers if layer is None else (layer,)
    return [[view(maps, kind, number, head, words) for head in range(weights.shape[1])] for number in shown]


def _chosen(name: str, chosen: int | None, numbers: Sequence[int]) -> list[int]:
    """Return the index of the chosen number, or all indices if it is None."""
    if chosen is None:
        return list(range(len(numbers)))
    if chosen not in numbers:
        raise UserError(f"--{name} {chosen}: no such {name}; available: {', '.join(map(str, numbers))}")
    return [numbers.index(chosen)]


def _describe(name: str, chosen: int | None, numbers: Sequence[int]) -> str:
    if chosen is None and len(numbers) > 1:
        return f"mean of {len(numbers)} {name}s"
    return f"{name} {numbers[0] if chosen is None else chosen}"
