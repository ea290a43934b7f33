"""Architecture-independent interface for translation models.

Shapes: B sentences, S source pieces, T target pieces, K hypotheses per sentence, D model width, H heads, V target
vocabulary size. Masks are True for pieces and False for padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from torch import Tensor, nn

from translate.config.model_settings import ModelSettings
from translate.model.attention_kinds import KindName


class DecoderState(Protocol):
    """Decoder state for B sentences with K hypotheses each."""

    def select(self, sentences: Tensor) -> Self:
        """Return the state of the selected sentences, in the given order. sentences: (B',)."""

    def reorder(self, beams: Tensor) -> Self:
        """Return the state in which hypothesis k of sentence b continues hypothesis beams[b, k]. beams: (B, K')."""


class AttentionModule(nn.Module, ABC):
    """Attention module whose maps can be recorded and whose heads can be masked. Pass it positional arguments only."""

    num_heads: int
    output: nn.Linear  # projects the concatenated outputs of the heads

    @abstractmethod
    def weights(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the attention map (B, H, rows, columns) that `forward` uses for the same arguments, before dropout."""


class Seq2Seq(nn.Module, ABC):
    """Sequence-to-sequence model. Training calls `features`; decoding calls `encode`, then `step` for each piece."""

    def __init__(self, settings: ModelSettings, num_src_pieces: int, num_tgt_pieces: int, is_joint: bool) -> None:
        """Create the embeddings and the output layer. is_joint: whether both sides share a vocabulary."""
        super().__init__()
        self.tgt_embedding = nn.Embedding(num_tgt_pieces, settings.d_model)
        is_shared = is_joint and settings.tie_embeddings
        self.src_embedding = self.tgt_embedding if is_shared else nn.Embedding(num_src_pieces, settings.d_model)
        self.output = nn.Linear(settings.d_model, num_tgt_pieces, bias=False)
        self.is_tied = settings.tie_embeddings

    def initialize(self) -> None:
        """Initialize embeddings and linear layers, and tie the output layer. Other modules keep PyTorch's values."""
        self.apply(_initialize)
        if self.is_tied:
            self.output.weight = self.tgt_embedding.weight

    @staticmethod
    @abstractmethod
    def values_per_piece(settings: ModelSettings) -> int:
        """Return how many numbers a training step keeps per target piece for the backward pass, at least."""

    @property
    @abstractmethod
    def attention(self) -> Mapping[KindName, Sequence[AttentionModule]]:
        """The attention modules of each kind, in layer order."""

    @abstractmethod
    def encode(self, src: Tensor, src_mask: Tensor) -> DecoderState:
        """Encode pieces (B, S) with mask (B, S) and return the initial state, with one hypothesis per sentence."""

    def start_search(self, src: Tensor, src_mask: Tensor, num_hypotheses: int) -> DecoderState:
        """Encode like `encode`, for `step` alone. num_hypotheses: the number per sentence after the first step."""
        return self.encode(src, src_mask)

    @abstractmethod
    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Return (B, K, D) features for the next pieces, and the next state. pieces: last piece per hypothesis, (B, K).

        Use each state for one step only, because the next state may share its memory.
        """

    @abstractmethod
    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """Return the features that predict the piece after each target piece: (B, S), (B, S), (B, T) -> (B, T, D)."""

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """Return the logits of the piece after each target piece: (B, S), (B, S), (B, T) -> (B, T, V)."""
        return self.output(self.features(src, src_mask, tgt_in))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Embedding):
        # With tied embeddings, the usual N(0, 1) would give an initial loss in the hundreds.
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
