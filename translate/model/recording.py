"""Attention maps as the model computes them, for whoever needs them beside its output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from translate.attention.maps import KINDS, Kind
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
