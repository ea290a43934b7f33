"""The moving average of the weights against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from translate.training.optimizer import ExponentialMovingAverage


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_is_the_weighted_mean_of_the_steps(decay: float) -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    average = ExponentialMovingAverage(model, decay)
    expected = torch.zeros(2, 3)
    for step in range(1, 21):
        nn.init.normal_(model.weight)
        average.update(step)
        share = max(1 - decay, 1 / step)
        expected = (1 - share) * expected + share * model.weight.detach()
    assert torch.allclose(average.weights["weight"], expected, atol=1e-6)


def test_the_first_steps_have_equal_weights() -> None:
    model = nn.Linear(1, 1)
    average = ExponentialMovingAverage(model, 0.999)
    for step in 1, 2, 3:
        nn.init.constant_(model.bias, step)
        average.update(step)
    assert average.weights["bias"].item() == pytest.approx(2.0)


def test_in_place_swaps_the_average_in_and_out() -> None:
    model = nn.Linear(1, 1)
    average = ExponentialMovingAverage(model, 0.5)
    for step, weight in (1, 4.0), (2, 8.0):
        nn.init.constant_(model.weight, weight)
        average.update(step)
    with average.in_place():
        assert model.weight.item() == 6.0
    assert model.weight.item() == 8.0
    assert average.weights["weight"].item() == 6.0
