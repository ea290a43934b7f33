"""Settings that change the training step: each one takes effect, and its run resumes and translates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.runs import CPU, changed, train_into
from tests.helpers.states import assert_equal_states
from translate import load
from translate.config.settings import Config
from translate.run.folder import Run
from translate.training.loop import train

RHYTHM = {"max_steps": 4, "save_every": 2, "keep_checkpoints": 2, "validate_every": 4, "validate_sentences": 1}
Variant = dict[str, object]


@pytest.fixture(scope="module")
def config(tiny_config: Config, tiny_run: Path) -> Config:
    config = changed(tiny_config, "vocab", model=str(tiny_run / "vocab.model"))
    return changed(changed(config, "model", dropout=0.1), "train", **RHYTHM)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Run:
    return train_into(tmp_path_factory.mktemp("variants") / "plain", config)


@pytest.mark.parametrize(
    ("step", "first_other"),
    [
        ({"rdrop": 5.0}, 2),  # of the two checkpoints
        ({"rdrop": 5.0, "rdrop_from": 0.5}, 4),  # from where it is resumed
    ],
    ids=str,
)
def test_a_variant_trains_resumes_and_translates(
    tmp_path: Path, config: Config, plain: Run, step: Variant, first_other: int
) -> None:
    config = changed(config, "train", **step)
    whole = train_into(tmp_path / "whole", config)
    assert [is_alike(whole, plain, number) for number in (2, 4)] == [number < first_other for number in (2, 4)]
    assert_equal_states(whole, resumed_in_the_middle(whole, tmp_path / "resumed", config))
    assert len(load(str(whole.path)).translate(["I love apples.", "She sees a house."])) == 2


def is_alike(one: Run, other: Run, step: int) -> bool:
    """Return whether the weights after this step are the same."""
    name = f"step-{step:08}/model.safetensors"
    first, second = (load_file(run.checkpoints_path / name) for run in (one, other))
    return all(torch.equal(weights, second[name]) for name, weights in first.items())


def resumed_in_the_middle(whole: Run, path: Path, config: Config) -> Run:
    """A copy of the run, resumed from its checkpoint of step 2."""
    shutil.copytree(whole.path, path)
    shutil.rmtree(path / "checkpoints" / "step-00000004")
    run = Run.resume(path, config)
    train(run, config, CPU)
    return run
