"""Extract attention maps from finished translations in a single teacher-forced pass.

Attention weights depend only on the pieces, so they are the same as those computed during decoding.

Shapes: B sentences, L layers, H heads. The pieces on both sides include `</s>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from translate.attention.maps import AttentionMaps, Stack, part_indices
from translate.attention.selection import EVERYTHING, AttentionSelection
from translate.data.batches import pad
from translate.decoding.engine import Pieces, check_finite
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.model.attention_kinds import KINDS, Head, module_kind
from translate.model.hooks import heads_of, recording

PiecePair = tuple[Pieces, Pieces]  # piece ids of a source and its translation, both ending with `</s>`
MAX_WEIGHTS = 2**16  # maximum number of weights per head in one pass, including padding


def attention_maps(
    translator: LineTranslator, pairs: Sequence[PiecePair], selection: AttentionSelection = EVERYTHING
) -> list[AttentionMaps]:
    """Return the attention maps for each source-translation pair. An ensemble's maps come from its first model."""
    return [maps for group in _groups(pairs) for maps in _maps_of_group(translator, group, selection)]


def engine_of(translator: LineTranslator) -> TorchEngine:
    """Return the translator's engine, which must be the torch engine because no other engine exposes attention."""
    assert isinstance(translator.engine, TorchEngine)
    return translator.engine


def heads_named(translator: LineTranslator, names: Sequence[str], option: str = "--mask") -> list[Head]:
    """Return the heads of these names, such as cross.1.2. Raises UserError for others. option: what gave the names."""
    known = heads_of(engine_of(translator).model)
    return [Head.parse(name, known, option) for name in names]


def joined_maps(parts: Sequence[AttentionMaps]) -> AttentionMaps:
    """Join the maps of a line that was translated in parts. Pieces attend only to pieces in the same part."""
    if len(parts) == 1:
        return parts[0]
    source = tuple(piece for part in parts for piece in part.source)
    target = tuple(piece for part in parts for piece in part.target)
    stacks = {}
    for kind, (first, layers) in parts[0].stacks.items():
        shape = KINDS[kind].sides(len(source), len(target))
        joined = np.zeros((*first.shape[:2], *shape), dtype=np.float32)
        for part, (rows, columns) in zip(parts, part_indices(kind, source, target), strict=True):
            joined[:, :, rows, columns] = part.stacks[kind].weights
        stacks[kind] = Stack(joined, layers)
    return AttentionMaps(source, target, stacks)


def _groups(pairs: Sequence[PiecePair]) -> Iterator[Sequence[PiecePair]]:
    """Split the pairs, in order, into groups that are each processed in one pass."""
    start, longest = 0, 0
    for end, (src, tgt) in enumerate(pairs):
        longest = max(longest, len(src), len(tgt))
        if end > start and (end + 1 - start) * longest**2 > MAX_WEIGHTS:
            yield pairs[start:end]
            start, longest = end, max(len(src), len(tgt))
    if start < len(pairs):
        yield pairs[start:]


@torch.inference_mode()
def _maps_of_group(
    translator: LineTranslator, pairs: Sequence[PiecePair], kept: AttentionSelection
) -> list[AttentionMaps]:
    engine, vocabs = engine_of(translator), translator.vocabs
    model, device = engine.model, engine.device
    src, src_mask = (each.to(device) for each in pad([src for src, _ in pairs]))
    tgt_in, _ = pad([(vocabs.tgt.bos_id, *tgt[:-1]) for _, tgt in pairs])
    kinds = {kind: module_kind(kind, model.attention) for kind in kept.layers_in(model)}
    with engine.lock, recording(model, set(kinds.values()), kept.layers) as recorded:
        model.features(src, src_mask, tgt_in.to(device))
    # (B, L, H, rows, columns) for each kind of module
    stacked = {kind: torch.stack([*maps.values()], dim=1).cpu().numpy() for kind, maps in recorded.items()}
    check_finite(float(weights.sum()) for weights in stacked.values())
    maps = []
    for row, (src_ids, tgt_ids) in enumerate(pairs):
        stacks = {}
        for kind, module in kinds.items():
            first = src.size(1) if KINDS[module].rows == "both" else 0  # of the target, after the padded source
            target = [first + n for n in range(len(tgt_ids))]
            rows, columns = KINDS[kind].sides([*range(len(src_ids))], target)
            unpadded = stacked[module][row].take(rows, axis=2).take(columns, axis=3)
            stacks[kind] = Stack(unpadded, tuple(recorded[module]))
        maps.append(AttentionMaps(tuple(vocabs.src.labels(src_ids)), tuple(vocabs.tgt.labels(tgt_ids)), stacks))
    return maps
