"""An encoder-decoder Transformer with rotary positions for Hugging Face Transformers, which has none of its own.

    tokenizer = AutoTokenizer.from_pretrained(DIR)
    model = AutoModelForSeq2SeqLM.from_pretrained(DIR, trust_remote_code=True)

`translate export` writes this file next to the weights. It needs only PyTorch and Transformers.

Shapes: B sentences, S source pieces, T target pieces, M target pieces including those in the cache, D model width, H
heads, V ids. Masks are True where attention is allowed. `maps` is a list that receives attention maps, or None.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EncoderDecoderCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.generation import LogitsProcessor, LogitsProcessorList
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

NEVER = -1e4  # the logit of padding: half precision can represent it, and its probability is 0
Rotation = tuple[Tensor, Tensor]  # cosines and sines of the angles of T positions, each (T, D/2H)
KeyValue = tuple[Tensor, Tensor]  # keys and values, each (B, H, S, D/H)
Cache: TypeAlias = EncoderDecoderCache | None
Maps = list[Tensor] | None
Both = tuple[Maps, Maps]  # of the decoder's self-attention and of cross-attention
Source = tuple[Tensor, Tensor | None]  # encoder output (B, S, D), and its mask (B, 1, 1, S)


class RotaryConfig(PretrainedConfig):
    """Shape of the model."""

    model_type = "rotary_transformer"

    vocab_size: int = 8001  # of all ids; those after the pieces of both sides are padding
    num_tgt_pieces: int = 8000  # the first ids
    d_model: int = 256
    d_ff: int = 1024
    num_heads: int = 4
    num_encoder_layers: int = 3
    num_hidden_layers: int = 3  # of the decoder; Transformers' caches read this name
    dropout: float = 0.1
    attention_dropout: float = 0.0
    is_pre_norm: bool = True  # whether layer norm comes before each sub-layer, or after it
    has_shared_embeddings: bool = True  # whether both sides have one embedding
    has_tied_output: bool = True  # whether the output layer is the target embedding
    length_ratio: float = 2.0  # maximum target pieces per source piece
    extra_length: int = 10  # pieces in addition, including `</s>`


class Attention(nn.Module):
    """Multi-head scaled dot-product attention: softmax(Q Kᵀ / √d_k) V (Vaswani et al. 2017, equation 1)."""

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__()
        self.num_heads, self.dropout = config.num_heads, config.attention_dropout
        self.query = nn.Linear(config.d_model, config.d_model, bias=False)
        self.key = nn.Linear(config.d_model, config.d_model, bias=False)
        self.value = nn.Linear(config.d_model, config.d_model, bias=False)
        self.output = nn.Linear(config.d_model, config.d_model, bias=False)

    def project(self, x: Tensor, rotation: Rotation | None = None) -> KeyValue:
        """Project what is attended to: (B, S, D) -> keys and values."""
        return self._split_heads(self.key(x), rotation), self._split_heads(self.value(x), None)

    def forward(
        self, x: Tensor, kv: KeyValue, mask: Tensor | None, maps: Maps, rotation: Rotation | None = None
    ) -> Tensor:
        """Attend with the queries of (B, T, D) -> (B, T, D)."""
        query, (keys, values) = self._split_heads(self.query(x), rotation), kv
        dropout = self.dropout if self.training else 0.0
        if maps is None:
            heads = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, dropout_p=dropout)
        else:
            scores = query.float() @ keys.float().transpose(2, 3) / math.sqrt(query.size(-1))
            maps.append((scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(dim=-1))
            heads = F.dropout(maps[-1], dropout).to(values.dtype) @ values
        return self.output(heads.transpose(1, 2).flatten(2))  # (B, H, T, D/H) -> (B, T, D)

    def _split_heads(self, x: Tensor, rotation: Rotation | None) -> Tensor:
        """(B, T, D) -> (B, H, T, D/H), rotated in float32 (Su et al. 2021). Dimensions i and i + D/2H form a pair."""
        heads = x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        if rotation is None:
            return heads
        (cosines, sines), (first, second) = rotation, heads.float().chunk(2, dim=-1)
        return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1).to(x.dtype)


def feed_forward(config: RotaryConfig) -> nn.Module:
    """Return a position-wise feed-forward network: max(0, x W₁ + b₁) W₂ + b₂ (equation 2)."""
    inner, outer = nn.Linear(config.d_model, config.d_ff), nn.Linear(config.d_ff, config.d_model)
    return nn.Sequential(OrderedDict(inner=inner, relu=nn.ReLU(), outer=outer))


class Residual(nn.Module):
    """Residual connection around a sub-layer f: x + f(norm(x)) for pre-norm, norm(x + f(x)) for post-norm."""

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(config.d_model), nn.Dropout(config.dropout)
        self.is_pre_norm = config.is_pre_norm

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.is_pre_norm:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network."""

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__()
        self.self_attn, self.self_attn_residual = Attention(config), Residual(config)
        self.feed_forward, self.feed_forward_residual = feed_forward(config), Residual(config)

    def forward(self, x: Tensor, mask: Tensor | None, rotation: Rotation, maps: Maps) -> Tensor:
        """(B, S, D), (B, 1, 1, S) -> (B, S, D)."""
        attn = self.self_attn
        x = self.self_attn_residual(x, lambda h: attn(h, attn.project(h, rotation), mask, maps, rotation))
        return self.feed_forward_residual(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to the source, then a feed-forward network."""

    def __init__(self, config: RotaryConfig, number: int) -> None:
        super().__init__()
        self.self_attn, self.self_attn_residual = Attention(config), Residual(config)
        self.cross_attn, self.cross_attn_residual = Attention(config), Residual(config)
        self.feed_forward, self.feed_forward_residual = feed_forward(config), Residual(config)
        self.number = number

    def forward(self, x: Tensor, mask: Tensor, rotation: Rotation, source: Source, cache: Cache, maps: Both) -> Tensor:
        """(B, T, D), (T, M) or (B, 1, T, M) -> (B, T, D)."""
        attn, cross_attn = self.self_attn, self.cross_attn

        def attend(h: Tensor) -> Tensor:
            kv = attn.project(h, rotation)
            if cache is not None:
                kv = cache.self_attention_cache.update(*kv, self.number)
            return attn(h, kv, mask, maps[0], rotation)

        x, (memory, src_mask) = self.self_attn_residual(x, attend), source
        kv = self._source(memory, cache)
        x = self.cross_attn_residual(x, lambda h: cross_attn(h, kv, src_mask, maps[1]))
        return self.feed_forward_residual(x, self.feed_forward)

    def _source(self, memory: Tensor, cache: Cache) -> KeyValue:
        """Return the keys and values of the encoder output, which the first step stores in the cache."""
        if cache is None:
            return self.cross_attn.project(memory)
        if not cache.is_updated.get(self.number):
            cache.cross_attention_cache.update(*self.cross_attn.project(memory), self.number)
            cache.is_updated[self.number] = True
        stored = cache.cross_attention_cache.layers[self.number]
        return stored.keys, stored.values


class Stack(nn.Module):
    """The layers of one side."""

    def __init__(self, config: RotaryConfig, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.config, self.layers, self.dropout = config, nn.ModuleList(layers), nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.d_model) if config.is_pre_norm else nn.Identity()

    def start(self, x: Tensor, position: int) -> tuple[Tensor, Rotation]:
        """Return the input of the first layer for embedded pieces (B, T, D), and the rotation from a position on."""
        # Pair i turns by 10000^(-2 i H / D) per position. In float32, the angles of position 800 would be off by 5e-5;
        # MPS has no float64, so the CPU computes them.
        width = self.config.d_model // self.config.num_heads
        rates = torch.exp(torch.arange(0, width, 2).double() * (-math.log(10_000.0) / width))
        angles = torch.arange(position, position + x.size(1)).double()[:, None] * rates
        rotation = angles.cos().float().to(x.device), angles.sin().float().to(x.device)
        return self.dropout(x * math.sqrt(self.config.d_model)), rotation


class Encoder(Stack):
    """The embedding and the layers of the source."""

    main_input_name = "input_ids"  # what `generate` passes

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__(config, (EncoderLayer(config) for _ in range(config.num_encoder_layers)))
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_attentions: bool = False, **unused: Any
    ) -> BaseModelOutput:
        """Encode pieces: (B, S), (B, S) -> (B, S, D)."""
        x, rotation = self.start(self.embedding(input_ids), 0)
        maps: Maps = [] if output_attentions else None
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]  # (B, 1, 1, S)
        for layer in self.layers:
            x = layer(x, mask, rotation, maps)
        return BaseModelOutput(last_hidden_state=self.norm(x), attentions=maps and tuple(maps))


class Decoder(Stack):
    """The layers of the target."""

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__(config, (DecoderLayer(config, number) for number in range(config.num_hidden_layers)))

    def forward(self, x: Tensor, source: Source, cache: Cache, maps: Both) -> Tensor:
        """Decode embedded pieces that follow those in the cache: (B, T, D) -> (B, T, D)."""
        num_earlier = cache.get_seq_length() if cache is not None else 0
        mask = torch.ones(x.size(1), num_earlier + x.size(1), dtype=torch.bool, device=x.device).tril(num_earlier)
        x, rotation = self.start(x, num_earlier)
        for layer in self.layers:
            x = layer(x, mask, rotation, source, cache, maps)
        return self.norm(x)


class LengthLimit(LogitsProcessor):
    """Allows only `</s>` at the maximum length of a sentence's translation. limits: of the sentences, (B,)."""

    def __init__(self, limits: Tensor, eos_id: int) -> None:
        self.limits, self.eos_id = limits, eos_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Change the scores of each hypothesis, (B K, V)."""
        limits = self.limits.to(scores.device).repeat_interleave(len(scores) // len(self.limits))
        others = torch.arange(scores.size(1), device=scores.device) != self.eos_id
        return scores.masked_fill((input_ids.size(1) >= limits)[:, None] & others, -math.inf)


class RotaryTransformer(PreTrainedModel, GenerationMixin):
    """Encoder-decoder Transformer with rotary positions and an output layer."""

    config_class = RotaryConfig

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__(config)
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        if not config.has_shared_embeddings:
            self.tgt_embedding = nn.Embedding(config.vocab_size, config.d_model)
        if not config.has_tied_output:
            self.output = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def get_encoder(self, *unused: Any) -> nn.Module:
        return self.encoder

    def generate(
        self, inputs: Tensor | None = None, generation_config: Any = None, logits_processor: Any = None, **others: Any
    ) -> Any:
        """Translate. The maximum length of a translation also depends on that of its source."""
        mask = others.get("attention_mask")
        if mask is None:
            mask = (others["input_ids"] if inputs is None else inputs) != self.config.pad_token_id
        limits = (self.config.length_ratio * (mask.sum(dim=1) - 1).double()).long() + self.config.extra_length
        rules = LogitsProcessorList([*(logits_processor or ()), LengthLimit(limits, self.config.eos_token_id)])
        return super().generate(inputs, generation_config, rules, **others)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return what the decoder reads to predict labels, of which -100 are padding: (B, T) -> (B, T)."""
        start = labels.new_full((len(labels), 1), self.config.decoder_start_token_id)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == -100, self.config.pad_token_id)], dim=1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: EncoderDecoderCache | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        **unused: Any,
    ) -> Any:
        """Return the logits of the piece after each target piece, (B, T, V), and the loss if there are labels."""
        has_maps = self.config.output_attentions if output_attentions is None else output_attentions
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, has_maps)
        if decoder_input_ids is None:
            assert labels is not None, "pass decoder_input_ids or labels"
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        embedding = self.encoder.embedding if self.config.has_shared_embeddings else self.tgt_embedding
        maps: Both = ([], []) if has_maps else (None, None)
        source = encoder_outputs[0], None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        x = self.decoder(embedding(decoder_input_ids), source, past_key_values, maps)
        num_pieces, num_ids = self.config.num_tgt_pieces, self.config.vocab_size
        weight = embedding.weight if self.config.has_tied_output else self.output.weight
        logits = F.pad(F.linear(x, weight[:num_pieces]), (0, num_ids - num_pieces), value=NEVER)
        return Seq2SeqLMOutput(
            loss=None if labels is None else F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten()),
            logits=logits,
            past_key_values=past_key_values,
            decoder_attentions=maps[0] and tuple(maps[0]),
            cross_attentions=maps[1] and tuple(maps[1]),
            encoder_last_hidden_state=source[0],
            encoder_attentions=getattr(encoder_outputs, "attentions", None),
        )
