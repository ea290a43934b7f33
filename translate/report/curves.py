"""Draw learning curves from metrics.jsonl as curves.png."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from translate.report.figure import load_matplotlib
from translate.system.files import atomic_replace

LOSSES = {"train_loss": "training (with label smoothing)", "valid_loss": "validation", "alignment_loss": "alignment"}
# Title of the vertical axis, line style, and the metrics to plot with their labels.
PANELS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("loss (nats per piece)", "-", LOSSES),
    ("validation score (greedy search)", ".-", {"bleu": "BLEU", "chrf": "chrF"}),
    ("", "-", {"learning_rate": "learning rate"}),
)


def save_curves(metrics: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Plot losses, scores and the learning rate against the step. metrics: the records of metrics.jsonl."""
    load_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lines = list(metrics)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axes, (title, style, names) in zip(figure.subplots(1, 3), PANELS, strict=True):
        for name, label in names.items():
            if points := [(line["step"], line[name]) for line in lines if name in line]:
                axes.plot(*zip(*points, strict=True), style, label=label)
        axes.set_ylabel(title)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))  # more labels would overlap
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    with atomic_replace(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
