"""Layers shared by all models: linear layers, positional encodings and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translate.model.linear_weights import Weights, as_factor, multiplied


class Linear(nn.Linear):
    """PyTorch's linear layer, x Wᵀ + b, with a faster bfloat16 product on CPUs.

    The product uses few distinct shapes and converts each operand to bfloat16 only once. If the weights are already
    stored in bfloat16 or int8, as in fast decoding, the input and the output remain float32.
    """

    scale: Tensor | None = None  # (O,) of int8 weights

    @property
    def weights(self) -> Weights:
        """The weights with their bias and scale."""
        return Weights(self.weight, self.bias, self.scale)

    def convert(self, precision: str) -> None:
        """Store the weights in a precision for inference, in place; see `Weights.converted`.

        In float32, nothing changes: the parameters may belong to an optimizer.
        """
        if precision == "float32":
            return
        weights = Weights(self.weight.detach()).converted(precision)
        self.weight, self.scale = nn.Parameter(weights.matrix, requires_grad=False), weights.scale

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: (..., I) -> (..., O)."""
        if not _is_cpu_autocast(x) or self.weight.dtype != torch.float32:
            return multiplied(x, self.weights)[0]
        return _product(x.flatten(0, -2), torch.bfloat16, self.bias, self.weight).view(*x.shape[:-1], -1)


def project(x: Tensor, *layers: Linear) -> Sequence[Tensor]:
    """Apply layers without bias to one input: (..., I) -> one (..., O) each.

    With autocast on a CPU, this is one product with an output in float32, which the attention kernel needs there.
    """
    if not _is_cpu_autocast(x):
        return multiplied(x, *(layer.weights for layer in layers))
    weights = [layer.weight for layer in layers]
    y = _product(x.flatten(0, -2), torch.float32, None, *weights).view(*x.shape[:-1], -1)
    return y.split([len(weight) for weight in weights], dim=-1)


def feed_forward(x: Tensor, inner: Linear, outer: Linear) -> Tensor:
    """Return max(0, x W₁ + b₁) W₂ + b₂ (Vaswani et al. 2017, equation 2): (..., D) -> (..., D)."""
    if not _is_cpu_autocast(x):
        return outer(F.relu(inner(x), inplace=torch.is_inference_mode_enabled()))
    network: Callable[..., Tensor] = _FeedForward.apply
    return network(x.flatten(0, -2), inner.weight, inner.bias, outer.weight, outer.bias).view(x.shape)


def _is_cpu_autocast(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


class _Product(torch.autograd.Function):
    """Matrix product in bfloat16. The weights and their gradients are float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype, bias: Tensor | None, *weights: Tensor) -> Tensor:
        """Compute x Wᵀ + b in bfloat16 for all weights: (N, I), (O,), each (O, I) -> (N, sum of O), of type `dtype`."""
        rows = as_factor(x, torch.bfloat16)
        kernel = torch.cat([weight.bfloat16() for weight in weights]) if len(weights) > 1 else weights[0].bfloat16()
        ctx.save_for_backward(rows, kernel)
        ctx.has_bias, ctx.sizes = bias is not None, [len(weight) for weight in weights]
        return F.linear(rows, kernel, None if bias is None else bias.bfloat16())[: len(x)].to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, kernel = ctx.saved_tensors
        y_grad = as_factor(gradients[0], torch.bfloat16)
        x_grad = (y_grad @ kernel)[: gradients[0].size(0)]
        bias_grad = y_grad.sum(0).float() if ctx.has_bias else None
        return x_grad, None, bias_grad, *(y_grad.t() @ rows).float().split(ctx.sizes)


_product = cast("Callable[..., Tensor]", _Product.apply)


class _FeedForward(torch.autograd.Function):
    """Feed-forward network in bfloat16. The weights, the biases and their gradients are float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        """Compute equation 2 of the paper: (N, D), (F, D), (F,), (D, F), (D,) -> (N, D) in bfloat16."""
        rows, kernels = as_factor(x, torch.bfloat16), (w1.bfloat16(), w2.bfloat16())
        h = F.linear(rows, kernels[0], b1.bfloat16()).relu_()
        ctx.save_for_backward(rows, h, *kernels)
        return F.linear(h, kernels[1], b2.bfloat16())[: len(x)]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, h, kernel_1, kernel_2 = ctx.saved_tensors
        y_grad = as_factor(gradients[0], torch.bfloat16)
        h_grad = torch.ops.aten.threshold_backward(y_grad @ kernel_2, h, 0)  # the gradient of ReLU
        x_grad = (h_grad @ kernel_1)[: gradients[0].size(0)]
        inner = (h_grad.t() @ rows).float(), h_grad.sum(0).float()
        return x_grad, *inner, (y_grad.t() @ h).float(), y_grad.sum(0).float()


class RotaryEmbedding(NamedTuple):
    """Cosines and sines of the rotation angles for T positions, each (T, 1, D/2H) (Su et al. 2021, "RoFormer").

    If the positions differ between the B sentences of a batch, each is (B, T, 1, D/2H).
    """

    cosines: Tensor
    sines: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate queries or keys, (B, T, H, D/H), in float32 (equation 34).

        Dimensions i and i + D/2H form a pair, not 2 i and 2 i + 1 as in the paper: contiguous halves are faster, and
        the order of the dimensions is learned anyway.
        """
        first, second = x.float().chunk(2, dim=-1)
        rotated = (first * self.cosines - second * self.sines, second * self.cosines + first * self.sines)
        return torch.cat(rotated, dim=-1).to(x.dtype)


def rotary_embedding(positions: Tensor, head_width: int) -> RotaryEmbedding:
    """Return the embedding of positions, (T,) or (B, T). Pair i rotates by 10000^(-2 i H / D) per position."""
    angles = _angles(positions, head_width).unsqueeze(-2)  # (..., T, 1, D/2H)
    return RotaryEmbedding(*(each.float().to(positions.device) for each in (angles.cos(), angles.sin())))


def sinusoidal_positions(positions: Tensor, d_model: int) -> Tensor:
    """Return the sinusoidal encodings of positions, (T,) -> (T, D) (Vaswani et al. 2017, section 3.5)."""
    angles = _angles(positions, d_model)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).float().to(positions.device)


def _angles(positions: Tensor, width: int) -> Tensor:
    """Return position * 10000^(-2 i / width) for each position and dimension pair i: (..., width / 2).

    The angles are float64: in float32, those of position 800 would be off by 5e-5. MPS has no float64.
    """
    device = torch.device("cpu") if positions.device.type == "mps" else positions.device
    numbers = torch.arange(0, width, 2, dtype=torch.float64, device=device)
    rates = torch.exp(numbers * (-math.log(10_000.0) / width))
    return positions.to(device, torch.float64)[..., None] * rates


class _Randomness(local):
    generator: torch.Generator | None = None  # None: PyTorch's own, which all threads share


_randomness = _Randomness()


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Within the block, draw the dropout masks of this thread from a CPU generator instead of PyTorch's own."""
    previous, _randomness.generator = _randomness.generator, generator
    try:
        yield
    finally:
        _randomness.generator = previous


class Dropout(nn.Module):
    """Dropout: each element is set to 0 with probability p, or else scaled by 1 / (1 - p) (Srivastava et al. 2014).

    On a CPU, PyTorch draws one random number per element from a single generator, which takes a third of a small
    model's step time. This layer draws only one byte per element, so p is rounded to a multiple of 1/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.threshold = min(255, round(256 * p)) if p >= 1 / 256 else math.ceil(256 * p)

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout to a tensor of any shape. In evaluation mode, return the tensor unchanged."""
        if not self.training or not self.threshold:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.threshold / 256)
        return x * _dropout_mask(x.numel(), self.threshold, x.dtype).view(x.shape)


class LockedDropout(Dropout):
    """Dropout that drops the same elements at all positions of a sequence (Gal and Ghahramani 2016).

    A mask that changes from step to step would disturb what a recurrent network carries from one step to the next.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout to a sequence, (B, T, D) -> (B, T, D). In evaluation mode, return it unchanged."""
        return x if (factors := self.factors(x)) is None else x * factors

    def factors(self, x: Tensor) -> Tensor | None:
        """Return the factors that `forward` multiplies (B, T, D) by, (B, 1, D), or None if there are none."""
        is_active = self.training and self.threshold
        return super().forward(x.new_ones(x.size(0), 1, x.size(2))) if is_active else None


def _dropout_mask(size: int, threshold: int, dtype: torch.dtype) -> Tensor:
    """Return `size` factors: 0 with probability threshold / 256, else 1 / (1 - threshold / 256) to preserve the mean.

    The mask is computed with integers as wide as `dtype`, so the processor handles 16 or more of them at once.
    PyTorch's comparisons and selections on bytes or booleans are several times slower.
    """
    integer = {torch.float32: torch.int32, torch.bfloat16: torch.int16}[dtype]
    num_bytes = dtype.itemsize
    draws = torch.empty(-(-size // 8), dtype=torch.int64)
    draws = draws.random_(-(2**63), None, generator=_randomness.generator).view(integer)
    # Extract the bytes of each draw as numbers from -128 to 127: shift each byte to the top, then back down.
    shifts = torch.arange(0, 8 * num_bytes, 8, dtype=integer)[:, None]
    numbers = draws.bitwise_left_shift(shifts).bitwise_right_shift_(8 * (num_bytes - 1))
    # Copy the sign bit to all other bits, which yields all ones where the number is below the threshold.
    is_dropped = numbers.sub_(threshold - 128).bitwise_right_shift_(8 * num_bytes - 1)
    scale = torch.tensor(256 / (256 - threshold), dtype=dtype).view(integer)
    return is_dropped.bitwise_not_().bitwise_and_(scale).view(dtype).flatten()[:size]
