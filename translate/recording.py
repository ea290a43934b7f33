"""Attention maps as the model computes them, for whoever needs them beside its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from translate.model import Attention, Transformer


class Recording(NamedTuple):
    """The maps of each layer in order, (B, H, queries, keys), of every pass that the model makes while recording."""

    encoder: list[Tensor]
    decoder: list[Tensor]
    cross: list[Tensor]


@contextmanager
def recording(model: Transformer) -> Iterator[Recording]:
    """Within the block, each pass of the model also computes its attention maps. Training and search do without."""
    maps = Recording([], [], [])
    places: list[tuple[Attention, list[Tensor]]] = []
    places += [(layer.self_attn, maps.encoder) for layer in model.encoder_layers]
    places += [(layer.self_attn, maps.decoder) for layer in model.decoder_layers]
    places += [(layer.cross_attn, maps.cross) for layer in model.decoder_layers]
    handles = [attention.register_forward_hook(_keep_weights(kept)) for attention, kept in places]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def _keep_weights(kept: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def hook(attention: nn.Module, arguments: tuple[Any, ...], _output: Tensor) -> None:
        assert isinstance(attention, Attention)
        kept.append(attention.weights(*arguments))

    return hook
