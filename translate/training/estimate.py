"""Training time estimates, used to plan the number of steps and to report on `translate train --dry-run`."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import torch

from translate.config.limits import LARGEST
from translate.config.settings import Config
from translate.config.toml import differences
from translate.config.train_settings import TrainSettings
from translate.data.batches import epoch_order, make_batch
from translate.data.encoded_corpus import EncodedCorpus
from translate.data.text_scan import TextScan
from translate.report.progress import announced
from translate.run.folder import Run
from translate.system.device import describe, explaining_oom, flushing_denormals, keep_freed_memory, peak_memory
from translate.system.distributed import ALONE, World
from translate.training.checkpoint import Progress, TimedSchedule
from translate.training.feed import Part, StepData, feed, first_step
from translate.training.pace import MIN_SECONDS
from translate.training.prepare import Prepared, prepare
from translate.training.resume import init_from_run
from translate.training.step import WHY_HALVED, Trainer

NUM_WARM_UP, NUM_TIMED = 2, 15  # steps
# Maximum time for additional timing, in seconds and as a share of train.max_minutes (if set): some machines slow down,
# for example by a third, after a few seconds under load.
MAX_EXTRA, SHARE_EXTRA = 10.0, 0.02
FOLLOWS = "the learning rate follows the time left"
MANY = 10**6  # placeholder for the number of steps until it is planned
MAX_WARM_UP = 0.1  # maximum share of steps for warm-up; limits train.warmup_steps
MIN_VALIDATIONS, NUM_VALIDATIONS = 8, 20  # per training: at least, for a learning curve, and if they take little time
MAX_INTERVAL, VALIDATION_SHARE = 500, 0.1  # steps between validations, unless they take a larger share of the time
LOSS_COST, TRANSLATION_COST = 0.3, 2.0  # time per validated piece and per translated piece, relative to training on it


class StepTimes(NamedTuple):
    """Median times of a step in seconds, before R-Drop starts and afterward; the same if it does not start late."""

    before: float
    after: float

    def mean(self, settings: TrainSettings) -> float:
        """Return the mean over the whole training, in seconds."""
        return settings.rdrop_from * self.before + (1 - settings.rdrop_from) * self.after


@dataclass(frozen=True)
class StepPlan:
    """Settings with the planned number of steps and interval of validations."""

    config: Config
    num_steps: int  # expected, whichever limit is reached first
    seconds: float = 0.0  # measured, per step; 0 if the plan does not depend on it
    precision: str | None = None  # precision used for the measurement
    schedule: TimedSchedule | None = None  # if the schedule follows the time left, which max_steps then does not limit
    speed: float = 0.0  # steps per second before R-Drop starts; 0 if not measured

    def __str__(self) -> str:
        minutes = format_minutes(self.num_steps * self.seconds / 60)
        steps = f"{self.num_steps:,} steps of {self.seconds:.3f} s"
        if self.schedule:
            return f"about {minutes} plus validation: about {steps}; {FOLLOWS}"
        return f"about {minutes} plus validation: {steps}"


def plan_steps(
    config: Config, prepared: Prepared, device: torch.device, world: World, recorded: TimedSchedule | None = None
) -> StepPlan:
    """Compute the settings that depend on the length of the training and are not set.

    These are `max_steps` and `warmup_steps` if the schedule needs it, and `validate_every`. All processes must call
    this function; all of them get the same plan. recorded: schedule of the training before it was resumed.
    """
    settings = config.train
    by_epochs = settings.max_epochs * steps_per_epoch(prepared, settings, world) if settings.max_epochs else 0
    if settings.is_timed and recorded and recorded.is_for(settings, by_epochs):
        num_steps = recorded.num_steps
        interval = _interval(settings, num_steps, prepared, world)
        schedule = replace(recorded, position=0.0, validate_every=interval)
        return StepPlan(_planned(config, num_steps, interval), num_steps, schedule=schedule)
    times, precision = None, None
    if settings.is_open or settings.max_minutes:
        times, precision = _measure(config, prepared, device, world)
    seconds = times.mean(settings) if times else 0.0
    by_minutes = 60 * settings.max_minutes / seconds if settings.max_minutes else 0
    limits = [settings.max_steps, by_epochs, by_minutes, 0 if settings.is_timed else LARGEST]  # 0: no limit
    num_steps = max(2, int(min(filter(None, limits))))
    interval = _interval(settings, num_steps, prepared, world)
    plan = StepPlan(_planned(config, num_steps, interval), num_steps, seconds, precision)
    if not (settings.is_timed and times):
        return plan
    schedule = TimedSchedule(
        num_steps, settings.max_minutes, settings.max_epochs, by_epochs, max(1.0, times.after / times.before), interval
    )
    return replace(plan, schedule=schedule, speed=1 / times.before)


def _planned(config: Config, num_steps: int, interval: int) -> Config:
    """Return the settings with a plan. interval: steps between validations; 0: as it is set."""
    settings = config.train
    planned = {"validate_every": interval} if interval else {}
    if settings.is_open:
        planned |= {"max_steps": num_steps, "warmup_steps": min(settings.warmup_steps, int(MAX_WARM_UP * num_steps))}
    return config.model_copy(update={"train": settings.model_copy(update=planned)})


def _interval(settings: TrainSettings, num_steps: int, prepared: Prepared, world: World) -> int:
    """Return the number of steps between validations, or 0 if it is set."""
    if settings.validate_every:
        return 0
    return validation_interval(num_steps, prepared, settings.batch_tokens * world.size)


def validation_interval(num_steps: int, prepared: Prepared, tokens_per_step: int) -> int:
    """Return the number of steps between validations in a training of about `num_steps`.

    At least MIN_VALIDATIONS make a learning curve, unless they would take longer than the training itself. Times are
    estimated from numbers of pieces, so that the interval is the same on every machine.
    """
    lengths = prepared.valid.tgt.lengths
    num_pieces = LOSS_COST * lengths.sum() + TRANSLATION_COST * lengths.mean() * len(prepared.valid_pairs)
    cost = num_pieces / tokens_per_step  # steps that take as long as a validation
    interval = max(min(MAX_INTERVAL, num_steps / NUM_VALIDATIONS), cost / VALIDATION_SHARE)
    return max(1, int(max(min(interval, num_steps / MIN_VALIDATIONS), cost)))


def _measure(config: Config, prepared: Prepared, device: torch.device, world: World) -> tuple[StepTimes, str]:
    """Return the times per step of a throwaway model, and its precision."""
    # The learning rate does not affect the timing, but it must be defined.
    timed = config.train.model_copy(update={"schedule": "constant", "max_steps": MANY})
    trainer = Trainer(config.model_copy(update={"train": timed}), prepared, device, world)
    first = partial(first_step, prepared, timed, Progress(), device, world)
    trainer.settle_precision(None, first)
    trainer.settle_method(first, log=lambda line: None, is_throwaway=True)
    return StepTimes(*world.largest(*step_times(trainer, prepared))), trainer.precision


def steps_per_epoch(prepared: Prepared, settings: TrainSettings, world: World) -> int:
    """Return the number of steps in the first epoch. Later epochs differ only slightly."""
    corpus = prepared.train_in(0, world)
    order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch=0)
    return math.ceil(len(order) / (settings.accumulate * world.size))


def step_times(trainer: Trainer, prepared: Prepared) -> StepTimes:
    """Measure the time of a step, before and after R-Drop starts."""
    with announced("measuring the time per step"):
        before = _seconds_of(trainer, prepared, 1)
        starts_late = trainer.settings.rdrop_from > 0
        return StepTimes(before, _seconds_of(trainer, prepared, trainer.settings.max_steps) if starts_late else before)


def reached_limit(progress: Progress, settings: TrainSettings) -> str | None:
    """Return a description of the limit that training has reached, or None if it has reached none."""
    schedule = progress.schedule
    if settings.max_steps and progress.step >= settings.max_steps and not schedule:
        return f"train.max_steps ({settings.max_steps:,}) reached"
    by_epochs = schedule.steps_by_epochs if schedule else 0
    if settings.max_epochs and (progress.epoch >= settings.max_epochs or 0 < by_epochs <= progress.step):
        return f"train.max_epochs ({settings.max_epochs}) reached"
    if settings.max_minutes and progress.seconds >= 60 * settings.max_minutes:
        return f"train.max_minutes ({settings.max_minutes:g}) reached"
    if settings.patience and progress.stale_validations >= settings.patience:
        return f"{settings.best_by} has not improved in {settings.patience} validations (train.patience)"
    return None


def format_minutes(minutes: float) -> str:
    """Format a duration, given in minutes, as minutes or hours."""
    return f"{minutes:.1f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _seconds_of(trainer: Trainer, prepared: Prepared, number: int) -> float:
    """Return the median time of the first steps, each run as step `number`. All processes time equally many steps."""

    def time_next(count: int) -> list[float]:
        seconds = []
        for data in islice(steps, count):
            started = time.monotonic()
            trainer.step(data, number).losses.translation.item()  # wait for the device
            seconds.append(time.monotonic() - started)
        return seconds

    with closing(feed(prepared, trainer.settings, Progress(), trainer.device, trainer.world)) as steps:
        initial = statistics.median(time_next(NUM_WARM_UP + NUM_TIMED)[NUM_WARM_UP:])
        extra = min(MAX_EXTRA, SHARE_EXTRA * 60 * trainer.settings.max_minutes)
        slowest = trainer.world.largest(initial)[0]
        later = time_next(int(extra / slowest)) if slowest > 0 else []  # a virtual machine's clock may stand still
    return max(statistics.median(later) if len(later) >= NUM_TIMED else initial, MIN_SECONDS)


@flushing_denormals()
def dry_run(run: Run, config: Config, device: torch.device, scan: TextScan | None = None) -> list[str]:
    """Prepare training, time a few steps, and return a report with one fact per line.

    run: temporary run folder. scan: result of an earlier scan of the training text, if available.
    """
    init_from_run(run, config)
    prepared = prepare(run, config, scan)
    plan = plan_steps(config, prepared, device, ALONE)
    config = plan.config
    corpus, settings = prepared.train_in(0, ALONE), config.train
    keep_freed_memory()
    with explaining_oom("lower train.batch_tokens or model.d_model, or raise train.accumulate"):
        trainer = Trainer(config, prepared, device)
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, settings.part_tokens, settings.seed, epoch=0)
        rows = max(order, key=lambda rows: _num_positions(corpus, rows))
        batch = make_batch(corpus, rows, prepared.vocabs.tgt.bos_id)
        largest = StepData([Part(batch, 0, rows)], batch.num_tokens, next_epoch=0, next_batch=0)
        trainer.settle_precision(None, lambda: largest)
        trainer.settle_method(lambda: largest, log=lambda line: None, is_throwaway=True)
        trainer.step(largest, step=settings.max_steps or 1)
        seconds = plan.seconds or step_times(trainer, prepared).mean(settings)
    num_steps = steps_per_epoch(prepared, settings, ALONE)
    num_positions = sum(_num_positions(corpus, rows) for rows in order)
    shown = config
    if plan.schedule:  # its number of steps is no setting
        shown = config.model_copy(update={"train": settings.model_copy(update={"max_steps": 0})})
    changed = ((name, attrgetter(name)(shown)) for name in differences(Config(), shown))
    facts = [
        *(("setting", f"{name} = {list(new) if isinstance(new, tuple) else new!r}") for name, new in changed),
        *_corpus_facts(config, prepared, corpus),
        ("model", f"{trainer.num_parameters:,} parameters"),
        ("device", f"{describe(device)}, {trainer.precision}"),
        ("epoch", f"{num_steps:,} steps, {1 - _num_pieces(corpus) / num_positions:.1%} padding"),
        ("memory", f"peak of {peak_memory(device) / 1e9:.2f} GB, in text preparation or the largest batch"),
        *([("memory", WHY_HALVED.format(settings=settings))] if trainer.gradients.is_halving else []),
        ("step", f"{seconds:.3f} s"),
        ("time", _expected_time(shown.train, num_steps, seconds)),
        *([("time", f"about {plan.num_steps:,} steps; {FOLLOWS}")] if plan.schedule else []),
    ]
    return [f"{name:<12} {fact}" for name, fact in facts]


def _corpus_facts(config: Config, prepared: Prepared, corpus: EncodedCorpus) -> Iterator[tuple[str, str]]:
    """Yield facts about the texts and the vocabulary. corpus: training text as encoded for the first epoch."""
    yield "training", str(corpus.report)
    for side, rows in ("source", corpus.src), ("target", corpus.tgt):
        yield side, f"{rows.lengths.mean():.1f} pieces per line on average, {rows.lengths.max()} at most"
    if dropout := config.vocab.dropout:
        more = _num_pieces(corpus) / _num_pieces(prepared.train) - 1
        yield "dropout", f"merges skipped with probability {dropout:g}: {more:+.1%} pieces in the first epoch"
    yield "validation", str(prepared.valid.report)
    yield "vocabulary", f"{prepared.vocabs.tgt.size:,} pieces{'' if prepared.vocabs.joint else ' per side'}"


def _num_pieces(corpus: EncodedCorpus) -> int:
    return int(corpus.src.lengths.sum()) + int(corpus.tgt.lengths.sum())


def _num_positions(corpus: EncodedCorpus, rows: np.ndarray) -> int:
    """Return the number of source and target positions in a batch, including padding."""
    return len(rows) * (int(corpus.src.lengths[rows].max()) + int(corpus.tgt.lengths[rows].max()))


def _expected_time(settings: TrainSettings, steps_per_epoch: int, seconds: float) -> str:
    """Describe the expected time until training reaches its first limit."""
    limits = {
        f"{settings.max_steps:,} steps (train.max_steps)": settings.max_steps * seconds / 60,
        f"{settings.max_epochs} epochs (train.max_epochs)": settings.max_epochs * steps_per_epoch * seconds / 60,
        "train.max_minutes": settings.max_minutes,
    }
    minutes_until = {end: minutes for end, minutes in limits.items() if minutes}
    if not minutes_until:
        return "unlimited: none of train.max_steps, train.max_epochs and train.max_minutes is set"
    end, minutes = min(minutes_until.items(), key=lambda item: item[1])
    patience = "; train.patience may end training earlier" if settings.patience else ""
    return f"{format_minutes(minutes)} plus validation, limited by {end}{patience}"
