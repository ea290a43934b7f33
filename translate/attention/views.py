"""Attention maps to look at: one map of a layer and head, a mean of several, a difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from translate.attention.maps import AttentionMaps, Floats, merge_words
from translate.data.pieces import words_of
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName


class MapView(NamedTuple):
    """One map to look at."""

    weights: Floats  # (rows, columns)
    rows: list[str]
    columns: list[str]
    title: str
    row_axis: str  # what the rows are
    column_axis: str


def view(maps: AttentionMaps, kind: KindName, layer: int | None, head: int | None, words: bool) -> MapView:
    """One map of a file: of a layer and head (from 0), or the mean over those that are None.

    words: pieces become words; a word gets the sum of the weights of its pieces as columns, and the mean as rows.
    Raises UserError for a kind, layer or head that is not there.
    """
    stack, its_kind = maps.stack(kind), KINDS[kind]
    num_heads = stack.weights.shape[1]
    layers = [_place("layer", layer, stack.layers)] if layer is not None else list(range(len(stack.layers)))
    heads = [_place("head", head, range(num_heads))] if head is not None else list(range(num_heads))
    weights: Floats = stack.weights[layers][:, heads].mean(axis=(0, 1))
    rows, columns = list(maps.rows(kind)), list(maps.columns(kind))
    if words:
        row_words, column_words = words_of(rows), words_of(columns)
        weights = merge_words(weights, row_words, column_words)
        rows, columns = ([word for word, _ in side] for side in (row_words, column_words))
    chosen = f"{_describe('layer', layer, stack.layers)}, {_describe('head', head, range(num_heads))}"
    return MapView(weights, rows, columns, f"{its_kind.label}, {chosen}", its_kind.row_axis, its_kind.column_axis)


def difference(one: MapView, other: MapView) -> MapView:
    """What `one` has more (above 0) or less (below), weights from -1 to 1. Both are of the same rows and columns."""
    assert (one.rows, one.columns) == (other.rows, other.columns)
    return one._replace(weights=one.weights - other.weights)


def _place(name: str, chosen: int, there: Sequence[int]) -> int:
    if chosen not in there:
        numbers = (
            f"{there[0]} to {there[-1]}" if tuple(there) == tuple(range(len(there))) else ", ".join(map(str, there))
        )
        raise UserError(f"--{name} {chosen}: there are {name}s {numbers}")
    return there.index(chosen)


def _describe(name: str, chosen: int | None, there: Sequence[int]) -> str:
    if chosen is None and len(there) > 1:
        return f"mean of {len(there)} {name}s"
    return f"{name} {there[0] if chosen is None else chosen}"
