"""Dropout: the fraction of zeros, the mean and reproducibility."""

from __future__ import annotations

import pytest
import torch

from translate.model.layers import Dropout, LockedDropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.001, 0.999])
def test_dropout_zeroes_the_expected_fraction_and_preserves_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    dropout = Dropout(p)
    x = torch.ones(1001, 999, requires_grad=True, dtype=dtype)
    y = dropout(x)
    share = (y == 0).float().mean().item()
    assert share == pytest.approx(p, abs=1 / 256)
    assert y.float().mean().item() == pytest.approx(1.0, abs=0.05)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())  # what was dropped gets no gradient
    assert dropout.eval()(x) is x


def test_dropped_elements_are_independent_of_each_other() -> None:
    torch.manual_seed(1)
    is_dropped = (Dropout(0.25)(torch.ones(64, 4096)) == 0).float()
    for shift in 1, 2, 3, 4, 8, 16, 1024, 2048:
        together = (is_dropped * is_dropped.roll(shift, dims=1)).mean().item()
        assert together == pytest.approx(0.25**2, abs=0.005)  # five standard deviations


def test_dropout_is_reproducible_with_a_seed() -> None:
    dropout, x = Dropout(0.5), torch.ones(100)
    torch.manual_seed(7)
    first = dropout(x)
    assert not torch.equal(dropout(x), first)
    torch.manual_seed(7)
    assert torch.equal(dropout(x), first)


def test_locked_dropout_drops_the_same_elements_at_all_positions_of_a_sentence() -> None:
    torch.manual_seed(1)
    locked, x = LockedDropout(0.5), torch.ones(2, 5, 99)
    y = locked(x)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert locked.eval()(x) is x
