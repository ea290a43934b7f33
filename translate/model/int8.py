"""Matrix products of 8-bit integers, for fast decoding on CPUs.

Weights are quantized once, with one scale per output. Activations are quantized for each product, with one scale per
row, so that a translation does not depend on the other sentences of its batch. Both are symmetric: a number is about
scale * integer, from -127 to 127. Products are summed exactly in 32 bits (Bhandare et al. 2019, "Efficient 8-Bit
Quantization of Transformer Neural Machine Language Translation Model").

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST = 127
SMALLEST_SCALE = 1e-30  # for rows of zeros


class Quantized(NamedTuple):
    """A matrix of rows. The scale keeps NaN and infinity, so that they reach the result."""

    integers: Tensor  # (N, I) int8
    scale: Tensor  # (N, 1) float32


def quantized(rows: Tensor) -> Quantized:
    """Quantize the rows of a float32 matrix, (N, I). A single column gets a column of zeros: `_int_mm` misreads it."""
    rows = F.pad(rows, (0, 1)) if rows.size(1) == 1 else rows
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_(min=SMALLEST_SCALE * LARGEST).div_(LARGEST)
    return Quantized((rows * scale.reciprocal()).round_().to(torch.int8), scale)


def multiplied_int8(x: Quantized, weight: Tensor, bias: Tensor | None, scale: Tensor | None) -> Tensor:
    """Return x Wᵀ + b in float32, (N, O). weight: (O, I) int8 with the scales (O,); bias: (O,) or None."""
    assert scale is not None
    y = torch._int_mm(x.integers, weight.t()).float().mul_(x.scale)
    return y.mul_(scale) if bias is None else torch.addcmul(bias, y, scale)


@cache
def is_exact() -> bool:
    """Return whether the products are exact. Processors without instructions for them may sum pairs in 16 bits."""
    x = torch.full((64, 256), LARGEST, dtype=torch.int8)
    return bool((torch._int_mm(x, -x[:32].t()) == -256 * LARGEST**2).all())
