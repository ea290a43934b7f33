"""Settings that change the model or the step: with each of them a run trains, goes on and translates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import CPU, changed, train_into
from test_train import assert_equal_states

from translate import load
from translate.run import Run
from translate.settings import Config
from translate.train import train

RHYTHM = {"max_steps": 4, "save_every": 2, "keep_checkpoints": 2, "validate_every": 4, "validate_sentences": 1}
Variant = dict[str, object]


@pytest.mark.parametrize(
    ("model", "step"),
    [
        ({}, {"rdrop": 5.0}),
        ({}, {"rdrop": 5.0, "rdrop_from": 0.5}),  # from where it is resumed
    ],
    ids=str,
)
def test_a_variant_trains_goes_on_and_translates(
    tmp_path: Path, tiny_config: Config, tiny_run: Path, model: Variant, step: Variant
) -> None:
    config = changed(tiny_config, "vocab", model=str(tiny_run / "vocab.model"))
    config = changed(changed(config, "train", **RHYTHM | step), "model", **model)
    whole = train_into(tmp_path / "whole", config)
    assert_equal_states(whole, resumed_in_the_middle(whole, tmp_path / "resumed", config))
    assert len(load(str(whole.path)).translate(["I love apples.", "She sees a house."])) == 2


def resumed_in_the_middle(whole: Run, path: Path, config: Config) -> Run:
    """A copy of the run that goes on from its checkpoint of step 2."""
    shutil.copytree(whole.path, path)
    shutil.rmtree(path / "checkpoints" / "step-00000004")
    run = Run.resume(path, config)
    train(run, config, CPU)
    return run
