"""Draw learning curves: metrics.jsonl -> curves.png."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.system.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def save_curves(metrics: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Plot losses, scores and the learning rate against the step. metrics: the records of metrics.jsonl."""
    from matplotlib.figure import Figure  # imported here because it loads slowly
    from matplotlib.ticker import MaxNLocator

    lines = list(metrics)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, scores, rate = figure.subplots(1, 3)
    names = {"train_loss": "training (with label smoothing)", "valid_loss": "validation", "alignment_loss": "alignment"}
    _plot(losses, lines, names, "-")
    losses.set_ylabel("loss (nats per piece)")
    _plot(scores, lines, {"bleu": "BLEU", "chrf": "chrF"}, ".-")
    scores.set_ylabel("score of greedy validation translations")
    _plot(rate, lines, {"learning_rate": "learning rate"}, "-")
    for axes in losses, scores, rate:
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))  # more would overlap
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _plot(axes: Axes, lines: list[Mapping[str, Any]], names: Mapping[str, str], style: str) -> None:
    for name, label in names.items():
        if points := [(line["step"], line[name]) for line in lines if name in line]:
            axes.plot(*zip(*points, strict=True), style, label=label)
