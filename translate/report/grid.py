"""The maps of all heads of a kind, side by side, for the terminal and for pipes: small, without numbers."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest

import numpy as np

from translate.attention.maps import AttentionMaps, Floats
from translate.attention.views import MapView, view
from translate.model.attention_kinds import KindName
from translate.report.colours import Colours, painted, shade

GAP = "  "
TENTHS = "·123456789"

Grid = list[list[MapView]]  # a row for each layer, in it a map for each head


def all_heads(maps: AttentionMaps, kind: KindName, layer: int | None, words: bool) -> Grid:
    """The maps of all heads: of all layers, or of one."""
    stack = maps.stack(kind)
    layers = stack.layers if layer is None else (layer,)
    return [[view(maps, kind, number, head, words) for head in range(stack.weights.shape[1])] for number in layers]


def name_of(view: MapView) -> str:
    """A map's title without the kind, which is that of the whole grid: "layer 0, head 1"."""
    return view.title.partition(", ")[2]


def draw_grid(grid: Grid, width: int, colours: Colours) -> str:
    """Layer under layer, as many heads beside each other as fit.

    With colours a character is two weights, one above the other; without, a weight in tenths, cut down. Maps wider than
    the terminal shrink: a character then is the largest of the weights that it stands for.
    """
    first = grid[0][0]
    stride = -(-len(first.columns) // width)
    lines = [f"{first.title.partition(', ')[0]}; rows: {first.row_axis}; columns: {first.column_axis}"]
    if stride > 1:
        lines.append(f"each place stands for {stride} rows and {stride} columns, and is the largest of their weights")
    num_columns = -(-len(first.columns) // stride)
    size = max(num_columns, max(len(name_of(view)) for layer in grid for view in layer))
    fitting = max(1, (width + len(GAP)) // (size + len(GAP)))
    for layer in grid:
        for start in range(0, len(layer), fitting):
            shown = layer[start : start + fitting]
            panels = [_panel(shrunk(view.weights, stride), colours) for view in shown]
            padding = " " * (size - num_columns) + GAP
            lines += ["", "".join(name_of(view).ljust(size) + GAP for view in shown).rstrip()]
            lines += [padding.join(parts) for parts in zip(*panels, strict=True)]
    return "\n".join(lines)


def shrunk(weights: Floats, stride: int) -> Floats:
    """(rows, columns) -> the largest of each square of stride x stride."""
    over_rows = np.maximum.reduceat(weights, range(0, weights.shape[0], stride), axis=0)
    return np.maximum.reduceat(over_rows, range(0, weights.shape[1], stride), axis=1)


def _panel(weights: Floats, colours: Colours) -> list[str]:
    rows = weights.tolist()
    if colours is Colours.NONE:
        return ["".join(TENTHS[min(int(10 * weight), 9)] for weight in row) for row in rows]
    pairs = zip_longest(rows[::2], rows[1::2], fillvalue=[0.0] * weights.shape[1])
    return ["".join(map(partial(_half_blocks, colours), above, below)) for above, below in pairs]


def _half_blocks(colours: Colours, above: float, below: float) -> str:
    return painted("▀", shade(above, colours), shade(below, colours), colours)
