"""What the decoder remembers from step to step: the source, and the pieces that each hypothesis has so far.

Shapes: B sentences, K hypotheses of each, S source pieces, M entries (the pieces of all hypotheses of a sentence so
far), C entries that there is room for, H heads, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

ROOM_STEPS = 16  # for which there is room after each growth


class KeyValue(NamedTuple):
    """What attention looks at: keys to compare with, values to take. Each (B, H, S, D/H)."""

    keys: Tensor
    values: Tensor

    def select(self, sentences: Tensor) -> KeyValue:
        """The sentences in that order."""
        return KeyValue(self.keys.index_select(0, sentences), self.values.index_select(0, sentences))

    def moved(self, entries: Tensor, capacity: int) -> KeyValue:
        """(B, N) entries of each sentence, in that order, at the start of tensors with room for `capacity`."""
        num_entries = entries.size(1)
        places = entries[:, None, :, None].expand(-1, self.keys.size(1), -1, self.keys.size(3))
        shape = (*self.keys.shape[:2], capacity, self.keys.size(3))
        moved = KeyValue(self.keys.new_zeros(shape), self.values.new_zeros(shape))
        for old, new in zip(self, moved, strict=True):
            new[:, :, :num_entries] = old.gather(2, places)
        return moved


class Past(NamedTuple):
    """The keys and values of a layer's earlier target pieces, in tensors with room for more."""

    filled_up: KeyValue  # (B, H, C, D/H)
    num_entries: int  # M

    def append(self, new: KeyValue) -> KeyValue:
        """Write new ones behind the earlier ones; gives all of them, (B, H, M + K, D/H), without a copy."""
        end = self.num_entries + new.keys.size(2)
        for room, piece in zip(self.filled_up, new, strict=True):
            room[:, :, self.num_entries : end] = piece
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
    seen: Tensor  # (B, K, C)
    num_entries: int  # M
    num_pieces: int  # that each hypothesis has

    @classmethod
    def start(cls, src_mask: Tensor, source: tuple[KeyValue, ...]) -> DecoderState:
        """The state before the first piece."""
        nothing = tuple(KeyValue(kv.keys[:, :, :0], kv.values[:, :, :0]) for kv in source)
        return cls(src_mask, source, nothing, src_mask.new_ones(len(src_mask), 1, 0), 0, 0)

    def select(self, sentences: Tensor) -> DecoderState:
        """The sentences in that order."""
        return replace(
            self,
            src_mask=self.src_mask.index_select(0, sentences),
            source=tuple(kv.select(sentences) for kv in self.source),
            target=tuple(kv.select(sentences) for kv in self.target),
            seen=self.seen.index_select(0, sentences),
        )

    def follow(self, beams: Tensor) -> DecoderState:
        """(B, K'): from here on hypothesis k of sentence b goes on from what was hypothesis beams[b, k]."""
        return replace(self, seen=self.seen.gather(1, beams[:, :, None].expand(-1, -1, self.seen.size(2))))

    def next(self) -> DecoderState:
        """The state with one entry more for each hypothesis, which that hypothesis alone has seen; not filled yet."""
        num_hypotheses = self.seen.size(1)
        state = self._with_room(num_hypotheses)
        new = slice(state.num_entries, state.num_entries + num_hypotheses)
        seen = state.seen.clone()
        seen[:, :, new] = torch.eye(num_hypotheses, dtype=torch.bool, device=seen.device)
        return replace(state, seen=seen, num_entries=new.stop, num_pieces=self.num_pieces + 1)

    def past(self, layer: int) -> Past:
        """The layer's entries before those that `next` made."""
        return Past(self.target[layer], self.num_entries - self.seen.size(1))

    def _with_room(self, num_new: int) -> DecoderState:
        """With room for as many entries more. Where it is short, those that no hypothesis goes back to are given up."""
        if self.num_entries + num_new <= self.seen.size(2):
            return self
        is_used = self.seen.any(dim=1)  # (B, C)
        num_used = int(is_used.sum(dim=1).max()) if is_used.size(1) else 0
        # Those in use first; sorting by a stable rule keeps them in their order.
        used = is_used.int().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        capacity = 2 * num_used + ROOM_STEPS * num_new
        seen = self.seen.new_zeros(*self.seen.shape[:2], capacity)
        seen[:, :, :num_used] = self.seen.gather(2, used[:, None].expand(-1, self.seen.size(1), -1))
        target = tuple(kv.moved(used, capacity) for kv in self.target)
        return replace(self, target=target, seen=seen, num_entries=num_used)
