"""Hooks that record attention maps and mask heads without changes to the model code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from translate.model.attention_kinds import KINDS, Head, KindName
from translate.model.seq2seq import AttentionModule, Seq2Seq

Recording = dict[KindName, dict[int, Tensor]]  # maps[kind][layer], (B, H, rows, columns)


def heads_of(model: Seq2Seq) -> list[Head]:
    """Return all heads of the model, grouped by kind."""
    return [
        Head(kind, layer, head)
        for kind, modules in model.attention.items()
        for layer, module in enumerate(modules)
        for head in range(module.num_heads)
    ]


@contextmanager
def recording(
    model: Seq2Seq, kinds: Collection[KindName] = tuple(KINDS), layers: Collection[int] | None = None
) -> Iterator[Recording]:
    """Record the attention maps of all forward passes within the block.

    If a layer is called several times, as in step-by-step decoding, the rows are concatenated into one map.
    layers: zero-based layer numbers, or None for all layers.
    """
    maps: Recording = {kind: {} for kind in kinds}
    with ExitStack() as hooks:
        for kind in kinds:
            for layer, module in enumerate(model.attention[kind]):
                if layers is None or layer in layers:
                    hooks.enter_context(module.register_forward_hook(_record(maps[kind], layer)))
        yield maps


@contextmanager
def recording_head(model: Seq2Seq, head: Head) -> Iterator[list[Tensor]]:
    """Record one head's maps within the block, with gradients: one (B, rows, columns) tensor per call of its layer."""
    maps: list[Tensor] = []

    def hook(module: nn.Module, arguments: tuple[Any, ...], _output: Tensor) -> None:
        assert isinstance(module, AttentionModule)
        x, *others = arguments
        with torch.autocast(x.device.type, enabled=False):  # autocast would compute the product in bfloat16
            maps.append(module.weights(x.float(), *others)[:, head.head])

    with model.attention[head.kind][head.layer].register_forward_hook(hook):
        yield maps


@contextmanager
def masked(model: Seq2Seq, heads: Sequence[Head]) -> Iterator[None]:
    """Mask heads within the block, in both training passes and decoding steps.

    The output of a masked head is set to zero before the output projection (Michel et al. 2019, "Are Sixteen Heads
    Really Better than One?", equation 2). The maps of masked heads can still be recorded.
    """
    with ExitStack() as hooks:
        for kind, layer, head in heads:
            module = model.attention[kind][layer]
            hooks.enter_context(module.output.register_forward_pre_hook(_zero_head(module, head)))
        yield


def _record(maps: dict[int, Tensor], layer: int) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], _output: Tensor) -> None:
        assert isinstance(module, AttentionModule)
        rows = module.weights(*arguments)
        maps[layer] = torch.cat([maps[layer], rows], dim=2) if layer in maps else rows

    return hook


def _zero_head(module: AttentionModule, head: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Tensor]]:
    weight = module.output.weight
    factors = torch.ones(module.num_heads, weight.size(1) // module.num_heads, device=weight.device)
    factors[head] = 0

    def hook(_output: nn.Module, arguments: tuple[Any, ...]) -> tuple[Tensor]:
        (outputs,) = arguments  # (B, T, D): the concatenated outputs of all heads
        return (outputs * factors.flatten().to(outputs.dtype),)

    return hook
