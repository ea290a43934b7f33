"""The learning curves that training draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from translate.report.curves import save_curves
from translate.run.folder import Run


def test_the_curves_of_a_run_are_its_metrics(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    save_figure = Figure.savefig

    def save(figure: Figure, *arguments: object, **options: object) -> None:
        drawn.append(figure)
        save_figure(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save)
    metrics = Run(tiny_run).metrics()
    save_curves(metrics, tmp_path / "curves.png")
    losses, scores, _ = drawn[0].axes
    for axes, label, name in (losses, "validation", "valid_loss"), (scores, "BLEU", "bleu"), (scores, "chrF", "chrf"):
        (line,) = (each for each in axes.lines if each.get_label() == label)
        expected = [[each["step"], each[name]] for each in metrics if name in each]
        assert line.get_xydata().tolist() == expected
    assert imread(tmp_path / "curves.png").shape == (396, 1320, 4)


def test_a_run_without_any_metrics_has_empty_curves(tmp_path: Path) -> None:
    save_curves([], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
