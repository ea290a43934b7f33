"""Real training of a tiny model: exact resumption, steps, schedules and limits."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.processes import Command
from tests.helpers.runs import ARCHITECTURES, CPU, changed, train_into, with_model
from tests.helpers.states import assert_equal_states
from translate.api import load_translator
from translate.config.settings import Config
from translate.config.toml import to_toml
from translate.config.train_settings import TrainSettings
from translate.data.batches import epoch_order, make_batch
from translate.data.parallel_text import Pair
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.model import load_model
from translate.system.distributed import ALONE
from translate.training.checkpoint import Progress
from translate.training.feed import Part, StepData, feed
from translate.training.loop import train
from translate.training.optimizer import learning_rate, rdrop_weight
from translate.training.prepare import prepare
from translate.training.step import NUM_TIMED, Trainer
from translate.training.validation import Validation, settle_criterion, validate


def test_same_settings_and_seed_give_the_same_weights(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", max_steps=4)
    one, other = train_into(tmp_path / "one", config), train_into(tmp_path / "other", config)
    assert_equal_states(one, other)
    third = train_into(tmp_path / "third", changed(config, "train", seed=2))
    assert not torch.equal(
        load_file(one.weights_path)["tgt_embedding.weight"], load_file(third.weights_path)["tgt_embedding.weight"]
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_in_several_parts_has_the_same_gradient(
    tiny_run: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    """Dropout is off. The parts have unequal numbers of pieces, so the loss must weight them."""
    config = changed(with_model(tiny_config, architecture, dropout=0.0), "train", clip_norm=0.0)
    prepared = prepare(Run(tiny_run), config)
    lengths = prepared.train.src.lengths, prepared.train.tgt.lengths
    order = list(epoch_order(*lengths, budget=64, seed=1, epoch=0))[:4]
    bos_id = prepared.vocabs.tgt.bos_id
    parts = [make_batch(prepared.train, rows, bos_id) for rows in order]
    whole = make_batch(prepared.train, np.concatenate(order), bos_id)
    assert len({batch.num_tokens for batch in parts}) > 1

    gradients = []
    for batches in parts, [whole]:
        trainer = Trainer(config, prepared, CPU)
        monkeypatch.setattr(trainer.optimizer, "zero_grad", lambda: None)
        num_tokens = sum(batch.num_tokens for batch in batches)
        parts_of_step = [Part(batch, 0, np.arange(0)) for batch in batches]
        stepped = trainer.step(StepData(parts_of_step, num_tokens, next_epoch=0, next_batch=0), step=1)
        gradients.append((stepped.losses, [parameter.grad for parameter in trainer.model.parameters()]))
    (loss_of_parts, of_parts), (loss_of_whole, of_whole) = gradients
    assert loss_of_parts.translation.item() == pytest.approx(loss_of_whole.translation.item(), rel=1e-5)
    for one, other in zip(of_parts, of_whole, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_weight_decay_applies_only_to_the_weight_matrices_of_the_layers(tiny_run: Path, tiny_config: Config) -> None:
    """Algorithm 2 of Loshchilov & Hutter 2019: learning rate times decay, in addition to Adam's update."""
    prepared = prepare(Run(tiny_run), tiny_config)
    with closing(feed(prepared, tiny_config.train, Progress(), CPU, ALONE)) as steps:
        data = next(steps)
    updated = []
    for decay in 0.0, 0.25:
        settings = changed(tiny_config, "train", weight_decay=decay, schedule="constant", warmup_steps=0)
        trainer = Trainer(settings, prepared, CPU)
        before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
        trainer.step(data, step=1)
        updated.append(dict(trainer.model.named_parameters()))
    share = 0.25 * tiny_config.train.learning_rate
    for name, old in before.items():
        is_decayed = "_layers." in name and name.endswith(".weight") and "norm" not in name
        expected = updated[0][name] - (share * old if is_decayed else 0.0)
        assert torch.allclose(updated[1][name], expected, rtol=0, atol=1e-6), name


def test_auto_precision_is_chosen_once(tiny_run: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.training.step.multiplies_bfloat16", lambda device: True)
    config = changed(tiny_config, "train", precision="auto")
    prepared = prepare(Run(tiny_run), config)
    with closing(feed(prepared, config.train, Progress(), CPU, ALONE)) as steps:
        data = next(steps)
    trainer = Trainer(config, prepared, CPU)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    for seconds, faster in (0.5, "bfloat16"), (0.95, "float32"), (2.0, "float32"):  # of bfloat16's pass, float32's is 1
        lasting = [1.0, seconds] * NUM_TIMED
        clock = iter([time for duration in lasting for time in (0.0, duration)])
        with monkeypatch.context() as patch:
            patch.setattr("translate.training.step.time.perf_counter", lambda clock=clock: next(clock))
            trainer.settle_precision(None, lambda: data)
        assert trainer.precision == faster
    for parameter, old in zip(trainer.model.parameters(), before, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, old)
    for recorded in "float32", "bfloat16":  # a resumed training keeps what it began with
        trainer.settle_precision(recorded, lambda: data)
        assert trainer.precision == recorded
    trainer = Trainer(changed(tiny_config, "train", precision="bfloat16"), prepared, CPU)
    trainer.settle_precision("float32", lambda: data)
    assert trainer.precision == "bfloat16"


def test_r_drop_starts_after_the_set_share_of_steps() -> None:
    settings = TrainSettings(rdrop=3.0, rdrop_from=0.6, max_steps=10)
    assert [rdrop_weight(step, settings) for step in (1, 6, 7, 10)] == [0.0, 0.0, 3.0, 3.0]
    assert rdrop_weight(1, TrainSettings(rdrop=3.0, max_steps=0)) == 3.0
    assert rdrop_weight(1, TrainSettings()) == 0.0


def test_learning_rate_warms_up_and_follows_its_schedule() -> None:
    common = {"learning_rate": 0.01, "warmup_steps": 10, "max_steps": 110}
    for schedule in "inverse_sqrt", "cosine", "constant":
        settings = TrainSettings(schedule=schedule, **common)
        assert learning_rate(1, settings) == pytest.approx(0.001)  # the first step already moves
        assert learning_rate(10, settings) == pytest.approx(0.01)
    assert learning_rate(40, TrainSettings(schedule="inverse_sqrt", **common)) == pytest.approx(0.005)
    assert learning_rate(90, TrainSettings(schedule="constant", **common)) == 0.01
    cosine = TrainSettings(schedule="cosine", **common)
    assert learning_rate(60, cosine) == pytest.approx(0.005, rel=0.05)
    assert 0 < learning_rate(110, cosine) < 1e-5
    late = TrainSettings(schedule="cosine", decay_from=0.5, **common)
    assert [learning_rate(step, late) for step in (1, 11, 55)] == pytest.approx([0.001, 0.01, 0.01])
    assert learning_rate(83, late) == pytest.approx(0.005, rel=0.05)
    assert 0 < learning_rate(110, late) < 1e-5
    assert learning_rate(50, TrainSettings(schedule="cosine", decay_from=0.05, **common)) == learning_rate(50, cosine)
    no_warmup = TrainSettings(schedule="inverse_sqrt", warmup_steps=0, learning_rate=0.01)
    assert learning_rate(1, no_warmup) == 0.01


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "constant"])
def test_training_stops_early_whatever_the_schedule(tmp_path: Path, tiny_config: Config, schedule: str) -> None:
    """With such a small learning rate, the validation loss at most fluctuates."""
    config = changed(
        tiny_config,
        "train",
        schedule=schedule,
        learning_rate=1e-12,
        validate_every=1,
        patience=2,
        max_steps=50,
        validate_sentences=1,
        best_by="bleu",
    )
    run = train_into(tmp_path / "run", config)
    assert max(line["step"] for line in run.metrics()) == 3
    assert "bleu has not improved in 2 validations (train.patience)" in (run.path / "train.log").read_text()


def test_best_weights_are_those_of_the_best_validation(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr("translate.training.loop.validate", lambda *_: Validation(next(losses), None, None, ()))
    config = changed(tiny_config, "train", max_steps=6, validate_every=2, save_every=2, keep_checkpoints=3)
    run = train_into(tmp_path / "run", config)
    best = load_file(run.checkpoints_path / "step-00000004" / "model.safetensors")
    assert all(torch.equal(tensor, best[name]) for name, tensor in load_file(run.weights_path).items())


def test_validation_does_not_affect_further_training(tmp_path: Path, tiny_config: Config) -> None:
    often = train_into(tmp_path / "often", changed(tiny_config, "train", max_steps=4, validate_every=1))
    never = train_into(tmp_path / "never", changed(tiny_config, "train", max_steps=4, validate_every=100))
    for name, tensor in load_file(often.checkpoints_path / "step-00000004" / "model.safetensors").items():
        assert torch.equal(tensor, load_file(never.checkpoints_path / "step-00000004" / "model.safetensors")[name])


def test_a_run_has_the_files_of_the_contract(tiny_run: Path) -> None:
    names = {path.name for path in tiny_run.iterdir()}
    assert {"config.toml", "vocab.model", "model.safetensors", "metrics.jsonl", "curves.png", "train.log"} <= names
    metrics = Run(tiny_run).metrics()
    assert {"step", "epoch", "train_loss", "learning_rate", "tokens_per_second"} <= metrics[0].keys()
    assert {"step", "epoch", "valid_loss", "bleu", "chrf"} <= metrics[-1].keys()
    assert [path.name for path in (tiny_run / "checkpoints").iterdir()] == ["step-00000060"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_training_which_can_be_resumed(
    tmp_path: Path, tiny_config: Config, number: signal.Signals
) -> None:
    config = changed(tiny_config, "train", max_steps=100_000, validate_every=100_000, patience=0)
    run = Run(tmp_path / "run")
    settings = tmp_path / "c.toml"
    settings.write_text(to_toml(config), encoding="utf-8")
    process = Command("train", settings, "--out", run.path)
    while not run.metrics():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name} after saving all progress" in said
    assert "Traceback" not in said
    assert run.weights_path.exists()
    step = int(sorted(run.checkpoints_path.glob("step-*"))[-1].name.removeprefix("step-"))
    config = changed(config, "train", max_steps=step + 1)
    train(Run.resume(run.path, config), config, CPU)
    assert f"resumed after step {step}" in (run.path / "train.log").read_text()


def test_training_stops_at_its_time_limit_and_logs_it(tmp_path: Path, tiny_config: Config) -> None:
    run = train_into(tmp_path / "run", changed(tiny_config, "train", max_minutes=0.005, max_steps=0))
    assert run.metrics()[-1]["minutes"] >= 0.005
    assert "train.max_minutes (0.005) reached" in (run.path / "train.log").read_text()
    assert run.weights_path.exists()


def test_metrics_of_repeated_steps_are_removed(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", max_steps=4, log_every=1)
    run = train_into(tmp_path / "run", config)
    run.append_metrics(step=5, train_loss=1.0)
    with run.metrics_path.open("a") as metrics:
        metrics.write('{"step": 6, "train')
    train(run, changed(config, "train", max_steps=6), CPU)
    assert [line["step"] for line in run.metrics() if "train_loss" in line] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("rhythm", [{"validate_every": 1}, {"save_every": 1}])
def test_weights_that_are_not_finite_are_never_kept(
    tmp_path: Path, tiny_config: Config, rhythm: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step, larger than settings allow, is so large that the weights overflow although the gradient is finite."""
    config = changed(tiny_config, "train", max_steps=20, **rhythm)
    monkeypatch.setattr("translate.training.step.learning_rate", lambda step, settings: 1e300)
    with pytest.raises(UserError, match=r"weights at step 1 are not finite; lower train\.learning_rate"):
        train_into(tmp_path / "run", config)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not list((tmp_path / "run").glob("checkpoints/step-*"))


def test_a_validation_loss_that_is_not_finite_ends_training(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a step larger than settings allow, the weights are finite, but so large that no loss or score is."""
    config = changed(tiny_config, "train", max_steps=1)
    monkeypatch.setattr("translate.training.step.learning_rate", lambda step, settings: 1e25)
    with pytest.raises(UserError, match=r"the validation loss is not finite; lower train\.learning_rate"):
        train_into(tmp_path / "run", config)
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")])
def test_a_run_that_lost_its_best_weights_still_ends_with_weights(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    losses = iter([1.0, 3.0, 4.0])
    monkeypatch.setattr("translate.training.loop.validate", lambda *_: Validation(next(losses), None, None, ()))
    config = changed(tiny_config, "train", max_steps=1, validate_every=1, save_every=1, keep_checkpoints=3)
    run = train_into(tmp_path / "run", config)
    damage(run.weights_path)
    train(run, config, CPU)  # which is at its end
    first = load_file(run.checkpoints_path / "step-00000001" / "model.safetensors")
    assert all(torch.equal(tensor, first[name]) for name, tensor in load_file(run.weights_path).items())
    damage(run.weights_path)
    train(run, changed(config, "train", max_steps=3), CPU)
    best = load_file(run.checkpoints_path / "step-00000002" / "model.safetensors")
    assert all(torch.equal(tensor, best[name]) for name, tensor in load_file(run.weights_path).items())
    assert "model.safetensors" in (run.path / "train.log").read_text().partition("warning")[2]


def test_a_damaged_metrics_file_is_named(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", max_steps=2)
    run = train_into(tmp_path / "run", config)
    run.metrics_path.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl: line 1 is damaged"):
        train(run, config, CPU)


def test_resuming_on_changed_text_is_refused(tmp_path: Path, tiny_config: Config, corpus: Path) -> None:
    mine = tmp_path / "mine.en"
    mine.write_bytes((corpus / "train.en").read_bytes())
    config = changed(changed(tiny_config, "data", train_src=str(mine)), "train", max_steps=2)
    run = train_into(tmp_path / "run", config)
    mine.write_bytes(mine.read_bytes().replace(b"The", b"the", 1))
    with pytest.raises(UserError, match=r"mine\.en or .* changed after .* was started"):
        train(run, changed(config, "train", max_steps=3), CPU)


def test_partial_files_of_a_killed_process_are_removed(tmp_path: Path, tiny_config: Config) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / ".config.toml.x.partial").touch()
    config = changed(tiny_config, "train", max_steps=1)
    run = train_into(path, config)
    (run.checkpoints_path / ".step-00000002.partial").mkdir()
    (run.checkpoints_path / ".step-00000002.partial" / "model.safetensors").touch()
    Run.resume(path, config)
    assert not list(path.rglob(".*"))


def test_separate_vocabularies_train_and_decode(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(changed(tiny_config, "vocab", joint=False, size=330), "train", max_steps=2)
    run = train_into(tmp_path / "run", config)
    assert {"vocab.src.model", "vocab.tgt.model"} <= {path.name for path in run.path.iterdir()}
    assert len(load_translator(run.path, "cpu").translate(["The cat sat."])) == 1


def test_an_existing_sentencepiece_model_is_used(tmp_path: Path, tiny_config: Config, tiny_run: Path) -> None:
    model = tiny_run / "vocab.model"
    run = train_into(tmp_path / "run", changed(changed(tiny_config, "vocab", model=str(model)), "train", max_steps=1))
    assert (run.path / "vocab.model").read_bytes() == model.read_bytes()


@pytest.mark.parametrize("architecture", ["transformer", "recurrent"])
def test_bfloat16_trains_to_about_the_same_loss(tmp_path: Path, tiny_config: Config, architecture: str) -> None:
    config, losses = with_model(tiny_config, architecture), []
    for precision in "float32", "bfloat16":
        run = train_into(tmp_path / precision, changed(config, "train", max_steps=6, precision=precision))
        losses.append(run.metrics()[-1]["valid_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] < math.log(400)


def test_validation_never_samples(tmp_path: Path, tiny_config: Config, tiny_run: Path) -> None:
    """Sampled translations would choose the best weights at random."""
    run, prepared = Run(tiny_run), prepare(Run.create(tmp_path / "run", tiny_config), tiny_config)
    model, _ = load_model(run, prepared.vocabs)
    found = [
        validate(model, prepared, changed(tiny_config, "decode", sample=sample, seed=seed), CPU, ALONE)
        for sample, seed in ((False, 1), (True, 1), (True, 2))
    ]
    assert found[0] == found[1] == found[2]


def test_short_references_never_choose_the_weights_by_bleu(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", best_by="bleu")
    prepared = prepare(Run.create(tmp_path / "run", config), config)
    logged: list[str] = []
    assert settle_criterion(config, prepared, logged.append) == config
    assert not logged
    short = replace(prepared, valid_pairs=[Pair("I buy it.", "我买它"), Pair("No.", "不")])
    assert settle_criterion(config, short, logged.append) == changed(config, "train", best_by="chrf")
    assert ["tokenizer zh" in logged[0], "chrf instead of bleu" in logged[1]] == [True, True]
    assert settle_criterion(tiny_config, short, logged.append) == tiny_config
