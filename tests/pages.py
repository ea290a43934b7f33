"""Sentences and maps for the tests of the page."""

from __future__ import annotations

import numpy as np

from translate.maps import AttentionMaps, Stack
from translate.report.page import PageSentence, Variant

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2> <!-- <script> ]]> &lt; \" ' \u2028"
)


def maps_of(source: str, target: str, num_layers: int = 2, num_heads: int = 3, seed: int = 0) -> AttentionMaps:
    """Random maps of two sentences, in which spaces separate pieces; `</s>` is added."""
    src, tgt = (*source.split(), "</s>"), (*target.split(), "</s>")
    random = np.random.default_rng(seed)

    def stack(num_rows: int, num_columns: int, sees_all: bool = True) -> Stack:
        weights = np.exp(2 * random.normal(size=(num_layers, num_heads, num_rows, num_columns)))
        weights = weights if sees_all else np.tril(weights)
        return Stack((weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32), tuple(range(num_layers)))

    s, t = len(src), len(tgt)
    return AttentionMaps(src, tgt, {"cross": stack(t, s), "encoder": stack(s, s), "decoder": stack(t, t, False)})


def sentence(number: int, maps: AttentionMaps) -> PageSentence:
    """A sentence with one set of maps."""
    source, target = (" ".join(side[:-1]) for side in (maps.source, maps.target))
    return PageSentence(number, source, target, -number / 10, (), (Variant("", maps),))
