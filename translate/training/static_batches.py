"""Batches padded to few distinct shapes, in tensors that keep their place in memory, as CUDA graphs require.

Shapes: B sentences, L pieces of the longer side, N targets, K links; all of them padded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from translate.data.batches import FILLER_ID, Batch, PieceLinks, padded_size


class Shape(NamedTuple):
    """Shape of a padded batch. Batches of one shape have the same CUDA graph."""

    rows: int  # B
    length: int  # L; one length for both sides halves the number of shapes, because a batch's sides are of like length
    targets: int  # N
    links: int | None  # K; None if the corpus has no alignment

    @classmethod
    def of(cls, batch: Batch) -> Shape:
        """Return the shape to which a batch is padded."""
        length = max(batch.src.size(1), batch.tgt_in.size(1))
        # Links cost little, so fewer sizes suffice. An empty batch of links has one, too.
        links = None if batch.links is None else 1 << max(0, len(batch.links.places) - 1).bit_length()
        return cls(padded_size(len(batch.src)), padded_size(length), padded_size(batch.num_tokens), links)


def empty_batch(shape: Shape, device: torch.device) -> Batch:
    """Allocate a batch of this shape, to be filled with `fill`."""

    def zeros(*size: int, dtype: torch.dtype = torch.long) -> Tensor:
        return torch.zeros(size, dtype=dtype, device=device)

    src, src_mask = zeros(shape.rows, shape.length), zeros(shape.rows, shape.length, dtype=torch.bool)
    tgt_in, targets, places = zeros(shape.rows, shape.length), zeros(shape.targets), zeros(shape.targets)
    links = None
    if shape.links is not None:
        links = PieceLinks(zeros(shape.links), zeros(shape.links), zeros(shape.links, dtype=torch.float32))
    return Batch(src, src_mask, tgt_in, targets, places, links, zeros(shape.targets, dtype=torch.float32))


def fill(static: Batch, batch: Batch) -> None:
    """Copy a batch into a static one of its shape. The losses of both, and their gradients, are equal up to rounding.

    Sentences that are padding attend to their first piece, because attention to nothing would be NaN. Targets that are
    padding refer to place 0, and links that are padding have a share of 0.
    """
    num_tgt, length = batch.tgt_in.size(1), static.tgt_in.size(1)
    _fill(static.src, batch.src, FILLER_ID)
    _fill(static.src_mask, batch.src_mask, 0)
    static.src_mask[len(batch.src) :, 0] = True
    _fill(static.tgt_in, batch.tgt_in, FILLER_ID)
    _fill(static.targets, batch.targets, 0)
    _fill(static.places, _moved(batch.places, num_tgt, length), 0)
    assert static.is_real is not None
    static.is_real.zero_()[: batch.num_tokens] = 1
    if static.links and batch.links:
        moved = batch.links._replace(places=_moved(batch.links.places, num_tgt, length))
        for padded, links in zip(static.links, moved, strict=True):
            _fill(padded, links, 0)


def _fill(static: Tensor, values: Tensor, filler: int) -> None:
    static.fill_(filler)[tuple(map(slice, values.shape))] = values


def _moved(places: Tensor, num_tgt: int, length: int) -> Tensor:
    """Convert places in flattened targets (B * T) to places in flattened padded targets (B * L)."""
    return places // num_tgt * length + places % num_tgt
