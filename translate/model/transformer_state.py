"""Decoder state of the Transformer: the projected source and a key/value cache shared by all hypotheses.

Shapes: B sentences, K hypotheses per sentence, S source pieces, M filled slots per sentence (one for each piece of its
hypotheses), C slots in total, H heads, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

SPARE_STEPS = 16  # number of steps for which the cache has free slots after reallocation


class KeyValue(NamedTuple):
    """Keys and values, each (B, H, S, D/H), stored in memory as (B, S, H, D/H)."""

    keys: Tensor
    values: Tensor

    def select(self, sentences: Tensor) -> KeyValue:
        """Return the keys and values of the selected sentences, in the given order."""
        return KeyValue(*(each.transpose(1, 2).index_select(0, sentences).transpose(1, 2) for each in self))

    def copied(self, rows: Tensor, capacity: int) -> KeyValue:
        """Copy selected pieces to new tensors with `capacity` slots. rows: indices into the B * S pieces, (B', N)."""
        num_sentences, num_slots = rows.shape
        copies = []
        for each in self:
            old = each.transpose(1, 2).flatten(0, 1)  # (B * S, H, D/H)
            new = old.new_empty(num_sentences, capacity, *old.shape[1:])
            new[:, :num_slots] = old.index_select(0, rows.flatten()).view(num_sentences, num_slots, *old.shape[1:])
            copies.append(new.transpose(1, 2))
        return KeyValue(*copies)


@dataclass(frozen=True)
class TransformerState:
    """Decoder state of the Transformer for B sentences with K hypotheses each.

    The source is stored once per sentence. All hypotheses of a sentence share one cache with a slot per piece, and
    `visible` marks the slots that belong to each hypothesis. Reordering copies rows of `visible` but no keys or values.
    """

    src_mask: Tensor  # (B, 1, 1, S)
    source: tuple[KeyValue, ...]  # per layer: (B, H, S, D/H)
    target: tuple[KeyValue, ...]  # per layer: (B, H, C, D/H), with the first M slots filled
    visible: Tensor  # (B, K, C)
    num_slots: int  # M
    num_pieces: int  # length of each hypothesis in pieces

    @classmethod
    def start(cls, src_mask: Tensor, source: tuple[KeyValue, ...]) -> TransformerState:
        """Return the state before the first piece."""
        empty = tuple(KeyValue(kv.keys[:, :, :0], kv.values[:, :, :0]) for kv in source)
        visible = src_mask.new_zeros(src_mask.size(0), 1, 0, dtype=torch.bool)
        return cls(src_mask, source, empty, visible, 0, 0)

    def select(self, sentences: Tensor) -> TransformerState:
        """See DecoderState."""
        source = tuple(kv.select(sentences) for kv in self.source)
        return replace(self._reallocated(sentences), src_mask=self.src_mask.index_select(0, sentences), source=source)

    def reorder(self, beams: Tensor) -> TransformerState:
        """See DecoderState."""
        return replace(self, visible=self.visible.gather(1, beams[:, :, None].expand(-1, -1, self.visible.size(2))))

    def next(self) -> TransformerState:
        """Return the state with one additional empty slot per hypothesis, visible only to that hypothesis."""
        num_hypotheses = self.visible.size(1)
        has_slots = self.num_slots + num_hypotheses <= self.visible.size(2)
        state = self if has_slots else self._reallocated(torch.arange(len(self.visible), device=self.visible.device))
        new = slice(state.num_slots, state.num_slots + num_hypotheses)
        visible = state.visible.clone()
        visible[:, :, new] = torch.eye(num_hypotheses, dtype=torch.bool, device=visible.device)
        return replace(state, visible=visible, num_slots=new.stop, num_pieces=self.num_pieces + 1)

    def append(self, layer: int, new: KeyValue) -> KeyValue:
        """Fill the K slots that `next` added to a layer, and return a view of all filled slots, (B, H, M, D/H).

        The previous state shares this memory but never reads beyond its own slots.
        """
        for slots, piece in zip(self.target[layer], new, strict=True):
            slots[:, :, self.num_slots - self.visible.size(1) : self.num_slots] = piece
        return KeyValue(*(slots[:, :, : self.num_slots] for slots in self.target[layer]))

    def _reallocated(self, sentences: Tensor) -> TransformerState:
        """Copy the cache of the selected sentences to new memory, dropping unused slots and adding free ones."""
        visible = self.visible.index_select(0, sentences)
        is_used = visible.any(dim=1)  # (B, C)
        num_used = int(is_used.sum(dim=1).max()) if is_used.numel() else 0
        # Move used slots to the front; a stable sort preserves their order.
        used = is_used.int().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        capacity = num_used + SPARE_STEPS * visible.size(1)
        new_visible = visible.new_zeros(*visible.shape[:2], capacity)
        new_visible[:, :, :num_used] = visible.gather(2, used[:, None].expand(-1, visible.size(1), -1))
        rows = sentences[:, None] * self.visible.size(2) + used
        target = tuple(kv.copied(rows, capacity) for kv in self.target)
        return replace(self, target=target, visible=new_visible, num_slots=num_used)
