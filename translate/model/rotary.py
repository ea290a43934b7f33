"""Rotary positions (Su et al. 2021): queries and keys are turned by angles that grow with their positions.

So what a query makes of a key depends on how far apart the two are, not on where they stand.

Shapes: B sentences, T pieces, H heads, D width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Rotation(NamedTuple):
    """Of the pieces of a sequence: cosines and sines of their angles, each (T, 1, D/2H)."""

    cosines: Tensor
    sines: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T, H, D/H) -> the same, turned (equation 34), computed in float32.

        A plane is spanned by dimensions i and i + D/2H, not 2 i and 2 i + 1: contiguous halves are faster, and the
        order of dimensions is learnt.
        """
        first, second = x.float().chunk(2, dim=-1)
        turned = (first * self.cosines - second * self.sines, second * self.cosines + first * self.sines)
        return torch.cat(turned, dim=-1).to(x.dtype)


def rotation(start: int, length: int, head_width: int, device: torch.device) -> Rotation:
    """Of positions from `start` on, for heads of that width (D/H): plane i turns by 10000^(-2 i H / D) a position."""
    positions = torch.arange(start, start + length, dtype=torch.float32, device=device)
    rates = torch.exp(torch.arange(0, head_width, 2, device=device) * (-math.log(10_000.0) / head_width))
    angles = positions[:, None, None] * rates  # (T, 1, D/2H)
    return Rotation(angles.cos(), angles.sin())
