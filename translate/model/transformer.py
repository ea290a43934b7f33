"""The encoder-decoder Transformer (Vaswani et al. 2017, "Attention Is All You Need").

Shapes: B sentences, S source pieces, T target pieces, K hypotheses per sentence, M filled cache slots per sentence, D
model width (`d_model`), H heads, V vocabulary size. Masks broadcast to (B, H, queries, keys). Boolean masks are True
where attention is allowed; floating-point masks contain 0 or -inf and are added to the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translate.config.model_settings import ModelSettings
from translate.model.attention_kinds import KindName
from translate.model.kv_cache import KeyValue
from translate.model.layers import (
    Dropout,
    Linear,
    RotaryEmbedding,
    feed_forward,
    project,
    rotary_embedding,
    sinusoidal_positions,
)
from translate.model.padded_keys import padded_keys
from translate.model.seq2seq import AttentionModule, DecoderState, Seq2Seq
from translate.model.single_cache import attend_once
from translate.model.transformer_state import TransformerState

KEPT_WIDTHS = 12  # vectors of width d_model that a layer keeps per piece for the backward pass, at least
Append = Callable[[KeyValue], KeyValue]  # joins new keys and values with those of earlier pieces


def _only(new: KeyValue) -> KeyValue:
    return new


class Attention(AttentionModule):
    """Multi-head scaled dot-product attention: softmax(Q Kᵀ / √d_k) V, with D/H dimensions per head.

    This class implements self-attention and cross-attention. `project` returns the arguments for self-attention. For
    cross-attention, `queries` projects the decoder's input and `project_memory` the encoder output. As in the paper
    (section 3.2.2), the projections have no bias.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = Dropout(dropout)
        self.query = Linear(d_model, d_model, bias=False)
        self.key = Linear(d_model, d_model, bias=False)
        self.value = Linear(d_model, d_model, bias=False)
        self.output = Linear(d_model, d_model, bias=False)

    def queries(self, x: Tensor, rotary: RotaryEmbedding | None = None) -> Tensor:
        """Project (B, T, D) to queries (B, H, T, D/H). rotary: rotary embedding of the T positions."""
        return self._split_heads(project(x, self.query)[0], rotary)

    def project(self, x: Tensor, rotary: RotaryEmbedding | None = None) -> tuple[Tensor, KeyValue]:
        """Project (B, T, D) to queries, keys and values of self-attention, each (B, H, T, D/H)."""
        query, key, value = project(x, self.query, self.key, self.value)
        kv = KeyValue(self._split_heads(key, rotary), self._split_heads(value))
        return self._split_heads(query, rotary), kv

    def forward(self, query: Tensor, kv: KeyValue, mask: Tensor | None = None) -> Tensor:
        """Attend with queries (B, H, T, D/H) -> (B, T, D), by PyTorch's fused kernel where possible."""
        on_cpu, drops = query.device.type == "cpu", self.training and self.dropout.threshold > 0
        with torch.autocast("cpu", enabled=False) if on_cpu else nullcontext():
            # On a CPU, the queries are float32: there, the kernel's backward pass is ten times slower in bfloat16.
            if on_cpu and drops:  # the kernel's dropout does not draw from the generator of this thread
                heads = self.dropout(self.weights(query, kv, mask)) @ kv.values
            elif on_cpu and query.size(2) == 1 and kv.is_by_head:
                heads = attend_once(query, kv, mask)
            else:
                dropout = self.dropout.threshold / 256 if drops else 0.0
                if on_cpu:
                    kv, mask = padded_keys(kv, mask)
                    # With float64 queries and a float32 mask, the kernel of PyTorch 2.13 for AVX2 returns wrong sums.
                    mask = mask.to(query.dtype) if mask is not None and mask.is_floating_point() else mask
                heads = F.scaled_dot_product_attention(query, *kv, attn_mask=mask, dropout_p=dropout)
        return self.output(heads.transpose(1, 2).flatten(2))  # (B, H, T, D/H) -> (B, T, D)

    def weights(self, query: Tensor, kv: KeyValue, mask: Tensor | None = None) -> Tensor:
        """Return the attention map (B, H, T, S) that `forward` uses for the same arguments, before dropout.

        This is the softmax in equation 1 of the paper, always computed in float32. Each row sums to 1.
        """
        scores = query.float() @ kv.keys.float().transpose(-2, -1) / math.sqrt(query.size(-1))
        if mask is not None:
            scores = scores + as_bias(mask)
        return scores.softmax(dim=-1)

    def _split_heads(self, x: Tensor, rotary: RotaryEmbedding | None = None) -> Tensor:
        heads = x.view(*x.shape[:2], self.num_heads, -1)  # (B, T, D) -> (B, T, H, D/H)
        return (rotary(heads) if rotary else heads).transpose(1, 2)  # -> (B, H, T, D/H)


def project_memory(memory: Tensor, modules: Sequence[Attention]) -> tuple[KeyValue, ...]:
    """Project the encoder output (B, S, D) to the keys and values of cross-attention modules, each (B, H, S, D/H)."""
    projected = project(memory, *(layer for module in modules for layer in (module.key, module.value)))
    heads = [each.unflatten(2, (modules[0].num_heads, -1)).transpose(1, 2) for each in projected]
    return tuple(map(KeyValue, heads[::2], heads[1::2]))


class FeedForward(nn.Module):
    """Position-wise feed-forward network: max(0, x W₁ + b₁) W₂ + b₂ (equation 2)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.inner = Linear(settings.d_model, settings.d_ff)
        self.outer = Linear(settings.d_ff, settings.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network: (B, T, D) -> (B, T, D)."""
        return feed_forward(x, self.inner, self.outer)


class Residual(nn.Module):
    """Residual connection around a sublayer f: x + f(norm(x)) for pre-norm or norm(x + f(x)) for post-norm."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(settings.d_model)
        self.dropout = Dropout(settings.dropout)
        self.is_pre_norm = settings.norm == "pre"

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply the sublayer with its residual connection: (B, T, D) -> (B, T, D)."""
        if self.is_pre_norm:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


class PositionedEmbedding(nn.Module):
    """Embedding lookup with positions: sinusoids are added here; rotary embeddings are passed on to self-attention."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.scale = math.sqrt(settings.d_model)  # matches the magnitude of the positional encodings
        self.rotated_width = settings.d_model // settings.num_heads if settings.positions == "rotary" else 0
        self.dropout = Dropout(settings.dropout)

    def forward(self, table: nn.Module, pieces: Tensor, positions: Tensor) -> tuple[Tensor, RotaryEmbedding | None]:
        """Embed pieces (B, T) at positions (T,), (1,) or (B, T): (B, T, D), and the rotary embedding if it is used."""
        x = table(pieces) * self.scale
        if self.rotated_width:
            return self.dropout(x), rotary_embedding(positions, self.rotated_width)
        return self.dropout(x + sinusoidal_positions(positions, x.size(-1))), None


class EncoderLayer(nn.Module):
    """Encoder layer: self-attention, followed by a feed-forward network."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.self_attn = Attention(settings.d_model, settings.num_heads, settings.attention_dropout)
        self.feed_forward = FeedForward(settings)
        self.self_attn_residual = Residual(settings)
        self.feed_forward_residual = Residual(settings)

    def forward(self, x: Tensor, mask: Tensor, rotary: RotaryEmbedding | None = None, append: Append = _only) -> Tensor:
        """Apply the layer: (B, T, D), mask (B, 1, 1 or T, M) -> (B, T, D). append: see DecoderLayer; M = T without it.

        rotary: rotary embedding of the T positions.
        """

        def attend(h: Tensor) -> Tensor:
            query, new = self.self_attn.project(h, rotary)
            return self.self_attn(query, append(new), mask)

        return self.feed_forward_residual(self.self_attn_residual(x, attend), self.feed_forward)


class DecoderLayer(nn.Module):
    """Decoder layer: causal self-attention, cross-attention to the source, then a feed-forward network."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.self_attn = Attention(settings.d_model, settings.num_heads, settings.attention_dropout)
        self.cross_attn = Attention(settings.d_model, settings.num_heads, settings.attention_dropout)
        self.feed_forward = FeedForward(settings)
        self.self_attn_residual = Residual(settings)
        self.cross_attn_residual = Residual(settings)
        self.feed_forward_residual = Residual(settings)

    def forward(
        self,
        x: Tensor,
        tgt_mask: Tensor | None,
        source: KeyValue,
        src_mask: Tensor,
        append: Append = _only,
        rotary: RotaryEmbedding | None = None,
    ) -> Tensor:
        """Apply the layer: (B, T, D), (B, 1, T, T) or (T, T) or None, source, (B, 1, 1, S) -> (B, T, D).

        append: function that appends the keys and values to those of M - T earlier pieces; `tgt_mask` is then
        (B, 1, T, M). rotary: rotary embedding of the T positions.
        """

        def attend(h: Tensor) -> Tensor:
            query, new = self.self_attn.project(h, rotary)
            return self.self_attn(query, append(new), tgt_mask)

        x = self.self_attn_residual(x, attend)
        x = self.cross_attn_residual(x, lambda h: self.cross_attn(self.cross_attn.queries(h), source, src_mask))
        return self.feed_forward_residual(x, self.feed_forward)


class Transformer(Seq2Seq):
    """Encoder-decoder Transformer: embeddings and a stack of layers for each side, then the output layer."""

    def __init__(self, settings: ModelSettings, num_src_pieces: int, num_tgt_pieces: int, is_joint: bool) -> None:
        """See Seq2Seq."""
        super().__init__(settings, num_src_pieces, num_tgt_pieces, is_joint)
        self.d_model = settings.d_model
        self.embed = PositionedEmbedding(settings)
        encoder_layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_encoder_layers))
        decoder_layers = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.num_decoder_layers))
        self.encoder_layers = cast("list[EncoderLayer]", encoder_layers)
        self.decoder_layers = cast("list[DecoderLayer]", decoder_layers)
        # With pre-norm, the residual stream leaves the last layer unnormalized.
        norm = nn.LayerNorm if settings.norm == "pre" else nn.Identity
        self.encoder_norm, self.decoder_norm = norm(settings.d_model), norm(settings.d_model)
        self.initialize()
        if isinstance(self.decoder_norm, nn.LayerNorm):
            # The residual stream contains the embedding of the current input piece. With tied embeddings, an untrained
            # model, especially a wide one, would otherwise favor that piece.
            nn.init.constant_(self.decoder_norm.weight, min(1.0, 8 / math.sqrt(settings.d_model)))

    @staticmethod
    def values_per_piece(settings: ModelSettings) -> int:
        """See Seq2Seq."""
        return settings.num_decoder_layers * (KEPT_WIDTHS * settings.d_model + settings.d_ff)

    @property
    def attention(self) -> Mapping[KindName, Sequence[Attention]]:
        """See Seq2Seq."""
        return {
            "cross": [layer.cross_attn for layer in self.decoder_layers],
            "encoder": [layer.self_attn for layer in self.encoder_layers],
            "decoder": [layer.self_attn for layer in self.decoder_layers],
        }

    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """See Seq2Seq."""
        return self.decode(tgt_in, self.encode(src, src_mask))

    def decode(self, tgt_in: Tensor, state: TransformerState) -> Tensor:
        """Decode complete targets in one pass: (B, T) pieces and the initial state -> (B, T, D) features."""
        tgt_mask = as_bias(causal_mask(tgt_in.size(1), tgt_in.device))
        x, rotary = self.embed(self.tgt_embedding, tgt_in, torch.arange(tgt_in.size(1), device=tgt_in.device))
        for layer, source in zip(self.decoder_layers, state.source, strict=True):
            x = layer(x, tgt_mask, source, state.src_mask, rotary=rotary)
        return self.decoder_norm(x)

    def encode(self, src: Tensor, src_mask: Tensor) -> TransformerState:
        """See Seq2Seq."""
        src_mask = as_bias(src_mask)[:, None, None, :]
        x, rotary = self.embed(self.src_embedding, src, torch.arange(src.size(1), device=src.device))
        for layer in self.encoder_layers:
            x = layer(x, src_mask, rotary)
        memory = self.encoder_norm(x)
        return TransformerState.start(src_mask, project_memory(memory, self.attention["cross"]))

    def start_search(self, src: Tensor, src_mask: Tensor, num_hypotheses: int) -> TransformerState:
        """See Seq2Seq."""
        state = self.encode(src, src_mask)
        return state.prepared(num_hypotheses) if src.device.type == "cpu" else state

    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, TransformerState]:
        """See Seq2Seq. The layers treat the K hypotheses of a sentence as K queries, kept separate by the mask."""
        assert isinstance(state, TransformerState)
        cache = state.target.next()
        tgt_mask = None if cache.mask is None else as_bias(cache.mask)
        x, rotary = self.embed(self.tgt_embedding, pieces, state.position())
        for number, (layer, source) in enumerate(zip(self.decoder_layers, state.source, strict=True)):
            x = layer(x, tgt_mask, source, state.src_mask, partial(cache.append, number), rotary)
        return self.decoder_norm(x), replace(state, target=cache, num_pieces=state.num_pieces + 1)


def causal_mask(num_pieces: int, device: torch.device) -> Tensor:
    """Return the causal mask, (T, T): each piece may attend to itself and to earlier pieces."""
    return torch.ones(num_pieces, num_pieces, dtype=torch.bool, device=device).tril()


def as_bias(mask: Tensor) -> Tensor:
    """Convert a boolean mask to an additive one: 0 for True, -inf for False. Return other masks unchanged."""
    if mask.is_floating_point():
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -math.inf)
