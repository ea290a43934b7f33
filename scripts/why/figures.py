"""Curves of the four architectures by length, as SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from translate.report.colours import oklch
from translate.report.figure import figure_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = {  # hue in degrees, and marker
    "no attention": (55.0, "v"),
    "additive attention": (150.0, "o"),
    "Transformer": (255.0, "s"),
    "decoder-only": (330.0, "D"),
}
MAX_MARKERS = 10  # of a curve
WIDTH, HEIGHT = 4.4, 3.2  # of a panel, in inches


@dataclass(frozen=True)
class Point:
    """A value with half the width of its confidence interval, 0 to draw none."""

    length: float
    value: float
    margin: float = 0.0


@dataclass(frozen=True)
class Panel:
    """One diagram: a curve for each architecture."""

    title: str
    length_label: str
    value_label: str
    curves: Mapping[str, Sequence[Point]]
    last_trained: float | None = None  # no longer sources were in the training text


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Draw the panels side by side, with one legend."""
    labels = [text for panel in panels for text in (panel.title, panel.length_label, panel.value_label, *panel.curves)]
    with figure_at(path, WIDTH * len(panels), HEIGHT, labels) as (figure, _):
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            axes.set_title(panel.title, fontsize=10)
            axes.set_xlabel(panel.length_label)
            axes.set_ylabel(panel.value_label)
            axes.grid(alpha=0.3)
            if panel.last_trained is not None:
                axes.axvline(panel.last_trained + 0.5, color="0.4", linewidth=1, linestyle=":")
            for architecture, points in panel.curves.items():
                _plot(axes, architecture, points)
            axes.set_ylim(bottom=0)  # after plotting, which chooses the top
        figure.axes[0].legend(fontsize=8)
        figure.subplots_adjust(wspace=0.25)


def _plot(axes: Axes, architecture: str, points: Sequence[Point]) -> None:
    lengths, values = [point.length for point in points], [point.value for point in points]
    hue, marker = STYLES[architecture]
    colour = tuple(each / 255 for each in oklch(0.55, 0.14, hue))
    (line,) = axes.plot(lengths, values, label=architecture, color=colour, marker=marker, markersize=4, linewidth=1.4)
    line.set_markevery(-(-len(points) // MAX_MARKERS))
    if any(point.margin for point in points):
        lower, upper = ([point.value + sign * point.margin for point in points] for sign in (-1, 1))
        axes.fill_between(lengths, lower, upper, color=colour, alpha=0.12, linewidth=0)
