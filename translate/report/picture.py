"""A map as a picture."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from translate.files import replacing
from translate.maps import MapView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_INCHES = 0.42
LARGEST_INCHES = 60.0
NUMBERS_UP_TO = 24  # rows and columns, beyond which figures in the cells would be too small to read
SMALLEST_NUMBER = 0.01
# Tried in this order for each character; those that are not installed are passed over.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Emoji",
    "Arial Unicode MS",
)
MISSING_GLYPH = re.compile(r"Glyph (\d+) ")


def save_picture(view: MapView, path: Path) -> str:
    """Draw a map as a PNG: rows from top to bottom, columns from left to right, white 0, dark blue 1.

    Returns the characters that no font at hand can draw, which are boxes in the picture.
    """
    from matplotlib import font_manager, rc_context  # here, because loading it takes a while

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [font for font in FONTS if font in installed]
    with rc_context({"font.family": fonts, "text.parse_math": False}), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure = _draw(view)
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=130)
    missing = {match[1] for warning in said if (match := MISSING_GLYPH.match(str(warning.message)))}
    return "".join(sorted(chr(int(code)) for code in missing))


def _draw(view: MapView) -> Figure:
    from matplotlib.figure import Figure

    num_rows, num_columns = view.weights.shape
    size = (2.2 + CELL_INCHES * num_columns, 1.6 + CELL_INCHES * num_rows)
    figure = Figure(figsize=(min(size[0], LARGEST_INCHES), min(size[1], LARGEST_INCHES)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(view.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(num_columns), view.columns, rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(num_rows), view.rows)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_xticks([column - 0.5 for column in range(1, num_columns)], minor=True)
    axes.set_yticks([row - 0.5 for row in range(1, num_rows)], minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0, top=False)
    axes.set_title(view.column_axis, fontsize=10)
    axes.set_ylabel(view.row_axis)
    axes.set_xlabel(view.title.replace(", ", "\n", 1), fontsize=9, labelpad=8)
    if max(num_rows, num_columns) <= NUMBERS_UP_TO:
        _write_percentages(axes, view)
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    return figure


def _write_percentages(axes: Axes, view: MapView) -> None:
    for row, weights in enumerate(view.weights.tolist()):
        for column, weight in enumerate(weights):
            if weight >= SMALLEST_NUMBER:
                ink = "white" if weight > 0.5 else "#333333"
                axes.text(column, row, f"{100 * weight:.0f}", ha="center", va="center", color=ink, fontsize=8)
