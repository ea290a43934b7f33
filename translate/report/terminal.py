"""A map as text, for the terminal and for pipes."""

from __future__ import annotations

from collections.abc import Sequence

from translate.maps import MapView
from translate.report.columns import columns_of, printable

RESET = "\x1b[0m"
SHADES = [*range(232, 256)]  # the terminal's greys, from black to white
SMALLEST_SHOWN = 0.005  # below, a percentage would round to 0


def draw_map(view: MapView, width: int, is_colour: bool) -> str:
    """Rows and columns with their labels, each weight in percent; columns that do not fit come in a further block.

    width: of the terminal, in characters. is_colour: shade each cell by its weight. Weights below 0 make it a map of
    differences, whose numbers have signs.
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
            cells = (
                _cell(weight, size, is_colour, is_difference) for weight, size in zip(weights, widths, strict=True)
            )
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


def _cell(weight: float, width: int, is_colour: bool, is_signed: bool) -> str:
    text = f"{100 * weight:{'+' if is_signed else ''}.0f}" if abs(weight) >= SMALLEST_SHOWN else "·"
    padded = " " + text.rjust(width)
    if not is_colour:
        return padded
    shade = SHADES[round(abs(weight) * (len(SHADES) - 1))]
    ink = 16 if abs(weight) > 0.5 else 252
    return f"\x1b[48;5;{shade}m\x1b[38;5;{ink}m{padded}{RESET}"


def _right(label: str, width: int) -> str:
    return " " * (width - columns_of(label)) + label
