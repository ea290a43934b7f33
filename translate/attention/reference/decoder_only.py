"""The decoder-only Transformer in NumPy: source and target are one sequence, read in one pass under one mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from translate.attention.reference.blocks import Reading, Reference


class DecoderOnlyReference(Reference):
    """A decoder-only Transformer."""

    def read(self, src: Sequence[int], tgt: Sequence[int]) -> Reading:
        """See Reference."""
        num_source = len(src)
        mask = np.triu(np.full((num_source + len(tgt),) * 2, -np.inf), k=1)  # each piece sees itself and earlier ones
        if self.settings.source_attention == "bidirectional":
            mask[:num_source, :num_source] = 0
        source = self.embedded("src_embedding", src, 0)
        x = np.concatenate([source, self.embedded("tgt_embedding", [self.bos_id, *tgt[:-1]], num_source)])
        maps = []
        for layer in range(self.settings.num_decoder_layers):
            x, weights = self.self_attention_layer(f"layers.{layer}", x, mask)
            maps.append(weights)
        features = self.final("norm", x)[num_source:]
        return Reading(features, {"self": maps, "cross": [each[:, num_source:, :num_source] for each in maps]})
