"""The linear layer equals PyTorch's in float32 and approximates it in bfloat16 for any number of rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from translate.model.layers import Linear
from translate.model.linear_weights import Weights, as_factor, multiplied
from translate.system.products import MKL, ONEDNN, ROWS, using_library


@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1])
@pytest.mark.parametrize("bias", [True, False])
def test_bfloat16_output_and_gradients_approximate_float32(rows: int, bias: bool) -> None:
    torch.manual_seed(1)
    ours, theirs = Linear(24, 40, bias=bias), nn.Linear(24, 40, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, rows, 24, requires_grad=True)
    wanted = torch.autograd.grad(theirs(x).square().sum(), (x, *theirs.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(x)
    assert y.dtype == torch.bfloat16
    assert (y - theirs(x)).norm() < 0.01 * y.norm()
    found = torch.autograd.grad(y.float().square().sum(), (x, *ours.parameters()))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.02 * other.norm()


def test_float32_output_equals_pytorchs() -> None:
    layer = Linear(3, 5)
    x = torch.randn(2, 4, 3)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("rows", [1, 16, 45])
def test_packed_weights_give_the_same_product(rows: int) -> None:
    x, weights = torch.randn(rows, 1, 24), Weights(torch.randn(50, 24))
    assert torch.allclose(multiplied(x, weights.packed())[0], x @ weights.matrix.t(), atol=1e-5)


def test_an_operand_for_onednn_is_padded_with_zeros() -> None:
    x = torch.randn(ROWS + 2, 3)
    factor = as_factor(x, torch.bfloat16)
    assert factor.shape == (2 * ROWS, 3)
    assert torch.equal(factor[: ROWS + 2], x.bfloat16())
    assert not factor[ROWS + 2 :].any()
    for library, is_padded in (MKL, False), (ONEDNN, True):
        with using_library(library):
            assert (as_factor(x, torch.float32).shape == (2 * ROWS, 3)) == is_padded
