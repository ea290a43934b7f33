"""What a translation model is to the rest of the program, whatever its architecture.

Shapes: B sentences, S source pieces, T target pieces, K hypotheses of a sentence, D width, H heads, V target
vocabulary. Masks: True = a piece, False = padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from torch import Tensor, nn

from translate.model.attention_kinds import KindName


class DecoderState(Protocol):
    """What decoding has to remember of B sentences and of the K hypotheses of each."""

    def select(self, sentences: Tensor) -> Self:
        """Keep these sentences, in this order. sentences: (B',)."""

    def reorder(self, beams: Tensor) -> Self:
        """Let hypothesis k of sentence b continue what was hypothesis beams[b, k]. beams: (B, K')."""


class AttentionModule(nn.Module, ABC):
    """Attention whose maps hooks can record and whose heads they can mask. It is called with positional arguments."""

    num_heads: int
    output: nn.Linear  # reads the heads' outputs, concatenated

    @abstractmethod
    def weights(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the map (B, H, rows, columns) that `forward` uses with the same arguments, before dropout."""


class Seq2Seq(nn.Module, ABC):
    """A model of the target given the source. Training needs `features`; decoding needs `encode`, then `step`s."""

    output: nn.Linear  # from features to logits; it has no bias

    @property
    @abstractmethod
    def attention(self) -> Mapping[KindName, Sequence[AttentionModule]]:
        """The attention modules by layer, of each kind of attention that the model has."""

    @abstractmethod
    def encode(self, src: Tensor, src_mask: Tensor) -> DecoderState:
        """(B, S) pieces, (B, S) mask -> the state from which decoding starts, with one hypothesis per sentence."""

    @abstractmethod
    def step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(B, K) last piece of each hypothesis -> (B, K, D) features of the next one, and the state after the step.

        A state may be stepped from once: its successor may use the same memory.
        """

    @abstractmethod
    def features(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, D): what the output layer reads to predict the piece after each one."""

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> Tensor:
        """(B, S), (B, S), (B, T) -> (B, T, V) logits of the piece after each target piece."""
        return self.output(self.features(src, src_mask, tgt_in))
