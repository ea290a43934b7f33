"""Provide the data for each training step: micro-batches in epoch order, converted to tensors ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from translate.config.train_settings import TrainSettings
from translate.data.batches import Batch, epoch_order, make_batch
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.ragged_arrays import IntArray
from translate.system.distributed import World
from translate.training.checkpoint import Progress
from translate.training.prepare import Prepared

AHEAD = 2  # steps prepared in advance

T = TypeVar("T")


class Part(NamedTuple):
    """A micro-batch of a step."""

    batch: Batch
    number: int  # index among the step's parts across all processes; dropout depends on it
    rows: IntArray  # rows of the corpus, in batch order
    weight: float = 1.0  # 0 if another process counts this part
    halves: tuple[int, ...] = ()  # the number of the slice taken at each split, from 1; dropout depends on it

    def seed(self, seed: int, step: int) -> int:
        """Return the seed of dropout for this part of update number `step`. seed: train.seed."""
        sequence = np.random.SeedSequence((seed, step, self.number, *self.halves))
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)

    def split_below(self, too_large: float) -> list[Part]:
        """Split this part in half until each part has fewer than `too_large` positions or is a single pair."""
        if len(self.rows) == 1 or self.batch.num_places < too_large:
            return [self]
        return [part for half in self.shares(2) for part in half.split_below(too_large)]

    def shares(self, count: int) -> list[Part]:
        """Divide this part into `count` slices with almost equally many pairs, or fewer if it has fewer pairs."""
        if (count := min(count, len(self.rows))) <= 1:
            return [self]
        ends = [len(self.rows) * number // count for number in range(count + 1)]
        slices = enumerate(map(slice, ends, ends[1:]), start=1)
        return [
            self._replace(batch=self.batch.select(pairs), rows=self.rows[pairs], halves=(*self.halves, number))
            for number, pairs in slices
        ]


class StepData(NamedTuple):
    """Parts of one step that this process computes, and the position of the next step in the data."""

    parts: list[Part]
    num_tokens: int  # target pieces of the step without padding, over all processes
    next_epoch: int
    next_batch: int

    @property
    def rows(self) -> list[int]:
        """Rows of the corpus for which this process counts the loss."""
        return [row for part in self.parts if part.weight for row in part.rows.tolist()]


def feed(
    prepared: Prepared, settings: TrainSettings, progress: Progress, device: torch.device, world: World
) -> Generator[StepData]:
    """Yield the data for each step, on the device, starting from the given progress and continuing forever.

    A step consists of `accumulate` parts per process. N processes are equivalent to one process with N times
    `batch_tokens` and `accumulate`. Each pair is used once per epoch. With `vocab.dropout`, the processes synchronize
    at the start of each epoch.
    """
    bos_id = prepared.vocabs.tgt.bos_id
    while True:
        # Keep no variable that refers to the corpus: the corpora of two epochs must not be in memory at the same time.
        epoch_steps = _steps(prepared.train_in(progress.epoch, world), bos_id, settings, progress, device, world)
        with closing(prefetched(epoch_steps)) as steps:
            yield from steps
        progress = replace(progress, epoch=progress.epoch + 1, batches=0)


def first_step(
    prepared: Prepared, settings: TrainSettings, progress: Progress, device: torch.device, world: World
) -> StepData:
    """Return the data for the next step only."""
    with closing(feed(prepared, settings, progress, device, world)) as steps:
        return next(steps)


def prefetched(items: Iterator[T]) -> Generator[T]:
    """Yield the items, producing them ahead of time in a thread that ends with the iteration.

    items: iterable that never yields None. An exception that it raises is raised again here when the item is due.
    """
    worker = ThreadPoolExecutor(max_workers=1)
    try:
        pending = deque(worker.submit(next, items, None) for _ in range(AHEAD))
        while (item := pending.popleft().result()) is not None:
            pending.append(worker.submit(next, items, None))
            yield item
    finally:
        worker.shutdown(cancel_futures=True)


def _steps(
    corpus: EncodedCorpus, bos_id: int, settings: TrainSettings, progress: Progress, device: torch.device, world: World
) -> Iterator[StepData]:
    """Yield the remaining steps of the epoch in `progress`."""
    if device.index is not None:
        torch.cuda.set_device(device)  # must be set in each thread
    epoch = progress.epoch
    order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch)
    for first in range(progress.batches, len(order), settings.accumulate * world.size):
        after = min(first + settings.accumulate * world.size, len(order))
        num_tokens = sum(int(corpus.tgt.lengths[order[i]].sum()) for i in range(first, after))
        parts = []
        # All processes get the same number of parts. If the epoch's last step has too few, a process without a part
        # gets the first one with weight 0.
        for i in range(first + world.rank, after + (first - after) % world.size, world.size):
            index, weight = (i, 1.0) if i < after else (first, 0.0)
            parts.append(Part(make_batch(corpus, order[index], bos_id).to(device), index - first, order[index], weight))
        following = (epoch, after) if after < len(order) else (epoch + 1, 0)
        yield StepData(parts, num_tokens, *following)
