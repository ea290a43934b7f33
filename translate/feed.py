"""What each training step reads: parts of the epoch's order, made into tensors ahead of the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import torch

from translate.batches import Batch, epoch_order, make_batch
from translate.checkpoint import Progress
from translate.config import TrainSettings
from translate.prepare import Prepared

AHEAD = 2  # steps made ready while one is computed

T = TypeVar("T")


class StepData(NamedTuple):
    """The batches of one step, and where in the data the next step starts."""

    batches: list[Batch]
    num_tokens: int  # target pieces of the whole step, padding apart
    next_epoch: int
    next_batch: int


def feed(prepared: Prepared, settings: TrainSettings, progress: Progress, device: torch.device) -> Generator[StepData]:
    """The steps' data on the device, from where training stands, epoch after epoch, without end."""
    return prefetched(_steps(prepared, settings, progress, device))


def prefetched(items: Iterator[T]) -> Generator[T]:
    """The items, none of them None, made ahead in a thread, which ends with the iteration.

    What making an item raises is raised here, in its place.
    """
    worker = ThreadPoolExecutor(max_workers=1)
    try:
        coming = deque(worker.submit(next, items, None) for _ in range(AHEAD))
        while (item := coming.popleft().result()) is not None:
            coming.append(worker.submit(next, items, None))
            yield item
    finally:
        worker.shutdown(cancel_futures=True)


def _steps(prepared: Prepared, settings: TrainSettings, progress: Progress, device: torch.device) -> Iterator[StepData]:
    corpus, bos_id = prepared.train, prepared.vocabs.tgt.bos_id
    epoch, start = progress.epoch, progress.batches
    while True:
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch)
        for first in range(start, len(order), settings.accumulate):
            after = min(first + settings.accumulate, len(order))
            batches = [make_batch(corpus, order[i], bos_id).to(device) for i in range(first, after)]
            num_tokens = sum(batch.num_tokens for batch in batches)
            cursor = (epoch, after) if after < len(order) else (epoch + 1, 0)
            yield StepData(batches, num_tokens, *cursor)
        epoch, start = epoch + 1, 0
