"""Products in int8 equal those of the rounded matrices, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from translate.api.loading import load_translator
from translate.errors import UserError
from translate.model.int8 import is_exact, multiplied_int8, quantized


@pytest.mark.parametrize("width", [1, 7])
@pytest.mark.parametrize("bias", [None, torch.linspace(-1, 1, 5)])
def test_product_is_that_of_the_rounded_matrices(bias: torch.Tensor | None, width: int) -> None:
    x, weight = torch.randn(3, width), torch.randn(5, width)
    x[1] = 0
    rows, columns = quantized(x), quantized(weight)
    expected = (rows.integers * rows.scale.double()) @ (columns.integers * columns.scale.double()).t()
    found = multiplied_int8(rows, columns.integers, bias, columns.scale.squeeze(1))
    assert torch.allclose(found.double(), expected if bias is None else expected + bias, atol=1e-5)
    assert torch.equal(found[2:], multiplied_int8(quantized(x[2:]), columns.integers, bias, columns.scale.squeeze(1)))


def test_each_row_is_rounded_to_the_nearest_of_255_steps_up_to_its_largest_number() -> None:
    x = torch.randn(4, 50) * torch.tensor([[1e-6], [1.0], [1e6], [0.0]])
    integers, scale = quantized(x)
    assert (integers.abs().amax(dim=1)[:3] == 127).all()
    assert ((integers * scale - x).abs() <= 0.501 * scale).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_reach_the_result(wrong: float) -> None:
    x, ones = torch.ones(2, 4), quantized(torch.ones(3, 4))
    x[0, 1] = wrong
    y = multiplied_int8(quantized(x), ones.integers, None, ones.scale.squeeze(1))
    assert not y[0].isfinite().any()
    assert y[1].isfinite().all()


def test_products_of_this_processor_are_exact() -> None:
    assert is_exact()


def test_int8_is_refused_where_products_would_be_wrong(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.decoding.torch_engine.is_exact", lambda: False)
    with pytest.raises(UserError, match="--precision int8: not supported"):
        load_translator(tiny_run, "cpu", precision="int8")
