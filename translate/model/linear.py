"""The linear layer, and how its product is computed in bfloat16 on a CPU.

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

# For each new shape of a bfloat16 product a CPU's library makes a kernel, in milliseconds and a megabyte of memory. So
# rows are filled up to a multiple of this: over all batches few shapes remain.
ROWS = 64


class Linear(nn.Linear):
    """x Wᵀ + b: torch's layer, but for bfloat16.

    On a CPU its product has few shapes and converts once. Where the weights themselves are bfloat16, as in fast
    decoding, what comes in and goes out is float32 all the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        if self.weight.dtype == torch.bfloat16:
            return multiplied(x, self.weight, self.bias)
        if not (x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        product = cast("Callable[..., Tensor]", _Product.apply)
        return product(x.flatten(0, -2), self.weight, self.bias).view(*x.shape[:-1], self.out_features)


def multiplied(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., I) float32, (O, I) and (O,) bfloat16 -> (..., O) float32, multiplied in bfloat16."""
    flat = x.flatten(0, -2)
    rows = as_factor(flat, torch.bfloat16)
    y = rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())
    return y[: len(flat)].float().view(*x.shape[:-1], len(weight))


def as_factor(x: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, I) in `dtype`, to be multiplied; for bfloat16 on a CPU filled up with rows of zeros."""
    if dtype != torch.bfloat16 or x.device.type != "cpu":
        return x.to(dtype)
    num_rows = x.size(0)
    rows = x.new_empty(-(-num_rows // ROWS) * ROWS, x.size(1), dtype=dtype)
    rows[:num_rows] = x
    rows[num_rows:] = 0
    return rows


class _Product(torch.autograd.Function):
    """In bfloat16; gradients of the weights are float32, as the weights are."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(N, I), (O, I), (O,) -> (N, O) in bfloat16."""
        rows, kernel = as_factor(x, torch.bfloat16), weight.bfloat16()
        ctx.save_for_backward(rows, kernel)
        ctx.has_bias = bias is not None
        y = rows @ kernel.t() if bias is None else torch.addmm(bias.bfloat16(), rows, kernel.t())
        return y[: x.size(0)]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, kernel = ctx.saved_tensors
        y_grad = as_factor(gradients[0], torch.bfloat16)
        x_grad = (y_grad @ kernel)[: gradients[0].size(0)]
        bias_grad = y_grad.sum(0).float() if ctx.has_bias else None
        return x_grad, (y_grad.t() @ rows).float(), bias_grad
