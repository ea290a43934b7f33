"""Record attention maps with hooks and mask heads in a copy, without changes to the model code."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event, Lock, get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translate.model.attention_kinds import Head, KindName, module_kind
from translate.model.seq2seq import AttentionModule, Seq2Seq

Recording = dict[KindName, dict[int, Tensor]]  # maps[kind][layer], (B, H, rows, columns)

_registering = Lock()  # PyTorch numbers hooks with a counter that threads must not increment at the same time


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
    model: Seq2Seq, kinds: Collection[KindName] | None = None, layers: Collection[int] | None = None
) -> Iterator[Recording]:
    """Record the attention maps of all forward passes within the block.

    If a layer is called several times, as in step-by-step decoding, the rows are concatenated into one map; rows that
    had fewer columns are padded with zeros. kinds, layers: None for all that the model has; layers count from 0.
    """
    kinds = tuple(model.attention) if kinds is None else kinds
    maps: Recording = {kind: {} for kind in kinds}
    with ExitStack() as hooks:
        ended = Event()  # Ctrl-C in between the calls below may leave a hook on the model; it records nothing later
        hooks.callback(ended.set)
        for kind in kinds:
            for layer, module in enumerate(model.attention[kind]):
                if layers is None or layer in layers:
                    hooks.enter_context(module.register_forward_hook(_record(maps[kind], layer, ended)))
        yield maps


@contextmanager
def recording_head(model: Seq2Seq, head: Head) -> Iterator[list[Tensor]]:
    """Record one head's maps within the block, with gradients: one (B, rows, columns) tensor per call of its layer.

    Only the calls of this thread are recorded, because other threads may use the model at the same time.

    A decoder-only model has no encoder-decoder attention; what is recorded instead is the part of its self-attention in
    which complete targets attend to the source.
    """
    maps: list[Tensor] = []
    kind, thread = module_kind(head.kind, model.attention), get_ident()

    def hook(module: nn.Module, arguments: tuple[Any, ...], _output: Tensor) -> None:
        assert isinstance(module, AttentionModule)
        if get_ident() != thread:
            return
        x, *others = arguments
        with torch.autocast(x.device.type, enabled=False):  # autocast would compute the product in bfloat16
            rows = module.weights(x.float(), *others)[:, head.head]
        num_columns = rows.size(2) if kind == head.kind else rows.size(2) - rows.size(1)
        if num_columns:  # the pass over the source has none
            maps.append(rows[:, :, :num_columns])

    with _registering:
        handle = model.attention[kind][head.layer].register_forward_hook(hook)
    try:
        yield maps
    finally:
        with _registering:
            handle.remove()


def without_heads(model: Seq2Seq, heads: Sequence[Head]) -> Seq2Seq:
    """Return a model in which heads are masked. It shares all parameters but the output projections of their layers.

    The output of a masked head is multiplied by zero in the output projection (Michel et al. 2019, "Are Sixteen Heads
    Really Better than One?", equation 2). The maps of masked heads can still be recorded.
    """
    shared = [*model.parameters(), *model.buffers()]
    copied = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
    for kind, layer, head in heads:
        module = copied.attention[kind][layer]
        weight = module.output.weight.detach().clone()
        weight.view(len(weight), module.num_heads, -1)[:, head] = 0
        module.output.weight = nn.Parameter(weight, requires_grad=False)
    return copied


def _record(maps: dict[int, Tensor], layer: int, ended: Event) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], _output: Tensor) -> None:
        assert isinstance(module, AttentionModule)
        if ended.is_set():
            return
        rows = module.weights(*arguments)
        maps[layer] = _stacked(maps[layer], rows) if layer in maps else rows

    return hook


def _stacked(above: Tensor, below: Tensor) -> Tensor:
    """Concatenate maps (B, H, rows, columns) along their rows, padding the narrower one with columns of zeros."""
    num_columns = max(above.size(3), below.size(3))
    return torch.cat([F.pad(each, (0, num_columns - each.size(3))) for each in (above, below)], dim=2)
