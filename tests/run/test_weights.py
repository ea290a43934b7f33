"""Weights of another model or with values that are not finite are refused by all who load them, before any work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.helpers.runs import changed
from translate.config.settings import Config
from translate.ctranslate2.convert import export_ctranslate2
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.model.seq2seq import Seq2Seq
from translate.run.folder import Run
from translate.run.model import build_model, load_model, read_weights

FIXTURE = Path(__file__).parents[1] / "data" / "0.1.0"
LOADERS: dict[str, Callable[[Run], object]] = {
    "torch": lambda run: load_model(run, run.load_vocabs()),
    "verify": lambda run: read_weights(run, run.load_vocabs()),
    "ctranslate2": lambda run: export_ctranslate2(run, run.path / "exported"),
}
EMBEDDING = "tgt_embedding.weight"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    shutil.copytree(FIXTURE / "run", tmp_path / "run")
    return Run(tmp_path / "run")


def refused(load: Callable[[Run], object], run: Run) -> str:
    with pytest.raises(UserError, match=r"^[^\n]*model\.safetensors: [^\n]*$") as caught:
        load(run)
    return str(caught.value)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_foreign_weights_are_refused_by_every_loader(run: Run, load: Callable[[Run], object]) -> None:
    weights = load_file(run.weights_path)
    table = weights[EMBEDDING]
    for value in np.nan, np.inf, -np.inf:
        spoiled = table.copy()
        spoiled[-1, -1] = value
        save_file(weights | {EMBEDDING: spoiled}, run.weights_path)  # without a checksum
        assert f"{EMBEDDING} contains NaN or infinity" in refused(load, run)
    for other, reason in (
        (table.astype(np.float16), f"first mismatch: {EMBEDDING} has type F16 instead of F32"),
        (table.view(np.int32), "has type I32"),
        (table.T.copy(), f"first mismatch: {EMBEDDING})"),
        (table[1:], f"first mismatch: {EMBEDDING})"),
        (table[None], f"first mismatch: {EMBEDDING})"),
    ):
        save_file(weights | {EMBEDDING: other}, run.weights_path)
        assert reason in refused(load, run)
    save_file({name: array for name, array in weights.items() if name != EMBEDDING}, run.weights_path)
    assert f"first mismatch: {EMBEDDING})" in refused(load, run)
    save_file(weights | {"zeros": np.zeros(0, np.float32)}, run.weights_path)
    assert "first mismatch: zeros)" in refused(load, run)
    save_file(weights, run.weights_path)
    load(run)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_settings_of_a_giant_model_are_refused_before_it_takes_memory(
    run: Run, load: Callable[[Run], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(config: Config, vocabs: VocabPair) -> Seq2Seq:
        assert torch.get_default_device().type == "meta", "the model must not be built"
        return build_model(config, vocabs)

    monkeypatch.setattr("translate.run.model.build_model", without_memory)
    run.write_config(changed(run.load_config(), "model", d_model=2**16, d_ff=2**16))
    assert "trained with model.d_model = 8, model.d_ff = 16" in refused(load, run)
    save_file(load_file(run.weights_path), run.weights_path)
    assert "first mismatch: " in refused(load, run)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_file_of_another_size_is_not_read(run: Run, load: Callable[[Run], object]) -> None:
    with run.weights_path.open("ab") as weights:
        weights.truncate(2**40)
    assert "its size does not match its header" in refused(load, run)


def test_loading_draws_no_random_values_and_sets_all_parameters(any_run: Path) -> None:
    """Of each architecture: one parameter that is not in the file would keep what its memory held before."""
    run = Run(any_run)
    before = torch.get_rng_state()
    model = load_model(run, run.load_vocabs()).model
    assert torch.equal(torch.get_rng_state(), before)
    stored = load_file(run.weights_path)
    found = dict(model.named_parameters())
    assert found.keys() == stored.keys()
    assert all(np.array_equal(found[name].detach(), stored[name]) for name in stored)
    fresh = build_model(run.load_config(), run.load_vocabs())
    buffers = dict(model.named_buffers())
    assert all(torch.equal(buffers[name], buffer) for name, buffer in fresh.named_buffers())
