"""A map as a picture."""

from __future__ import annotations

import logging
from pathlib import Path

from translate.attention import MapView
from translate.files import replacing

CELL_INCHES = 0.42
NUMBERS_UP_TO = 24  # rows and columns, beyond which figures in the cells would be too small to read


def save_picture(view: MapView, path: Path) -> None:
    """Draw a map as a PNG: rows from top to bottom, columns from left to right, white 0, dark blue 1."""
    from matplotlib.figure import Figure  # here, because loading it takes a while

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    num_rows, num_columns = view.weights.shape
    size = (2.2 + CELL_INCHES * num_columns, 1.6 + CELL_INCHES * num_rows)
    figure = Figure(figsize=(min(size[0], 60), min(size[1], 60)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(view.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    # A dollar sign in a label would start a formula.
    axes.set_xticks(range(num_columns), [label.replace("$", r"\$") for label in view.columns], rotation=60, ha="left")
    axes.set_yticks(range(num_rows), [label.replace("$", r"\$") for label in view.rows])
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_xticks([i - 0.5 for i in range(1, num_columns)], minor=True)
    axes.set_yticks([i - 0.5 for i in range(1, num_rows)], minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0, top=False)
    axes.set_xlabel(view.title, fontsize=9, labelpad=8)
    if max(num_rows, num_columns) <= NUMBERS_UP_TO:
        for row in range(num_rows):
            for column in range(num_columns):
                weight = float(view.weights[row, column])
                if weight >= 0.01:
                    ink = "white" if weight > 0.5 else "#333333"
                    axes.text(column, row, f"{100 * weight:.0f}", ha="center", va="center", color=ink, fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=130)
