"""The pace of training: a schedule that follows the time left, and the time left itself. Times are simulated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from tests.helpers.runs import CPU, changed, train_into
from translate.config.settings import Config
from translate.config.train_settings import TrainSettings
from translate.run.folder import Run
from translate.training import estimate, loop
from translate.training.checkpoint import Progress, TimedSchedule
from translate.training.estimate import StepTimes, reached_limit
from translate.training.loop import train
from translate.training.optimizer import learning_rate
from translate.training.pace import after_step, expected_steps, follow, is_to_validate, next_position, seconds_left
from translate.training.resolve_config import load_resumed_config
from translate.training.step import StepResult, Trainer

STEP = 0.1  # seconds, as measured before the training
Clock = Callable[[float], float]  # time that a step takes, by the training time before it


class Simulated(NamedTuple):
    """A training without a model."""

    progress: Progress
    settings: TrainSettings
    positions: list[float]  # of each step

    @property
    def last_rate(self) -> float:
        """The last learning rate, relative to the highest."""
        rates = [learning_rate(position, self.settings) for position in self.positions]
        return rates[-1] / max(rates)


def begun(
    minutes: float, max_epochs: int = 0, steps_by_epochs: int = 0, **others: Any
) -> tuple[Progress, TrainSettings]:
    """A training with a schedule planned for a constant speed."""
    num_steps = max(2, int(60 * minutes / STEP))
    num_steps = min(num_steps, steps_by_epochs) if steps_by_epochs else num_steps
    warmup = min(400, num_steps // 10)
    limits = {"max_minutes": minutes, "max_epochs": max_epochs, "warmup_steps": warmup}
    settings = TrainSettings(schedule="cosine", max_steps=0, **limits | others)
    settings = settings.model_copy(update={"max_steps": num_steps})
    schedule = TimedSchedule(num_steps, minutes, max_epochs, steps_by_epochs, rdrop_cost=1.0, validate_every=0)
    return follow(Progress(), schedule, 1 / STEP, settings), settings


def simulated(progress: Progress, settings: TrainSettings, clock: Clock, until: int = -1) -> Simulated:
    """Train until a limit is reached, or until this step."""
    positions = []
    while not reached_limit(progress, settings) and progress.step != until:
        positions.append(next_position(progress, settings))
        progress = after_step(progress, settings, positions[-1], clock(progress.seconds))
    assert positions == sorted(positions)
    return Simulated(progress, settings, positions)


def stalling(at: float, pause: float) -> Clock:
    """A machine that is suspended once."""
    pauses = [pause]
    return lambda seconds: pauses.pop() if seconds >= at and pauses else STEP


@pytest.mark.parametrize(
    ("clock", "num_steps"),
    [
        (lambda seconds: STEP, 6000),
        (lambda seconds: STEP if seconds < 180 else 2 * STEP, 1800 + 2100),
        (lambda seconds: STEP if seconds < 180 else STEP / 2, 1800 + 8400),
        (lambda seconds: STEP if seconds < 590 else 5 * STEP, 5900 + 20),
        (lambda seconds: STEP * (1 + 2 * (seconds // 60 % 2)), 5 * 600 + 5 * 200),
        (lambda seconds: 3 * STEP, 2000),
        (lambda seconds: 0.4 * STEP, 15_000),
        (stalling(240, 120), 4800),
        (stalling(450, 120), 4800),
    ],
    ids=[
        "steady",
        "slows down",
        "speeds up",
        "slows at the end",
        "in turns",
        "slower",
        "faster",
        "stalls",
        "stalls late",
    ],
)
def test_the_schedule_ends_when_the_time_does(clock: Clock, num_steps: int) -> None:
    done = simulated(*begun(10), clock)
    assert done.progress.seconds == pytest.approx(600, rel=0.001)
    assert done.progress.step == pytest.approx(num_steps, abs=2)
    assert done.positions[-1] == pytest.approx(6000, rel=1e-3)
    assert done.last_rate < 1e-4
    # No step skips much of the schedule: after the stall, the others share what it lost.
    assert max(after - before for before, after in pairwise(done.positions)) < 12


def test_at_a_constant_speed_a_position_is_the_number_of_the_step() -> None:
    done = simulated(*begun(10), lambda seconds: STEP)
    assert done.positions == pytest.approx(list(range(1, 6001)))


def test_while_epochs_limit_the_training_its_speed_changes_nothing() -> None:
    start = begun(10, max_epochs=3, steps_by_epochs=1000)
    done = simulated(*start, lambda seconds: STEP if seconds < 50 else 3 * STEP)
    assert done.positions == list(range(1, 1001))  # exactly
    assert reached_limit(done.progress, done.settings) == "train.max_epochs (3) reached"
    slow = simulated(*start, lambda seconds: STEP if seconds < 50 else 20 * STEP)  # the time is over before them
    assert slow.progress.seconds == pytest.approx(600, abs=2)
    assert slow.positions[-1] == pytest.approx(1000)


def test_training_resumed_in_the_middle_continues_from_exactly_there() -> None:
    def clock(seconds: float) -> float:
        return STEP if seconds < 180 else 2 * STEP

    progress, settings = begun(10)
    whole = simulated(progress, settings, clock)
    half = simulated(progress, settings, clock, until=2500)
    assert half.progress.schedule
    again = follow(half.progress, replace(half.progress.schedule, position=0.0), 123.0, settings)
    assert again == half.progress
    validated = replace(half.progress.schedule, position=0.0, validate_every=7)  # the user changes this interval
    assert follow(half.progress, validated, 0.0, settings) == replace(
        half.progress, schedule=replace(validated, position=half.progress.schedule.position)
    )
    assert simulated(again, settings, clock).positions == whole.positions[2500:]


def test_with_a_changed_limit_the_schedule_continues_at_the_share_that_is_used() -> None:
    ended = simulated(*begun(10), lambda seconds: STEP).progress
    fresh, longer = begun(30)
    assert fresh.schedule
    resumed = follow(ended, fresh.schedule, 1 / STEP, longer)
    assert resumed.schedule
    assert resumed.schedule.position == pytest.approx(18_000 / 3, rel=1e-3)
    done = simulated(resumed, longer, lambda seconds: STEP)
    assert done.progress.step == pytest.approx(18_000, abs=2)
    assert done.last_rate < 1e-4
    assert follow(ended, None, 0.0, longer).schedule is None  # with train.max_steps, the number of the step


def test_late_r_drop_is_counted_at_its_cost() -> None:
    """A step with R-Drop takes 1.6 times as long, in the last 45 % of the steps."""
    progress, settings = begun(10, rdrop=3.0, rdrop_from=0.55, decay_from=0.55)
    assert progress.schedule
    num_steps = int(600 / STEP / (0.55 + 0.45 * 1.6))
    settings = settings.model_copy(update={"max_steps": num_steps})
    progress = replace(progress, schedule=replace(progress.schedule, num_steps=num_steps, rdrop_cost=1.6))
    while not reached_limit(progress, settings):
        position = next_position(progress, settings)
        assert position == pytest.approx(min(progress.step + 1, num_steps), rel=1e-3)
        cost = 1.6 if position > settings.steps_before_rdrop else 1.0
        progress = after_step(progress, settings, position, STEP * cost)
        assert expected_steps(progress, settings) == pytest.approx(num_steps, abs=2)


@pytest.mark.parametrize("minutes", [1e-6, 0.001, 1e7])
@pytest.mark.parametrize("seconds", [0.0, 1e-5, 1e5], ids=["clock stands still", "fast", "slow"])
def test_no_time_limit_and_no_clock_breaks_the_schedule(minutes: float, seconds: float) -> None:
    done = simulated(*begun(minutes), lambda _: seconds, until=50)
    assert all(0 < position <= done.settings.max_steps for position in done.positions)
    assert seconds_left(done.progress, done.settings, 1) is not None


@pytest.mark.parametrize("step", [10, 20, 30, 40])
def test_the_time_left_counts_steps_with_r_drop_twice(step: int) -> None:
    settings = TrainSettings(max_steps=40, rdrop=3.0, rdrop_from=0.5)
    progress = Progress()
    for number in range(1, step + 1):
        progress = after_step(progress, settings, number, 2.0 if number > 20 else 1.0)
    expected = 60 - progress.seconds
    assert seconds_left(progress, settings, 1) == pytest.approx(expected)
    by_epochs = settings.model_copy(update={"max_epochs": 4})
    for epoch, batches in (step // 10, 0), (step // 10 - 1, 20):  # of 20 batches, two in a step
        progress = replace(progress, epoch=epoch, batches=batches)
        assert seconds_left(progress, by_epochs, 2) == pytest.approx(expected)


def test_the_time_left_follows_the_speed_of_the_last_minute() -> None:
    settings, progress = TrainSettings(max_steps=10_000), Progress()
    for seconds in [1.0] * 1000 + [3.0] * 60:
        progress = after_step(progress, settings, progress.step + 1, seconds)
    assert seconds_left(progress, settings, 1) == pytest.approx(3 * (10_000 - 1060), rel=0.15)
    paused = after_step(progress, settings, 1.0, 600.0)  # a pause says little
    assert seconds_left(paused, settings, 1) == pytest.approx(3 * (10_000 - 1061), rel=0.5)


def test_a_chosen_interval_of_validations_is_one_of_the_schedule() -> None:
    """On a machine at a quarter of the planned speed, training still validates as often."""
    progress, settings = begun(10, validate_every=300)
    assert progress.schedule
    progress = replace(progress, schedule=replace(progress.schedule, validate_every=300))
    validated = []
    while not reached_limit(progress, settings):
        before = progress
        progress = after_step(progress, settings, next_position(progress, settings), 4 * STEP)
        validated += [progress.step] * is_to_validate(before, progress, settings)
    assert len(validated) in (19, 20)
    assert progress.step < 1700
    progress, settings = begun(10, validate_every=300)  # set by the user: every 300 steps
    assert simulated(progress, settings, lambda _: 4 * STEP).progress.step == pytest.approx(1500, abs=2)
    assert [step for step in range(1, 1000) if is_to_validate(progress, replace(progress, step=step), settings)] == [
        300,
        600,
        900,
    ]


@pytest.fixture
def slowing(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let a step take 20 seconds on a simulated clock, and 40 after three minutes. Returns the clock, in a list."""
    now = [0.0]
    step = Trainer.step

    def advance(*arguments: Any) -> StepResult:
        now[0] += 20.0 if now[0] < 180 else 40.0
        return step(*arguments)

    monkeypatch.setattr(Trainer, "step", advance)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(estimate, "step_times", lambda *_: StepTimes(20.0, 20.0))
    return now


def test_a_training_of_ten_minutes_ends_its_schedule_on_a_machine_that_slows_down(
    tmp_path: Path, tiny_config: Config, slowing: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is then resumed from the middle, and trained for longer."""
    limits = {"schedule": "cosine", "max_steps": 0, "max_minutes": 10.0, "patience": 0}
    often = {"log_every": 1, "validate_every": 0, "validate_sentences": 0, "save_every": 5, "keep_checkpoints": 9}
    config = changed(tiny_config, "train", **limits | often)
    run = train_into(tmp_path / "run", config)
    assert 600 <= slowing[0] < 640
    rates = learning_rates(run)
    assert len(rates) == 9 + 420 // 40 + 1
    assert max(rates) > 0.99 * config.train.learning_rate
    assert rates[-1] < 0.01 * max(rates)
    assert "about 10.0 minutes plus validation: about 30 steps of 20.000 s" in run.log_path.read_text()
    assert run.load_config() == config  # the plan is in the checkpoints

    monkeypatch.setattr(estimate, "step_times", None)  # the plan is still valid
    for name in "step-00000015", f"step-{len(rates):08d}":
        shutil.rmtree(run.checkpoints_path / name)
    slowing[0] = 180 + 40  # after step 10
    train(run, run.load_config(), CPU)
    assert learning_rates(run) == rates

    monkeypatch.setattr(estimate, "step_times", lambda *_: StepTimes(40.0, 40.0))
    longer = load_resumed_config(run, None, {"train.max_minutes": 20.0})
    train(Run.resume(run.path, longer), longer, CPU)
    assert 1200 <= slowing[0] < 1240
    assert learning_rates(run)[: len(rates)] == rates
    assert 0.5 < learning_rates(run)[len(rates)] / max(rates) < 0.6
    assert learning_rates(run)[-1] < 0.01 * max(rates)


def learning_rates(run: Run) -> list[float]:
    return [line["learning_rate"] for line in run.metrics() if "learning_rate" in line]


def test_other_limits_or_batches_need_another_schedule() -> None:
    schedule = TimedSchedule(100, 10.0, 3, steps_by_epochs=90, rdrop_cost=1.0, validate_every=0)
    settings = TrainSettings(max_minutes=10.0, max_epochs=3)
    assert schedule.is_for(settings, 90)
    assert not schedule.is_for(settings, 45)  # after train.batch_tokens was doubled
    assert not schedule.is_for(settings.model_copy(update={"max_minutes": 20.0}), 90)
