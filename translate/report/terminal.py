"""Draw maps as text, for the terminal and for pipes: one map with percentages, or small maps of all heads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from translate.attention.maps import Floats
from translate.attention.views import Grid, MapView
from translate.report.colours import Colours, ink, painted, shade
from translate.system.terminal_text import columns_of, isolated, printable, spelled_out

MIN_SHOWN = 0.005  # smaller weights would round to 0%
GAP = "  "
TENTHS = "·123456789"


def draw_map(view: MapView, width: int, colours: Colours) -> str:
    """Draw a table of percentages, with signs if any are negative. Columns beyond `width` go into further blocks.

    Lines separate the source from the target that follows it.
    """
    sign = "+" if (view.weights < 0).any() else ""
    rows, columns = ([printable(label) for label in side] for side in (view.rows, view.columns))
    widths = [max(columns_of(label), len(f"{sign}100")) for label in columns]
    margin = max(map(columns_of, rows))
    first_row, first_column = view.border or (0, 0)
    gaps = ["│" if 0 < column == first_column else " " for column in range(len(columns))]
    lines = [spelled_out(view.title, "\n")]
    for block in _blocks([size + 1 for size in widths], width - margin):
        header = zip(columns[block], gaps[block], widths[block], strict=True)
        lines += ["", " " * margin + "".join(gap + _right(label, size) for label, gap, size in header)]
        for row, weights in enumerate(view.weights[:, block].tolist()):
            if 0 < row == first_row:
                bars = zip(gaps[block], widths[block], strict=True)
                lines.append("─" * margin + "".join(("┼" if gap == "│" else "─") + "─" * size for gap, size in bars))
            cells = zip(weights, gaps[block], widths[block], strict=True)
            drawn = (_cell(weight, gap, size, sign, colours) for weight, gap, size in cells)
            lines.append(_right(rows[row], margin) + "".join(drawn))
    return "\n".join(lines)


def draw_grid(grid: Grid, width: int, colours: Colours) -> str:
    """Draw small maps of all heads: one layer below another, with as many heads side by side as fit.

    In colour, each character shows two weights, one above the other; otherwise, it shows one in tenths, rounded down.
    If maps are wider than the terminal, each character shows the largest of several weights.
    """
    first = grid[0][0]
    stride = -(-len(first.columns) // width)
    lines = [f"{first.kind_title}; rows: {first.row_axis}; columns: {first.column_axis}"]
    if stride > 1:
        lines.append(f"each character shows the largest weight of {stride} rows and {stride} columns")
    num_columns = -(-len(first.columns) // stride)
    size = max(num_columns, max(len(view.head_title) for layer in grid for view in layer))
    num_fitting = max(1, (width + len(GAP)) // (size + len(GAP)))
    padding = " " * (size - num_columns) + GAP
    for layer in grid:
        for start in range(0, len(layer), num_fitting):
            shown = layer[start : start + num_fitting]
            panels = [_panel(shrunk(view.weights, stride), colours) for view in shown]
            lines += ["", "".join(view.head_title.ljust(size) + GAP for view in shown).rstrip()]
            lines += [padding.join(parts) for parts in zip(*panels, strict=True)]
    return "\n".join(lines)


def shrunk(weights: Floats, stride: int) -> Floats:
    """Downsample a map, (rows, columns), to the largest weight of each stride × stride block."""
    over_rows = np.maximum.reduceat(weights, range(0, weights.shape[0], stride), axis=0)
    return np.maximum.reduceat(over_rows, range(0, weights.shape[1], stride), axis=1)


def _blocks(widths: Sequence[int], available: int) -> list[slice]:
    """Split columns of the given widths into blocks that fit the available width, with at least one column each."""
    blocks, first, used = [], 0, 0
    for column, width in enumerate(widths):
        if column > first and used + width > available:
            blocks.append(slice(first, column))
            first, used = column, 0
        used += width
    return [*blocks, slice(first, len(widths))]


def _cell(weight: float, gap: str, width: int, sign: str, colours: Colours) -> str:
    text = "·" if abs(weight) < MIN_SHOWN else f"{100 * weight:{sign}.0f}"
    background = shade(weight, colours)
    return painted(gap + text.rjust(width), ink(background), background, colours)


def _right(label: str, width: int) -> str:
    return " " * (width - columns_of(label)) + isolated(label)


def _panel(weights: Floats, colours: Colours) -> list[str]:
    rows = weights.tolist()
    if colours is Colours.NONE:
        return ["".join(TENTHS[min(int(10 * weight), 9)] for weight in row) for row in rows]
    shades = [[shade(weight, colours) for weight in row] for row in rows]
    pairs = zip_longest(shades[::2], shades[1::2], fillvalue=[shade(0, colours)] * weights.shape[1])
    return ["".join(painted("▀", above, below, colours) for above, below in zip(*pair, strict=True)) for pair in pairs]
