"""Planning the number of steps from a limit on epochs or minutes."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers.runs import CPU, changed, train_into
from translate.config.settings import Config
from translate.config.toml import load_config, to_toml
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import ALONE
from translate.training import estimate, loop
from translate.training.checkpoint import Progress
from translate.training.estimate import StepTimes, dry_run, plan_steps, steps_per_epoch, validation_interval
from translate.training.loop import train
from translate.training.pace import after_step, follow, seconds_left
from translate.training.prepare import prepare
from translate.training.resolve_config import load_resumed_config
from translate.training.step import StepResult, Trainer


@pytest.fixture(scope="session")
def config(tiny_config: Config) -> Config:
    return changed(tiny_config, "train", schedule="cosine", max_steps=0, max_epochs=2, ema_decay=0.5)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Run:
    return train_into(tmp_path_factory.mktemp("length") / "run", config)


def test_training_by_epochs_equals_training_by_as_many_steps(tmp_path: Path, config: Config, whole: Run) -> None:
    settled = whole.load_config()
    an_epoch = steps_per_epoch(prepare(whole, settled), settled.train, ALONE)
    assert settled.train.max_steps == 2 * an_epoch
    assert settled.train.max_epochs == 2
    rates = [line["learning_rate"] for line in whole.metrics() if "learning_rate" in line]
    assert rates[-1] < 0.02 * max(rates)
    by_steps = changed(config, "train", max_steps=2 * an_epoch, max_epochs=0, warmup_steps=settled.train.warmup_steps)
    other = train_into(tmp_path / "run", by_steps)
    assert other.weights_path.read_bytes() == whole.weights_path.read_bytes()


def test_resumed_training_keeps_the_planned_number_of_steps(
    tmp_path: Path, config: Config, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = whole.load_config()
    run = train_into(tmp_path / "run", changed(settled, "train", max_epochs=1))  # ends on the way to the same end
    run.write_config(settled)
    settings = tmp_path / "settings.toml"
    settings.write_text(to_toml(config))
    monkeypatch.setattr(loop, "plan_steps", None)  # to be counted again would be another length
    again = load_resumed_config(run, settings, {})
    unset = to_toml(changed(config, "train", validate_every=0))
    (tmp_path / "unset.toml").write_text(unset)
    assert load_resumed_config(run, tmp_path / "unset.toml", {}).train == again.train
    assert again.train.max_steps == settled.train.max_steps
    train(Run.resume(run.path, again), again, CPU)
    assert run.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert load_resumed_config(run, settings, {"train.max_epochs": 3}).train.max_steps == 0


def test_minutes_are_converted_to_the_number_of_steps_that_fit(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "step_times", lambda *_: StepTimes(0.5, 0.5))
    config = changed(config, "train", max_epochs=0, max_minutes=1, warmup_steps=400, validate_sentences=5)
    run = Run.create(tmp_path / "run", config)
    prepared = prepare(run, config)
    plan = plan_steps(config, prepared, CPU, ALONE)
    assert plan.schedule is not None
    for interval in 5, 0:  # the user sets the interval of validations and resumes, then leaves it to the plan
        again = plan_steps(changed(config, "train", validate_every=interval), prepared, CPU, ALONE, plan.schedule)
        assert again.schedule == replace(plan.schedule, validate_every=0 if interval else 15)
        assert again.config.train.validate_every == (interval or 15)
    assert plan.config.train.max_steps == plan.schedule.num_steps == 60 / 0.5
    assert plan.config.train.warmup_steps == 12  # a tenth of the steps: 400 would be all of them
    follows = "the learning rate follows the time left"
    assert str(plan) == f"about 1.0 minutes plus validation: about 120 steps of 0.500 s; {follows}"
    told = dry_run(run, config, CPU)
    assert "setting      train.max_steps = 0" in told  # they do not limit the training
    assert "setting      train.warmup_steps = 12" in told
    assert f"time         about 120 steps; {follows}" in told


@pytest.mark.parametrize(
    "limit",
    [
        {"max_minutes": 1e-6},
        {"max_minutes": 1e7},
        {"max_epochs": 1},
        {"max_epochs": 2**31 - 1},
        {"max_epochs": 2**31 - 1, "max_minutes": 1e7},
    ],
    ids=str,
)
def test_the_planned_settings_are_accepted_again(
    tmp_path: Path, config: Config, limit: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ends of each limit: what training writes to config.toml must be readable."""
    monkeypatch.setattr(estimate, "step_times", lambda *_: StepTimes(1e-3, 1e-3))
    config = changed(config, "train", **({"max_epochs": 0} | limit))
    run = Run.create(tmp_path / "run", config)
    plan = plan_steps(config, prepare(run, config), CPU, ALONE)
    settings = plan.config.train
    if not plan.schedule:
        run.write_config(plan.config)
        assert run.load_config() == plan.config
        assert settings.max_steps <= 2**31 - 1
    assert plan.num_steps == settings.max_steps >= 2
    assert str(plan).startswith("about ")
    progress = after_step(follow(Progress(), plan.schedule, plan.speed, settings), settings, 1.0, 1e-3)
    assert seconds_left(progress, settings, 1) is not None


@pytest.mark.parametrize("num_steps", [1, 2, 7, 8, 100, 1000, 9999, 10**6])
@pytest.mark.parametrize("tokens_per_step", [64, 1024, 10**6])
def test_validations_draw_a_curve_and_take_little_time(whole: Run, num_steps: int, tokens_per_step: int) -> None:
    prepared = prepare(whole, whole.load_config())
    interval = validation_interval(num_steps, prepared, tokens_per_step)
    assert interval >= 1
    # A validation takes about the time of as many steps as two epochs of the text that it translates would have.
    lengths = prepared.valid.tgt.lengths
    cost = (0.3 * lengths.sum() + 2 * lengths.mean() * len(prepared.valid_pairs)) / tokens_per_step
    assert cost * (num_steps // interval) <= num_steps + cost
    if num_steps > 8 * cost:
        assert num_steps // interval >= min(8, num_steps)
    if num_steps >= 100 * cost and num_steps >= 20 * 500:
        assert interval == 500 or cost * num_steps / interval == pytest.approx(0.1 * num_steps, rel=0.1)


def test_the_planned_steps_are_written_to_the_settings_of_the_run(whole: Run) -> None:
    assert f" plus validation: {whole.load_config().train.max_steps} steps of" in whole.log_path.read_text()
    assert load_config(whole.config_path).train.max_steps > 0


def test_with_late_r_drop_the_step_time_is_a_weighted_mean(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 3 seconds with R-Drop, and 1 second before."""
    monkeypatch.setattr(estimate, "_seconds_of", lambda *arguments: 3.0 if arguments[-1] > 1 else 1.0)
    limits = {"schedule": "cosine", "max_steps": 0, "max_minutes": 1.0, "rdrop": 3.0, "rdrop_from": 0.25}
    config = changed(tiny_config, "train", **limits)
    run = Run.create(tmp_path / "run", config)
    plan = plan_steps(config, prepare(run, config), CPU, ALONE)
    assert plan.seconds == 2.5
    assert plan.config.train.max_steps == 60 / 2.5


def test_late_r_drop_needs_a_number_of_steps() -> None:
    values = {"train.rdrop": 3.0, "train.rdrop_from": 0.5, "train.max_steps": 0, "train.max_epochs": 2}
    with pytest.raises(UserError, match=r"rdrop_from 0\.5 is a fraction of max_steps, which is 0; set max_steps"):
        load_config(None, values)
    assert load_config(None, values | {"train.schedule": "cosine"}).train.is_open


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"train.rdrop_from": 0.5}, "rdrop_from 0.5 is set, but R-Drop is off; set rdrop above 0"),
        ({"train.rdrop": 3.0, "model.dropout": 0.0}, "train.rdrop = 3: R-Drop has no effect without dropout"),
    ],
)
def test_r_drop_settings_without_effect_are_refused(values: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        load_config(None, values)


def test_steps_are_timed_for_longer_if_a_time_limit_is_set(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step advances the fake clock, by 0.1 seconds at first and by 0.2 after 20 steps."""
    clock, num_steps = [0.0], [0]
    step = Trainer.step

    def slowing(*arguments: object) -> StepResult:
        num_steps[0] += 1
        clock[0] += 0.1 if num_steps[0] <= 20 else 0.2
        return step(*arguments)

    monkeypatch.setattr(Trainer, "step", slowing)
    monkeypatch.setattr(estimate, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    limits: list[tuple[dict[str, object], float]] = [({"max_minutes": 5.0}, 0.2), ({"max_epochs": 2}, 0.1)]
    for limit, seconds in limits:
        clock, num_steps = [0.0], [0]
        config = changed(tiny_config, "train", schedule="cosine", max_steps=0, **limit)
        run = Run.create(tmp_path / str(seconds), config)
        assert plan_steps(config, prepare(run, config), CPU, ALONE).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("pace", [0.0, -1.0], ids=["stands still", "runs back"])
def test_training_plans_and_ends_whatever_the_clock_says(
    pace: float, tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    for clock in "monotonic", "perf_counter", "time":
        monkeypatch.setattr(time, clock, lambda: 1e6 + pace * next(ticks))
    run = train_into(tmp_path / "run", changed(tiny_config, "train", max_steps=0, max_epochs=1, max_minutes=60.0))
    minutes = [line["minutes"] for line in run.metrics() if "minutes" in line]
    assert set(minutes) == {0.0}
