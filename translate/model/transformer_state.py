"""Decoder state of the Transformer. B sentences, K hypotheses per sentence, S source pieces, H heads, D width."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.model.kv_cache import MIN_COLUMNS, KeyValue, KeyValueCache
from translate.model.single_cache import SingleCache, single_cache

MIN_PADDED = 10  # source pieces from which padding to MIN_COLUMNS makes attention faster


@dataclass(frozen=True)
class TransformerState:
    """The projected source, stored once per sentence, and the cache of the target."""

    src_mask: Tensor  # (B, 1, 1, S)
    source: tuple[KeyValue, ...]  # per layer: (B, H, S, D/H)
    target: KeyValueCache | SingleCache
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

    def prepared(self, num_hypotheses: int) -> TransformerState:
        """Arrange this initial state for a search with so many hypotheses per sentence on a CPU."""
        src_mask, source, num_columns = self.src_mask, self.source, self.src_mask.size(3)
        if MIN_PADDED <= num_columns < MIN_COLUMNS:
            src_mask = F.pad(src_mask, (0, MIN_COLUMNS - num_columns), value=-math.inf)
            source = tuple(kv.padded(MIN_COLUMNS - num_columns) for kv in source)
        if num_hypotheses > 1:
            return replace(self, src_mask=src_mask, source=source)
        return TransformerState(src_mask, tuple(kv.by_head() for kv in source), single_cache(source), self.num_pieces)

    def select(self, sentences: Tensor) -> TransformerState:
        """See DecoderState."""
        source = tuple(kv.select(sentences) for kv in self.source)
        src_mask, target = self.src_mask.index_select(0, sentences), self.target.select(sentences)
        return TransformerState(src_mask, source, target, self.num_pieces)

    def reorder(self, beams: Tensor) -> TransformerState:
        """See DecoderState."""
        return replace(self, target=self.target.reorder(beams))
