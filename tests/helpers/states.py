"""Comparing the results of two trainings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from translate.run.folder import Run


def final_state(run: Run) -> dict[str, torch.Tensor]:
    """Every tensor of the newest checkpoint: weights, their average if there is one, optimizer."""
    newest = sorted(run.checkpoints_path.glob("step-*"))[-1]
    tensors = load_file(newest / "model.safetensors")
    if (newest / "average.safetensors").exists():
        tensors |= {f"average.{name}": weight for name, weight in load_file(newest / "average.safetensors").items()}
    return tensors | load_file(newest / "optimizer.safetensors")


def assert_equal_states(one: Run, other: Run) -> None:
    left, right = final_state(one), final_state(other)
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


def assert_close_weights(one: Run, other: Run) -> None:
    """Check that two trainings differ by rounding only: the losses and gradients of their steps are nearly equal."""
    for name in "train_loss", "gradient_norm":
        figures = [[line[name] for line in run.metrics() if name in line] for run in (one, other)]
        assert figures[0] == pytest.approx(figures[1], rel=1e-3), name
    newest = [sorted(run.checkpoints_path.glob("step-*"))[-1] for run in (one, other)]
    assert newest[0].name == newest[1].name
    left, right = (load_file(path / "model.safetensors") for path in newest)
    for name, tensor in left.items():
        assert_close(tensor, right[name], name)


def assert_close(one: torch.Tensor, other: torch.Tensor, name: str = "") -> None:
    """Check that weights differ by rounding only, on the whole.

    Single ones may differ by more: where rounding changes the sign of a small gradient, Adam's first updates go the
    other way.
    """
    assert (one - other).norm() <= 0.02 * one.norm(), name


def timeless(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: line[name] for name in line.keys() - {"minutes", "tokens_per_second"}} for line in metrics]
