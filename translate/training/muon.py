"""Muon: updates of weight matrices by their orthogonalized momentum (Jordan et al. 2024, "Muon: An optimizer for hidden
layers in neural networks").

The momentum of a weight matrix has a few large singular values and many small ones, so an update changes the layer in a
few directions only. Muon sets all singular values to about 1, and the layer learns in all directions at once.

Shapes: N matrices of A rows and B columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MOMENTUM = 0.95
MIN_NORM = 1e-7

# Each (a, b, c) maps a singular value x to a x + b x³ + c x⁵. Together they map all from 0.005 to 1 to between 0.5 and
# 1.5, and smaller ones to about 100 times their value. Each has the smallest possible distance from 1 in the range that
# the one before leaves (Amsel et al. 2025, "The Polar Express", theorem 3.1).
POLYNOMIALS = (8.2987, -24.4305, 18.0903), (3.9152, -2.9211, 0.5592), (3.1746, -2.3804, 0.4978)


def orthogonalized(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the matrices (N, A, B) with singular values of about 1 and the same singular vectors, computed in `dtype`.

    The polynomials are those of odd matrix powers, X Xᵀ X and so on, which need only products. A matrix of zeros stays
    as it is.
    """
    is_wide = matrices.size(1) <= matrices.size(2)
    x = matrices if is_wide else matrices.mT  # the product X Xᵀ then has the smaller of the two sizes
    norms = torch.linalg.matrix_norm(x, keepdim=True)  # not less than the largest singular value
    x = (x / norms.clamp(min=MIN_NORM)).to(dtype).contiguous()
    for a, b, c in POLYNOMIALS:
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if is_wide else x.mT


def update(
    weights: list[Tensor],
    gradients: list[Tensor],
    momenta: list[Tensor],
    rate: float | Tensor,
    weight_decay: float,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Update matrices of the same shape and their momenta, in place. dtype: see `orthogonalized`.

    A matrix with A > B moves √(A / B) times as far, so that its outputs change as much as those of a square one.
    """
    torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
    ahead = torch.stack(torch._foreach_lerp(gradients, momenta, MOMENTUM))  # Nesterov's momentum
    num_rows, num_columns = weights[0].shape
    steps = orthogonalized(ahead, dtype).float() * (rate * math.sqrt(max(1.0, num_rows / num_columns)))
    if weight_decay:
        torch._foreach_mul_(weights, 1 - rate * weight_decay)
    torch._foreach_sub_(weights, steps.unbind())
