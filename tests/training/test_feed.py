"""Feeding data to training steps: prefetched, in order and complete."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.runs import CPU, changed
from translate.config.settings import Config
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import World
from translate.training.checkpoint import Progress
from translate.training.feed import AHEAD, StepData, feed, prefetched
from translate.training.prepare import Prepared, prepare


def test_prefetched_items_arrive_in_order_and_prefetching_is_bounded() -> None:
    made = []

    def numbers() -> Iterator[int]:
        for number in range(1, 10):
            made.append(number)
            yield number

    ahead = prefetched(numbers())
    first = [next(ahead) for _ in range(3)]
    time.sleep(0.1)
    assert max(made) == 3 + AHEAD
    assert first + list(ahead) == list(range(1, 10))


def test_an_exception_is_raised_in_place_of_the_failed_item() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise UserError("out of memory")

    ahead = prefetched(numbers())
    assert next(ahead) == 1
    with pytest.raises(UserError, match="out of memory"):
        next(ahead)


def test_the_thread_ends_with_the_iteration() -> None:
    before = threading.active_count()
    ahead = prefetched(iter(range(1, 1000)))
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before


def epoch_of(prepared: Prepared, config: Config, world: World) -> list[StepData]:
    """The data of one process in the first epoch."""
    steps = []
    for data in feed(prepared, config.train, Progress(), CPU, world):
        steps.append(data)
        if data.next_epoch:
            break
    return steps


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_processes_use_every_pair_once_per_epoch(tiny_run: Path, tiny_config: Config, size: int) -> None:
    config = changed(tiny_config, "train", accumulate=2)
    prepared = prepare(Run(tiny_run), config)
    pairs: Counter[tuple[tuple[int, ...], ...]] = Counter()
    for steps in zip(*(epoch_of(prepared, config, World(rank, size)) for rank in range(size)), strict=True):
        assert len({len(data.parts) for data in steps}) == 1  # the processes meet in each part
        assert len({data[1:] for data in steps}) == 1
        counted = [part for data in steps for part in data.parts if part.weight]
        assert sorted(part.number for part in counted) == list(range(len(counted)))
        assert sum(part.batch.num_tokens for part in counted) == steps[0].num_tokens
        for batch in (part.batch for part in counted):
            lengths = (batch.places // batch.tgt_in.size(1)).bincount().tolist()
            sides = zip(batch.src, batch.src_mask, batch.targets.split(lengths), strict=True)
            pairs.update((tuple(src[mask].tolist()), tuple(tgt.tolist())) for src, mask, tgt in sides)
    corpus = prepared.train
    assert pairs == Counter((tuple(corpus.src[i].tolist()), tuple(corpus.tgt[i].tolist())) for i in range(len(corpus)))
