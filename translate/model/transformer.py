"""The encoder-decoder Transformer (Vaswani et al. 2017, "Attention Is All You Need").

Shapes: B sentences, S source pieces, T target pieces, K hypotheses of a sentence, M pieces of all of them so far, D
width (`d_model`), H heads, V vocabulary. Masks: True = may attend, False = may not, or 0 and -inf
for the same; they broadcast to (B, H, queries, keys).
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from translate.config.settings import ModelSettings
from translate.model.decoder_state import DecoderState, KeyValue, LayerCache
from translate.model.layers import Dropout, Linear, RotaryEmbedding, rotary_embedding


class Attention(nn.Module):
    """Multi-head scaled dot-product attention: softmax(Q Kᵀ / √d_k) V, each head in its own D/H dimensions.

    Self-attention and cross-attention are both this class. Queries come from `x`; keys and values come from what was
    given to `project`: the same sequence for self-attention, the encoder's output for cross-attention. The projections
    are matrices alone, without a bias, as in the paper (section 3.2.2).
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = Linear(d_model, d_model, bias=False)
        self.key = Linear(d_model, d_model, bias=False)
        self.value = Linear(d_model, d_model, bias=False)
        self.output = Linear(d_model, d_model, bias=False)

    def project(self, memory: Tensor, rotary: RotaryEmbedding | None = None) -> KeyValue:
        """(B, S, D) -> keys and values, each (B, H, S, D/H). turn: by their positions, if these are rotary."""
        return KeyValue(self._split_heads(self.key(memory), rotary), self._split_heads(self.value(memory)))

    def forward(
        self, x: Tensor, kv: KeyValue, mask: Tensor | None = None, rotary: RotaryEmbedding | None = None
    ) -> Tensor:
        """(B, T, D) queries -> (B, T, D), by PyTorch's fused kernel. turn: the queries, by their positions."""
        query = self._split_heads(self.query(x), rotary)  # (B, H, T, D/H)
        dropout = self.dropout if self.training else 0.0
        keys, values = kv
        if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Backwards, the CPU's kernel is ten times slower in bfloat16 than in float32.
            query, keys, values = query.float(), keys.float(), values.float()
            with torch.autocast("cpu", enabled=False):  # which would convert them back
                heads = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, dropout_p=dropout)
        else:
            heads = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, dropout_p=dropout)
        return self._output(heads)

    def weights(
        self, x: Tensor, kv: KeyValue, mask: Tensor | None = None, rotary: RotaryEmbedding | None = None
    ) -> Tensor:
        """The attention map (B, H, T, S) that `forward` uses with the same arguments, before dropout; rows sum to 1.

        This is the formula as the paper writes it (equation 1), in float32 whatever the model computes in.
        """
        query = self._split_heads(self.query(x), rotary).float()
        scores = query @ kv.keys.float().transpose(-2, -1) / math.sqrt(query.size(-1))
        if mask is not None:
            scores = scores + as_bias(mask)
        return scores.softmax(dim=-1)

    def _split_heads(self, x: Tensor, rotary: RotaryEmbedding | None = None) -> Tensor:
        heads = x.view(*x.shape[:2], self.num_heads, -1)  # (B, T, D) -> (B, T, H, D/H)
        return (rotary(heads) if rotary else heads).transpose(1, 2)  # -> (B, H, T, D/H)

    def _output(self, heads: Tensor) -> Tensor:
        return self.output(heads.transpose(1, 2).flatten(2))  # (B, H, T, D/H) -> (B, T, D)


class FeedForward(nn.Module):
    """max(0, x W₁ + b₁) W₂ + b₂, for every position alike (equation 2)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.inner = Linear(settings.d_model, settings.d_ff)
        self.outer = Linear(settings.d_ff, settings.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.outer(F.relu(self.inner(x)))


class Residual(nn.Module):
    """The way around a sub-layer f: x + f(norm(x)) (pre-norm) or norm(x + f(x)) (post-norm, the paper's)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(settings.d_model)
        self.dropout = Dropout(settings.dropout)
        self.is_pre_norm = settings.norm == "pre"

    def enter(self, x: Tensor) -> Tensor:
        """What the sub-layer reads of the residual stream: (B, T, D) -> (B, T, D)."""
        return self.norm(x) if self.is_pre_norm else x

    def leave(self, x: Tensor, y: Tensor) -> Tensor:
        """The stream with the sub-layer's output y in it: (B, T, D), (B, T, D) -> (B, T, D)."""
        x = x + self.dropout(y)
        return x if self.is_pre_norm else self.norm(x)


class EncoderLayer(nn.Module):
    """Self-attention over the source, then a feed-forward layer."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.self_attn = Attention(settings.d_model, settings.num_heads, settings.attention_dropout)
        self.feed_forward = FeedForward(settings)
        self.around_self_attn = Residual(settings)
        self.around_feed_forward = Residual(settings)

    def forward(self, x: Tensor, src_mask: Tensor, rotary: RotaryEmbedding | None = None) -> Tensor:
        """(B, S, D), (B, 1, 1, S) -> (B, S, D). turn: by the positions, if they are rotary."""
        h = self.around_self_attn.enter(x)
        x = self.around_self_attn.leave(x, self.self_attn(h, self.self_attn.project(h, rotary), src_mask, rotary))
        h = self.around_feed_forward.enter(x)
        return self.around_feed_forward.leave(x, self.feed_forward(h))


class DecoderLayer(nn.Module):
    """Self-attention over the target so far, cross-attention to the source, then a feed-forward layer."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.self_attn = Attention(settings.d_model, settings.num_heads, settings.attention_dropout)
        self.cross_attn = Attention(settings.d_model, settings.num_heads, settings.attention_dropout)
        self.feed_forward = FeedForward(settings)
        self.around_self_attn = Residual(settings)
        self.around_cross_attn = Residual(settings)
        self.around_feed_forward = Residual(settings)

    def forward(
        self,
        x: Tensor,
        tgt_mask: Tensor,
        source: KeyValue,
        src_mask: Tensor,
        past: LayerCache | None = None,
        rotary: RotaryEmbedding | None = None,
    ) -> Tensor:
        """(B, T, D), (B, 1, T, T) or (T, T), source, (B, 1, 1, S) -> (B, T, D).

        past: where the T pieces are not all, the others, M - T before them; the mask is then (B, 1, T, M).
        turn: by the positions of the T pieces, if positions are rotary.
        """
        h = self.around_self_attn.enter(x)
        target = self.self_attn.project(h, rotary)
        if past:
            target = past.append(target)
        x = self.around_self_attn.leave(x, self.self_attn(h, target, tgt_mask, rotary))
        h = self.around_cross_attn.enter(x)
        x = self.around_cross_attn.leave(x, self.cross_attn(h, source, src_mask))
        h = self.around_feed_forward.enter(x)
        return self.around_feed_forward.leave(x, self.feed_forward(h))


class Transformer(nn.Module):
    """Training: source and target -> `forward` -> logits. Decoding: source -> `encode` -> state -> `step` by `step`."""

    def __init__(self, settings: ModelSettings, num_src_pieces: int, num_tgt_pieces: int, is_joint: bool) -> None:
        """is_joint: both sides have one vocabulary, so that tied embeddings are one matrix for all three uses."""
        super().__init__()
        self.d_model = settings.d_model
        self.rotated_width = settings.d_model // settings.num_heads if settings.positions == "rotary" else 0
        self.tgt_embedding = nn.Embedding(num_tgt_pieces, settings.d_model)
        is_shared = is_joint and settings.tie_embeddings
        self.src_embedding = self.tgt_embedding if is_shared else nn.Embedding(num_src_pieces, settings.d_model)
        self.output = nn.Linear(settings.d_model, num_tgt_pieces, bias=False)
        self.dropout = Dropout(settings.dropout)
        encoder_layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_encoder_layers))
        decoder_layers = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.num_decoder_layers))
        self.encoder_layers = cast("list[EncoderLayer]", encoder_layers)
        self.decoder_layers = cast("list[DecoderLayer]", decoder_layers)
        # In pre-norm the residual stream leaves the last layer without a norm.
        is_pre_norm = settings.norm == "pre"
        self.encoder_norm = nn.LayerNorm(settings.d_model) if is_pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(settings.d_model) if is_pre_norm else nn.Identity()
        self.apply(_initialize)
        if isinstance(self.decoder_norm, nn.LayerNorm):
            # The stream carries the embedding of the piece read, so with tied embeddings the first logits would all
            # be for that piece, the more the wider the model.
            nn.init.constant_(self.decoder_norm.weight, min(1.0, 8 / math.sqrt(settings.d_model)))
        if settings.tie_embeddings:
            self.output.weight = self.tgt_embedding.weight

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> logits (B, T, V) of the piece after each target piece: a training step's view."""
        return self.output(self.features(src, src_mask, tgt_in))

    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """What `forward` gives to the output layer: (B, T, D)."""
        return self.decode(tgt_in, self.encode(src, src_mask))

    def decode(self, tgt_in: Tensor, state: DecoderState) -> Tensor:
        """All pieces of each target at once, (B, T), to a state without any -> (B, T, D) for the output layer."""
        tgt_mask = as_bias(causal_mask(tgt_in.size(1), tgt_in.device))
        positions = self._positions(0, tgt_in.size(1))
        x = self._embed(self.tgt_embedding, tgt_in, positions.added)
        for layer, source in zip(self.decoder_layers, state.source, strict=True):
            x = layer(x, tgt_mask, source, state.src_mask, rotary=positions.rotary)
        return self.decoder_norm(x)

    def encode(self, src: Tensor, src_mask: Tensor) -> DecoderState:
        """(B, S) pieces, (B, S) mask -> the state from which decoding starts, with one hypothesis a sentence."""
        src_mask = as_bias(src_mask)[:, None, None, :]
        positions = self._positions(0, src.size(1))
        x = self._embed(self.src_embedding, src, positions.added)
        for layer in self.encoder_layers:
            x = layer(x, src_mask, positions.rotary)
        memory = self.encoder_norm(x)
        return DecoderState.start(src_mask, tuple(layer.cross_attn.project(memory) for layer in self.decoder_layers))

    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(B, K) the last piece of each hypothesis -> (B, K, D) for the output layer, and the state behind it.

        To the layers the K hypotheses of a sentence are K queries, at one position and with one source; the mask
        keeps them apart. A state may be stepped from once: its successor writes into the same memory.
        """
        state = state.next()
        tgt_mask = as_bias(state.visible[:, None, :, : state.num_slots])  # (B, 1, K, M)
        positions = self._positions(state.num_pieces - 1, 1)
        x = self._embed(self.tgt_embedding, pieces, positions.added)
        for number, (layer, source) in enumerate(zip(self.decoder_layers, state.source, strict=True)):
            x = layer(x, tgt_mask, source, state.src_mask, state.past(number), positions.rotary)
        return self.decoder_norm(x), state

    def _positions(self, start: int, length: int) -> _Positions:
        device = self.output.weight.device
        if self.rotated_width:
            return _Positions(rotary=rotary_embedding(start, length, self.rotated_width, device))
        return _Positions(added=sinusoidal_positions(start, length, self.d_model, device))

    def _embed(self, embedding: nn.Module, pieces: Tensor, positions: Tensor | None) -> Tensor:
        x = embedding(pieces) * math.sqrt(self.d_model)  # (B, T, D), of the positions' size
        return self.dropout(x if positions is None else x + positions)


def causal_mask(num_pieces: int, device: torch.device) -> Tensor:
    """(T, T): each piece may attend to itself and to those before it."""
    return torch.ones(num_pieces, num_pieces, dtype=torch.bool, device=device).tril()


def as_bias(mask: Tensor) -> Tensor:
    """The mask as what to add to attention's scores: 0 for True, -inf for False; one that is so already stays so."""
    return (
        mask if mask.is_floating_point() else torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -math.inf)
    )


def sinusoidal_positions(start: int, length: int, d_model: int, device: torch.device) -> Tensor:
    """(length, D): sines and cosines of geometrically growing wavelength (section 3.5), from position `start` on."""
    positions = torch.arange(start, start + length, dtype=torch.float32, device=device)
    rates = torch.exp(torch.arange(0, d_model, 2, device=device) * (-math.log(10_000.0) / d_model))
    angles = positions[:, None] * rates  # (length, D/2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class _Positions(NamedTuple):
    """Either what is added to the embeddings, (T, D), or by what the queries and keys of self-attention are turned."""

    added: Tensor | None = None
    rotary: RotaryEmbedding | None = None


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Embedding):
        # Tied to the output, the usual N(0, 1) would start with a loss of hundreds.
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
