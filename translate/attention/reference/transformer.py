"""The encoder-decoder Transformer (Vaswani et al. 2017) in NumPy.

Its decoder reads one piece at a time and has its own cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from translate.attention.maps import Doubles
from translate.attention.reference.blocks import KeyValue, Reading, Reference
from translate.model.attention_kinds import KindName


class TransformerReference(Reference):
    """An encoder-decoder Transformer."""

    def read(self, src: Sequence[int], tgt: Sequence[int]) -> Reading:
        """See Reference."""
        memory, encoder = self._encode(src)
        names = [f"decoder_layers.{layer}" for layer in range(self.settings.num_decoder_layers)]
        source = [self.key_value(f"{name}.cross_attn", memory) for name in names]
        cache: list[list[KeyValue]] = [[] for _ in names]
        rows: dict[KindName, list[list[Doubles]]] = {"decoder": [[] for _ in names], "cross": [[] for _ in names]}
        features = []
        for position, piece in enumerate([self.bos_id, *tgt[:-1]]):
            x = self.embedded("tgt_embedding", [piece], position)  # (1, D)
            for layer, name in enumerate(names):
                h = self.before(f"{name}.self_attn", x)
                cache[layer].append(self.key_value(f"{name}.self_attn", h, position))
                keys, values = (np.concatenate(each, axis=1) for each in zip(*cache[layer], strict=True))
                y, weights = self.attend(f"{name}.self_attn", h, (keys, values), position)
                rows["decoder"][layer].append(np.pad(weights, ((0, 0), (0, 0), (0, len(tgt) - weights.shape[2]))))
                x = self.after(f"{name}.self_attn", x, y)
                y, weights = self.attend(f"{name}.cross_attn", self.before(f"{name}.cross_attn", x), source[layer])
                rows["cross"][layer].append(weights)
                x = self.feed_forward(name, self.after(f"{name}.cross_attn", x, y))
            features.append(self.final("decoder_norm", x))
        stacked = {kind: [np.concatenate(layer, axis=1) for layer in layers] for kind, layers in rows.items()}
        return Reading(np.concatenate(features), {"encoder": encoder, **stacked})

    def _encode(self, src: Sequence[int]) -> tuple[Doubles, list[Doubles]]:
        x, maps = self.embedded("src_embedding", src, 0), []
        for layer in range(self.settings.num_encoder_layers):
            x, weights = self.self_attention_layer(f"encoder_layers.{layer}", x)
            maps.append(weights)
        return self.final("encoder_norm", x), maps
