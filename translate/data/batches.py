"""Batch selection (a pure function of lengths, budget, seed and epoch) and batch tensors.

Shapes: B sentences, S source pieces, T target pieces, N target pieces in all sentences without padding, K links. Masks
are True for pieces and False for padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from translate.data.ragged_arrays import IntArray, PieceRows

if TYPE_CHECKING:
    from translate.data.encoded_corpus import EncodedCorpus

# Pairs are sorted by length within pools. Larger pools need less padding; smaller pools keep batches more random.
POOL_PAIRS = 16_384  # minimum pool size in pairs
POOL_PAIRS_PER_PIECE = 4  # minimum pool size in pairs, per piece of the batch budget
MIN_BATCHES = 8  # minimum number of batches for using more than one pool; each pool ends with a partial batch
SIZES_PER_OCTAVE = 8  # see `padded_size`
FILLER_ID = 0  # id at padding positions, which are masked


class PieceLinks(NamedTuple):
    """The alignment that guides attention in a batch: K links from a target piece to a source piece."""

    places: Tensor  # (K,) position in the flattened (B * T) `tgt_in` at which the target piece is predicted
    sources: Tensor  # (K,) index of the source piece
    shares: Tensor  # (K,) 1 / number of links from the target piece

    def to(self, device: torch.device) -> PieceLinks:
        """Copy to a device."""
        return PieceLinks(*(_moved(each, device) for each in self))


class Batch(NamedTuple):
    """A batch of padded pairs. `tgt_in` starts with `<s>` and omits `</s>`; `targets` holds the pieces to predict."""

    src: Tensor  # (B, S)
    src_mask: Tensor  # (B, S)
    tgt_in: Tensor  # (B, T)
    targets: Tensor  # (N,) target pieces of all sentences, with `</s>` but without padding
    places: Tensor  # (N,) position of each target in the flattened (B * T) `tgt_in`
    links: PieceLinks | None  # None if the corpus has no alignment
    is_real: Tensor | None = None  # (N,) 1.0 for targets, 0.0 for padding; None if there is no padding among them

    @property
    def num_tokens(self) -> int:
        """The number of target pieces (N)."""
        return len(self.targets)

    @property
    def num_places(self) -> int:
        """The number of positions on both sides, including padding."""
        return self.src.numel() + self.tgt_in.numel()

    def select(self, pairs: slice) -> Batch:
        """Return a batch with a slice of the pairs, padded only to the longest pair in the slice."""
        width = self.tgt_in.size(1)
        start, stop = pairs.start * width, pairs.stop * width
        num_src = int(self.src_mask[pairs].sum(dim=1).max())
        is_kept = (self.places >= start) & (self.places < stop)
        num_tgt = int((self.places[is_kept] % width).max()) + 1

        def moved(places: Tensor) -> Tensor:
            return (places - start) // width * num_tgt + places % width

        links = self.links
        if links:
            is_linked = (links.places >= start) & (links.places < stop)
            links = PieceLinks(moved(links.places[is_linked]), links.sources[is_linked], links.shares[is_linked])
        src, src_mask, tgt_in = self.src[pairs, :num_src], self.src_mask[pairs, :num_src], self.tgt_in[pairs, :num_tgt]
        return Batch(src, src_mask, tgt_in, self.targets[is_kept], moved(self.places[is_kept]), links)

    def to(self, device: torch.device) -> Batch:
        """Copy to a device."""
        src, src_mask, tgt_in, targets, places = (_moved(each, device) for each in self[:5])
        return Batch(src, src_mask, tgt_in, targets, places, self.links and self.links.to(device))


@dataclass(frozen=True)
class EpochOrder:
    """The batches of an epoch in order: `order[i]` returns the row numbers of batch i."""

    rows: IntArray  # (N,) int32, each row number of the corpus exactly once
    starts: IntArray  # (batches,)
    ends: IntArray  # (batches,)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, batch: int) -> IntArray:
        return self.rows[self.starts[batch] : self.ends[batch]]

    def __iter__(self) -> Iterator[IntArray]:
        return (self[batch] for batch in range(len(self)))


def epoch_order(src_lengths: IntArray, tgt_lengths: IntArray, budget: int, seed: int, epoch: int) -> EpochOrder:
    """Return the batches of an epoch, as a pure function of the arguments.

    All rows are shuffled and divided into pools. Each pool is sorted by length and cut into batches of at most `budget`
    target pieces, including padding. Finally, the batches of all pools are shuffled. Each row is therefore equally
    likely to appear anywhere in the epoch, and is batched with different rows of similar length in each epoch.
    """
    random = np.random.default_rng((seed, epoch))
    rows = np.arange(len(tgt_lengths), dtype=np.int32)
    random.shuffle(rows)
    sizes: list[int] = []
    num_pools = 1
    if tgt_lengths.sum() >= MIN_BATCHES * budget:  # with one pool, the longest rows would always share a batch
        num_pools = max(2, math.ceil(len(rows) / max(POOL_PAIRS, POOL_PAIRS_PER_PIECE * budget)))
    for pool in np.array_split(rows, num_pools):
        pool[:] = pool[_by_length(src_lengths[pool], tgt_lengths[pool])]  # in place: a pool is a view of `rows`
        sizes += [part.stop - part.start for part in cut(tgt_lengths[pool], src_lengths[pool], budget)]
    ends = np.cumsum(sizes, dtype=np.int64)
    shuffled = random.permutation(len(sizes))
    return EpochOrder(rows, (ends - sizes)[shuffled], ends[shuffled])


def cut(lengths: IntArray, other_lengths: IntArray, budget: int) -> Iterator[slice]:
    """Cut sorted rows into runs of at most `budget` pieces, including padding. A longer row forms its own run.

    The other side is limited to twice the budget to keep unusual pairs from exhausting memory.
    """
    start = 0
    while start < len(lengths):
        # A run can have at most this many rows, which it reaches only if all rows are as short as the first.
        window = slice(start, start + max(1, budget // int(lengths[start])))
        longest = np.maximum.accumulate(lengths[window], dtype=np.int64)
        longest_other = np.maximum.accumulate(other_lengths[window], dtype=np.int64)
        num_rows = np.arange(1, len(longest) + 1)
        fits = (num_rows * longest <= budget) & (num_rows * longest_other <= 2 * budget)
        end = start + max(1, int(np.count_nonzero(fits)))  # neither product decreases, so all rows that fit come first
        yield slice(start, end)
        start = end


def make_batch(corpus: EncodedCorpus, rows: IntArray, bos_id: int) -> Batch:
    """Create a batch from the given rows of a corpus. bos_id: id of the piece that starts each target."""
    src, src_mask = _padded(corpus.src.pieces(rows), corpus.src.lengths[rows])
    tgt_out, tgt_mask = _padded(corpus.tgt.pieces(rows), corpus.tgt.lengths[rows])
    tgt_in = torch.cat([torch.full((len(rows), 1), bos_id), tgt_out[:, :-1]], dim=1)
    places = tgt_mask.flatten().nonzero().squeeze(1)
    links = _links(corpus.links, rows, tgt_in.size(1)) if corpus.links is not None else None
    return Batch(src, src_mask, tgt_in, tgt_out.flatten()[places], places, links)


def padded_size(size: int) -> int:
    """Round up to a multiple of an eighth of the largest power of two that is not above `size`."""
    multiple = max(1, (1 << size.bit_length() - 1) // SIZES_PER_OCTAVE)
    return -(-size // multiple) * multiple


def pad(rows: Sequence[IntArray | Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Pad rows to the same length. Returns (B, L) ids and a (B, L) mask."""
    return _padded(np.concatenate(rows), np.array([len(row) for row in rows]))


def _links(links: PieceRows, rows: IntArray, num_places: int) -> PieceLinks:
    """Return the links of the given rows. num_places: padded target length T."""
    numbers = links.pieces(rows).astype(np.int64).reshape(-1, 2)
    row_of_link = np.repeat(np.arange(len(rows)), links.lengths[rows] // 2)
    places = row_of_link * num_places + numbers[:, 0]
    shares = 1 / np.bincount(places)[places].astype(np.float32)
    return PieceLinks(*map(torch.from_numpy, (places, np.ascontiguousarray(numbers[:, 1]), shares)))


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device. Copies to a GPU are asynchronous and use pinned memory."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def _padded(pieces: IntArray, lengths: IntArray) -> tuple[Tensor, Tensor]:
    """Pad concatenated rows with the given (B,) lengths. Returns (B, L) ids and a (B, L) mask."""
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, FILLER_ID, dtype=np.int64)
    ids[mask] = pieces
    return torch.from_numpy(ids), torch.from_numpy(mask)


def _by_length(src_lengths: IntArray, tgt_lengths: IntArray) -> IntArray:
    """Return an order in which adjacent pairs have similar lengths on both sides.

    Pairs are grouped by the length of the longer side and sorted within each group by the length difference. The sort
    direction alternates, so the last pairs of a group resemble the first pairs of the next group.
    """
    longer = np.maximum(src_lengths, tgt_lengths)
    lead = src_lengths - tgt_lengths
    return np.lexsort((np.where(longer % 2, lead, -lead), longer))
