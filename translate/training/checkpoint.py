"""Weights and training states to disk and back, all or nothing.

A checkpoint is a folder of up to four files: the weights, their average if there is one, the optimizer's state and the
progress, which has the checksums of the others. It counts only as a whole.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from translate.errors import UserError
from translate.run.model import copy_tensors, parameters_of, read_tensors, save_tensors
from translate.run.weights import ModelIdentity, read_checked_weights
from translate.system.checked_json import read_record, write_record
from translate.system.files import naming_disk_errors, sync
from translate.training.optimizer import ExponentialMovingAverage

FORMAT = 1
STEP_FOLDER = re.compile(r"step-(\d{8,})")
MODEL, AVERAGE, OPTIMIZER, PROGRESS = (
    "model.safetensors",
    "average.safetensors",
    "optimizer.safetensors",
    "progress.json",
)
OPTIMIZER_BEFORE = "optimizer.pt"  # a pickle, which earlier versions wrote and none reads any more


@dataclass(frozen=True)
class Progress:
    """How far training has come. Batch order, learning rate and dropout follow from it, so it is all that is saved."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    step: int = 0  # updates made
    epoch: int = 0  # the pass over the text that is going on, from 0
    batches: int = 0  # batches of that pass already used, by all processes
    seconds: float = 0.0  # of training, validation apart
    best: float | None = None  # best validation score so far (lower is better)
    stale_validations: int = 0  # validations since then
    precision: str | None = None  # of the matrix products, which train.precision may leave to a measurement


class TrainingState(NamedTuple):
    """What a checkpoint holds besides the progress."""

    model: nn.Module
    optimizer: torch.optim.Optimizer  # Adam
    average: ExponentialMovingAverage | None
    identity: ModelIdentity


def save_checkpoint(folder: Path, state: TrainingState, progress: Progress, keep: int) -> Path:
    """Write `folder`/step-NNNNNNNN, and remove all older ones but the newest, `keep` in all.

    The folder appears whole or not at all. One of a later step is damaged, or the training would have gone on from it;
    it stays until its step is made again.
    """
    final = folder / f"step-{progress.step:08d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with naming_disk_errors(final):
        partial.mkdir(parents=True)
        try:
            tensors = {MODEL: parameters_of(state.model)}
            if state.average:
                tensors[AVERAGE] = state.average.weights
            if state.optimizer.state:  # none while no step has changed a weight
                tensors[OPTIMIZER] = _optimizer_state(state)
            seals = {name: save_tensors(partial / name, each, state.identity) for name, each in tensors.items()}
            write_record(partial / PROGRESS, {"progress": asdict(progress), "files": seals}, FORMAT)
            sync(partial)
            _discard(final)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync(folder)
    steps = _checkpoints(folder)
    for step in sorted(step for step in steps if step <= progress.step)[:-keep]:
        _discard(steps[step])
    return final


def load_checkpoint(folder: Path, state: TrainingState, warn: Callable[[str], None]) -> Progress | None:
    """Read the newest intact checkpoint into the state; None where there is none at all.

    warn: told of newer ones that are damaged. Raises UserError where all are.
    """
    troubles = []
    for _, checkpoint in sorted(_checkpoints(folder).items(), reverse=True):
        try:
            found = _read(checkpoint, state)
        except UserError as error:
            warn(f"warning: checkpoint left out: {error}")
            troubles.append(checkpoint.name)
            continue
        _apply(found, state)
        return found.progress
    if troubles:
        raise UserError(
            f"{folder}: none of the checkpoints can be used ({', '.join(troubles)}; the reasons stand above); restore "
            "one, or start a new run"
        )
    return None


class _Found(NamedTuple):
    """A checkpoint, read and checked."""

    progress: Progress
    tensors: Mapping[str, Mapping[str, Tensor]]  # of each file


def _read(checkpoint: Path, state: TrainingState) -> _Found:
    """All of a checkpoint, into memory. Raises UserError where any of it is damaged or does not fit."""
    if (checkpoint / OPTIMIZER_BEFORE).exists():
        raise UserError(
            f"{checkpoint}: of an earlier version, which cannot be gone on with; its weights still translate"
        )
    path = checkpoint / PROGRESS
    try:
        record = read_record(path, FORMAT, "the checkpoint is of no use")
        progress = TypeAdapter(Progress).validate_json(json.dumps(record["progress"]))
        seals: dict[str, str] = dict(record["files"])
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; the checkpoint is of no use") from None
    except (ValidationError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged; the checkpoint is of no use") from None
    if checkpoint.name != f"step-{progress.step:08d}":
        raise UserError(f"{path}: of step {progress.step}, which is not what the folder is called")
    wanted: dict[str, Mapping[str, Tensor]] = {MODEL: parameters_of(state.model)}
    if state.average and AVERAGE in seals:
        wanted[AVERAGE] = state.average.weights
    if OPTIMIZER in seals:
        wanted[OPTIMIZER] = _optimizer_places(state)
    return _Found(progress, {name: _part(checkpoint / name, seals, state, into) for name, into in wanted.items()})


def _part(path: Path, seals: Mapping[str, str], state: TrainingState, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    sealed = read_checked_weights(path, state.identity, "the checkpoint is of no use")
    if sealed.seal != seals.get(path.name):
        raise UserError(f"{path}: of another checkpoint than {PROGRESS} beside it")
    return read_tensors(path, sealed, like)


def _apply(found: _Found, state: TrainingState) -> None:
    copy_tensors(found.tensors[MODEL], parameters_of(state.model))
    if state.average:
        # Without one the training has not averaged so far: from here on, then.
        copy_tensors(found.tensors.get(AVERAGE, found.tensors[MODEL]), state.average.weights)
    moments: dict[int, dict[str, Tensor]] = {}
    in_order = [id(parameter) for group in state.optimizer.param_groups for parameter in group["params"]]
    numbers = {name: in_order.index(id(parameter)) for name, parameter in state.model.named_parameters()}
    for name, tensor in found.tensors.get(OPTIMIZER, {}).items():
        moment, _, parameter = name.partition(".")
        moments.setdefault(numbers[parameter], {})[moment] = tensor
    groups = state.optimizer.state_dict()["param_groups"]  # as they are: settings, and what suits this device
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _optimizer_state(state: TrainingState) -> dict[str, Tensor]:
    """Adam's numbers under names such as `exp_avg.encoder_norm.weight`."""
    return {
        f"{moment}.{name}": tensor
        for name, parameter in state.model.named_parameters()
        for moment, tensor in state.optimizer.state[parameter].items()
    }


def _optimizer_places(state: TrainingState) -> dict[str, Tensor]:
    """Tensors of the shapes that Adam's numbers have."""
    places: dict[str, Tensor] = {}
    for name, parameter in parameters_of(state.model).items():
        places |= {f"exp_avg.{name}": parameter, f"exp_avg_sq.{name}": parameter, f"step.{name}": torch.zeros(())}
    return places


def _checkpoints(folder: Path) -> dict[int, Path]:
    """The folders of checkpoints by their steps; what only looks like one does not count."""
    found = ((STEP_FOLDER.fullmatch(path.name), path) for path in folder.glob("step-*"))
    return {int(match[1]): path for match, path in found if match and path.is_dir() and not path.is_symlink()}


def _discard(path: Path) -> None:
    """Remove what is there, if anything; never half of it under its name."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        old = path.rename(path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial"))
        shutil.rmtree(old)
