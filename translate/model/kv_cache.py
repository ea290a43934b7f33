"""Key/value cache shared by all hypotheses of a sentence.

Shapes: B sentences, K hypotheses per sentence, S pieces, M filled slots per sentence (one for each piece of its
hypotheses), C slots in total, H heads, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_COLUMNS = 16  # PyTorch's softmax on a CPU handles 16 columns at once, and fewer one by one
SPARE_STEPS = 6  # number of steps for which the cache has free slots after reallocation


class KeyValue(NamedTuple):
    """Keys and values, each (B, H, S, D/H), stored in memory as (B, S, H, D/H) unless they are by head."""

    keys: Tensor
    values: Tensor

    @property
    def is_by_head(self) -> bool:
        """Whether the pieces of a head follow each other in memory."""
        return self.keys.stride(2) == self.keys.size(3)

    def by_head(self) -> KeyValue:
        """Return the keys and values stored in memory as (B, H, S, D/H)."""
        return KeyValue(*(each.contiguous() for each in self))

    def padded(self, num_columns: int) -> KeyValue:
        """Return the keys and values followed by zeros, (B, H, S + num_columns, D/H)."""
        return KeyValue(*(F.pad(each.transpose(1, 2), (0, 0, 0, 0, 0, num_columns)).transpose(1, 2) for each in self))

    def select(self, sentences: Tensor) -> KeyValue:
        """Return the keys and values of the selected sentences, in the given order."""
        if self.is_by_head:
            return KeyValue(*(each.index_select(0, sentences) for each in self))
        return KeyValue(*(each.transpose(1, 2).index_select(0, sentences).transpose(1, 2) for each in self))

    def then(self, new: KeyValue) -> KeyValue:
        """Return these keys and values followed by new ones, (B, H, S + N, D/H)."""
        return KeyValue(*(torch.cat(pair, dim=2) for pair in zip(self, new, strict=True)))

    def copied(self, rows: Tensor) -> KeyValue:
        """Copy selected pieces to new tensors. rows: indices into the B * S pieces, (B', N), or anything if S is 0."""
        copies = []
        for each in self:
            old = each.transpose(1, 2).flatten(0, 1)  # (B * S, H, D/H)
            new = old.index_select(0, rows.flatten()) if len(old) else old.new_empty(rows.numel(), *old.shape[1:])
            copies.append(new.unflatten(0, rows.shape).transpose(1, 2))
        return KeyValue(*copies)


@dataclass(frozen=True)
class KeyValueCache:
    """Keys and values of the pieces that B sentences with K hypotheses each have read.

    All hypotheses of a sentence share one cache with a slot per piece, and `visible` marks the slots that belong to
    each hypothesis. Reordering copies rows of `visible` but no keys or values.
    """

    layers: tuple[KeyValue, ...]  # per layer: (B, H, C, D/H), with the first M slots filled
    visible: Tensor  # (B, K, C)
    num_slots: int  # M

    @property
    def mask(self) -> Tensor:
        """Which filled slots each hypothesis may attend to, (B, 1, K, M)."""
        return self.visible[:, None, :, : self.num_slots]

    def select(self, sentences: Tensor) -> KeyValueCache:
        """Return the cache of the selected sentences, in the given order."""
        return self._reallocated(sentences)

    def reorder(self, beams: Tensor) -> KeyValueCache:
        """See DecoderState."""
        return replace(self, visible=self.visible.gather(1, beams[:, :, None].expand(-1, -1, self.visible.size(2))))

    def next(self) -> KeyValueCache:
        """Return the cache with one additional empty slot per hypothesis, visible only to that hypothesis."""
        num_hypotheses = self.visible.size(1)
        has_slots = self.num_slots + num_hypotheses <= self.visible.size(2)
        cache = self if has_slots else self._reallocated(torch.arange(len(self.visible), device=self.visible.device))
        new = slice(cache.num_slots, cache.num_slots + num_hypotheses)
        visible = cache.visible.clone()
        visible[:, :, new] = torch.eye(num_hypotheses, dtype=torch.bool, device=visible.device)
        return replace(cache, visible=visible, num_slots=new.stop)

    def append(self, layer: int, new: KeyValue) -> KeyValue:
        """Fill the K slots that `next` added to a layer, and return a view of all filled slots, (B, H, M, D/H).

        The previous cache shares this memory but never reads beyond its own slots.
        """
        for slots, piece in zip(self.layers[layer], new, strict=True):
            slots[:, :, self.num_slots - self.visible.size(1) : self.num_slots] = piece
        return KeyValue(*(slots[:, :, : self.num_slots] for slots in self.layers[layer]))

    def _reallocated(self, sentences: Tensor) -> KeyValueCache:
        """Copy the cache of the selected sentences to new memory, dropping unused slots and adding free ones."""
        visible = self.visible.index_select(0, sentences)
        is_used = visible.any(dim=1)  # (B, C)
        num_used = int(is_used.sum(dim=1).max()) if is_used.numel() else 0
        # Move used slots to the front; a stable sort preserves their order.
        used = is_used.int().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        capacity = num_used + SPARE_STEPS * visible.size(1)
        new_visible = visible.new_zeros(*visible.shape[:2], capacity)
        new_visible[:, :, :num_used] = visible.gather(2, used[:, None].expand(-1, visible.size(1), -1))
        # Free slots are filled with any piece, because one pass over the memory is faster than a copy of its beginning.
        rows = sentences[:, None] * self.visible.size(2) + F.pad(used, (0, capacity - num_used))
        return KeyValueCache(tuple(kv.copied(rows) for kv in self.layers), new_visible, num_used)
