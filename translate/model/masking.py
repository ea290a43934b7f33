"""Heads switched off: what a model does without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from translate.attention.maps import KINDS, Kind
from translate.errors import UserError
from translate.model.recording import attention_layers
from translate.model.transformer import Attention, Transformer

HEAD = re.compile(rf"({'|'.join(KINDS)})\.([0-9]{{1,9}})\.([0-9]{{1,9}})")


class Head(NamedTuple):
    """A head of a model; written `cross.2.3`. Layers and heads count from 0."""

    kind: Kind
    layer: int
    head: int

    @classmethod
    def parse(cls, text: str, model: Transformer) -> Head:
        """Raises UserError where that is no head of the model."""
        places = attention_layers(model)
        there = "; ".join(
            f"{kind}.0.0 to {kind}.{len(layers) - 1}.{layers[0].num_heads - 1}" for kind, layers in places.items()
        )
        match = HEAD.fullmatch(text)
        if match is None:
            raise UserError(f"--mask {text}: a head is written kind.layer.head; there are {there}")
        head = cls(cast("Kind", match[1]), int(match[2]), int(match[3]))
        layers = places[head.kind]
        if head.layer >= len(layers) or head.head >= layers[head.layer].num_heads:
            raise UserError(f"--mask {text}: no such head; there are {there}")
        return head

    def __str__(self) -> str:
        return ".".join(map(str, self))


def heads_of(model: Transformer) -> list[Head]:
    """All of them, kind by kind."""
    return [
        Head(kind, layer, head)
        for kind, layers in attention_layers(model).items()
        for layer, attention in enumerate(layers)
        for head in range(attention.num_heads)
    ]


@contextmanager
def masked(model: Transformer, heads: Sequence[Head]) -> Iterator[None]:
    """Within the block the heads give nothing to the model, whether it reads a target as a whole or step by step.

    What a head has found is replaced by zeros on its way to the output projection (Michel et al. 2019, "Are Sixteen
    Heads Really Better than One?", equation 2). Its weights can be recorded all the same.
    """
    places = attention_layers(model)
    handles = [
        places[kind][layer].output.register_forward_pre_hook(_without(places[kind][layer], head))
        for kind, layer, head in heads
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _without(attention: Attention, head: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Tensor]]:
    weight = attention.output.weight
    kept = torch.ones(attention.num_heads, weight.size(1) // attention.num_heads, device=weight.device)
    kept[head] = 0

    def hook(_output: nn.Module, arguments: tuple[Any, ...]) -> tuple[Tensor]:
        (found,) = arguments  # (B, T, D), head beside head
        return (found * kept.flatten().to(found.dtype),)

    return hook
