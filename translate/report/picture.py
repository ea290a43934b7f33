"""Maps as pictures for print: one map with its numbers, or the maps of all heads.

Sizes are in inches. The axes have the sizes that their cells need; labels hang outside, and the picture is cut
around them.
"""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from translate.attention.views import MapView
from translate.report.colours import ON_PAPER, WHITE, colour, ink
from translate.report.figure import boxes_in_picture, figure_at, fonts_for
from translate.report.grid import Grid, name_of
from translate.system.terminal_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

LARGEST = 24.0  # of all cells together
WITH_NUMBER, WITHOUT, IN_GRID = 0.38, 0.19, 0.14  # a cell
NARROWEST, GAP, TITLE = 0.95, 0.12, 0.22  # the maps of a grid: as narrow as their titles; between them; for a title
MAX_BAR = 2.5
POINTS = 72  # an inch
LINE = 0.8  # the size of a label's letters, as a part of the room that it has
LARGEST_FONT, SMALL_FONT, TITLE_FONT, SMALLEST_FONT = 10.0, 8.0, 8.0, 4.5  # points
NUMBERS_UP_TO = 24  # rows and columns, beyond which figures in the cells would be too small to read
LINES_UP_TO = 64  # rows and columns, beyond which lines between the cells would hide them
SHAPES = 20_000  # cells; more are drawn as an image, in an SVG too
SMALLEST_NUMBER = 0.005
LINES, FRAME = "#e8e8e8", "#999999"


class Sizes(NamedTuple):
    """Of one map in a picture."""

    width: float
    height: float
    font: float  # of its labels, in points
    stride: int  # every which piece has a label


def save_picture(view: MapView, path: Path) -> list[str]:
    """Draw a map, as an SVG where the path ends so and else as a PNG: rows downwards, white 0, dark blue 1.

    Weights below 0, of a map of differences, are orange. The same map makes the same bytes. Returns what people should
    be told: which pieces have no label for want of room, which characters no font at hand can draw.
    """
    has_numbers = max(view.weights.shape) <= NUMBERS_UP_TO
    sizes = _sizes(view, WITH_NUMBER if has_numbers else WITHOUT, (LARGEST, LARGEST))
    fonts, undrawn = fonts_for(map(printable, (*view.rows, *view.columns)))
    with figure_at(path, sizes.width, sizes.height, fonts) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        mesh = _draw_cells(
            axes, view, is_difference=bool((view.weights < 0).any()), is_image=view.weights.size > SHAPES
        )
        _label_rows(axes, view, sizes)
        _label_columns(axes, view, sizes)
        axes.set_title(view.column_axis, fontsize=LARGEST_FONT)
        axes.set_ylabel(view.row_axis, fontsize=LARGEST_FONT)
        axes.set_xlabel(view.title.replace(", ", "\n", 1), fontsize=LARGEST_FONT, labelpad=8)
        if has_numbers:
            _write_percentages(axes, view)
        _add_colour_bar(figure, mesh, sizes.width, sizes.height)
    return _told(undrawn, sizes.stride)


def save_grid(grid: Grid, path: Path) -> list[str]:
    """Draw the maps of all heads, a row for each layer, with one set of labels and one colour bar; else as a map."""
    num_rows, num_columns = len(grid), len(grid[0])
    first = grid[0][0]
    sizes = _sizes(first, max(IN_GRID, NARROWEST / len(first.columns)), (LARGEST / num_columns, LARGEST / num_rows))
    across, down = sizes.width + GAP, sizes.height + GAP + TITLE
    width, height = num_columns * across - GAP, num_rows * down - GAP
    views = list(chain.from_iterable(grid))
    is_difference = any(bool((view.weights < 0).any()) for view in views)
    is_image = sum(view.weights.size for view in views) > SHAPES
    fonts, undrawn = fonts_for(map(printable, (*first.rows, *first.columns)))
    with figure_at(path, width, height, fonts) as figure:
        for place, view in enumerate(views):
            row, column = divmod(place, num_columns)
            left, bottom = column * across, height - row * down - sizes.height
            axes = figure.add_axes(
                (left / width, bottom / height, sizes.width / width, sizes.height / height), xticks=[], yticks=[]
            )
            mesh = _draw_cells(axes, view, is_difference, is_image)
            axes.set_xlabel(name_of(view), fontsize=TITLE_FONT, labelpad=3)
            if column == 0:
                _label_rows(axes, view, sizes)
            if row == 0:
                _label_columns(axes, view, sizes)
        kind = first.title.partition(", ")[0]
        axis_names = f"rows: {first.row_axis}; columns: {first.column_axis}"
        figure.text(0.5, 0, f"{kind}\n{axis_names}", ha="center", va="top", fontsize=LARGEST_FONT)
        _add_colour_bar(figure, mesh, width, height)
    return _told(undrawn, sizes.stride)


def _sizes(view: MapView, cell: float, largest: tuple[float, float]) -> Sizes:
    num_rows, num_columns = view.weights.shape
    cell = min(cell, largest[0] / num_columns, largest[1] / num_rows)
    stride = max(1, math.ceil(SMALLEST_FONT / (POINTS * cell * LINE)))
    font = min(LARGEST_FONT, POINTS * cell * stride * LINE)
    return Sizes(cell * num_columns, cell * num_rows, font, stride)


def _draw_cells(axes: Axes, view: MapView, is_difference: bool, is_image: bool) -> ScalarMappable:
    from matplotlib.colors import ListedColormap

    num_rows, num_columns = view.weights.shape
    lowest = -1 if is_difference else 0
    colours = [tuple(channel / 255 for channel in colour(w, ON_PAPER)) for w in np.linspace(lowest, 1, 511)]
    if is_image:
        mesh: ScalarMappable = axes.imshow(
            view.weights, cmap=ListedColormap(colours), vmin=lowest, vmax=1, aspect="auto"
        )
    else:
        edges = np.arange(num_columns + 1) - 0.5, np.arange(num_rows + 1) - 0.5
        lines = LINES if max(num_rows, num_columns) <= LINES_UP_TO else "none"
        mesh = axes.pcolormesh(
            *edges, view.weights, cmap=ListedColormap(colours), vmin=lowest, vmax=1, edgecolors=lines, linewidth=0.4
        )
        axes.invert_yaxis()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color(FRAME)
    return mesh


def _label_rows(axes: Axes, view: MapView, sizes: Sizes) -> None:
    places = range(0, len(view.rows), sizes.stride)
    axes.set_yticks(places, [printable(view.rows[place]) for place in places], fontsize=sizes.font)


def _label_columns(axes: Axes, view: MapView, sizes: Sizes) -> None:
    places = range(0, len(view.columns), sizes.stride)
    labels = [printable(view.columns[place]) for place in places]
    axes.set_xticks(places, labels, rotation=60, ha="left", rotation_mode="anchor", fontsize=sizes.font)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)


def _write_percentages(axes: Axes, view: MapView) -> None:
    for row, weights in enumerate(view.weights.tolist()):
        for column, weight in enumerate(weights):
            if abs(weight) >= SMALLEST_NUMBER:
                shade = "white" if ink(colour(weight, ON_PAPER)) == WHITE else "black"
                axes.text(column, row, f"{100 * weight:.0f}", ha="center", va="center", color=shade, fontsize=8)


def _add_colour_bar(figure: Figure, mesh: ScalarMappable, width: float, height: float) -> None:
    length = min(height, MAX_BAR)
    place = (1 + 0.2 / width, (1 - length / height) / 2, 0.12 / width, length / height)
    bar = figure.colorbar(mesh, cax=figure.add_axes(place))
    bar.set_label("weight", fontsize=LARGEST_FONT)
    bar.ax.tick_params(labelsize=SMALL_FONT, length=2, width=0.6)


def _told(undrawn: str, stride: int) -> list[str]:
    told = [f"too many pieces for all labels: one in {stride} has its own"] if stride > 1 else []
    return [*told, *boxes_in_picture(undrawn)]
