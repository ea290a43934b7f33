"""Training with graphs, on a stand-in for CUDA graphs, equals training without."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers.recorded_operations import RecordedOperations
from tests.helpers.runs import CPU, changed
from translate.config.settings import Config
from translate.data.batches import epoch_order, padded_size
from translate.run.folder import Run
from translate.run.model import build_model
from translate.system.distributed import ALONE
from translate.training import captured_step
from translate.training.captured_step import CapturedStep
from translate.training.checkpoint import Progress
from translate.training.feed import StepData, feed
from translate.training.loss import SummedLoss
from translate.training.optimizer import MuonWithAdamW
from translate.training.prepare import Prepared, prepare
from translate.training.static_batches import Shape, empty_batch, fill
from translate.training.step import Trainer
from translate.training.step_method import COMPILED, GRAPHS, PLAIN, Method, fastest_method

NUM_STEPS = 8


@pytest.fixture
def config(tiny_config: Config) -> Config:
    config = changed(tiny_config, "train", max_steps=NUM_STEPS, ema_decay=0.5, weight_decay=0.01, warmup_steps=3)
    return changed(config, "model", dropout=0.0)


def all_steps(prepared: Prepared, config: Config) -> list[StepData]:
    """The data of the steps: each batch twice in a row, so that every shape gets a graph."""
    with closing(feed(prepared, config.train, Progress(), CPU, ALONE)) as steps:
        return [data for data in islice(steps, NUM_STEPS // 2) for _ in range(2)]


def trainer_with(config: Config, prepared: Prepared, capture: RecordedOperations | None) -> Trainer:
    trainer = Trainer(config, prepared, CPU)
    if isinstance(trainer.optimizer, MuonWithAdamW):
        trainer.optimizer.muon_dtype = torch.float32  # bfloat16 would hide small errors behind its rounding
    if capture:
        trainer._captured = CapturedStep(
            trainer._summed_loss, trainer.optimizer, trainer.ema, trainer.settings, "float32", capture
        )
    return trainer


def state(trainer: Trainer) -> list[Tensor]:
    weights = [*trainer.model.parameters(), *(trainer.ema.weights.values() if trainer.ema else ())]
    moments = [value for each in trainer.optimizer.state.values() for value in each.values()]
    return [tensor.detach().clone() for tensor in [*weights, *moments]]


def assert_same_training(config: Config, run: Path, capture: RecordedOperations) -> Trainer:
    prepared = prepare(Run(run), config)
    plain, graphed = trainer_with(config, prepared, None), trainer_with(config, prepared, capture)
    for number, data in enumerate(all_steps(prepared, config), start=1):
        expected, found = plain.step(data, number), graphed.step(data, number)
        assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4, nan_ok=True)
        assert found.is_used == expected.is_used
        if expected.is_used:
            for one, other in zip(found.losses, expected.losses, strict=True):
                assert (one is None) == (other is None)
                assert one is None or other is None or torch.allclose(one, other, rtol=1e-5)
    for one, other in zip(state(graphed), state(plain), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=2e-5)
    return graphed


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "muon"}, {"accumulate": 2, "clip_norm": 0.0}, {"rdrop": 1.0, "rdrop_from": 0.5, "ema_decay": 0.0}],
    ids=["Muon", "accumulated", "R-Drop"],
)
def test_steps_with_graphs_equal_those_without(config: Config, tiny_run: Path, settings: dict[str, object]) -> None:
    config = config.model_copy(update={"train": config.train.model_copy(update=settings)})  # R-Drop without dropout
    capture = RecordedOperations()
    trainer = assert_same_training(config, tiny_run, capture)
    assert trainer._captured
    assert capture.num_captures == trainer._captured.num_graphs + 1  # one is that of the update
    assert trainer._captured.num_graphs > 1
    assert capture.num_repetitions > NUM_STEPS


def test_steps_with_a_guided_head_equal_those_without_graphs(config: Config, tiny_run: Path, tmp_path: Path) -> None:
    alignment = tmp_path / "train.align"
    alignment.write_text("".join("0-0 1-0\n" if row % 3 else "\n" for row in range(200)))
    run = Run.create(tmp_path / "run", changed(config, "data", train_align=str(alignment)))
    run.write_vocabs(Run(tiny_run).load_vocabs())
    capture = RecordedOperations()
    assert_same_training(changed(run.load_config(), "train", alignment_weight=1.0), run.path, capture)
    assert capture.num_captures > 1


def test_a_step_that_is_not_finite_changes_nothing_and_spoils_no_later_step(config: Config, tiny_run: Path) -> None:
    config = changed(config, "train", optimizer="muon")
    prepared = prepare(Run(tiny_run), config)
    trainer, data = trainer_with(config, prepared, RecordedOperations()), all_steps(prepared, config)
    for number in 1, 2:
        assert trainer.step(data[number], number).is_used
    before = state(trainer)
    spoiled = data[2]._replace(parts=[part._replace(weight=float("inf")) for part in data[2].parts])
    stepped = trainer.step(spoiled, 3)
    assert not stepped.is_used
    assert not stepped.losses.translation.isfinite()
    assert all(map(torch.equal, before, state(trainer)))
    assert trainer.step(data[2], 4).is_used
    assert not torch.equal(before[0], state(trainer)[0])


def test_dropout_does_not_depend_on_graphs(config: Config, tiny_run: Path) -> None:
    config = changed(config, "model", dropout=0.3)
    prepared = prepare(Run(tiny_run), config)
    data = all_steps(prepared, config)[0]
    trainer = trainer_with(config, prepared, RecordedOperations())
    assert trainer._captured
    gradients = []
    for step in 1, 1, 2, 1:  # the first without a graph
        trainer.optimizer.zero_grad(set_to_none=False)
        trainer._captured.add_gradients(data.parts[0], data.num_tokens, step, rdrop=0.0)
        gradients.append(trainer.model.output.weight.grad.clone())
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[3])
    assert not torch.equal(gradients[0], gradients[2])


def test_training_continues_without_graphs_if_one_fails(config: Config, tiny_run: Path) -> None:
    prepared, lines = prepare(Run(tiny_run), config), list[str]()
    plain, graphed = (
        trainer_with(config, prepared, None),
        trainer_with(config, prepared, RecordedOperations(fails_from=2)),
    )
    graphed._log = lines.append
    for number, data in enumerate(all_steps(prepared, config), start=1):
        expected, found = plain.step(data, number), graphed.step(data, number)
        assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)
    assert not graphed._captured
    assert lines == [
        "step 4: continuing without CUDA graphs: RuntimeError: CUDA error: operation not permitted when stream is "
        "capturing"
    ]


def test_rare_shapes_beyond_the_limit_run_without_graphs(
    config: Config, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured_step, "MAX_GRAPHS", 1)
    trainer = assert_same_training(config, tiny_run, RecordedOperations())
    assert trainer._captured
    assert trainer._captured.num_graphs == 1


@pytest.mark.parametrize("fastest", [PLAIN, COMPILED])
def test_the_fastest_method_is_chosen(config: Config, tiny_run: Path, fastest: str) -> None:
    prepared, lines = prepare(Run(tiny_run), config), list[str]()
    trainer, data = trainer_with(config, prepared, None), all_steps(prepared, config)[0]
    seconds = {PLAIN: 3.0, GRAPHS: 4.0, COMPILED: 5.0} | {fastest: 2.0}
    now, current = 0.0, PLAIN

    def clock() -> float:
        nonlocal now
        now += seconds[current]
        return now

    def build(name: str) -> CapturedStep:
        nonlocal current
        current = name
        return CapturedStep(
            trainer._summed_loss, trainer.optimizer, trainer.ema, trainer.settings, "float32", RecordedOperations()
        )

    before = state(trainer)
    methods = {name: Method(partial(build, name)) for name in (GRAPHS, COMPILED)}
    chosen = fastest_method(lambda: None, methods, data, clock, lines.append)
    assert (chosen is None) == (fastest == PLAIN)
    assert current == (COMPILED if fastest == PLAIN else fastest)
    using = "no graphs" if fastest == PLAIN else fastest
    assert re.fullmatch(rf"gradients of a step: .*{fastest} 2,000.0 ms.*; using {using}", lines[0])
    assert all(map(torch.equal, before, state(trainer)))
    assert all(weight.grad is None for weight in trainer.model.parameters())


def test_a_method_that_fails_or_takes_too_long_or_computes_other_gradients_is_left_out(
    config: Config, tiny_run: Path
) -> None:
    prepared, lines = prepare(Run(tiny_run), config), list[str]()
    trainer, data = trainer_with(config, prepared, None), all_steps(prepared, config)[0]

    class Wrong(RecordedOperations):
        def capture(self, work: Callable[[], None]) -> Callable[[], None]:
            return lambda: None

    def build(capture: RecordedOperations, seconds: float = 0.0) -> CapturedStep:
        time.sleep(seconds)
        return CapturedStep(trainer._summed_loss, trainer.optimizer, None, trainer.settings, "float32", capture)

    methods = {
        "failing": Method(partial(build, RecordedOperations(fails_from=0))),
        "slow": Method(partial(build, RecordedOperations(), seconds=5.0), max_seconds=0.01),
        "wrong": Method(partial(build, Wrong())),
    }
    assert fastest_method(lambda: None, methods, data, time.perf_counter, lines.append) is None
    assert [line.split(":")[0] for line in lines[:3]] == [f"training without {name}" for name in methods]
    assert lines[1].endswith("TimeoutError: not ready after 0.01 seconds")
    assert "a graph computes other gradients" in lines[2]
    assert lines[3].endswith("; using no graphs")


@pytest.mark.parametrize("rdrop", [0.0, 1.0])
def test_padding_changes_neither_losses_nor_gradients(config: Config, tiny_run: Path, rdrop: float) -> None:
    prepared = prepare(Run(tiny_run), config)
    batch = all_steps(prepared, config)[0].parts[0].batch
    model = build_model(config, prepared.vocabs).double()
    loss = SummedLoss(model, label_smoothing=0.1)
    padded = empty_batch(Shape(len(batch.src) + 5, batch.src.size(1) + 9, batch.num_tokens + 37, None), CPU)
    found = []
    for each in batch, padded, padded:
        if each is padded:
            fill(padded, batch)
        losses = loss(each, rdrop)
        found.append((losses.translation, *torch.autograd.grad(losses.translation, list(model.parameters()))))
    for one, other in zip(found[0], found[1], strict=True):
        assert torch.allclose(one, other.to(one.dtype), rtol=1e-6, atol=1e-6)
    assert all(map(torch.equal, found[1], found[2]))  # nothing of an earlier batch remains


def test_padded_sizes_waste_at_most_an_eighth_and_are_few() -> None:
    sizes = [padded_size(size) for size in range(1, 10_000)]
    assert all(size <= padded <= size * 9 / 8 for size, padded in enumerate(sizes, start=1))
    assert len(set(sizes)) <= 8 * 14


def test_batches_of_a_corpus_have_few_shapes_with_little_padding() -> None:
    draw = np.random.default_rng(1)  # lengths like those of Multi30k: 15 pieces, and up to 70
    src = np.clip(draw.gamma(7, 2.2, 29_000), 3, 70).astype(np.int32)
    tgt = np.clip(src * draw.normal(1.05, 0.2, len(src)), 3, 80).astype(np.int32)
    order = epoch_order(src, tgt, 4096, seed=1, epoch=0)
    exact = [(len(rows), int(max(src[rows].max(), tgt[rows].max())), int(tgt[rows].sum())) for rows in order]
    shapes = [Shape(*map(padded_size, sizes), None) for sizes in exact]
    assert len(set(shapes)) <= 80
    num_places = sum(rows * length for rows, length, _ in exact)
    assert sum(shape.rows * shape.length for shape in shapes) / num_places < 1.12
    assert sum(shape.targets for shape in shapes) / sum(targets for *_, targets in exact) < 1.06
