"""Which pairs go together: a pure function of lengths, budget, seed and epoch. And the tensors of one batch.

Shapes: B sentences, S source pieces, T target pieces, N target pieces of all sentences without padding. Masks: True = a
piece, False = padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from translate.corpus import EncodedCorpus, IntArray

POOL_PAIRS = 8192  # sorted by length together: enough for little padding, few enough to mix anew every epoch
FILLER_ID = 0  # stands at padded places; masks keep it from ever being looked at


class Batch(NamedTuple):
    """Padded pairs: `tgt_in` is `<s>` and the target without its end, `targets` what comes after each of its pieces."""

    src: Tensor  # (B, S)
    src_mask: Tensor  # (B, S)
    tgt_in: Tensor  # (B, T)
    targets: Tensor  # (N,) the targets of all sentences with their `</s>`, end to end, without padding
    places: Tensor  # (N,) where in the (B * T) places of `tgt_in` each of them is predicted

    @property
    def num_tokens(self) -> int:
        """N, the target pieces without padding."""
        return len(self.targets)

    def to(self, device: torch.device) -> Batch:
        """On that device. From pinned memory a GPU copies on its own while Python goes on."""
        is_cuda = device.type == "cuda"
        return Batch(*((each.pin_memory() if is_cuda else each).to(device, non_blocking=True) for each in self))


def epoch_order(src_lengths: IntArray, tgt_lengths: IntArray, budget: int, seed: int, epoch: int) -> list[IntArray]:
    """The rows of each batch of one epoch, every row once; a pure function of its arguments.

    All rows are shuffled, sorted by length within pools, cut where target pieces with padding would pass `budget`, and
    the batches shuffled.
    """
    random = np.random.default_rng((seed, epoch))
    shuffled = random.permutation(len(tgt_lengths))
    batches: list[IntArray] = []
    for start in range(0, len(shuffled), POOL_PAIRS):
        pool = shuffled[start : start + POOL_PAIRS]
        pool = pool[np.lexsort((src_lengths[pool], tgt_lengths[pool]))]
        batches += [pool[rows] for rows in cut(tgt_lengths[pool], src_lengths[pool], budget)]
    return [batches[i] for i in random.permutation(len(batches))]


def cut(lengths: IntArray, other_lengths: IntArray, budget: int) -> Iterator[slice]:
    """Cut sorted rows into runs of at most `budget` pieces, padding included; a longer single row is a run of its own.

    The other side is held to twice the budget, so that a few odd pairs do not fill the memory.
    """
    start = 0
    longest = longest_other = 0
    for end, (length, other) in enumerate(zip(lengths.tolist(), other_lengths.tolist(), strict=True)):
        longest, longest_other = max(longest, length), max(longest_other, other)
        rows = end + 1 - start
        if rows > 1 and (rows * longest > budget or rows * longest_other > 2 * budget):
            yield slice(start, end)
            start, longest, longest_other = end, length, other
    if start < len(lengths):
        yield slice(start, len(lengths))


def make_batch(corpus: EncodedCorpus, rows: IntArray, bos_id: int) -> Batch:
    """The padded tensors of some rows of a corpus."""
    src, src_mask = pad([corpus.src[row] for row in rows])
    tgt_out, tgt_mask = pad([corpus.tgt[row] for row in rows])
    start = torch.full((len(rows), 1), bos_id)
    tgt_in = torch.cat([start, tgt_out[:, :-1]], dim=1)
    places = tgt_mask.flatten().nonzero().squeeze(1)
    return Batch(src, src_mask, tgt_in, tgt_out.flatten()[places], places)


def pad(rows: Sequence[IntArray | Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Rows of unequal length -> (B, L) ids and (B, L) mask."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, FILLER_ID, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)
