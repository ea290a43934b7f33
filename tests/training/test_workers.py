"""Threads that compute shares of a step: equal gradients, exact repetition, errors and resumption."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, get_ident
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers.runs import CPU, changed, train_into, with_model
from tests.helpers.states import assert_equal_states
from translate.config.settings import Config
from translate.run.folder import Run
from translate.system.distributed import ALONE
from translate.training.checkpoint import Progress
from translate.training.feed import feed
from translate.training.loop import train
from translate.training.optimizer import AdamW, ExponentialMovingAverage
from translate.training.prepare import prepare
from translate.training.step import StepResult, Trainer
from translate.training.update import Update
from translate.training.workers import MAX_WORKERS, MIN_SHARE, Workers, usual_number

SMALLEST = torch.tensor(torch.finfo(torch.float32).smallest_normal)  # half of it takes Intel's processors long


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tiny_config: Config) -> Config:
    return changed(tiny_config, "train", batch_tokens=200, accumulate=2, clip_norm=0.0)


def weights_after(config: Config, run: Path, count: int, num_steps: int = 2) -> list[torch.Tensor]:
    """Train a few steps, each divided into `count` shares."""
    prepared = prepare(Run(run), config)
    trainer = Trainer(config, prepared, CPU)
    trainer.gradients.workers = Workers(count)
    with closing(feed(prepared, config.train, Progress(), CPU, ALONE)) as steps:
        for number in range(1, num_steps + 1):
            trainer.step(next(steps), number)
    return [weight.detach() for weight in trainer.model.parameters()]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_shares_have_the_gradient_of_the_whole_step(
    tiny_run: Path, config: Config, two_threads: None, monkeypatch: pytest.MonkeyPatch, precision: str, count: int
) -> None:
    config = changed(changed(config, "model", dropout=0.0), "train", precision=precision)
    prepared = prepare(Run(tiny_run), config)
    with closing(feed(prepared, config.train, Progress(), CPU, ALONE)) as steps:
        data = next(steps)
    trainer, gradients = Trainer(config, prepared, CPU), []
    monkeypatch.setattr(Update, "apply", lambda *arguments: None)
    monkeypatch.setattr(trainer.optimizer, "zero_grad", lambda: None)
    for trainer.gradients.workers in Workers(1), Workers(count):
        trainer.step(data, step=1)
        gradients.append([weight.grad for weight in trainer.model.parameters()])
        trainer.model.zero_grad()
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= {"float32": 1e-5, "bfloat16": 0.02}[precision] * one.norm()


@pytest.mark.parametrize("architecture", ["transformer", "decoder-only"])
def test_the_order_in_which_threads_run_changes_nothing(
    tiny_run: Path, config: Config, two_threads: None, architecture: str
) -> None:
    """Every dropout mask depends on the seed, the step and the share only, also that of attention weights."""
    config = changed(config, "train", optimizer="muon")  # whose updates are divided, too
    config = with_model(config, architecture, dropout=0.3, attention_dropout=0.3)
    in_threads = [weights_after(config, tiny_run, 2) for _ in range(2)]
    torch.set_num_threads(1)  # one thread computes both shares
    alone = weights_after(config, tiny_run, 2)
    for first, second, third in zip(*in_threads, alone, strict=True):
        assert torch.equal(first, second)
        assert torch.allclose(first, third, atol=1e-5)


def test_each_share_runs_in_its_own_thread_and_the_first_error_is_raised(two_threads: None) -> None:
    together = Barrier(2, timeout=60)

    def compute(share: int) -> tuple[int, int, int]:
        together.wait()  # would fail if one thread computed both
        if share > 1:
            raise ValueError(share)
        return share, get_ident(), torch.get_num_threads()

    workers = Workers(2)
    shares, threads, num_threads = zip(*workers.map(compute, [0, 1]), strict=True)
    assert shares == (0, 1)
    assert len({*threads, get_ident()}) == 3
    assert num_threads == (1, 1)
    assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="2"):
        workers.map(compute, [2, 3])


def test_a_resumed_run_keeps_its_number_of_shares(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(changed(config, "model", dropout=0.2), "train", max_steps=4)
    monkeypatch.setattr("translate.training.gradients.usual_number", lambda part_tokens: 3)
    whole = train_into(tmp_path / "whole", config)
    started = train_into(tmp_path / "resumed", changed(config, "train", max_steps=2))
    monkeypatch.undo()  # as on a machine with fewer cores
    resumed = Run.resume(started.path, config)
    train(resumed, config, CPU)
    assert_equal_states(whole, resumed)


def test_small_batches_are_not_divided(two_threads: None) -> None:
    assert [usual_number(size) for size in (1, 2 * MIN_SHARE - 1, 2 * MIN_SHARE, 10**6)] == [1, 1, 2, 2]
    torch.set_num_threads(64)
    assert usual_number(10**6) == MAX_WORKERS


@pytest.mark.parametrize("clip_norm", [0.0, 0.5, 1e9])
def test_a_divided_update_equals_pytorchs_exactly(two_threads: None, clip_norm: float) -> None:
    torch.manual_seed(1)
    models = [model := nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 10), nn.Linear(10, 3)), copy.deepcopy(model)]
    optimizers = [AdamW(each.parameters(), lr=0.1, weight_decay=0.1, fused=True) for each in models]
    averages = [ExponentialMovingAverage(each, 0.5) for each in models]
    update, workers = Update(models[0], optimizers[0], averages[0], clip_norm), Workers(2)
    for step in 1, 2, 3:
        for model in models:
            model.zero_grad()
            model[: 4 - step](torch.ones(4, 30) * step).square().sum().backward()  # some weights have no gradient
        norm = update.gradient_norm(workers)
        update.apply(norm, step, workers)
        expected = torch.nn.utils.clip_grad_norm_(models[1].parameters(), clip_norm or math.inf)
        optimizers[1].step()
        averages[1].update(step)
        assert norm == expected
    for mine, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(mine, other)
    for name, average in averages[0].weights.items():
        assert torch.equal(average, averages[1].weights[name])


def test_threads_treat_tiny_numbers_as_zero(two_threads: None) -> None:
    together = Barrier(2, timeout=60)

    def halved(_: int) -> float:
        together.wait()
        return (SMALLEST / 2).item()

    workers = Workers(2)
    assert workers.map(halved, [0, 1]) == [0.0, 0.0]
    assert SMALLEST / 2 > 0


def test_training_treats_tiny_numbers_as_zero_and_the_program_around_it_does_not(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, halves = Trainer.step, list[float]()

    def recorded(trainer: Trainer, *arguments: Any) -> StepResult:
        halves.append((SMALLEST / 2).item())
        return step(trainer, *arguments)

    monkeypatch.setattr(Trainer, "step", recorded)
    train_into(tmp_path / "run", changed(config, "train", max_steps=2))
    assert halves == [0.0, 0.0]
    assert SMALLEST / 2 > 0
