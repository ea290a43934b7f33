"""`scripts/bench products`: how fast each library of PyTorch multiplies matrices on this processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from benchmarks.products import Product, fastest
from benchmarks.report import Columns, Report, processor, table, versions
from benchmarks.work import say
from translate.system import products as ours
from translate.system.products import MKL, ONEDNN, is_accurate, preferred_library, this_processor, using_library

SECONDS = 0.05  # per loop, of which the fastest counts
SHAPES = ((256, 256), (256, 1024), (1024, 256), (256, 8000))  # (k, m) of a Transformer's layers


@dataclass(frozen=True)
class Row:
    """The speed of the products of one layer by one library, in 10⁹ operations per second."""

    n: int
    k: int
    m: int
    library: str
    forward: float
    input_gradient: float
    weight_gradient: float


COLUMNS: Columns[Row] = {
    "n × k × m": lambda row: f"{row.n} × {row.k} × {row.m}",
    "library": lambda row: row.library,
    "forward": lambda row: f"{row.forward:,.0f}",
    "gradient of the input": lambda row: f"{row.input_gradient:,.0f}",
    "gradient of the weights": lambda row: f"{row.weight_gradient:,.0f}",
}


def measure(num_rows: Sequence[int], threads: int) -> Report:
    """Measure (n, k) by (k, m) products for each number n of rows, in this process."""
    torch.set_num_threads(threads)
    family = this_processor()
    say(f"{processor()} ({family.maker or 'unknown maker'}, family {family.family}), threads used: {threads}")
    say(f"translate multiplies float32 matrices by {preferred_library()}")
    libraries = [("MKL, float32", MKL, torch.float32)]
    libraries += [("oneDNN, float32", ONEDNN, torch.float32)] * is_accurate()
    libraries += [("oneDNN, bfloat16", MKL, torch.bfloat16)]  # PyTorch multiplies bfloat16 only by oneDNN
    rows = []
    for n in num_rows:
        for k, m in SHAPES:
            for name, library, dtype in libraries:
                with using_library(library):
                    rows.append(Row(n, k, m, name, *_speeds(Product(n, k, m, 1), dtype)))
    facts = {"threads": threads, "processor": processor(), "maker": family.maker, "family": family.family}
    title = "Matrix products on the CPU"
    return Report(title, table(COLUMNS, rows), [asdict(row) | facts for row in rows], versions("torch"), "")


def _speeds(product: Product, dtype: torch.dtype) -> list[float]:
    """Return the speeds of the product and of both gradients, as the training computes them."""
    n, k, m, _ = product
    x, weight, y_grad = (torch.randn(shape).to(dtype) for shape in ((n, k), (m, k), (n, m)))
    calls: list[Callable[[], Tensor]] = [
        lambda: ours.product(x, weight),
        lambda: ours.input_gradient(y_grad, weight),
        lambda: ours.weight_gradient(y_grad, x),
    ]
    return [2 * n * k * m / fastest(call, SECONDS) / 1e9 for call in calls]
