"""The weights of linear layers in each precision, and their products with a layer's input.

Shapes: I input width, O output width, N rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.model.int8 import multiplied_int8, quantized
from translate.system.products import ROWS, is_accurate, linear, onednn, this_processor, uses_onednn

PACKED_ROWS = 16  # in place of ROWS for packed float32 weights, which multiply few rows at a time


class Weights(NamedTuple):
    """The weights of a linear layer."""

    matrix: Tensor  # (O, I) float32, bfloat16 or int8; float32 may be in oneDNN's own layout
    bias: Tensor | None = None  # (O,) float32
    scale: Tensor | None = None  # (O,) float32, of int8 weights

    def converted(self, precision: str) -> Weights:
        """Return float32 weights in float32, bfloat16 or int8."""
        if precision == "int8":
            integers, scale = quantized(self.matrix)
            return Weights(integers, self.bias, scale.squeeze(1))
        return self._replace(matrix=self.matrix.to(getattr(torch, precision)))

    def packed(self) -> Weights:
        """Return the weights in the order in which oneDNN reads them, if they are float32 and it can multiply them.

        Without a copy of the weights for each product, oneDNN is the faster library on Zen 4, too: 128 rows of 256 x
        8,000 take 5.0 ms instead of 6.7 with MKL.
        """
        is_usable = self.matrix.device.type == "cpu" and this_processor().has_avx512 and is_accurate()
        if self.matrix.dtype != torch.float32 or not is_usable:
            return self
        return self._replace(matrix=torch.ops.mkldnn._reorder_linear_weight(self.matrix, PACKED_ROWS))

    def __reduce__(self) -> tuple[Callable[..., Weights], tuple[Tensor | None, ...]]:
        """Let copies and pickles of packed weights pack them again, because PyTorch cannot copy oneDNN's layout."""
        if self.matrix.is_mkldnn:
            return _packed, (self.matrix.to_dense(), self.bias, self.scale)
        return Weights, tuple(self)


def _packed(*weights: Any) -> Weights:
    return Weights(*weights).packed()


def multiplied(x: Tensor, *weights: Weights) -> list[Tensor]:
    """Multiply one input by weights of one precision: (..., I) float32 -> one (..., O) float32 each."""
    flat, dtype = x.flatten(0, -2), weights[0].matrix.dtype
    if dtype == torch.int8:
        rows = quantized(flat)
        products = [multiplied_int8(rows, *each) for each in weights]
    elif dtype == torch.bfloat16:
        factor = as_factor(flat, dtype)
        biases = (None if each.bias is None else each.bias.to(dtype) for each in weights)
        pairs = zip(weights, biases, strict=True)
        products = [F.linear(factor, each.matrix, bias)[: len(flat)].float() for each, bias in pairs]
    elif weights[0].matrix.is_mkldnn:
        padded = F.pad(flat, (0, 0, 0, -len(flat) % PACKED_ROWS))
        products = [onednn(padded, each.matrix, each.bias)[: len(flat)] for each in weights]
    else:
        products = [linear(flat, each.matrix, each.bias) for each in weights]
    return [product.view(*x.shape[:-1], -1) for product in products]


def as_factor(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert an operand (N, I) of a matrix product to `dtype`. If oneDNN computes it, pad it with rows of zeros."""
    is_by_onednn = dtype == torch.bfloat16 and x.device.type == "cpu"
    if not (is_by_onednn or (dtype == x.dtype and uses_onednn(x))) or len(x) % ROWS == 0:
        return x.to(dtype)
    padded = x.new_empty(len(x) + -len(x) % ROWS, x.size(1), dtype=dtype)
    padded[: len(x)] = x
    padded[len(x) :] = 0
    return padded
