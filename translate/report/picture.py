"""Draw maps for print: one map with percentages, or the maps of all heads. Sizes are in inches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from translate.attention.views import Grid, MapView
from translate.report.colours import ON_PAPER, WHITE, colour, ink
from translate.report.figure import POINTS_PER_INCH, figure_at
from translate.system.terminal_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

MAX_SIZE = 24.0  # maximum total size of the cells
NUMBERED_CELL, PLAIN_CELL, GRID_CELL = 0.38, 0.19, 0.14
MIN_GRID_MAP, GAP, TITLE = 0.95, 0.12, 0.22  # minimum width of a map in a grid; gap between maps; height of a title
MAX_BAR = 2.5
FONT_SHARE = 0.8  # font size as a fraction of the space for a label
MAX_FONT, SMALL_FONT, MIN_FONT = 10.0, 8.0, 4.5  # points
MAX_NUMBERED = 24  # rows or columns; with more, the numbers would be unreadable
MAX_LINED = 64  # rows or columns; with more, grid lines would hide the cells
MAX_SHAPES = 20_000  # cells; larger maps are drawn as an image, even in an SVG
MIN_NUMBER = 0.005  # smaller weights would round to 0%
LINES, FRAME, HATCH, BORDER = "#e8e8e8", "#999999", "#aaaaaa", "#333333"
MASKED = "hatched: not allowed by the causal mask"
BLOCK = "lower left: the target attends to the source"


class MapSize(NamedTuple):
    """The size of one map in a picture."""

    width: float
    height: float
    font: float  # size of the labels, in points
    stride: int  # one in every `stride` pieces is labelled


def save_picture(view: MapView, path: Path) -> list[str]:
    """Draw a map as SVG or PNG, depending on the suffix. 0 is white, 1 is dark blue; negative weights are orange.

    Equal maps produce identical files. Returns warnings about pieces without labels and characters without a font.
    """
    return draw_picture(view, path)[1]


def draw_picture(view: MapView, path: Path | None = None) -> tuple[Figure, list[str]]:
    """Return the figure that `save_picture` saves, and its warnings. Without a path, nothing is saved."""
    has_numbers = max(view.weights.shape) <= MAX_NUMBERED
    size = _size(view, NUMBERED_CELL if has_numbers else PLAIN_CELL)
    with figure_at(path, size.width, size.height, (*view.rows, *view.columns)) as (figure, warnings):
        axes = figure.add_axes((0, 0, 1, 1))  # labels lie outside the axes but are included when saving
        mesh = _draw_cells(axes, view, -1 if (view.weights < 0).any() else 0, is_image=view.weights.size > MAX_SHAPES)
        _label_rows(axes, view, size)
        _label_columns(axes, view, size)
        axes.set_title(view.column_axis, fontsize=MAX_FONT)
        axes.set_ylabel(view.row_axis, fontsize=MAX_FONT)
        caption = [view.kind_title, view.head_title, *_notes(view)]
        axes.set_xlabel("\n".join(caption), fontsize=MAX_FONT, labelpad=8)
        if has_numbers:
            _write_percentages(axes, view)
        _add_colour_bar(figure, mesh, size.width, size.height)
    return figure, _label_warnings(size.stride) + warnings


def save_grid(grid: Grid, path: Path) -> list[str]:
    """Draw the maps of all heads, one row per layer, with shared labels and one colour bar; see `save_picture`.

    The map of a model with a single head is drawn large.
    """
    num_rows, num_columns, first = len(grid), len(grid[0]), grid[0][0]
    if num_rows * num_columns == 1:
        return save_picture(first, path)
    size = _size(first, max(GRID_CELL, MIN_GRID_MAP / len(first.columns)), num_rows, num_columns)
    across, down = size.width + GAP, size.height + GAP + TITLE
    width, height = num_columns * across - GAP, num_rows * down - GAP
    views = [view for layer in grid for view in layer]
    lowest = -1 if any((view.weights < 0).any() for view in views) else 0
    is_image = sum(view.weights.size for view in views) > MAX_SHAPES
    with figure_at(path, width, height, (*first.rows, *first.columns)) as (figure, warnings):
        for number, view in enumerate(views):
            row, column = divmod(number, num_columns)
            left, bottom = column * across, height - row * down - size.height
            box = left / width, bottom / height, size.width / width, size.height / height
            axes = figure.add_axes(box, xticks=[], yticks=[])
            mesh = _draw_cells(axes, view, lowest, is_image)
            axes.set_xlabel(view.head_title, fontsize=SMALL_FONT, labelpad=3)
            if column == 0:
                _label_rows(axes, view, size)
            if row == 0:
                _label_columns(axes, view, size)
        caption = [first.kind_title, f"rows: {first.row_axis}; columns: {first.column_axis}", *_notes(first)]
        figure.text(0.5, 0, "\n".join(caption), ha="center", va="top", fontsize=MAX_FONT)
        _add_colour_bar(figure, mesh, width, height)
    return _label_warnings(size.stride) + warnings


def _size(view: MapView, cell: float, maps_down: int = 1, maps_across: int = 1) -> MapSize:
    num_rows, num_columns = view.weights.shape
    cell = min(cell, MAX_SIZE / maps_across / num_columns, MAX_SIZE / maps_down / num_rows)
    stride = max(1, math.ceil(MIN_FONT / (POINTS_PER_INCH * cell * FONT_SHARE)))
    font = min(MAX_FONT, POINTS_PER_INCH * cell * stride * FONT_SHARE)
    return MapSize(cell * num_columns, cell * num_rows, font, stride)


def _draw_cells(axes: Axes, view: MapView, lowest: int, is_image: bool) -> ScalarMappable:
    """Draw the weights as colours. lowest: lower end of the colour scale, -1 for differences and 0 otherwise."""
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.patches import Rectangle

    num_rows, num_columns = view.weights.shape
    norm = Normalize(lowest, 1)
    colours = ListedColormap(np.array([colour(weight, ON_PAPER) for weight in np.linspace(lowest, 1, 511)]) / 255)
    if is_image:
        mesh: ScalarMappable = axes.imshow(view.weights, cmap=colours, norm=norm, aspect="auto")
    else:
        edges = np.arange(num_columns + 1) - 0.5, np.arange(num_rows + 1) - 0.5
        lines = LINES if max(num_rows, num_columns) <= MAX_LINED else "none"
        mesh = axes.pcolormesh(*edges, view.weights, cmap=colours, norm=norm, edgecolors=lines, linewidth=0.4)
        axes.invert_yaxis()
    for row, first in enumerate(view.masked_from):
        corner, width = (first - 0.5, row - 0.5), num_columns - first
        if width:
            axes.add_patch(Rectangle(corner, width, 1, facecolor="white", edgecolor=HATCH, linewidth=0, hatch="////"))
    if view.border:
        axes.axhline(view.border[0] - 0.5, color=BORDER, linewidth=1)
        axes.axvline(view.border[1] - 0.5, color=BORDER, linewidth=1)
    axes.tick_params(length=0)
    axes.spines[:].set_color(FRAME)
    return mesh


def _notes(view: MapView) -> list[str]:
    is_masked = min(view.masked_from, default=len(view.columns)) < len(view.columns)
    return [note for note, is_needed in ((MASKED, is_masked), (BLOCK, view.border)) if is_needed]


def _label_rows(axes: Axes, view: MapView, size: MapSize) -> None:
    labels = [printable(piece) for piece in view.rows[:: size.stride]]
    axes.set_yticks(range(0, len(view.rows), size.stride), labels, fontsize=size.font)


def _label_columns(axes: Axes, view: MapView, size: MapSize) -> None:
    ticks = range(0, len(view.columns), size.stride)
    labels = [printable(piece) for piece in view.columns[:: size.stride]]
    axes.set_xticks(ticks, labels, rotation=60, ha="left", rotation_mode="anchor", fontsize=size.font)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)


def _write_percentages(axes: Axes, view: MapView) -> None:
    for row, column in np.argwhere(np.abs(view.weights.astype(float)) >= MIN_NUMBER).tolist():
        weight = float(view.weights[row, column])
        shade = "white" if ink(colour(weight, ON_PAPER)) == WHITE else "black"
        axes.text(column, row, f"{100 * weight:.0f}", ha="center", va="center", color=shade, fontsize=8)


def _add_colour_bar(figure: Figure, mesh: ScalarMappable, width: float, height: float) -> None:
    length = min(height, MAX_BAR)
    box = (1 + 0.2 / width, (1 - length / height) / 2, 0.12 / width, length / height)
    bar = figure.colorbar(mesh, cax=figure.add_axes(box))
    bar.set_label("weight", fontsize=MAX_FONT)
    bar.ax.tick_params(labelsize=SMALL_FONT, length=2, width=0.6)


def _label_warnings(stride: int) -> list[str]:
    return [f"too many pieces to label: only one in {stride} has a label"] if stride > 1 else []
