"""The decoder-only Transformer (Liu et al. 2018, "Generating Wikipedia by Summarizing Long Sequences"; GPT).

Source and target are one sequence under one stack of self-attention: the source with its `</s>`, the separator `<s>`,
then the target. A target piece attends to the whole source and to the target before it, so self-attention does the work
of encoder-decoder attention. A source piece attends to source pieces only. The source therefore goes through the layers
first, and the target follows with the source's keys and values in its cache; the result is that of a single pass.

Shapes: B sentences, S source pieces, T target pieces, K hypotheses per sentence, D model width, V vocabulary size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from translate.config.model_settings import ModelSettings
from translate.model.attention_kinds import KindName
from translate.model.kv_cache import KeyValue, KeyValueCache
from translate.model.seq2seq import DecoderState, Seq2Seq
from translate.model.transformer import (
    KEPT_WIDTHS,
    Attention,
    EncoderLayer,
    PositionedEmbedding,
    as_bias,
    causal_mask,
)


@dataclass(frozen=True)
class DecoderOnlyState:
    """The cache, which begins with the source, and the position of the next piece."""

    cache: KeyValueCache
    positions: Tensor  # (B, 1)

    def select(self, sentences: Tensor) -> DecoderOnlyState:
        """See DecoderState."""
        return DecoderOnlyState(self.cache.select(sentences), self.positions.index_select(0, sentences))

    def reorder(self, beams: Tensor) -> DecoderOnlyState:
        """See DecoderState."""
        return replace(self, cache=self.cache.reorder(beams))


class DecoderOnly(Seq2Seq):
    """Decoder-only Transformer: embeddings of both sides, one stack of layers, then the output layer."""

    def __init__(self, settings: ModelSettings, num_src_pieces: int, num_tgt_pieces: int, is_joint: bool) -> None:
        """See Seq2Seq."""
        super().__init__(settings, num_src_pieces, num_tgt_pieces, is_joint)
        self.is_causal = settings.source_attention == "causal"
        self.embed = PositionedEmbedding(settings)
        layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_decoder_layers))
        self.layers = cast("list[EncoderLayer]", layers)
        self.norm = nn.LayerNorm(settings.d_model) if settings.norm == "pre" else nn.Identity()
        self.initialize()
        if isinstance(self.norm, nn.LayerNorm):  # for the same reason as in the Transformer
            nn.init.constant_(self.norm.weight, min(1.0, 8 / math.sqrt(settings.d_model)))

    @staticmethod
    def values_per_piece(settings: ModelSettings) -> int:
        """See Seq2Seq."""
        return settings.num_decoder_layers * (KEPT_WIDTHS * settings.d_model + settings.d_ff)

    @property
    def attention(self) -> Mapping[KindName, Sequence[Attention]]:
        """See Seq2Seq. Each module is called for the source, then for the target."""
        return {"self": [layer.self_attn for layer in self.layers]}

    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """See Seq2Seq."""
        return self.decode(tgt_in, self.encode(src, src_mask))

    def encode(self, src: Tensor, src_mask: Tensor) -> DecoderOnlyState:
        """See Seq2Seq."""
        mask = src_mask[:, None, None, :]
        if self.is_causal:
            mask = mask & causal_mask(src.size(1), src.device)
        mask = as_bias(mask)
        kept: list[KeyValue] = []

        def keep(new: KeyValue) -> KeyValue:
            kept.append(new)
            return new

        x, rotary = self.embed(self.src_embedding, src, torch.arange(src.size(1), device=src.device))
        for layer in self.layers:
            x = layer(x, mask, rotary, keep)
        return DecoderOnlyState(KeyValueCache(tuple(kept), src_mask[:, None], src.size(1)), src_mask.sum(1, True))

    def decode(self, tgt_in: Tensor, state: DecoderOnlyState) -> Tensor:
        """Decode complete targets in one pass: (B, T) pieces and the initial state -> (B, T, D) features."""
        length, device = tgt_in.size(1), tgt_in.device
        source = state.cache.mask.expand(-1, -1, length, -1)  # (B, 1, T, S)
        target = causal_mask(length, device).expand(source.size(0), 1, -1, -1)
        mask = as_bias(torch.cat([source, target], dim=3))  # (B, 1, T, S + T)
        x, rotary = self.embed(self.tgt_embedding, tgt_in, state.positions + torch.arange(length, device=device))
        for layer, kv in zip(self.layers, state.cache.layers, strict=True):
            x = layer(x, mask, rotary, kv.then)
        return self.norm(x)

    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, DecoderOnlyState]:
        """See Seq2Seq. The layers treat the K hypotheses of a sentence as K queries, kept separate by the mask."""
        assert isinstance(state, DecoderOnlyState)
        cache = state.cache.next()
        mask = as_bias(cache.mask)
        x, rotary = self.embed(self.tgt_embedding, pieces, state.positions)
        for number, layer in enumerate(self.layers):
            x = layer(x, mask, rotary, partial(cache.append, number))
        return self.norm(x), DecoderOnlyState(cache, state.positions + 1)
