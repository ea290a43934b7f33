"""Saving and loading the training state of a tiny model."""

from __future__ import annotations

import shutil
from dataclasses import astuple
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.runs import IDENTITY, load_weights, train_step, trained
from translate.errors import UserError
from translate.run.model import save_weights
from translate.system.checked_json import read_record, write_record
from translate.training.checkpoint import FORMAT, Progress, TrainingState, load_checkpoint, save_checkpoint

PROGRESS = Progress(7, 2, 5, 1.5, best=0.25, stale_validations=1, precision="bfloat16", products="mkl")


def tensors_of(state: TrainingState) -> dict[str, Tensor]:
    tensors = {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}
    averaged = state.ema.weights if state.ema else {}
    tensors |= {f"average.{name}": weight.clone() for name, weight in averaged.items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{number}.{name}": value.clone() for name, value in moments.items()}
    return tensors


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refuse_warnings(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize("is_averaged", [True, False])
def test_a_loaded_state_equals_the_saved_one_and_trains_identically(tmp_path: Path, is_averaged: bool) -> None:
    saved, loaded = trained(1, is_averaged), trained(2, is_averaged)
    folder = tmp_path / "a" / "b"
    assert save_checkpoint(folder, saved, PROGRESS, 1) == folder / "step-00000007"
    assert load_checkpoint(folder, loaded, refuse_warnings) == PROGRESS
    assert_same(tensors_of(saved), tensors_of(loaded))
    assert loaded.optimizer.param_groups[0]["lr"] == 0.2  # settings are not the checkpoint's
    for group in loaded.optimizer.param_groups:
        group["lr"] = 0.1
    for state in saved, loaded:
        train_step(state, 3)
    assert_same(tensors_of(saved), tensors_of(loaded))


def test_a_checkpoint_of_a_run_with_another_seed_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, trained(1), PROGRESS, 1)
    with pytest.raises(UserError, match="none of the checkpoints"):
        load_checkpoint(tmp_path, trained(1)._replace(seed=2), lambda _: None)
    path = tmp_path / "step-00000007" / "progress.json"
    record = read_record(path, FORMAT, "")
    assert record.pop("seed") == 1
    write_record(path, record, FORMAT)  # as in an older version
    assert load_checkpoint(tmp_path, trained(1)._replace(seed=2), refuse_warnings) == PROGRESS


def test_loading_writes_into_the_existing_tensors(tmp_path: Path) -> None:
    """The optimizer and the moving average reference the same tensors."""
    saved, loaded = trained(1), trained(2)
    places = [parameter.data_ptr() for parameter in loaded.model.parameters()]
    save_checkpoint(tmp_path, saved, PROGRESS, 1)
    load_checkpoint(tmp_path, loaded, refuse_warnings)
    assert [parameter.data_ptr() for parameter in loaded.model.parameters()] == places
    save_weights(tmp_path / "weights", trained(3).model, IDENTITY)
    load_weights(tmp_path / "weights", loaded.model, IDENTITY)
    assert [parameter.data_ptr() for parameter in loaded.model.parameters()] == places
    weights = dict(trained(3).model.named_parameters())
    assert all(torch.equal(weights[name], weight) for name, weight in loaded.model.named_parameters())


def test_a_moving_average_starts_from_the_weights_if_none_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, trained(1, is_averaged=False), PROGRESS, 1)
    loaded = trained(2)
    load_checkpoint(tmp_path, loaded, refuse_warnings)
    assert loaded.ema
    for name, weight in trained(1).model.named_parameters():
        assert torch.equal(loaded.ema.weights[name], weight)


def test_a_saved_moving_average_is_ignored_if_averaging_is_off(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, trained(1), PROGRESS, 1)
    loaded = trained(2, is_averaged=False)
    assert load_checkpoint(tmp_path, loaded, refuse_warnings) == PROGRESS
    assert_same(tensors_of(trained(1, is_averaged=False)), tensors_of(loaded))


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    state = trained(1)
    before = tensors_of(state)
    assert load_checkpoint(tmp_path, state, refuse_warnings) is None
    assert load_checkpoint(tmp_path / "missing", state, refuse_warnings) is None
    assert_same(tensors_of(state), before)


def test_the_newest_checkpoints_are_kept_and_later_ones_until_their_step_is_reached(tmp_path: Path) -> None:
    state = trained(1)
    for step in 9, 10, 99_999_999, 100_000_000:
        save_checkpoint(tmp_path, state, Progress(step=step), 3)
    assert names_in(tmp_path) == ["step-00000010", "step-100000000", "step-99999999"]
    found = load_checkpoint(tmp_path, state, refuse_warnings)
    assert found
    assert found.step == 100_000_000
    save_checkpoint(tmp_path, state, Progress(step=11), 1)
    assert names_in(tmp_path) == ["step-00000011", "step-100000000", "step-99999999"]


def test_a_repeated_step_replaces_its_checkpoint(tmp_path: Path) -> None:
    for seed in 1, 2:
        save_checkpoint(tmp_path, trained(seed), PROGRESS, 2)
        assert names_in(tmp_path) == ["step-00000007"]
    loaded = trained(3)
    load_checkpoint(tmp_path, loaded, refuse_warnings)
    assert_same(tensors_of(loaded), tensors_of(trained(2)))
    (tmp_path / "step-00000008").write_text("a file")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "step-00000009").symlink_to(outside)
    for step in 8, 9:
        save_checkpoint(tmp_path, trained(1), Progress(step=step), 3)
    assert load_checkpoint(tmp_path, loaded, refuse_warnings) == Progress(step=9)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("failing", ["write_record", "sync"])
def test_an_interrupted_save_leaves_the_previous_checkpoint_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    partial = tmp_path / ".step-00000007.partial"
    partial.mkdir()
    (partial / "rest.safetensors").write_text("of a process that was killed")
    save_checkpoint(tmp_path, trained(1), PROGRESS, 1)
    assert names_in(tmp_path / "step-00000007") == [
        "average.safetensors",
        "model.safetensors",
        "optimizer.safetensors",
        "progress.json",
    ]
    with monkeypatch.context() as patch:
        patch.setattr(f"translate.training.checkpoint.{failing}", die)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, trained(2), PROGRESS, 1)
    assert names_in(tmp_path) == ["step-00000007"]
    loaded = trained(3)
    load_checkpoint(tmp_path, loaded, refuse_warnings)
    assert_same(tensors_of(loaded), tensors_of(trained(1)))


def test_a_checkpoint_is_synced_to_disk_before_and_after_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "translate.training.checkpoint.sync",
        lambda path: synced.append((path.name, (tmp_path / "step-00000007").exists())),
    )
    save_checkpoint(tmp_path, trained(1), PROGRESS, 1)
    assert synced == [(".step-00000007.partial", False), (tmp_path.name, True)]


def test_checkpoints_of_older_versions_or_with_wrong_names_are_skipped_with_a_reason(tmp_path: Path) -> None:
    for step in 1, 2, 3, 4, 5:
        save_checkpoint(tmp_path, trained(step), Progress(step=step), 9)
    (tmp_path / "step-00000005" / "optimizer.pt").touch()
    (tmp_path / "step-00000004").rename(tmp_path / "step-00000006")
    (tmp_path / "step-00000003" / "progress.json").unlink()
    (tmp_path / "step-00000002" / "progress.json").unlink()
    (tmp_path / "step-00000002" / "progress.json").mkdir()
    said: list[str] = []
    assert load_checkpoint(tmp_path, trained(9), said.append) == Progress(step=1)
    reasons = [
        "step-00000006/progress.json: step 4 does not match the folder name; this checkpoint cannot be used",
        "step-00000005: written by an older version and cannot be resumed; its weights can still be used to translate",
        "step-00000003/progress.json: no such file; this checkpoint cannot be used",
        "step-00000002/progress.json: no such file; this checkpoint cannot be used",
    ]
    assert said == [f"warning: checkpoint skipped: {tmp_path}/{reason}" for reason in reasons]
    for path in tmp_path.glob("step-00000001/progress.json"):
        path.unlink()
    with pytest.raises(UserError) as raised:
        load_checkpoint(tmp_path, trained(9), said.append)
    newest_first = ", ".join(f"step-0000000{step}" for step in (6, 5, 3, 2, 1))
    assert str(raised.value).startswith(f"{tmp_path}: none of the checkpoints can be used ({newest_first}; ")


def test_a_file_from_another_checkpoint_counts_as_damage(tmp_path: Path) -> None:
    """Each file is intact, but they do not belong together."""
    for seed in 1, 2:
        save_checkpoint(tmp_path, trained(seed), Progress(step=seed), 9)
    shutil.copy(tmp_path / "step-00000001" / "model.safetensors", tmp_path / "step-00000002")
    said: list[str] = []
    assert load_checkpoint(tmp_path, trained(3), said.append) == Progress(step=1)
    assert said == [
        f"warning: checkpoint skipped: {tmp_path}/step-00000002/model.safetensors: does not match "
        "progress.json in the same folder; this checkpoint cannot be used"
    ]


def test_other_files_named_like_a_checkpoint_are_ignored(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, trained(1), Progress(step=1), 9)
    (tmp_path / "step-00000003").write_text("a file")
    (tmp_path / "step-00000004").symlink_to(tmp_path / "step-00000001")
    for name in "step-x", "step-9", "step-00000005.old":
        (tmp_path / name).mkdir()
    assert load_checkpoint(tmp_path, trained(2), refuse_warnings) == Progress(step=1)


def test_progress_starts_at_zero() -> None:
    assert astuple(Progress())[:7] == (0, 0, 0, 0.0, None, 0, None)


@pytest.mark.parametrize("content", [b"", b"no weights", (2).to_bytes(8, "little") + b"{]"])
def test_a_file_that_does_not_contain_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors: damaged or not a safetensors file"):
        load_weights(path, trained(1).model, IDENTITY)


@pytest.mark.parametrize(
    "progress", [{}, {"step": "7"}, {"step": 7.5}, {"step": 7, "best": "low"}, {"step": 7, "colour": 1}, 7]
)
def test_progress_with_wrong_names_or_types_counts_as_damage(tmp_path: Path, progress: object) -> None:
    path = save_checkpoint(tmp_path, trained(1), PROGRESS, 1) / "progress.json"
    values = read_record(path, FORMAT, "")
    write_record(path, values | {"progress": progress}, FORMAT)
    said: list[str] = []
    with pytest.raises(UserError, match="none of the checkpoints can be used"):
        load_checkpoint(tmp_path, trained(2), said.append)
    assert len(said) == 1
    assert f"{path}: " in said[0]


def test_weights_with_a_different_shape_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, trained(1, width=5).model, IDENTITY)
    narrow = trained(1)
    before = tensors_of(narrow)
    with pytest.raises(
        UserError, match=r"do not match the model that config\.toml describes \(first mismatch: [01]\.(weight|bias)\)"
    ):
        load_weights(path, narrow.model, IDENTITY)
    with pytest.raises(
        UserError, match=r"do not match the model that config\.toml describes \(first mismatch: 0\.bias\)"
    ):
        load_weights(path, nn.Sequential(nn.Linear(3, 5, bias=False), nn.Linear(5, 2)), IDENTITY)
    assert_same(tensors_of(narrow), before)
