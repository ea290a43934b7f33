"""How many steps a training has, where its learning rate falls to the end and the end is one of epochs or minutes.

The learning rate is a function of the step, so that resuming is exact. So the steps are counted before the first one:
from the text for epochs, from the speed of this machine for minutes.
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import torch

from translate.config.settings import Config, TrainSettings
from translate.data.batches import epoch_order
from translate.system.distributed import World
from translate.training.checkpoint import Progress
from translate.training.feed import feed
from translate.training.prepare import Prepared
from translate.training.step import Trainer

NUM_WARM_UP, NUM_TIMED = 2, 15  # steps
# Where the steps have to fit into minutes they are watched for so many seconds more, at most this share of all: after
# some seconds of work a machine may slow down, by a third for example.
MOST_WATCHED, SHARE_WATCHED = 10.0, 0.02
MANY = 10**6  # steps, while their number is open
MOST_WARM_UP = 0.1  # of the steps, where there are fewer than train.warmup_steps was meant for
SLACK = 0.95  # of train.max_minutes: so that a machine that slows down a little still comes to the end


@dataclass(frozen=True)
class Length:
    """The settings with the number of steps, and what a step takes."""

    config: Config
    seconds: float  # a step
    precision: str  # in which that was measured

    def __str__(self) -> str:
        settings = self.config.train
        minutes = settings.max_steps * self.seconds / 60
        return f"about {in_words(minutes)}, validation apart: {settings.max_steps:,} steps of {self.seconds:.3f} s"


def settle_length(config: Config, prepared: Prepared, device: torch.device, world: World) -> Length:
    """The settings with `train.max_steps`: those of `train.max_epochs`, or for which `train.max_minutes` suffice.

    All processes have to call this, and get the same. What a throw-away model of the settings takes is measured.
    """
    settings = config.train
    precision, seconds = _tried_out(config, prepared, device, world)
    ends = []
    if settings.max_epochs:
        ends.append(settings.max_epochs * steps_an_epoch(prepared, settings, world))
    if settings.max_minutes:
        ends.append(int(SLACK * 60 * settings.max_minutes / seconds))
    num_steps = max(2, min(ends))
    warmup = min(settings.warmup_steps, int(MOST_WARM_UP * num_steps))
    train = settings.model_copy(update={"max_steps": num_steps, "warmup_steps": warmup})
    return Length(config.model_copy(update={"train": train}), seconds, precision)


def steps_an_epoch(prepared: Prepared, settings: TrainSettings, world: World) -> int:
    """Of the first epoch, over all processes; of the others nearly as many."""
    corpus = prepared.train_in(0, world)
    order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch=0)
    return -(-len(order) // (settings.accumulate * world.size))


def seconds_a_step(trainer: Trainer, prepared: Prepared, settings: TrainSettings) -> float:
    """The median of some steps, which are made; with R-Drop from some step on, the mean of before and after."""
    before = _seconds_of(trainer, prepared, settings, 1)
    if not settings.rdrop_from:
        return before
    after = _seconds_of(trainer, prepared, settings, settings.max_steps)
    return settings.rdrop_from * before + (1 - settings.rdrop_from) * after


def in_words(minutes: float) -> str:
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
        watched = min(MOST_WATCHED, SHARE_WATCHED * 60 * settings.max_minutes)
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
    return trainer.precision, world.largest(seconds_a_step(trainer, prepared, train))[0]
