"""The data of each training step: micro-batches in the order of the epoch, converted to tensors ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple, TypeVar

import torch

from translate.config.settings import TrainSettings
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
    number: int  # index among the parts of the step, over all processes; dropout depends on it
    rows: IntArray  # of the corpus, in the order of the batch
    weight: float = 1.0  # 0 if another process counts this part
    halves: tuple[int, ...] = ()  # the halves, 1 or 2, by which it was divided; dropout depends on them

    def split_below(self, too_large: float) -> list[Part]:
        """Halve this part until each resulting part has fewer than `too_large` positions or is a single pair."""
        num_pairs = len(self.rows)
        if num_pairs == 1 or self.batch.num_places < too_large:
            return [self]
        middle = num_pairs // 2
        halves = [
            self._replace(batch=self.batch.select(pairs), rows=self.rows[pairs], halves=(*self.halves, number))
            for number, pairs in enumerate((slice(0, middle), slice(middle, num_pairs)), start=1)
        ]
        return [part for half in halves for part in half.split_below(too_large)]


class StepData(NamedTuple):
    """This process's parts of one step, and the position of the next step in the data."""

    parts: list[Part]
    num_tokens: int  # target pieces of the step without padding, over all processes
    next_epoch: int
    next_batch: int

    @property
    def rows(self) -> list[int]:
        """Rows of the corpus that this process counts."""
        return [row for part in self.parts if part.weight for row in part.rows.tolist()]


def feed(
    prepared: Prepared, settings: TrainSettings, progress: Progress, device: torch.device, world: World
) -> Generator[StepData]:
    """Yield the data of one step after another, on the device, starting from the given progress. Never ends.

    A step consists of `accumulate` parts per process. N processes are equivalent to one process with N times
    `batch_tokens` and `accumulate`. Each pair is used once per epoch. With `vocab.dropout` the processes synchronize
    at the start of each epoch.
    """
    epoch, start = progress.epoch, progress.batches
    while True:
        text, bos_id = prepared.train_in(epoch, world), prepared.vocabs.tgt.bos_id
        epoch_steps = _steps(text, bos_id, settings, (epoch, start), device, world)
        del text  # so that the texts of two epochs are never in memory together
        with closing(prefetched(epoch_steps)) as steps:
            yield from steps
        epoch, start = epoch + 1, 0


def first_step(
    prepared: Prepared, settings: TrainSettings, progress: Progress, device: torch.device, world: World
) -> StepData:
    """Return the data of the next step only."""
    with closing(feed(prepared, settings, progress, device, world)) as steps:
        return next(steps)


def prefetched(items: Iterator[T]) -> Generator[T]:
    """Yield the items, which are produced ahead of time in a thread. The thread ends with the iteration.

    items: must not contain None. An exception that it raises is raised here when its item is due.
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
    corpus: EncodedCorpus,
    bos_id: int,
    settings: TrainSettings,
    cursor: tuple[int, int],
    device: torch.device,
    world: World,
) -> Iterator[StepData]:
    """Yield the steps of an epoch. cursor: number of the epoch, and its first unused batch."""
    if device.index is not None:
        torch.cuda.set_device(device)  # required in each thread
    epoch, start = cursor
    order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch)
    for first in range(start, len(order), settings.accumulate * world.size):
        after = min(first + settings.accumulate * world.size, len(order))
        num_tokens = sum(int(corpus.tgt.lengths[order[i]].sum()) for i in range(first, after))
        parts = []
        for number, weight in _numbers(after - first, world):
            rows = order[first + number]
            parts.append(Part(make_batch(corpus, rows, bos_id).to(device), number, rows, weight))
        following = (epoch, after) if after < len(order) else (epoch + 1, 0)
        yield StepData(parts, num_tokens, *following)


def _numbers(num_parts: int, world: World) -> Iterator[tuple[int, float]]:
    """Yield the numbers and weights of this process's parts. All processes get the same number of parts.

    If the last step of an epoch has too few, a process without a part gets the first one with weight 0.
    """
    for number in range(world.rank, num_parts + -num_parts % world.size, world.size):
        yield (number, 1.0) if number < num_parts else (0, 0.0)
