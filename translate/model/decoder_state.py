"""What the decoder remembers from step to step: the source, and the pieces that each hypothesis has so far.

Shapes: B sentences, K hypotheses of each, S source pieces, M entries (the pieces of all hypotheses of a sentence so
far), C entries that there is room for, H heads, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

ROOM_STEPS = 16  # for which there is room after entries were moved


class KeyValue(NamedTuple):
    """What attention looks at: keys to compare with, values to take. Each (B, H, S, D/H), in memory (B, S, H, D/H)."""

    keys: Tensor
    values: Tensor

    def select(self, sentences: Tensor) -> KeyValue:
        """The sentences in that order."""
        return KeyValue(*(each.transpose(1, 2).index_select(0, sentences).transpose(1, 2) for each in self))

    def moved(self, rows: Tensor, capacity: int) -> KeyValue:
        """(B', N) rows of the B * S, to the start of tensors with room for `capacity`."""
        num_sentences, num_slots = rows.shape
        moved = []
        for each in self:
            old = each.transpose(1, 2).flatten(0, 1)  # (B * S, H, D/H)
            new = old.new_empty(num_sentences, capacity, *old.shape[1:])
            new[:, :num_slots] = old.index_select(0, rows.flatten()).view(num_sentences, num_slots, *old.shape[1:])
            moved.append(new.transpose(1, 2))
        return KeyValue(*moved)


class LayerCache(NamedTuple):
    """The keys and values of a layer's earlier target pieces, in tensors with room for more."""

    filled_up: KeyValue  # (B, H, C, D/H)
    num_slots: int  # M

    def append(self, new: KeyValue) -> KeyValue:
        """Write new ones behind the earlier ones; gives all of them, (B, H, M + K, D/H), without a copy.

        The memory is that of the state before, which does not look at what lies behind its own entries.
        """
        end = self.num_slots + new.keys.size(2)
        for room, piece in zip(self.filled_up, new, strict=True):
            room[:, :, self.num_slots : end] = piece
        return KeyValue(*(room[:, :, :end] for room in self.filled_up))


@dataclass(frozen=True)
class DecoderState:
    """All that decoding the next piece of K hypotheses of B sentences needs, projected once for each layer.

    The source is there once a sentence. The pieces of all its hypotheses lie side by side, as entries; `seen` says
    which of them a hypothesis goes back to. So one that goes on from another copies a row of `seen`, and no keys or
    values.
    """

    src_mask: Tensor  # (B, 1, 1, S)
    source: tuple[KeyValue, ...]  # a layer: (B, H, S, D/H)
    target: tuple[KeyValue, ...]  # a layer: (B, H, C, D/H), of which the first M are filled
    visible: Tensor  # (B, K, C)
    num_slots: int  # M
    num_pieces: int  # that each hypothesis has

    @classmethod
    def start(cls, src_mask: Tensor, source: tuple[KeyValue, ...]) -> DecoderState:
        """The state before the first piece."""
        nothing = tuple(KeyValue(kv.keys[:, :, :0], kv.values[:, :, :0]) for kv in source)
        visible = src_mask.new_zeros(src_mask.size(0), 1, 0, dtype=torch.bool)
        return cls(src_mask, source, nothing, visible, 0, 0)

    def select(self, sentences: Tensor) -> DecoderState:
        """The sentences in that order."""
        source = tuple(kv.select(sentences) for kv in self.source)
        return replace(self._moved(sentences), src_mask=self.src_mask.index_select(0, sentences), source=source)

    def reorder(self, beams: Tensor) -> DecoderState:
        """(B, K'): from here on hypothesis k of sentence b goes on from what was hypothesis beams[b, k]."""
        return replace(self, visible=self.visible.gather(1, beams[:, :, None].expand(-1, -1, self.visible.size(2))))

    def next(self) -> DecoderState:
        """The state with one entry more for each hypothesis, which that hypothesis alone has seen; not filled yet."""
        num_hypotheses = self.visible.size(1)
        has_room = self.num_slots + num_hypotheses <= self.visible.size(2)
        state = self if has_room else self._moved(torch.arange(len(self.visible), device=self.visible.device))
        new = slice(state.num_slots, state.num_slots + num_hypotheses)
        visible = state.visible.clone()
        visible[:, :, new] = torch.eye(num_hypotheses, dtype=torch.bool, device=visible.device)
        return replace(state, visible=visible, num_slots=new.stop, num_pieces=self.num_pieces + 1)

    def past(self, layer: int) -> LayerCache:
        """The layer's entries before those that `next` made."""
        return LayerCache(self.target[layer], self.num_slots - self.visible.size(1))

    def _moved(self, sentences: Tensor) -> DecoderState:
        """The target of those sentences in new memory, with room for steps to come and without unused entries."""
        visible = self.visible.index_select(0, sentences)
        is_used = visible.any(dim=1)  # (B, C)
        num_used = int(is_used.sum(dim=1).max()) if is_used.numel() else 0
        # Those in use first; a stable order keeps them as they are.
        used = is_used.int().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        capacity = num_used + ROOM_STEPS * visible.size(1)
        new_seen = visible.new_zeros(*visible.shape[:2], capacity)
        new_seen[:, :, :num_used] = visible.gather(2, used[:, None].expand(-1, visible.size(1), -1))
        rows = sentences[:, None] * self.visible.size(2) + used
        target = tuple(kv.moved(rows, capacity) for kv in self.target)
        return replace(self, target=target, visible=new_seen, num_slots=num_used)
