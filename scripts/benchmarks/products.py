"""The matrix products of a training step: their number of operations, and how fast this machine computes them alone.

    peak_share = (operations of the non-padding work in the timed updates / their seconds)
                 / (operations per second of the products alone)

An operation is a multiplication or an addition: an (n, k) by (k, m) product has 2·n·k·m. A step has each product of the
forward pass, and two more for each in the backward pass: three times the forward operations. Non-padding work: only
real pieces count, not what a system computes for padding. Attention's Q Kᵀ and weights · V count with every pair of
pieces of a sentence, the causal half that is masked included. Everything else, such as softmax, norms, dropout, the
loss and the optimizer, counts as no operations but takes time, so 100 % cannot be reached.

The products alone are those with a weight matrix, forward and backward, with plain `torch.mm` on two-dimensional
operands of the system's own mean batch shape (padding included), in its precision, right after its timed updates in the
same process. In float32 on a CPU, each is computed by the faster of MKL and oneDNN, whichever library the system uses;
in bfloat16, PyTorch only has oneDNN. The fastest of five loops counts. Attention's own small products are left out of
the loop. All this makes the rate higher and the share lower.

Shapes: a product (n, k, m) is (n, k) activations times the transpose of an (m, k) weight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from translate.config.model_settings import ModelSettings

LOOP_SECONDS = 0.6
NUM_LOOPS = 5
NUM_CALLS = 3  # per loop in which the libraries are compared


@dataclass(frozen=True)
class PieceCounts:
    """The work of some batches: sums over sentences, counting `</s>`."""

    src: int = 0  # pieces
    tgt: int = 0
    src_slots: int = 0  # pieces and padding
    tgt_slots: int = 0
    src_src: int = 0  # pairs of pieces that attention compares, of the encoder
    tgt_tgt: int = 0  # of the decoder's self-attention
    tgt_src: int = 0  # of cross-attention

    @classmethod
    def of_batch(cls, src_lengths: Sequence[int], tgt_lengths: Sequence[int]) -> PieceCounts:
        """Count a batch that is padded to its longest row on each side."""
        num_rows = len(src_lengths)
        return cls(
            src=sum(src_lengths),
            tgt=sum(tgt_lengths),
            src_slots=num_rows * max(src_lengths),
            tgt_slots=num_rows * max(tgt_lengths),
            src_src=sum(length**2 for length in src_lengths),
            tgt_tgt=sum(length**2 for length in tgt_lengths),
            tgt_src=sum(src * tgt for src, tgt in zip(src_lengths, tgt_lengths, strict=True)),
        )

    def __add__(self, other: PieceCounts) -> PieceCounts:
        return PieceCounts(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def padding(self) -> float:
        """The share of padding in all source and target slots."""
        return 1 - (self.src + self.tgt) / (self.src_slots + self.tgt_slots)


class Product(NamedTuple):
    """(n, k) times (k, m), `times` times in a forward pass."""

    n: int
    k: int
    m: int
    times: int


def weight_products(model: ModelSettings, num_pieces: int, num_src: int, num_tgt: int) -> list[Product]:
    """Return the forward products with a weight matrix. num_pieces: of the vocabulary; num_src, num_tgt: positions."""
    products = _recurrent if model.architecture == "recurrent" else _transformer
    return [*products(model, num_src, num_tgt), Product(num_tgt, model.d_model, num_pieces, 1)]  # the last: logits


def _transformer(model: ModelSettings, num_src: int, num_tgt: int) -> list[Product]:
    width, inner = model.d_model, model.d_ff
    encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
    return [
        Product(num_src, width, width, 4 * encoder),  # queries, keys, values, output
        Product(num_src, width, inner, encoder),
        Product(num_src, inner, width, encoder),
        Product(num_tgt, width, width, 4 * decoder),  # self-attention
        Product(num_tgt, width, width, 2 * decoder),  # cross-attention: queries and output
        Product(num_src, width, width, 2 * decoder),  # cross-attention: keys and values
        Product(num_tgt, width, inner, decoder),
        Product(num_tgt, inner, width, decoder),
    ]


def _recurrent(model: ModelSettings, num_src: int, num_tgt: int) -> list[Product]:
    """As if all steps of a recurrent layer were one product. Without the bridge, whose rows are sentences."""
    width = model.d_model
    encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
    gates = {"gru": 3, "lstm": 4}[model.cell] * width  # of the decoder, or of both directions of the encoder
    return [
        Product(num_src, width, gates, encoder),  # of the inputs
        Product(num_src, width // 2, gates // 2, 2 * encoder),  # of the states, in each direction
        Product(num_tgt, 2 * width, gates, 1),  # of the embedding and the previous features
        Product(num_tgt, width, gates, decoder - 1),  # of the layer below
        Product(num_tgt, width, gates, decoder),  # of the states
        Product(num_src, width, width, 1),  # attention: keys
        Product(num_tgt, width, width, 3),  # attention: query and output, and the part of the state in the features
    ]


def training_operations(model: ModelSettings, num_pieces: int, pieces: PieceCounts) -> int:
    """Return the operations of all matrix products of the non-padding work, forward and backward."""
    weights = _operations(weight_products(model, num_pieces, pieces.src, pieces.tgt))
    encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
    # Two products for each pair of pieces, over all heads together as wide as the model.
    if model.architecture == "recurrent":
        num_pairs = pieces.tgt_src
    else:
        num_pairs = encoder * pieces.src_src + decoder * (pieces.tgt_tgt + pieces.tgt_src)
    return 3 * (weights + 2 * 2 * num_pairs * model.d_model)


def products_alone(products: Sequence[Product], device: str, precision: str) -> float:
    """Return the operations per second of these products alone, forward and backward, in the fastest loop."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    settings = libraries(dtype) if device == "cpu" else []
    calls = []
    for product in products:
        for call in _calls(product, device, dtype):
            seconds = {setting: _fastest([_Call(*call, setting)] * NUM_CALLS, device) for setting in settings}
            calls += [_Call(*call, min(seconds, key=lambda each: seconds[each]) if seconds else None)] * product.times
    calls.sort(key=lambda call: call.setting or "")  # change the setting only once
    repeats = max(1, round(LOOP_SECONDS / _seconds(calls, 1, device)))
    repeats = max(1, round(repeats * LOOP_SECONDS / _seconds(calls, repeats, device)))  # after warm-up
    return 3 * _operations(products) * repeats / _fastest(calls, device, repeats)


def libraries(dtype: torch.dtype) -> list[str]:
    """Return the values of PyTorch's setting that makes MKL ("ieee") or oneDNN ("bf16") multiply on a CPU.

    oneDNN is left out if it would round to bfloat16, as it may with this setting, or if PyTorch has no such setting.
    """
    if dtype != torch.float32 or not hasattr(torch.backends.mkldnn, "matmul"):
        return []
    x = torch.randn(256, 256)
    with multiplying("bf16"):
        error = (x @ x - (x.double() @ x.double())).abs().max()
    return ["ieee", "bf16"] if error < 1e-4 * 16 else ["ieee"]  # 16: the standard deviation of the product


@contextmanager
def multiplying(setting: str | None) -> Iterator[None]:
    """Use a setting from `libraries` within the block. None: leave it unchanged."""
    if setting is None:
        yield
        return
    onednn: Any = torch.backends.mkldnn
    matmul = onednn.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, setting
    try:
        yield
    finally:
        matmul.fp32_precision = before


class _Call(NamedTuple):
    """torch.mm(first, second, out=out) with a setting from `libraries`."""

    first: Tensor
    second: Tensor
    out: Tensor  # so that nothing is allocated while it is timed
    setting: str | None


def fastest(call: Callable[[], object], seconds: float) -> float:
    """Return the seconds per call in the fastest loop. seconds: about the length of a loop."""

    def loop(repeats: int) -> float:
        started = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - started) / repeats

    loop(2)  # warm-up
    repeats = max(1, round(seconds / loop(2)))
    return min(loop(repeats) for _ in range(NUM_LOOPS))


def _calls(product: Product, device: str, dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return the arguments of a product and of those for the gradients of its operands."""
    shapes = ((product.n, product.k), (product.m, product.k), (product.n, product.m)) * 2
    x, weight, y, x_gradient, weight_gradient, y_gradient = (
        torch.randn(each, device=device).to(dtype) for each in shapes
    )
    return [(x, weight.t(), y), (y_gradient, weight, x_gradient), (y_gradient.t(), x, weight_gradient)]


def _fastest(calls: Sequence[_Call], device: str, repeats: int = 1) -> float:
    return min(_seconds(calls, repeats, device) for _ in range(NUM_LOOPS))


def _seconds(calls: Sequence[_Call], repeats: int, device: str) -> float:
    by_setting = [(setting, list(part)) for setting, part in groupby(calls, attrgetter("setting"))]
    started = time.perf_counter()
    for setting, part in by_setting:
        with multiplying(setting):
            for _ in range(repeats):
                for call in part:
                    torch.mm(call.first, call.second, out=call.out)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _operations(products: Sequence[Product]) -> int:
    return sum(2 * n * k * m * times for n, k, m, times in products)
