"""Hooks on attention: record its maps, switch heads off. The model itself knows of neither."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from translate.errors import UserError
from translate.model.attention_kinds import KINDS, Kind
from translate.model.decoder_state import KeyValue
from translate.model.transformer import Attention, Transformer


class Recording(NamedTuple):
    """The maps of each layer in order, (B, H, queries, keys), of every pass that the model makes while recording."""

    encoder: list[Tensor]
    decoder: list[Tensor]
    cross: list[Tensor]


@contextmanager
def recording(
    model: Transformer, kinds: Collection[Kind] = KINDS, layers: Collection[int] | None = None
) -> Iterator[Recording]:
    """Within the block, each pass of the model also computes its attention maps. Training and search do without.

    kinds, layers: of which attention, in which layers (from 0; None: all).
    """
    maps = Recording([], [], [])
    places = attention_layers(model)
    handles = [
        attention.register_forward_hook(_keep_weights(getattr(maps, kind)))
        for kind in kinds
        for number, attention in enumerate(places[kind])
        if layers is None or number in layers
    ]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recording_head(model: Transformer, layer: int, head: int) -> Iterator[list[Tensor]]:
    """Within the block, each pass adds the map of that head of encoder-decoder attention, (B, T, S), with gradients."""
    maps: list[Tensor] = []

    def hook(attention: nn.Module, arguments: tuple[Tensor, KeyValue, Tensor], _output: Tensor) -> None:
        assert isinstance(attention, Attention)
        x, kv, mask = arguments
        with torch.autocast(x.device.type, enabled=False):  # which would multiply in bfloat16
            maps.append(attention.weights(x.float(), kv, mask)[:, head])

    handle = model.decoder_layers[layer].cross_attn.register_forward_hook(hook)
    try:
        yield maps
    finally:
        handle.remove()


def attention_layers(model: Transformer) -> dict[Kind, list[Attention]]:
    """Where the model attends: of each kind, layer by layer."""
    return {
        "cross": [layer.cross_attn for layer in model.decoder_layers],
        "encoder": [layer.self_attn for layer in model.encoder_layers],
        "decoder": [layer.self_attn for layer in model.decoder_layers],
    }


def _keep_weights(kept: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def hook(attention: nn.Module, arguments: tuple[Any, ...], _output: Tensor) -> None:
        assert isinstance(attention, Attention)
        kept.append(attention.weights(*arguments))

    return hook


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
