"""The Transformer's decoder state: the projected source, and a key/value cache of the pieces of all hypotheses.

Shapes: B sentences, K hypotheses of each, S source pieces, M filled slots (the pieces of all hypotheses of a sentence
so far), C slots in all, H heads, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

SPARE_STEPS = 16  # for which there are free slots after a move


class KeyValue(NamedTuple):
    """Keys and values, each (B, H, S, D/H); in memory (B, S, H, D/H)."""

    keys: Tensor
    values: Tensor

    def select(self, sentences: Tensor) -> KeyValue:
        """Keep these sentences, in this order."""
        return KeyValue(*(each.transpose(1, 2).index_select(0, sentences).transpose(1, 2) for each in self))

    def moved(self, rows: Tensor, capacity: int) -> KeyValue:
        """Copy rows (B', N) of the B * S to the start of new tensors with `capacity` slots."""
        num_sentences, num_slots = rows.shape
        moved = []
        for each in self:
            old = each.transpose(1, 2).flatten(0, 1)  # (B * S, H, D/H)
            new = old.new_empty(num_sentences, capacity, *old.shape[1:])
            new[:, :num_slots] = old.index_select(0, rows.flatten()).view(num_sentences, num_slots, *old.shape[1:])
            moved.append(new.transpose(1, 2))
        return KeyValue(*moved)


class LayerCache(NamedTuple):
    """One layer's keys and values of the earlier target pieces, with free slots after them."""

    slots: KeyValue  # (B, H, C, D/H)
    num_slots: int  # M

    def append(self, new: KeyValue) -> KeyValue:
        """Fill the next K slots. Returns all filled ones, (B, H, M + K, D/H), without a copy.

        The memory is shared with the state before, which never reads beyond its own slots.
        """
        end = self.num_slots + new.keys.size(2)
        for slots, piece in zip(self.slots, new, strict=True):
            slots[:, :, self.num_slots : end] = piece
        return KeyValue(*(slots[:, :, :end] for slots in self.slots))


@dataclass(frozen=True)
class TransformerState:
    """What decoding the next piece of K hypotheses of B sentences needs; a DecoderState.

    The source is stored once per sentence. The pieces of all its hypotheses lie side by side, in slots, and `visible`
    says which slots belong to a hypothesis. Reordering beams copies rows of `visible`, and no keys or values.
    """

    src_mask: Tensor  # (B, 1, 1, S)
    source: tuple[KeyValue, ...]  # of each layer: (B, H, S, D/H)
    target: tuple[KeyValue, ...]  # of each layer: (B, H, C, D/H), of which the first M are filled
    visible: Tensor  # (B, K, C)
    num_slots: int  # M
    num_pieces: int  # of each hypothesis

    @classmethod
    def start(cls, src_mask: Tensor, source: tuple[KeyValue, ...]) -> TransformerState:
        """The state before the first piece."""
        nothing = tuple(KeyValue(kv.keys[:, :, :0], kv.values[:, :, :0]) for kv in source)
        visible = src_mask.new_zeros(src_mask.size(0), 1, 0, dtype=torch.bool)
        return cls(src_mask, source, nothing, visible, 0, 0)

    def select(self, sentences: Tensor) -> TransformerState:
        """See DecoderState."""
        source = tuple(kv.select(sentences) for kv in self.source)
        return replace(self._moved(sentences), src_mask=self.src_mask.index_select(0, sentences), source=source)

    def reorder(self, beams: Tensor) -> TransformerState:
        """See DecoderState."""
        return replace(self, visible=self.visible.gather(1, beams[:, :, None].expand(-1, -1, self.visible.size(2))))

    def next(self) -> TransformerState:
        """The state with one more slot for each hypothesis, visible to it alone and not filled yet."""
        num_hypotheses = self.visible.size(1)
        has_room = self.num_slots + num_hypotheses <= self.visible.size(2)
        state = self if has_room else self._moved(torch.arange(len(self.visible), device=self.visible.device))
        new = slice(state.num_slots, state.num_slots + num_hypotheses)
        visible = state.visible.clone()
        visible[:, :, new] = torch.eye(num_hypotheses, dtype=torch.bool, device=visible.device)
        return replace(state, visible=visible, num_slots=new.stop, num_pieces=self.num_pieces + 1)

    def cache(self, layer: int) -> LayerCache:
        """The layer's cache, without the slots that `next` has just added."""
        return LayerCache(self.target[layer], self.num_slots - self.visible.size(1))

    def _moved(self, sentences: Tensor) -> TransformerState:
        """Move the target of these sentences to new memory, with free slots and without those that nobody sees."""
        visible = self.visible.index_select(0, sentences)
        is_used = visible.any(dim=1)  # (B, C)
        num_used = int(is_used.sum(dim=1).max()) if is_used.numel() else 0
        # Used slots first; a stable sort keeps their order.
        used = is_used.int().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        capacity = num_used + SPARE_STEPS * visible.size(1)
        new_visible = visible.new_zeros(*visible.shape[:2], capacity)
        new_visible[:, :, :num_used] = visible.gather(2, used[:, None].expand(-1, visible.size(1), -1))
        rows = sentences[:, None] * self.visible.size(2) + used
        target = tuple(kv.moved(rows, capacity) for kv in self.target)
        return replace(self, target=target, visible=new_visible, num_slots=num_used)
