"""Batches that do not fit into memory are halved. The tests simulate the memory limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.corpora import links_of
from tests.helpers.runs import CPU, changed, train_into
from tests.helpers.states import assert_close
from translate.api import load_translator
from translate.config.settings import Config
from translate.data.batches import Batch, make_batch
from translate.decoding.engine import Sentence
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.model.transformer import Transformer
from translate.run.folder import Run
from translate.system.distributed import ALONE, World
from translate.training.checkpoint import Progress
from translate.training.estimate import dry_run
from translate.training.feed import feed
from translate.training.loss import Losses, SummedLoss
from translate.training.prepare import prepare
from translate.training.step import Trainer
from translate.training.validation import validate

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    MemoryError("std::bad_alloc"),
]


def limit_training(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception = NO_MEMORY[1]) -> list[int]:
    """Make training passes with more than `most` places fail. Returns the sizes of all attempted passes."""
    forward: Callable[..., Losses] = SummedLoss.forward
    tried = []

    def limited(self: SummedLoss, batch: Batch, rdrop: float = 0.0) -> Losses:
        if self.model.training:
            tried.append(batch.num_places)
            if batch.num_places > most:
                raise error
        return forward(self, batch, rdrop)

    monkeypatch.setattr(SummedLoss, "forward", limited)
    return tried


@pytest.fixture
def config(tiny_config: Config) -> Config:
    return changed(changed(tiny_config, "model", dropout=0.0), "train", accumulate=2, batch_tokens=600, max_steps=4)


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_a_halved_step_yields_the_same_weights(
    tiny_run: Path, config: Config, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    prepared = prepare(Run(tiny_run), config)
    whole, halved = Trainer(config, prepared, CPU), Trainer(config, prepared, CPU)
    for number in range(1, 4):
        with closing(feed(prepared, config.train, Progress(batches=2 * number), CPU, ALONE)) as steps:
            data = next(steps)
        expected = whole.step(data, number)
        with monkeypatch.context() as patch:
            tried = limit_training(patch, 200, error)
            stepped = halved.step(data, number)
        assert halved.gradients.is_halving
        assert min(tried) <= 200
        assert stepped.losses.translation.item() == pytest.approx(expected.losses.translation.item(), rel=1e-6)
        assert stepped.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-5)
    for one, other in zip(whole.model.parameters(), halved.model.parameters(), strict=True):
        assert_close(one, other)


def test_training_continues_with_halves_warns_once_and_does_not_retry_failed_sizes(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(config, "model", dropout=0.1)
    tried = limit_training(monkeypatch, 200)
    run = train_into(tmp_path / "run", config)
    log = (run.path / "train.log").read_text()
    assert log.count("out of memory: ") == 1
    assert "lower train.batch_tokens (600) or raise train.accumulate" in log
    failed = [places for places in tried if places > 200]
    assert failed == sorted(failed, reverse=True)
    assert len(set(failed)) == len(failed) < 6
    tried.clear()
    again = train_into(tmp_path / "again", config)
    for name, weight in load_file(run.weights_path).items():
        assert torch.equal(weight, load_file(again.weights_path)[name])


def test_a_dry_run_reports_halved_batches(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    told = dry_run(Run.create(tmp_path / "fits", config), config, CPU)
    assert not any("halved" in line for line in told)
    limit_training(monkeypatch, 300)
    told = dry_run(Run.create(tmp_path / "run", config), config, CPU)
    assert any(
        line.startswith("memory ") and "halved" in line and "lower train.batch_tokens (600)" in line for line in told
    )


def test_a_single_pair_that_does_not_fit_is_reported(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "train.en"
    lines = Path(config.data.train_src).read_text(encoding="utf-8").splitlines()
    lines[30], lines[6] = " ".join(lines[30:40]), ""
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = changed(changed(config, "data", train_src=str(text)), "train", accumulate=1, max_steps=20)
    limit_training(monkeypatch, 110)
    with pytest.raises(UserError, match=rf"a single sentence pair, line 31 of {re.escape(str(text))} and "):
        train_into(tmp_path / "run", config)


def test_multiple_processes_never_halve(tiny_run: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(Run(tiny_run), config)
    trainer = Trainer(config, prepared, CPU)
    trainer.gradients._world = World(0, 2)
    limit_training(monkeypatch, 200)
    with (
        closing(feed(prepared, config.train, Progress(), CPU, ALONE)) as steps,
        pytest.raises(RuntimeError, match="can't allocate memory"),
    ):
        trainer.step(next(steps), 1)


def test_half_a_batch_equals_the_batch_of_its_rows(tmp_path: Path, tiny_config: Config, corpus: Path) -> None:
    align = tmp_path / "train.align"
    align.write_text("0-0 0-1\n" * 200)
    config = changed(changed(tiny_config, "data", train_align=str(align)), "vocab", size=330)
    prepared = prepare(Run.create(tmp_path / "run", config), config)
    rows = np.array([3, 50, 7, 8, 90])
    whole = make_batch(prepared.train, rows, prepared.vocabs.tgt.bos_id)
    assert all(links_of(prepared.train, row) for row in rows)
    for pairs in slice(0, 2), slice(2, 5), slice(4, 5):
        expected = make_batch(prepared.train, rows[pairs], prepared.vocabs.tgt.bos_id)
        found = whole.select(pairs)
        assert found.links
        assert expected.links
        for one, other in zip([*found[:5], *found.links], [*expected[:5], *expected.links], strict=True):
            assert torch.equal(one, other)


def test_decoding_and_scoring_continue_with_halves_and_warn_once(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = load_translator(tiny_run, "cpu").engine
    assert isinstance(engine, TorchEngine)
    settings = Run(tiny_run).load_config().decode
    random = np.random.default_rng(1)
    sentences = [Sentence([*random.integers(10, 300, size), 3], number) for number, size in enumerate([9, 2, 5, 7, 3])]
    pairs = [(sentence.src, sentence.src) for sentence in sentences]
    expected, scores = engine.search(sentences, settings, 2), engine.score(pairs)
    encode, forward = Transformer.encode, Transformer.forward

    def limited_encode(self: Transformer, src: torch.Tensor, src_mask: torch.Tensor):
        if src.numel() > 12:
            raise NO_MEMORY[0]
        return encode(self, src, src_mask)

    def limited_forward(self: Transformer, src: torch.Tensor, *others: torch.Tensor):
        if src.numel() > 12:
            raise NO_MEMORY[1]
        return forward(self, src, *others)

    monkeypatch.setattr(Transformer, "encode", limited_encode)
    for _ in range(2):
        for found, wanted in zip(engine.search(sentences, settings, 2), expected, strict=True):
            assert [each.pieces for each in found] == [each.pieces for each in wanted]
            assert [each.score for each in found] == pytest.approx([each.score for each in wanted], abs=1e-5)
    said = capsys.readouterr().err
    assert said.count("out of memory") == 1
    assert "lower decode.batch_tokens (4096)" in said
    monkeypatch.undo()
    monkeypatch.setattr(Transformer, "forward", limited_forward)
    for one, other in zip(engine.score(pairs), scores, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert capsys.readouterr().err.count("out of memory") == 1
    with pytest.raises(UserError, match="out of memory on a single line of 31 pieces"):
        engine.score([([5] * 30 + [3], [5] * 30 + [3])])


def test_validation_continues_with_halves(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = changed(Run(tiny_run).load_config(), "train", validate_sentences=0)
    prepared = prepare(Run(tiny_run), config)
    model = Trainer(config, prepared, CPU).model
    expected = validate(model, prepared, config, CPU, ALONE).loss
    forward: Callable[..., Losses] = SummedLoss.forward

    def limited(self: SummedLoss, batch: Batch, rdrop: float = 0.0) -> Losses:
        if batch.num_places > 150:
            raise NO_MEMORY[1]
        return forward(self, batch, rdrop)

    monkeypatch.setattr(SummedLoss, "forward", limited)
    assert validate(model, prepared, config, CPU, ALONE).loss == pytest.approx(expected, rel=1e-6)
