"""Weights and training states to disk and back, all or nothing."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from translate.average import WeightAverage
from translate.errors import UserError
from translate.files import sync, write_bytes, write_text


@dataclass(frozen=True)
class Progress:
    """How far training has come. Batch order, learning rate and dropout follow from it, so it is all that is saved."""

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
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the parameters as safetensors; a tied one once."""
    _save_tensors(path, {name: parameter.detach() for name, parameter in model.named_parameters()})


def load_weights(path: Path, model: nn.Module) -> None:
    """Read what `save_weights` wrote into a model of the same shape. Raises UserError where the two do not fit."""
    _load_tensors(path, {name: parameter.detach() for name, parameter in model.named_parameters()})


def save_checkpoint(folder: Path, state: TrainingState, progress: Progress, keep: int) -> Path:
    """Write `folder`/step-NNNNNNNN, and remove all but the newest `keep`. The folder appears whole or not at all."""
    final = folder / f"step-{progress.step:08d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save_weights(partial / "model.safetensors", state.model)
        if state.average:
            _save_tensors(partial / "average.safetensors", state.average.weights)
        # Through memory, because torch.save tells of a full disk in words of its own.
        optimizer = BytesIO()
        torch.save(state.optimizer.state_dict(), optimizer)
        write_bytes(partial / "optimizer.pt", optimizer.getvalue())
        write_text(partial / "progress.json", json.dumps(asdict(progress)) + "\n")
        sync(partial)
        shutil.rmtree(final, ignore_errors=True)  # of this very step, when a finished training is resumed
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync(folder)
    for old in _checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def load_checkpoint(folder: Path, state: TrainingState, device: torch.device) -> Progress | None:
    """Read the newest checkpoint into the state; None where there is none yet."""
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return None
    newest = checkpoints[-1]
    load_weights(newest / "model.safetensors", state.model)
    if state.average:
        averaged = newest / "average.safetensors"
        # Without one the training has not averaged so far: from here on, then.
        _load_tensors(averaged if averaged.exists() else newest / "model.safetensors", state.average.weights)
    try:
        optimizer = torch.load(newest / "optimizer.pt", map_location=device, weights_only=True)
        fused = state.optimizer.defaults["fused"]
        state.optimizer.load_state_dict(optimizer)
        for group in state.optimizer.param_groups:
            group["fused"] = fused  # what suits this device, not the one that the checkpoint is from
        return Progress(**json.loads((newest / "progress.json").read_text()))
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{newest}: damaged checkpoint ({reason}); remove it to resume from the one before") from None


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))


def _load_tensors(path: Path, into: Mapping[str, Tensor]) -> None:
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights; has the training written any yet?") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from None
    odd = sorted(into.keys() ^ tensors.keys())
    odd += [name for name in into.keys() & tensors.keys() if into[name].shape != tensors[name].shape]
    if odd:
        raise UserError(f"{path}: these weights are of another model than config.toml describes (first: {odd[0]})")
    for name, tensor in into.items():
        tensor.copy_(tensors[name])


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
