"""From pieces to attention maps: one teacher-forced pass over finished translations.

Attention depends on the pieces alone, so these are the weights that greedy or beam search used on its way to them.

Shapes: B sentences, S source pieces, T target pieces, L layers, H heads. `</s>` is among the pieces of both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from translate.attention.maps import AttentionMaps, Floats, Stack, StoredType
from translate.data.batches import pad
from translate.decoding.engine import Pieces
from translate.decoding.torch_engine import TorchEngine
from translate.decoding.translator import Translator
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, NAMES, Kind
from translate.model.hooks import recording
from translate.model.transformer import Transformer

Pair = tuple[Pieces, Pieces]  # piece ids of a source and its translation, `</s>` last on both
WEIGHTS_TOGETHER = 2**16  # of each head, padding included, computed in one pass


class Keep(NamedTuple):
    """Which attention is kept, and how exactly."""

    kinds: tuple[Kind, ...] = KINDS
    layers: tuple[int, ...] | None = None  # from 0; None: all
    dtype: StoredType = "float32"

    def layers_of(self, kind: Kind, model: Transformer) -> tuple[int, ...]:
        """Those of `layers` that there are: the encoder may have fewer than the decoder, or more."""
        there = range(len(model.encoder_layers if kind == "encoder" else model.decoder_layers))
        return tuple(number for number in there if self.layers is None or number in self.layers)

    def check(self, model: Transformer) -> None:
        """Raises UserError where nothing would be kept of a kind."""
        for kind in self.kinds:
            if not self.layers_of(kind, model):
                most = len(model.encoder_layers if kind == "encoder" else model.decoder_layers) - 1
                raise UserError(
                    f"--attention-layers: none of these for the {NAMES[kind]}, whose layers are 0 to {most}"
                )


EVERYTHING = Keep()


def attention_maps(translator: Translator, pairs: Sequence[Pair], keep: Keep = EVERYTHING) -> list[AttentionMaps]:
    """The maps of each pair of a source and its translation. Of an ensemble, those of the first model."""
    maps: list[AttentionMaps] = []
    for group in _groups(pairs):
        maps += _maps_of_group(translator, group, keep)
    return maps


def engine_of(translator: Translator) -> TorchEngine:
    """The translator's engine, which has to be ours: no other shows its attention."""
    assert isinstance(translator.engine, TorchEngine)
    return translator.engine


def joined_maps(parts: Sequence[AttentionMaps]) -> AttentionMaps:
    """The maps of a line that was translated in parts: a part's pieces have no weight for those of the others."""
    if len(parts) == 1:
        return parts[0]
    source = tuple(piece for part in parts for piece in part.source)
    target = tuple(piece for part in parts for piece in part.target)
    stacks = {
        kind: Stack(_side_by_side([part.stacks[kind].weights for part in parts]), stack.layers)
        for kind, stack in parts[0].stacks.items()
    }
    return AttentionMaps(source, target, stacks)


def _groups(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """Pairs next to each other that are computed together."""
    start, longest = 0, 0
    for end, (src, tgt) in enumerate(pairs):
        longest = max(longest, len(src), len(tgt))
        if end > start and (end + 1 - start) * longest**2 > WEIGHTS_TOGETHER:
            yield pairs[start:end]
            start, longest = end, max(len(src), len(tgt))
    if start < len(pairs):
        yield pairs[start:]


@torch.inference_mode()
def _maps_of_group(translator: Translator, pairs: Sequence[Pair], keep: Keep) -> list[AttentionMaps]:
    engine, vocabs = engine_of(translator), translator.vocabs
    model, device = engine.model, engine.device
    src, src_mask = (each.to(device) for each in pad([src for src, _ in pairs]))
    tgt_in, _ = pad([(vocabs.tgt.bos_id, *tgt[:-1]) for _, tgt in pairs])
    with recording(model, keep.kinds, keep.layers) as recorded:
        model.decode(tgt_in.to(device), model.encode(src, src_mask))
    whole = {kind: _stacked(getattr(recorded, kind)) for kind in keep.kinds}
    maps = []
    for row, (src_ids, tgt_ids) in enumerate(pairs):
        stacks = {}
        for kind in keep.kinds:
            num_rows = len(src_ids if kind == "encoder" else tgt_ids)
            num_columns = len(tgt_ids if kind == "decoder" else src_ids)
            weights = whole[kind][row, :, :, :num_rows, :num_columns].copy()  # or the padding would be kept with it
            stacks[kind] = Stack(weights, keep.layers_of(kind, model))
        maps.append(AttentionMaps(tuple(vocabs.src.pieces(src_ids)), tuple(vocabs.tgt.pieces(tgt_ids)), stacks))
    return maps


def _stacked(layers: Sequence[Tensor]) -> Floats:
    """L times (B, H, rows, columns) -> (B, L, H, rows, columns)."""
    whole: Floats = torch.stack(list(layers), dim=1).cpu().numpy()
    return whole


def _side_by_side(maps: Sequence[Floats]) -> Floats:
    """(L, H, rows, columns) each -> one with all rows and columns, and zeros where the rows of one meet another's."""
    num_rows, num_columns = (sum(each.shape[axis] for each in maps) for axis in (2, 3))
    whole = np.zeros((*maps[0].shape[:2], num_rows, num_columns), dtype=np.float32)
    row = column = 0
    for each in maps:
        whole[:, :, row : row + each.shape[2], column : column + each.shape[3]] = each
        row, column = row + each.shape[2], column + each.shape[3]
    return whole
