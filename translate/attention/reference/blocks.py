"""What the second implementations have in common.

Shapes: t queries, S keys, T target pieces, D model width, H heads, V target vocabulary size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from translate.attention.maps import Doubles, Floats
from translate.config.model_settings import ModelSettings
from translate.model.attention_kinds import KindName

KeyValue = tuple[Doubles, Doubles]  # keys and values, each of shape (H, S, D/H)
Maps = dict[KindName, list[Doubles]]  # one (H, rows, columns) array per layer
NORM_EPSILON = 1e-5


class Reading(NamedTuple):
    """What a model computes while it reads a target."""

    features: Doubles  # (T, D)
    maps: Maps


class Reference(ABC):
    """A trained model, implemented for clarity rather than speed. src, tgt: piece ids ending with `</s>`."""

    def __init__(self, weights: Mapping[str, Floats], settings: ModelSettings, bos_id: int) -> None:
        """Initialize the model. bos_id: the piece that it reads before the target."""
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}
        self.settings, self.bos_id = settings, bos_id

    @abstractmethod
    def read(self, src: Sequence[int], tgt: Sequence[int]) -> Reading:
        """Return the features that predict each target piece, and the maps of each kind of attention."""

    def maps(self, src: Sequence[int], tgt: Sequence[int]) -> Maps:
        """Return the maps of each kind of attention."""
        return self.read(src, tgt).maps

    def logits(self, src: Sequence[int], tgt: Sequence[int]) -> Doubles:
        """Return the logits that predict each target piece, (T, V)."""
        name = "output" if "output.weight" in self.weights else "tgt_embedding"
        return self.linear(name, self.read(src, tgt).features)

    def linear(self, name: str, x: Doubles) -> Doubles:
        """Multiply by a weight matrix and add the bias, if there is one."""
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0.0)

    def scaled(self, name: str, pieces: Sequence[int]) -> Doubles:
        """Return the embeddings (t, D), without positions. The source may share the target's."""
        name = name if f"{name}.weight" in self.weights else "tgt_embedding"
        return self.weights[f"{name}.weight"][list(pieces)] * np.sqrt(self.settings.d_model)

    def embedded(self, name: str, pieces: Sequence[int], start: int) -> Doubles:
        """Return the embeddings (t, D) at positions from `start`."""
        if self.settings.positions == "rotary":
            return self.scaled(name, pieces)
        width = self.settings.d_model
        angles = np.arange(start, start + len(pieces))[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
        positions = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(pieces), width)
        return self.scaled(name, pieces) + positions

    def self_attention_layer(self, name: str, x: Doubles, mask: Doubles | None = None) -> tuple[Doubles, Doubles]:
        """Apply self-attention and the feed-forward network: (t, D) -> (t, D) and the map (H, t, t)."""
        h = self.before(f"{name}.self_attn", x)
        y, weights = self.attend(f"{name}.self_attn", h, self.key_value(f"{name}.self_attn", h), mask=mask)
        return self.feed_forward(name, self.after(f"{name}.self_attn", x, y)), weights

    def key_value(self, name: str, x: Doubles, start: int = 0) -> KeyValue:
        """Return the keys and values of (S, D) pieces at positions from `start`."""
        return self._rotated(name, self._heads(f"{name}.key", x), start), self._heads(f"{name}.value", x)

    def attend(
        self, name: str, x: Doubles, memory: KeyValue, start: int = 0, mask: Doubles | None = None
    ) -> tuple[Doubles, Doubles]:
        """Attend from x (t, D), with positions from `start`. Returns the output (t, D) and the weights (H, t, S).

        mask: 0 where attention is allowed and -inf elsewhere, (t, S).
        """
        keys, values = memory
        query = self._rotated(name, self._heads(f"{name}.query", x), start)
        scores = np.einsum("htd,hsd->hts", query, keys) / np.sqrt(query.shape[2])
        weights = softmax(scores if mask is None else scores + mask)
        heads = np.einsum("hts,hsd->thd", weights, values).reshape(x.shape)
        return self.linear(f"{name}.output", heads), weights

    def feed_forward(self, name: str, x: Doubles) -> Doubles:
        """Apply the feed-forward network of a layer, with its residual connection."""
        name = f"{name}.feed_forward"
        inner = np.maximum(0, self.linear(f"{name}.inner", self.before(name, x)))
        return self.after(name, x, self.linear(f"{name}.outer", inner))

    def before(self, sublayer: str, x: Doubles) -> Doubles:
        """Return the input of a sublayer, given the residual stream."""
        return self.norm(f"{sublayer}_residual.norm", x) if self.settings.norm == "pre" else x

    def after(self, sublayer: str, x: Doubles, y: Doubles) -> Doubles:
        """Return the residual stream after a sublayer, given its output."""
        return x + y if self.settings.norm == "pre" else self.norm(f"{sublayer}_residual.norm", x + y)

    def final(self, name: str, x: Doubles) -> Doubles:
        """Return the output of a stack of layers. With pre-norm, the stream has not been normalized yet."""
        return self.norm(name, x) if self.settings.norm == "pre" else x

    def norm(self, name: str, x: Doubles) -> Doubles:
        """Apply layer norm to each row (Ba et al. 2016)."""
        centered = x - x.mean(axis=1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + NORM_EPSILON)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _heads(self, name: str, x: Doubles) -> Doubles:
        """Project the input and split it into heads: (t, D) -> (H, t, D/H)."""
        return self.linear(name, x).reshape(len(x), self.settings.num_heads, -1).transpose(1, 0, 2)

    def _rotated(self, name: str, heads: Doubles, start: int) -> Doubles:
        """Apply rotary embeddings (Su et al. 2021) to (H, t, D/H) if the model uses them and this is self-attention."""
        if self.settings.positions != "rotary" or "cross_attn" in name:
            return heads
        half = heads.shape[2] // 2
        angles = np.arange(start, start + heads.shape[1])[:, None] / 10_000 ** (np.arange(half) / half)
        rotated = (heads[..., :half] + 1j * heads[..., half:]) * np.exp(1j * angles)
        return np.concatenate([rotated.real, rotated.imag], axis=2)


def softmax(scores: Doubles) -> Doubles:
    """Return the softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
