"""A map as text, for the terminal and for pipes."""

from __future__ import annotations

from collections.abc import Sequence

from translate.attention.views import MapView
from translate.report.colours import Colours, ink, painted, shade
from translate.system.terminal_text import columns_of, isolated, printable

SMALLEST_SHOWN = 0.005  # below, a percentage would round to 0


def draw_map(view: MapView, width: int, colours: Colours) -> str:
    """Rows and columns with their labels, each weight in percent; columns that do not fit come in a further block.

    width: of the terminal, in characters. Weights below 0 make it a map of differences, whose numbers have signs.
    """
    is_difference = bool((view.weights < 0).any())
    narrowest = 4 if is_difference else 3
    rows = [printable(label) for label in view.rows]
    columns = [printable(label) for label in view.columns]
    margin = max(map(columns_of, rows))
    lines = [view.title]
    for first, last in _blocks([max(columns_of(label), narrowest) + 1 for label in columns], width - margin):
        block = columns[first:last]
        widths = [max(columns_of(label), narrowest) for label in block]
        header = "".join(" " + _right(label, size) for label, size in zip(block, widths, strict=True))
        lines += ["", " " * margin + header]
        for label, weights in zip(rows, view.weights[:, first:last].tolist(), strict=True):
            texts = [
                " " + _percent(weight, is_difference).rjust(size) for weight, size in zip(weights, widths, strict=True)
            ]
            cells = [_cell(text, weight, colours) for text, weight in zip(texts, weights, strict=True)]
            lines.append(_right(label, margin) + "".join(cells))
    return "\n".join(lines)


def _blocks(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Runs of columns that fit into the room, at least one a run."""
    blocks = []
    first = used = 0
    for column, width in enumerate(widths):
        if column > first and used + width > room:
            blocks.append((first, column))
            first, used = column, 0
        used += width
    return [*blocks, (first, len(widths))]


def _percent(weight: float, is_signed: bool) -> str:
    if abs(weight) < SMALLEST_SHOWN:
        return "·"
    return f"{100 * weight:+.0f}" if is_signed else f"{100 * weight:.0f}"


def _cell(text: str, weight: float, colours: Colours) -> str:
    background = shade(weight, colours)
    return painted(text, ink(background), background, colours)


def _right(label: str, width: int) -> str:
    return " " * (width - columns_of(label)) + isolated(label)
