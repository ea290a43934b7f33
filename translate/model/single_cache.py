"""Key/value cache for a search with one hypothesis per sentence, such as greedy search on a CPU.

Nothing competes for its slots, so all sentences fill the same ones, and each head's keys and values lie together in
memory, where a single query reads them from the first to the last.

Shapes: B sentences, S pieces, M filled slots, C slots in total, H heads, D model width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.model.kv_cache import MIN_COLUMNS, KeyValue

STEPS = 16  # number of steps for which the cache gets slots at once


@dataclass(frozen=True)
class SingleCache:
    """Keys and values of the pieces that B sentences with one hypothesis each have read."""

    layers: tuple[KeyValue, ...]  # per layer: (B, H, C, D/H), in memory in this order; zeros after the first M slots
    num_slots: int  # M

    @property
    def mask(self) -> Tensor | None:
        """Which slots may be attended to, as a bias (1, 1, 1, MIN_COLUMNS); None if all that `append` returns."""
        if self.num_slots >= MIN_COLUMNS:
            return None
        bias = self.layers[0].keys.new_full((1, 1, 1, MIN_COLUMNS), -math.inf)
        bias[..., : self.num_slots] = 0
        return bias

    def select(self, sentences: Tensor) -> SingleCache:
        """Return the cache of the selected sentences, in the given order."""
        return replace(self, layers=tuple(kv.select(sentences) for kv in self.layers))

    def reorder(self, beams: Tensor) -> SingleCache:
        """See DecoderState. There is nothing to reorder."""
        assert beams.size(1) == 1
        return self

    def next(self) -> SingleCache:
        """Return the cache with one additional filled slot."""
        layers = self.layers
        if self.num_slots + 1 > layers[0].keys.size(2):
            layers = tuple(KeyValue(*(F.pad(each, (0, 0, 0, STEPS)) for each in kv)) for kv in layers)
        return SingleCache(layers, self.num_slots + 1)

    def append(self, layer: int, new: KeyValue) -> KeyValue:
        """Fill the slot that `next` added to a layer, and return a view of at least MIN_COLUMNS slots.

        The previous cache shares this memory, but hides its slots after the first M.
        """
        for slots, piece in zip(self.layers[layer], new, strict=True):
            slots[:, :, self.num_slots - 1 : self.num_slots] = piece
        width = max(MIN_COLUMNS, self.num_slots)
        return KeyValue(*(slots[:, :, :width] for slots in self.layers[layer]))


def single_cache(source: tuple[KeyValue, ...]) -> SingleCache:
    """Return the empty cache for layers with the keys and values of a source."""

    def empty(each: Tensor) -> Tensor:
        return torch.zeros(*each.shape[:2], max(STEPS, MIN_COLUMNS), each.size(3), device=each.device)

    return SingleCache(tuple(KeyValue(empty(kv.keys), empty(kv.values)) for kv in source), 0)


def attend_once(query: Tensor, kv: KeyValue, mask: Tensor | None) -> Tensor:
    """Attend with a single query (B, H, 1, D/H) -> (B, H, 1, D/H), on keys and values that are stored by head.

    Two batched products on a CPU, which takes a third of the time of the fused kernel.
    """
    keys, values = (each.flatten(0, 1) for each in kv)  # views
    scaled = query.flatten(0, 1) / math.sqrt(query.size(-1))
    scores = (scaled @ keys.transpose(1, 2)).unflatten(0, query.shape[:2])  # (B, H, 1, S)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(dim=-1).flatten(0, 1) @ values).unflatten(0, query.shape[:2])
