"""Dropout that costs little on a CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INTEGER_AS_WIDE_AS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}


class Dropout(nn.Module):
    """Zeroes each element with probability p and scales the others by 1 / (1 - p) (Srivastava et al. 2014).

    On the CPU, PyTorch's draws one number an element from one generator: a third of a small model's step. Here a byte
    decides on an element, so p is a multiple of 1/256 there.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.threshold = min(255, round(256 * p)) if p >= 1 / 256 else math.ceil(256 * p)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the same shape. The identity in evaluation mode."""
        if not self.training or not self.threshold:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.threshold / 256)
        return x * dropout_mask(x.numel(), self.threshold, x.dtype).view(x.shape)


def dropout_mask(size: int, threshold: int, dtype: torch.dtype) -> Tensor:
    """(size,): 0 with probability threshold / 256, else what keeps the mean: 1 / (1 - threshold / 256).

    The arithmetic is on integers as wide as `dtype`, which the processor does on 16 elements or more at once. PyTorch's
    comparisons and selections by bytes or booleans are several times slower.
    """
    integer = INTEGER_AS_WIDE_AS[dtype]
    num_bytes = dtype.itemsize
    draws = torch.empty(-(-size // 8), dtype=torch.int64).random_(-(2**63), None).view(integer)
    # The bytes of each draw, one after the other, as numbers from -128 to 127: moved to the top, and down again.
    shifts = torch.arange(0, 8 * num_bytes, 8, dtype=integer)[:, None]
    numbers = draws.bitwise_left_shift(shifts).bitwise_right_shift_(8 * (num_bytes - 1))
    # The sign, spread over all bits, is a mask: all ones where the number is below the threshold.
    is_dropped = numbers.sub_(threshold - 128).bitwise_right_shift_(8 * num_bytes - 1)
    scale = torch.tensor(256 / (256 - threshold), dtype=dtype).view(integer)
    return is_dropped.bitwise_not_().bitwise_and_(scale).view(dtype).flatten()[:size]
