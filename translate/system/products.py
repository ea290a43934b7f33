"""Matrix products in float32 on a CPU, by the faster of two libraries: MKL or oneDNN.

PyTorch's packages for x86 contain both. PyTorch multiplies float32 matrices by MKL, which has no code of its own for
AMD's 512-bit vectors. oneDNN, which PyTorch uses for bfloat16, does. On Zen 5, whose arithmetic units are as wide as
these vectors, oneDNN is about twice as fast. On Zen 4, whose units are half as wide, it is 8 % faster, and no faster
with the padding that it needs (see ROWS). `scripts/bench products` compares the libraries on any processor.

oneDNN is called through the operator that PyTorch's own compiler uses for linear layers. It computes in float32 on
every processor. PyTorch also has a setting that moves all float32 products to oneDNN, `torch.backends.mkldnn.matmul.
fp32_precision = "bf16"`, and `torch.set_float32_matmul_precision("medium")` does the same. It is not used here: it
lets oneDNN round to bfloat16 on processors that are fast at it (PyTorch documentation, "MKLDNN backend"), it makes
PyTorch's attention up to ten times slower, because its many products are small, and it applies to a whole program.

Shapes: x (N, I), weight (O, I), bias (O,), y = x weightᵀ + bias (N, O).
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

MKL, ONEDNN = "mkl", "onednn"  # MKL stands for the library that PyTorch was built with, which may be another

# oneDNN compiles a kernel of more than a megabyte for each new shape, in float32 and in bfloat16. Padding the number of
# rows to a multiple of ROWS limits the number of distinct shapes. Float32 products with fewer rows are left to MKL,
# whose calls take less time.
ROWS = 64
FULL_WIDTH_FAMILY = 26  # AMD's processor family from which its units are as wide as its vectors, 512 bits: Zen 5
CPUINFO = Path("/proc/cpuinfo")  # of Linux
MAX_ERROR = 1e-5  # of a product, relative to its largest element; rounding to bfloat16 causes 100 times more

_chosen: str | None = None  # None: the preferred library


class Processor(NamedTuple):
    """What determines the faster library."""

    maker: str  # such as "AuthenticAMD"; empty if unknown
    family: int  # number of the maker's processor family; 0 if unknown
    has_avx512: bool


def library() -> str:
    """Return the library in use, MKL or ONEDNN."""
    return _chosen or preferred_library()


@contextmanager
def using_library(name: str | None) -> Iterator[None]:
    """Use a library within the block, in all threads. None: the preferred one."""
    global _chosen
    previous, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = previous


@cache
def preferred_library() -> str:
    """Return the faster library for this processor. It depends on nothing else, so that results can be repeated."""
    return ONEDNN if prefers_onednn(this_processor()) and is_accurate() else MKL


def prefers_onednn(processor: Processor) -> bool:
    """Return whether oneDNN is faster than MKL on a processor."""
    return processor.maker == "AuthenticAMD" and processor.family >= FULL_WIDTH_FAMILY and processor.has_avx512


def this_processor() -> Processor:
    """Return the processor of this machine."""
    has_avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    if CPUINFO.exists():
        facts = dict(re.findall(r"^(vendor_id|cpu family)\s*:\s*(\S+)$", CPUINFO.read_text("utf-8"), re.MULTILINE))
        return Processor(facts.get("vendor_id", ""), int(facts.get("cpu family", "0")), has_avx512)
    description = platform.processor()  # on Windows, such as "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD"
    family = re.search(r"Family (\d+)", description)
    return Processor(description.rpartition(", ")[2], int(family[1]) if family else 0, has_avx512)


def library_to_resume(recorded: str | None) -> str:
    """Return the library that continues a training exactly, or MKL if oneDNN was recorded but cannot be used here.

    recorded: library in the checkpoint; None if it was written by a version that only had MKL.
    """
    return ONEDNN if recorded == ONEDNN and is_accurate() else MKL


@cache
def is_accurate() -> bool:
    """Return whether oneDNN can be called and computes in float32: all three products agree with float64.

    This is false if PyTorch lacks oneDNN or the operator, and where oneDNN rounds to bfloat16 because of a setting such
    as ONEDNN_DEFAULT_FPMATH_MODE.
    """
    x, weight, y_grad = (_sines(*shape) for shape in ((2 * ROWS, 200), (100, 200), (2 * ROWS, 100)))
    expected = x.double() @ weight.double().t(), y_grad.double() @ weight.double(), y_grad.double().t() @ x.double()
    try:
        found = onednn(x, weight), onednn(y_grad, weight.t()), onednn(x.t(), y_grad.t()).t()
    except (AttributeError, RuntimeError):
        return False
    return all(
        bool((mine - exact).abs().max() < MAX_ERROR * exact.abs().max())
        for mine, exact in zip(found, expected, strict=True)
    )


def uses_onednn(x: Tensor) -> bool:
    """Return whether products of x are computed by oneDNN, if their number of rows is a multiple of ROWS."""
    is_float32 = x.device.type == "cpu" and x.dtype == torch.float32
    return is_float32 and not torch.compiler.is_compiling() and library() == ONEDNN


def padded(x: Tensor) -> Tensor:
    """Add rows of zeros to (N, I) until their number is a multiple of ROWS."""
    return F.pad(x, (0, 0, 0, -len(x) % ROWS)) if len(x) % ROWS else x


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute x weightᵀ + bias for any number of rows, with gradients: (..., I) -> (..., O)."""
    if not uses_onednn(x) or x.numel() < ROWS * x.size(-1):
        return F.linear(x, weight, bias)
    product = _Linear.apply if torch.is_grad_enabled() else _padded_product
    y = cast("Callable[[Tensor, Tensor, Tensor | None], Tensor]", product)(x.flatten(0, -2), weight, bias)
    return y.view(*x.shape[:-1], len(weight))


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Compute x weightᵀ, without gradients, for a padded x of any type."""
    return onednn(x, weight) if uses_onednn(x) else x @ weight.t()


def input_gradient(y_grad: Tensor, weight: Tensor) -> Tensor:
    """Compute the gradient of a padded x, (N, O) weight -> (N, I)."""
    return onednn(y_grad, weight.t()) if uses_onednn(y_grad) else y_grad @ weight


def weight_gradient(y_grad: Tensor, x: Tensor) -> Tensor:
    """Compute the gradient of weight, (N, O)ᵀ x -> (O, I), for a padded x."""
    if not uses_onednn(x):
        return y_grad.t() @ x
    if x.size(1) < y_grad.size(1):  # the operator copies its first operand if that is transposed
        return onednn(x.t(), y_grad.t()).t().contiguous()
    return onednn(y_grad.t(), x.t())


class _Linear(torch.autograd.Function):
    """Linear layer by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = padded(x)
        ctx.save_for_backward(rows, weight)
        return onednn(rows, weight, bias)[: len(x)]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        y_grad = padded(gradients[0])
        return (
            input_gradient(y_grad, weight)[: len(gradients[0])] if wants_x else None,
            weight_gradient(y_grad, rows) if wants_weight else None,
            y_grad.sum(0) if wants_bias else None,
        )


def _padded_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return onednn(padded(x), weight, bias)[: len(x)]


def onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute y by oneDNN. weight may be a transposed view, or in oneDNN's own layout."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


def _sines(num_rows: int, num_columns: int) -> Tensor:
    """Return a matrix without a pattern. No random numbers are drawn, because training depends on their order."""
    return torch.arange(num_rows * num_columns, dtype=torch.float64).square().sin().float().view(num_rows, num_columns)
