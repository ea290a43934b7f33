"""How long a training takes: its number of steps, and what `translate train --dry-run` reports."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from translate.config.settings import Config, TrainSettings
from translate.config.toml import differences
from translate.data.batches import EpochOrder, epoch_order, make_batch
from translate.data.encoded_corpus import EncodedCorpus
from translate.run.folder import Run
from translate.system.device import describe, explaining_oom, keep_freed_memory, peak_memory
from translate.system.distributed import ALONE, World
from translate.training.checkpoint import Progress
from translate.training.feed import Part, StepData, feed
from translate.training.prepare import Prepared, prepare
from translate.training.resume import init_from_run
from translate.training.step import WHY_HALVED, Trainer

NUM_WARM_UP, NUM_TIMED = 2, 15  # steps
# Where the steps have to fit into minutes they are watched for so many seconds more, at most this share of all: after
# some seconds of work a machine may slow down, by a third for example.
MAX_WATCHED, SHARE_WATCHED = 10.0, 0.02
MANY = 10**6  # steps, while their number is open
MAX_WARM_UP = 0.1  # of the steps, where there are fewer than train.warmup_steps was meant for
SLACK = 0.95  # of train.max_minutes: so that a machine that slows down a little still comes to the end


@dataclass(frozen=True)
class StepPlan:
    """The settings with the number of steps, and what a step takes."""

    config: Config
    seconds: float  # a step
    precision: str  # in which that was measured

    def __str__(self) -> str:
        settings = self.config.train
        minutes = settings.max_steps * self.seconds / 60
        return (
            f"about {format_minutes(minutes)}, validation apart: {settings.max_steps:,} steps of {self.seconds:.3f} s"
        )


def plan_steps(config: Config, prepared: Prepared, device: torch.device, world: World) -> StepPlan:
    """The settings with `train.max_steps`: those of `train.max_epochs`, or for which `train.max_minutes` suffice.

    All processes have to call this, and get the same. What a throw-away model of the settings takes is measured.
    """
    settings = config.train
    precision, seconds = _tried_out(config, prepared, device, world)
    ends = []
    if settings.max_epochs:
        ends.append(settings.max_epochs * steps_per_epoch(prepared, settings, world))
    if settings.max_minutes:
        ends.append(int(SLACK * 60 * settings.max_minutes / seconds))
    num_steps = max(2, min(ends))
    warmup = min(settings.warmup_steps, int(MAX_WARM_UP * num_steps))
    train = settings.model_copy(update={"max_steps": num_steps, "warmup_steps": warmup})
    return StepPlan(config.model_copy(update={"train": train}), seconds, precision)


def steps_per_epoch(prepared: Prepared, settings: TrainSettings, world: World) -> int:
    """Of the first epoch, over all processes; of the others nearly as many."""
    corpus = prepared.train_in(0, world)
    order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch=0)
    return -(-len(order) // (settings.accumulate * world.size))


def seconds_per_step(trainer: Trainer, prepared: Prepared, settings: TrainSettings) -> float:
    """The median of some steps, which are made; with R-Drop from some step on, the mean of before and after."""
    before = _seconds_of(trainer, prepared, settings, 1)
    if not settings.rdrop_from:
        return before
    after = _seconds_of(trainer, prepared, settings, settings.max_steps)
    return settings.rdrop_from * before + (1 - settings.rdrop_from) * after


def format_minutes(minutes: float) -> str:
    """A time that is expected."""
    return f"{minutes:.1f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _seconds_of(trainer: Trainer, prepared: Prepared, settings: TrainSettings, number: int) -> float:
    """Made are the first steps of the text, each as the one of that number; in all processes as many."""

    def of_next(count: int) -> list[float]:
        seconds = []
        for data in islice(steps, count):
            started = time.monotonic()
            trainer.step(data, number).losses.translation.item()  # waits for the device
            seconds.append(time.monotonic() - started)
        return seconds

    with closing(feed(prepared, settings, Progress(), trainer.device, trainer.world)) as steps:
        at_first = statistics.median(of_next(NUM_WARM_UP + NUM_TIMED)[NUM_WARM_UP:])
        watched = min(MAX_WATCHED, SHARE_WATCHED * 60 * settings.max_minutes)
        later = of_next(int(watched / trainer.world.largest(at_first)[0]))
    return statistics.median(later) if len(later) >= NUM_TIMED else at_first


def _tried_out(config: Config, prepared: Prepared, device: torch.device, world: World) -> tuple[str, float]:
    """The precision and the seconds of a step of a model like the one to be trained; the slowest process counts."""
    # The learning rate does not matter here, only that there is one.
    train = config.train.model_copy(update={"schedule": "constant", "max_steps": MANY})
    trainer = Trainer(config.model_copy(update={"train": train}), prepared, device, world)
    with closing(feed(prepared, train, Progress(), device, world)) as steps:
        first = next(steps)
    trainer.settle_precision(None, lambda: first)
    return trainer.precision, world.largest(seconds_per_step(trainer, prepared, train))[0]


def dry_run(run: Run, config: Config, device: torch.device) -> list[str]:
    """Prepare a training and make a few steps of it. Returns what it would be, a line a fact.

    The run folder is only a place to work in.
    """
    init_from_run(run, config)
    prepared = prepare(run, config)
    length = plan_steps(config, prepared, device, ALONE) if config.train.is_open else None
    config = length.config if length else config
    corpus, settings = prepared.train_in(0, ALONE), config.train
    keep_freed_memory()
    with explaining_oom("lower train.batch_tokens or model.d_model, or raise train.accumulate"):
        trainer = Trainer(config, prepared, device)
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch=0)
        largest = _largest(corpus, order, prepared.vocabs.tgt.bos_id)
        trainer.settle_precision(None, lambda: largest)
        trainer.step(largest, step=settings.max_steps or 1)
        seconds = length.seconds if length else seconds_per_step(trainer, prepared, settings)
    num_steps = steps_per_epoch(prepared, settings, ALONE)
    places = [_places(corpus, rows) for rows in order]
    pieces = int(corpus.src.lengths.sum()) + int(corpus.tgt.lengths.sum())
    lines = [f"setting      {name} = {value!r}" for name, value in _changed_values(config)]
    lines += [
        f"training     {corpus.report}",
        *(
            f"{side:<12} {rows.lengths.mean():.1f} pieces a line, {rows.lengths.max()} at most"
            for side, rows in (("source", corpus.src), ("target", corpus.tgt))
        ),
        *_told_of_dropout(config.vocab.dropout, prepared.train, pieces),
        f"validation   {prepared.valid.report}",
        f"vocabulary   {prepared.vocabs.tgt.size:,} pieces{'' if prepared.vocabs.joint else ' a side'}",
        f"model        {trainer.num_parameters:,} parameters",
        f"device       {describe(device)}, {trainer.precision}",
        f"epoch        {num_steps:,} steps, {1 - pieces / sum(places):.1%} padding",
        f"memory       {peak_memory(device) / 1e9:.2f} GB at most, preparing the text or in the largest batch",
        *([f"memory       {WHY_HALVED.format(settings=settings)}"] if trainer.is_halving else []),
        f"step         {seconds:.3f} s",
        f"time         {_expected_time(settings, num_steps, seconds)}",
    ]
    return lines


def _changed_values(config: Config) -> Iterator[tuple[str, object]]:
    """The settings that are not the defaults."""
    for name in differences(Config(), config):
        section, _, key = name.partition(".")
        value = getattr(getattr(config, section), key)
        yield name, list(value) if isinstance(value, tuple) else value


def _told_of_dropout(dropout: float, whole: EncodedCorpus, num_drawn: int) -> Iterator[str]:
    if dropout:
        more = num_drawn / (int(whole.src.lengths.sum()) + int(whole.tgt.lengths.sum())) - 1
        yield f"dropout      {dropout:g} of the merges, anew each epoch: {more:+.1%} pieces in the first"


def _places(corpus: EncodedCorpus, rows: np.ndarray) -> int:
    """Pieces and padding of a batch, both sides."""
    return len(rows) * (int(corpus.src.lengths[rows].max()) + int(corpus.tgt.lengths[rows].max()))


def _largest(corpus: EncodedCorpus, order: EpochOrder, bos_id: int) -> StepData:
    """A step of the epoch's largest batch alone."""
    rows = max(order, key=lambda rows: _places(corpus, rows))
    batch = make_batch(corpus, rows, bos_id)
    return StepData([Part(batch, 0, rows)], batch.num_tokens, next_epoch=0, next_batch=0)


def _expected_time(settings: TrainSettings, steps_per_epoch: int, seconds: float) -> str:
    """Until the first limit that is set, in words."""
    ends = {}
    if settings.max_steps:
        ends[f"{settings.max_steps:,} steps (train.max_steps)"] = settings.max_steps * seconds / 60
    if settings.max_epochs:
        ends[f"{settings.max_epochs} epochs (train.max_epochs)"] = settings.max_epochs * steps_per_epoch * seconds / 60
    if settings.max_minutes:
        ends["train.max_minutes"] = settings.max_minutes
    if not ends:
        return "without end: no limit of steps, epochs or minutes is set"
    end, minutes = min(ends.items(), key=lambda item: item[1])
    patience = "; train.patience may end it before" if settings.patience else ""
    return f"{format_minutes(minutes)} until {end}, validation apart{patience}"
