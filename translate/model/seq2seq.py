"""Interface of translation models, independent of the architecture.

Shapes: B sentences, S source pieces, T target pieces, K hypotheses of a sentence, D width, H heads, V target vocabulary
size. Masks: True = piece, False = padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from torch import Tensor, nn

from translate.model.attention_kinds import KindName


class DecoderState(Protocol):
    """The decoding state of K hypotheses for each of B sentences."""

    def select(self, sentences: Tensor) -> Self:
        """Return the state of the given sentences, in the given order. sentences: (B',)."""

    def reorder(self, beams: Tensor) -> Self:
        """Return the state in which hypothesis k of sentence b continues hypothesis beams[b, k]. beams: (B, K')."""


class AttentionModule(nn.Module, ABC):
    """Attention whose maps hooks can record and whose heads they can mask. Call it with positional arguments only."""

    num_heads: int
    output: nn.Linear  # projects the concatenated outputs of the heads

    @abstractmethod
    def weights(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the map (B, H, rows, columns) that `forward` uses with the same arguments, before dropout."""


class Seq2Seq(nn.Module, ABC):
    """A model of the target given the source. Training calls `features`; decoding calls `encode`, then `step`."""

    output: nn.Linear  # maps features to logits, without a bias

    @property
    @abstractmethod
    def attention(self) -> Mapping[KindName, Sequence[AttentionModule]]:
        """The attention modules of each kind, in the order of their layers."""

    @abstractmethod
    def encode(self, src: Tensor, src_mask: Tensor) -> DecoderState:
        """(B, S) pieces, (B, S) mask -> initial state of decoding, with one hypothesis per sentence."""

    @abstractmethod
    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(B, K) last piece of each hypothesis, state -> (B, K, D) features of the next piece, state after the step.

        Each state may be used for one step only, because its successor may share its memory.
        """

    @abstractmethod
    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, D) input of the output layer for the piece after each target piece."""

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, V) logits of the piece after each target piece."""
        return self.output(self.features(src, src_mask, tgt_in))
