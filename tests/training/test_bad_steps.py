"""Steps whose loss or gradient is not finite are skipped and logged; three in a row end training."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.processes import two_at_once
from tests.helpers.runs import CPU, changed, train_into
from tests.helpers.states import assert_equal_states, final_state
from translate.config.settings import Config
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import ALONE
from translate.training import checkpoint
from translate.training.checkpoint import Progress
from translate.training.feed import StepData, feed
from translate.training.loop import train
from translate.training.loss import Losses, SummedLoss
from translate.training.prepare import Prepared, prepare
from translate.training.step import Trainer, named_lines
from translate.training.validation import Validation


@pytest.fixture
def config(tiny_config: Config) -> Config:
    return changed(tiny_config, "train", max_steps=12, ema_decay=0.5, log_every=1, keep_checkpoints=9)


@contextmanager
def feed_of(prepared: Prepared, config: Config) -> Iterator[Iterator[StepData]]:
    with closing(feed(prepared, config.train, Progress(), CPU, ALONE)) as steps:
        yield steps


def spoil(monkeypatch: pytest.MonkeyPatch, *steps: int, value: float = float("nan")) -> None:
    """Make the loss of these steps, counted from 1, equal to `value`."""
    forward: Callable[..., Losses] = SummedLoss.forward
    count = 0

    def spoiled(self: SummedLoss, *arguments: object) -> Losses:
        nonlocal count
        losses = forward(self, *arguments)
        if not self.training or not self.model.training:
            return losses
        count += 1
        return Losses(losses.translation + value) if count in steps else losses

    monkeypatch.setattr(SummedLoss, "forward", spoiled)


def checkpoint_steps(run: Run) -> list[int]:
    return [int(path.name[-8:]) for path in sorted(run.checkpoints_path.glob("step-*"))]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_a_step_with_a_loss_that_is_not_finite_changes_nothing(
    tiny_run: Path, config: Config, monkeypatch: pytest.MonkeyPatch, value: float, clip_norm: float
) -> None:
    config = changed(config, "train", clip_norm=clip_norm, accumulate=2)
    prepared = prepare(Run(tiny_run), config)
    trainer = Trainer(config, prepared, CPU)
    steps = feed(prepared, config.train, Progress(), CPU, ALONE)
    spoil(monkeypatch, 4, value=value)  # the second part of the second step

    def state() -> list[torch.Tensor]:
        assert trainer.ema
        weights = [*trainer.model.parameters(), *trainer.ema.weights.values()]
        moments = [value for each in trainer.optimizer.state.values() for value in each.values()]
        return [tensor.detach().clone() for tensor in [*weights, *moments]]

    assert trainer.step(next(steps), 1).is_used
    before = state()
    assert not trainer.step(next(steps), 2).is_used
    assert all(torch.equal(one, other) for one, other in zip(before, state(), strict=True))
    assert trainer.step(next(steps), 3).is_used
    assert not any(torch.equal(one, other) for one, other in zip(before[:4], state()[:4], strict=True))
    steps.close()


def test_a_step_with_only_a_gradient_that_is_not_finite_is_skipped_too(
    tiny_run: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(Run(tiny_run), config)
    trainer = Trainer(config, prepared, CPU)
    next(trainer.model.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with feed_of(prepared, config) as steps:
        stepped = trainer.step(next(steps), 1)
    assert stepped.losses.translation.isfinite()
    assert not stepped.is_used


def test_skipped_steps_are_logged_with_their_lines_and_training_continues(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 3, 4, 7, 9, 10)
    run = train_into(tmp_path / "run", config)
    log = (run.path / "train.log").read_text()
    told = re.findall(r"step (\d+) skipped: .* is not finite; its batch contains lines ([\d, ]*)(.*) of (.*)", log)
    assert [int(step) for step, *_ in told] == [3, 4, 7, 9, 10]
    assert all(files == f"{config.data.train_src} and {config.data.train_tgt}" for *_, files in told)
    with feed_of(prepare(run, config), config) as steps:
        for number, data in zip(range(1, 13), steps, strict=False):
            for _, lines, more, _ in (each for each in told if int(each[0]) == number):
                expected = sorted(row + 1 for row in data.rows)  # no line of this text is left out
                assert lines == ", ".join(map(str, expected[:20]))
                assert more == (f" and {len(expected) - 20} more" if len(expected) > 20 else "")
    metrics = {line["step"]: line for line in run.metrics() if "learning_rate" in line}
    assert [step for step, line in metrics.items() if "train_loss" not in line] == [3, 4, 7, 9, 10]
    assert all(np.isfinite(line.get("train_loss", 0.0)) for line in metrics.values())
    assert checkpoint_steps(run) == [12]


def test_three_bad_steps_in_a_row_end_training_and_resuming_starts_from_the_last_good_state(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        spoil(patch, 6, 7, 8)
        often = changed(config, "train", save_every=1, validate_every=7)
        advice = (
            r"not finite in 3 consecutive steps after step 5; lower train\.learning_rate \(0\.01\), "
            r"raise train\.warmup_steps \(10\) or lower train\.clip_norm \(1\), then add --resume to continue from "
        )
        with pytest.raises(UserError, match=advice):
            train_into(tmp_path / "run", often)
    run = Run(tmp_path / "run")
    assert checkpoint_steps(run) == [1, 2, 3, 4, 5]  # none of them among the skipped steps
    good = train_into(tmp_path / "good", changed(config, "train", max_steps=5))
    assert_equal_states(good, run)
    gentler = changed(config, "train", learning_rate=0.001, max_steps=8)
    for path in good, run:
        train(Run.resume(path.path, gentler), gentler, CPU)
    assert_equal_states(good, run)
    assert final_state(run)


def test_the_only_checkpoint_is_not_deleted_before_it_is_rewritten(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process were killed in between, no checkpoint would be left."""
    config = changed(config, "train", save_every=1, keep_checkpoints=1)
    run = Run(tmp_path / "run")
    left: list[list[int]] = []

    def discard_and_note(path: Path) -> None:
        discard(path)
        left.append(checkpoint_steps(run))

    discard = checkpoint._discard
    monkeypatch.setattr(checkpoint, "_discard", discard_and_note)
    with monkeypatch.context() as patch:
        spoil(patch, 4, 5, 6)
        with pytest.raises(UserError, match=r"training diverged: .* after step 3"):
            train_into(run.path, config)
    with monkeypatch.context() as patch:
        spoil(patch, 1, 2, 3)
        with pytest.raises(UserError, match=r"training diverged: .* after step 3"):
            train(Run.resume(run.path, config), config, CPU)
    assert [] not in left[1:]


def test_bfloat16_divergence_suggests_float32(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 1, 2, 3)
    config = changed(config, "train", precision="bfloat16", clip_norm=0.0)
    with pytest.raises(UserError, match=r'set train\.clip_norm \(0\) or set train\.precision to "float32"'):
        train_into(tmp_path / "run", config)
    assert checkpoint_steps(Run(tmp_path / "run")) == [0]


def test_a_single_text_file_is_named_once_with_the_right_line_numbers(tmp_path: Path, config: Config) -> None:
    text = tmp_path / "text.tsv"
    pairs = ["a b\tc d", "\tempty", "x " * 300 + "\tlong", "e f\tg h"] * 12
    text.write_text("\n".join(pairs) + "\n")
    config = changed(config, "data", train_src=str(text), train_tgt=str(text))
    config = changed(config, "vocab", size=300)
    valid = tmp_path / "valid.tsv"
    valid.write_text("a b\tc d\n")
    config = changed(config, "data", valid_src=str(valid), valid_tgt=str(valid))
    corpus = prepare(Run.create(tmp_path / "run", config), config).train
    assert named_lines([3], corpus, config.data) == f"pair 8 of {text}"
    expected = sorted(line for line in range(1, 49) if line % 4 in (0, 1))
    shown = ", ".join(map(str, expected[:20]))
    assert named_lines(range(24), corpus, config.data) == f"pairs {shown} and 4 more of {text}"


def test_two_processes_skip_the_same_steps_and_end_together(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step, larger than settings allow, leaves the weights finite, but no loss is finite after it."""
    config = changed(tiny_config, "train", clip_norm=0.0, accumulate=2, validate_sentences=0, max_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr("translate.training.step.learning_rate", lambda step, settings: 1e30)
        patch.setattr("translate.training.loop.validate", lambda *_: Validation(1.0, None, None, ()))
        run = train_into(tmp_path / "run", config)
    done = two_at_once("train", "--resume", "--out", run.path, "--set", "train.max_steps=20")
    assert done.returncode
    assert re.findall(r"step (\d+) skipped", done.stderr) == ["2", "3", "4"]
    assert (
        "error: training diverged: the loss or gradient was not finite in 3 consecutive steps after step 1"
        in done.stderr
    )
    assert checkpoint_steps(Run(tmp_path / "run")) == [1]
