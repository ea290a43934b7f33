"""Decoder state of the Transformer. B sentences, K hypotheses per sentence, S source pieces, H heads, D width."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from translate.model.kv_cache import KeyValue, KeyValueCache


@dataclass(frozen=True)
class TransformerState:
    """The projected source, stored once per sentence, and the cache of the target."""

    src_mask: Tensor  # (B, 1, 1, S)
    source: tuple[KeyValue, ...]  # per layer: (B, H, S, D/H)
    target: KeyValueCache
    num_pieces: int | Tensor  # length of each hypothesis in pieces; (1,) if it is counted on the device

    def position(self) -> Tensor:
        """Return the position of the next piece, (1,)."""
        if isinstance(self.num_pieces, Tensor):
            return self.num_pieces
        return torch.full((1,), self.num_pieces, device=self.src_mask.device)

    @classmethod
    def start(cls, src_mask: Tensor, source: tuple[KeyValue, ...]) -> TransformerState:
        """Return the state before the first piece."""
        empty = tuple(KeyValue(kv.keys[:, :, :0], kv.values[:, :, :0]) for kv in source)
        visible = src_mask.new_zeros(src_mask.size(0), 1, 0, dtype=torch.bool)
        return cls(src_mask, source, KeyValueCache(empty, visible, 0), 0)

    def select(self, sentences: Tensor) -> TransformerState:
        """See DecoderState."""
        source = tuple(kv.select(sentences) for kv in self.source)
        src_mask, target = self.src_mask.index_select(0, sentences), self.target.select(sentences)
        return TransformerState(src_mask, source, target, self.num_pieces)

    def reorder(self, beams: Tensor) -> TransformerState:
        """See DecoderState."""
        return replace(self, target=self.target.reorder(beams))
