"""The recurrent encoder-decoder, with attention (Bahdanau et al. 2015, Luong et al. 2015) or without.

The encoder reads the source in both directions. The decoder writes one piece after another. Without attention, all
that it knows of the source is the encoder's last state (Sutskever et al. 2014, Cho et al. 2014). With attention, it
looks back at every source piece before it writes; this was the first encoder-decoder attention.

Shapes: B sentences, S source pieces, T target pieces, K hypotheses per sentence, N = B * K, L decoder layers, D model
width, V vocabulary size. Masks of attention contain 0 or -inf and are added to the scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from translate.config.model_settings import ModelSettings
from translate.model.attention_kinds import KindName
from translate.model.layers import Linear, LockedDropout
from translate.model.seq2seq import AttentionModule, DecoderState, Seq2Seq
from translate.model.transformer import as_bias

KEPT_WIDTHS = 6  # lower bound of the vectors of width d_model kept per piece and decoder layer for the backward pass
CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True)
class RecurrentState:
    """The encoded source, the state of each decoder layer, and the features of the last piece, which are fed back."""

    memory: Tensor  # (B, S, D)
    keys: Tensor  # (B, S, D)
    src_mask: Tensor  # (B, 1, S)
    hidden: tuple[Tensor, ...]  # hidden states, and for LSTM also cell states: each (B, K, L, D)
    features: Tensor  # (B, K, D)

    def select(self, sentences: Tensor) -> RecurrentState:
        """See DecoderState."""
        memory, keys, src_mask, features = (
            each.index_select(0, sentences) for each in (self.memory, self.keys, self.src_mask, self.features)
        )
        hidden = tuple(each.index_select(0, sentences) for each in self.hidden)
        return RecurrentState(memory, keys, src_mask, hidden, features)

    def reorder(self, beams: Tensor) -> RecurrentState:
        """See DecoderState."""
        rows = torch.arange(len(beams), device=beams.device)[:, None]
        return replace(
            self, hidden=tuple(each[rows, beams] for each in self.hidden), features=self.features[rows, beams]
        )


class CrossAttention(AttentionModule):
    """Attention with one head: the context is the mean of the memory, weighted by softmax of the scores.

    The score of decoder state s and memory h is v tanh(W s + U h + b) if additive (Bahdanau et al. 2015, appendix
    A.1.2), s W h if general, and s h if dot (Luong et al. 2015, equation 8).
    """

    def __init__(self, kind: str, d_model: int) -> None:
        super().__init__()
        self.num_heads = 1
        self.is_additive = kind == "additive"
        self.key = nn.Identity() if kind == "dot" else Linear(d_model, d_model, bias=self.is_additive)
        if self.is_additive:
            self.query = Linear(d_model, d_model, bias=False)
            self.score = Linear(d_model, 1, bias=False)
        self.output = Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attend and project the context: states (B, K, D), (B, S, D), (B, S, D), mask (B, 1, S) -> (B, K, D)."""
        return self.output(self.weights(x, keys, memory, mask)[:, 0] @ memory)

    def weights(self, x: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return the attention map (B, 1, K, S) that `forward` uses for the same arguments. Each row sums to 1."""
        if self.is_additive:
            scores = self.score(torch.tanh(self.query(x)[:, :, None] + keys[:, None])).squeeze(3)
        else:
            scores = x.float() @ keys.float().transpose(1, 2)
        return (scores.float() + mask).softmax(dim=2)[:, None]


class Recurrent(Seq2Seq):
    """Recurrent encoder-decoder: embeddings, a bidirectional encoder, a decoder, then the output layer."""

    def __init__(self, settings: ModelSettings, num_src_pieces: int, num_tgt_pieces: int, is_joint: bool) -> None:
        """See Seq2Seq."""
        super().__init__(settings, num_src_pieces, num_tgt_pieces, is_joint)
        width, num_layers, cells = settings.d_model, settings.num_decoder_layers, CELLS[settings.cell]
        self.num_layers, self.scale = num_layers, math.sqrt(width)
        self.dropout = LockedDropout(settings.dropout)
        between = {"dropout": settings.dropout, "batch_first": True}
        num_encoder_layers = settings.num_encoder_layers
        self.encoder = cells(
            width, width // 2, num_encoder_layers, bidirectional=True, **_used(between, num_encoder_layers)
        )
        self.bridge = Linear(width, (2 if settings.cell == "lstm" else 1) * num_layers * width)
        self.cross_attn = None if settings.attention == "none" else CrossAttention(settings.attention, width)
        if self.cross_attn:
            self.combine = Linear(width, width)
        self.decoder = cells(2 * width if self.cross_attn else width, width, num_layers, **_used(between, num_layers))
        self.initialize()

    @staticmethod
    def values_per_piece(settings: ModelSettings) -> int:
        """See Seq2Seq."""
        return settings.num_decoder_layers * KEPT_WIDTHS * settings.d_model

    @property
    def attention(self) -> Mapping[KindName, Sequence[CrossAttention]]:
        """See Seq2Seq."""
        return {"cross": [self.cross_attn]} if self.cross_attn else {}

    def encode(self, src: Tensor, src_mask: Tensor) -> RecurrentState:
        """See Seq2Seq."""
        x = self._embed(self.src_embedding, src)
        # Packed, so that the backward direction begins at the last piece instead of the padding.
        packed = pack_padded_sequence(x, src_mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
        with _precision_of_cells(x.device):
            outputs, last = self.encoder(packed)
        memory, _ = pad_packed_sequence(outputs, batch_first=True, total_length=src.size(1))
        states = last[0] if isinstance(last, tuple) else last  # (2 * layers, B, D/2)
        return self.start(memory, torch.cat([states[-2], states[-1]], dim=1), src_mask)

    def start(self, memory: Tensor, last: Tensor, src_mask: Tensor) -> RecurrentState:
        """Return the initial state: encoded (B, S, D), last states of both directions (B, D), mask (B, S)."""
        first = torch.tanh(self.bridge(last))
        hidden = first.float().view(last.size(0), 1, -1, self.num_layers, self.output.in_features).unbind(dim=2)
        memory = self.dropout(memory)
        keys = self.cross_attn.key(memory) if self.cross_attn else memory
        features = memory.new_zeros(last.size(0), 1, memory.size(2))
        return RecurrentState(memory, keys, as_bias(src_mask)[:, None], hidden, features)

    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """See Seq2Seq. With attention, each step needs the features of the step before (input feeding)."""
        state, y = self.encode(src, src_mask), self._embed(self.tgt_embedding, tgt_in)
        if not self.cross_attn:
            return self.dropout(self._run_decoder(y, state)[0].float())
        factors, steps = self.dropout.factors(y), []
        for piece in y.split(1, dim=1):
            state = self._next(piece, state)
            if factors is not None:
                state = replace(state, features=state.features * factors)
            steps.append(state.features)
        return torch.cat(steps, dim=1)

    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, RecurrentState]:
        """See Seq2Seq."""
        assert isinstance(state, RecurrentState)
        state = self._next(self._embed(self.tgt_embedding, pieces), state)
        return state.features, state

    def _embed(self, table: nn.Module, pieces: Tensor) -> Tensor:
        return self.dropout(table(pieces) * self.scale)

    def _next(self, y: Tensor, state: RecurrentState) -> RecurrentState:
        """Advance each hypothesis by one piece: embeddings (B, K, D), state -> next state."""
        shape = y.shape
        x = torch.cat([y, state.features], dim=2) if self.cross_attn else y
        s, hidden = self._run_decoder(x.flatten(0, 1)[:, None], state)
        s = s.view(shape)
        hidden = tuple(each.view(*shape[:2], *each.shape[2:]) for each in hidden)
        if self.cross_attn:
            context = self.cross_attn(s, state.keys, state.memory, state.src_mask)
            s = torch.tanh(context + self.combine(s)).float()  # Luong et al. 2015, equation 5
        return replace(state, hidden=hidden, features=s)

    def _run_decoder(self, x: Tensor, state: RecurrentState) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the decoder cells: inputs (N, T, I) -> outputs (N, T, D) and hidden states, each (N, 1, L, D)."""
        hidden = [each.flatten(0, 1).transpose(0, 1).contiguous() for each in state.hidden]  # (L, N, D)
        with _precision_of_cells(x.device):
            outputs, last = self.decoder(x, tuple(hidden) if len(hidden) == 2 else hidden[0])
        states = last if isinstance(last, tuple) else (last,)
        return outputs, tuple(each.transpose(0, 1)[:, None] for each in states)


def _precision_of_cells(device: torch.device) -> torch.autocast:
    """Return the context of PyTorch's cells: bfloat16 on a CPU inside autocast, float32 everywhere else.

    On processors with AVX2 alone, PyTorch has no LSTM in bfloat16, so there, too, the cells are in float32.
    On CUDA, autocast would compute the cells in float16, whatever its own type, and small gradients would become 0.
    """
    has_cells = torch.backends.cpu.get_cpu_capability() != "AVX2"
    is_enabled = device.type == "cpu" and torch.is_autocast_enabled("cpu") and has_cells
    return torch.autocast(device.type, torch.bfloat16, enabled=is_enabled)


def _used(options: dict[str, Any], num_layers: int) -> dict[str, Any]:
    """Return the options of a stack. PyTorch warns of dropout between layers where there is only one layer."""
    return options if num_layers > 1 else options | {"dropout": 0.0}
