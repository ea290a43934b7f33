"""The pace of training: the speed over about the last minute, the time left, and a schedule that follows it.

Where train.max_minutes may end the training, its number of steps is not known beforehand. Its schedule is then as long
as the number of steps planned at the start, and each step moves through it by the rest of the schedule divided by the
number of steps that the time left allows at the present speed. So the schedule ends when the time does, whatever else
the machine has to do. As long as the speed stays as it was planned, each step moves by exactly one.
"""

from __future__ import annotations

import math
from dataclasses import replace

from translate.config.train_settings import TrainSettings
from translate.training.checkpoint import Progress, TimedSchedule
from translate.training.optimizer import rdrop_weight

WINDOW = 60.0  # seconds of training over which the speed is averaged
SHARE_LEFT = 0.25  # of the time left: the maximum window where the schedule follows it
# Of one step in that average: a pause, such as that of a suspended laptop, says little about the speed.
MAX_WEIGHT = 0.2
MIN_SECONDS = 1e-4  # assumed minimum time of a step
RDROP_COST = 2.0  # time of a step with R-Drop, relative to one without, where it is not measured


def position_of(progress: Progress) -> float:
    """Return the position of the last step in the schedule, which is its number unless the schedule is timed."""
    return progress.schedule.position if progress.schedule else progress.step


def next_position(progress: Progress, settings: TrainSettings) -> float:
    """Return the position of the next step in the schedule."""
    if not progress.schedule:
        return progress.step + 1
    position, end = progress.schedule.position, progress.schedule.num_steps
    return min(end, position + (end - position) / max(1.0, steps_left(progress, progress.schedule, settings)))


def steps_left(progress: Progress, schedule: TimedSchedule, settings: TrainSettings) -> float:
    """Return the number of steps until training reaches its first limit, expected from the present speed."""
    seconds = 60 * settings.max_minutes - progress.seconds
    by_time = max(0.0, seconds) * (progress.speed or 0.0) / _cost_per_step(schedule, settings)
    return min(by_time, schedule.steps_by_epochs - progress.step) if schedule.steps_by_epochs else by_time


def after_step(progress: Progress, settings: TrainSettings, position: float, seconds: float) -> Progress:
    """Return the progress after another step.

    position: its position in the schedule. seconds: the time that it took, which does not include validation.
    """
    schedule, total, seconds = progress.schedule, progress.seconds + seconds, max(seconds, MIN_SECONDS)
    cost = rdrop_cost(progress) if rdrop_weight(position, settings) else 1.0
    window = min(WINDOW, SHARE_LEFT * max(60 * settings.max_minutes - total, 1.0)) if schedule else WINDOW
    weight = min(1 - math.exp(-seconds / window), MAX_WEIGHT)
    if not schedule:  # the first speed of a timed schedule is measured beforehand, over many steps
        weight = max(weight, seconds / max(total, seconds))
    speed = cost / seconds if progress.speed is None else (1 - weight) * progress.speed + weight * cost / seconds
    schedule = schedule and replace(schedule, position=position)
    return replace(progress, step=progress.step + 1, seconds=total, speed=speed, schedule=schedule)


def seconds_left(progress: Progress, settings: TrainSettings, batches_per_step: int) -> float | None:
    """Estimate the remaining training time in seconds from the present speed. Returns None if no limit is known."""
    left, schedule = [], progress.schedule
    if settings.max_minutes:
        left.append(60 * settings.max_minutes - progress.seconds)
    if schedule and schedule.steps_by_epochs and progress.speed:
        num_steps = schedule.steps_by_epochs - progress.step
        left.append(num_steps * _cost_per_step(schedule, settings) / progress.speed)
    if not schedule and progress.speed:
        last_steps = [float(settings.max_steps)] if settings.max_steps else []
        if settings.max_epochs and progress.epoch:
            in_this_epoch = math.ceil(progress.batches / batches_per_step)
            last_steps.append((progress.step - in_this_epoch) / progress.epoch * settings.max_epochs)
        left += [work(progress.step, last, settings, RDROP_COST) / progress.speed for last in last_steps]
    return max(0.0, min(left)) if left else None


def expected_steps(progress: Progress, settings: TrainSettings) -> int | None:
    """Return the number of steps of the training, expected from the present speed if the schedule is timed."""
    if progress.schedule:
        return progress.step + round(steps_left(progress, progress.schedule, settings))
    return settings.max_steps or None


def is_to_validate(before: Progress, progress: Progress, settings: TrainSettings) -> bool:
    """Return whether to validate after the step that led from one progress to the other."""
    interval = progress.schedule.validate_every if progress.schedule else 0
    if interval:
        return position_of(progress) // interval > position_of(before) // interval
    return progress.step % settings.validate_every == 0


def rdrop_cost(progress: Progress) -> float:
    """Return the time of a step with R-Drop, relative to one without."""
    return progress.schedule.rdrop_cost if progress.schedule else RDROP_COST


def work(first: float, last: float, settings: TrainSettings, rdrop_cost: float) -> float:
    """Return the time that it takes to get from one position to another, in steps without R-Drop."""
    with_rdrop = max(0.0, last - max(first, settings.steps_before_rdrop)) if settings.rdrop else 0.0
    return last - first + (rdrop_cost - 1) * with_rdrop


def follow(progress: Progress, schedule: TimedSchedule | None, speed: float, settings: TrainSettings) -> Progress:
    """Return the progress of a new or resumed training that follows `schedule`, which starts at position 0.

    The position is kept if the schedule is the same as before, except for validations. Otherwise it is the share of its
    time or of its epochs that the training has used. speed: measured for the schedule; used only in that case.
    """
    if not schedule:
        return replace(progress, schedule=None, speed=None if progress.schedule else progress.speed)
    if (old := progress.schedule) and replace(old, position=0.0, validate_every=schedule.validate_every) == schedule:
        return replace(progress, schedule=replace(schedule, position=old.position))
    shares = [progress.seconds / (60 * settings.max_minutes)]
    if schedule.steps_by_epochs:
        shares.append(progress.step / schedule.steps_by_epochs)
    position = min(1.0, max(shares)) * schedule.num_steps
    return replace(progress, schedule=replace(schedule, position=position), speed=speed)


def _cost_per_step(schedule: TimedSchedule, settings: TrainSettings) -> float:
    """Return the mean time of the remaining steps of the schedule, relative to a step without R-Drop."""
    position, end = schedule.position, schedule.num_steps
    if position >= end:
        return schedule.rdrop_cost if settings.rdrop else 1.0
    return work(position, end, settings, schedule.rdrop_cost) / (end - position)
