"""Our training: the very `translate.training.loop.train` that the command runs, in a run folder that is thrown away."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path

import torch

from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.work import Work
from translate.config.settings import LARGEST, Config
from translate.data.batches import epoch_order
from translate.run.folder import Run
from translate.training.loop import train
from translate.training.prepare import prepare


def measure(work: Work) -> Measured:
    """Train for `warm_up + steps` updates. What a user gets is timed: batches, logs and all, but no validation."""
    config = _without_interruptions(work.config)
    run = Run.create(Path(tempfile.mkdtemp(prefix="ours-", dir=work.folder)), config)
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        train(run, config, torch.device(work.device))
    batches = itertools.islice(_batches(run, config), work.warm_up, work.warm_up + work.steps)
    return watch.measured(work, reduce(add, batches), "translate")


def _without_interruptions(config: Config) -> Config:
    tables = config.model_dump()
    tables["train"] |= dict.fromkeys(("max_steps", "validate_every", "save_every"), LARGEST)
    return Config.model_validate(tables)


def _batches(run: Run, config: Config) -> Iterator[PieceCounts]:
    """The training's batches, in its order: they follow from the lengths of the pairs, the seed and the epoch."""
    corpus, settings = prepare(run, config).train, config.train
    for epoch in itertools.count():
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch)
        for rows in order:
            yield PieceCounts.of_batch(corpus.src.lengths[rows].tolist(), corpus.tgt.lengths[rows].tolist())
