"""Show the roles of heads as a table in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from translate.attention.head_roles import Measure, Role
from translate.model.attention_kinds import KINDS, KindName, label_of
from translate.report.figure import load_matplotlib
from translate.report.text import table
from translate.system.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NONE = "-"
SHARES: tuple[Measure, ...] = ("normalized_entropy", "end", "first", "previous", "diagonal", "next")
COLUMNS: tuple[Measure, ...] = ("entropy", *SHARES, "distance")
HEADINGS: dict[Measure, str] = {"normalized_entropy": "normalized", "end": "</s>"}  # the other names serve as headings
ROW_INCHES, COLUMN_INCHES = 0.26, 0.62
DARK = 0.55  # numbers above this share are white


def roles_table(roles: Sequence[Role]) -> str:
    """Format one table per kind, with one row per head. Entropy is in nats, distance in pieces, the rest in percent."""
    lines, by_kind = [], _by_kind(roles)
    for kind, kind_roles in by_kind.items():
        rows = [["head", *(HEADINGS.get(measure, measure) for measure in COLUMNS), "role"]]
        for role in kind_roles:
            cells = [_cell(measure, role.figures[measure]) for measure in COLUMNS]
            rows.append([str(role.head), *cells, role.name or NONE])
        numbers = table([row[:-1] for row in rows])
        lines += ["", f"{label_of(kind, by_kind)}, {kind_roles[0].num_rows:,} rows", ""]
        lines += [f"{line}  {row[-1]}" for line, row in zip(numbers, rows, strict=True)]
    return "\n".join(lines[1:])


def save_roles_picture(roles: Sequence[Role], path: Path) -> None:
    """Draw the shares as heat maps, one per kind with a row per head, as PNG or SVG depending on the suffix."""
    load_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    by_kind = _by_kind(roles)
    num_rows = max(map(len, by_kind.values()))
    size = (len(by_kind) * (COLUMN_INCHES * len(SHARES) + 2.2), ROW_INCHES * num_rows + 1.3)
    with rc_context({"text.parse_math": False, "svg.fonttype": "none"}):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(by_kind), squeeze=False)[0]
        for axes, (kind, kind_roles) in zip(panels, by_kind.items(), strict=True):
            _draw(axes, kind_roles)
            axes.set_title(label_of(kind, by_kind), fontsize=10, pad=10)
        with atomic_write(path) as partial:
            figure.savefig(partial, format="svg" if path.suffix.lower() == ".svg" else "png", dpi=150)


def _draw(axes: Axes, roles: Sequence[Role]) -> None:
    shares = np.array([[role.figures[measure] for measure in SHARES] for role in roles], dtype=float)  # NaN for None
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")  # a single hue is also readable in greyscale
    axes.set_facecolor("#eeeeee")
    labels = ["normalized\nentropy", *(HEADINGS.get(measure, measure) for measure in SHARES[1:])]
    axes.set_xticks(range(len(SHARES)), labels, fontsize=8)
    axes.set_yticks(range(len(roles)), [f"{role.head.layer}.{role.head.head}" for role in roles], fontsize=8)
    axes.set_ylabel("layer.head", fontsize=8)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    names = axes.secondary_yaxis("right")
    names.set_yticks(range(len(roles)), [role.name or NONE for role in roles], fontsize=8)
    for each in axes, names:
        each.tick_params(length=0)
        each.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(shares):
        text = NONE if np.isnan(value) else f"{100 * value:.0f}"
        ink = "white" if value > DARK else "#333333"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=7.5)
    for row in range(1, len(roles)):
        is_new_layer = roles[row].head.layer != roles[row - 1].head.layer
        axes.axhline(row - 0.5, color="white", linewidth=4 if is_new_layer else 1)
    for column in range(1, len(SHARES)):
        axes.axvline(column - 0.5, color="white", linewidth=1)


def _by_kind(roles: Sequence[Role]) -> dict[KindName, list[Role]]:
    return {kind: found for kind in KINDS if (found := [role for role in roles if role.head.kind == kind])}


def _cell(measure: Measure, value: float | None) -> str:
    if value is None:
        return NONE
    return f"{100 * value:.0f}" if measure in SHARES else f"{value:.2f}"
