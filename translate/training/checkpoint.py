"""Checkpoints: the training state, saved atomically and verified when loaded.

A checkpoint is a folder with up to four files: the weights, their moving average (if enabled), the optimizer state, and
the progress, which includes the checksums of the other files. A checkpoint is valid only if all its files are intact.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from pydantic import ConfigDict
from torch import Tensor, nn

from translate.config.train_settings import TrainSettings
from translate.errors import UserError
from translate.run.model import as_tensors, copy_tensors, parameters_of, save_tensors, shapes_of
from translate.run.weights import ModelIdentity, read_checked_weights
from translate.system.checked_json import read_record, typed, write_record
from translate.system.files import naming_disk_errors, sync
from translate.training.optimizer import AdamW, ExponentialMovingAverage

FORMAT = 1
STEP_FOLDER = re.compile(r"step-(\d{8,})")
MODEL, EMA, OPTIMIZER = (f"{name}.safetensors" for name in ("model", "average", "optimizer"))
PROGRESS = "progress.json"
PICKLED_OPTIMIZER = "optimizer.pt"  # written by older versions, no longer supported
UNUSABLE = "this checkpoint cannot be used"

Tensors = dict[str, dict[str, Tensor]]  # keyed by file name, then tensor name


@dataclass(frozen=True)
class TimedSchedule:
    """Schedule of a training that train.max_minutes may end (see `pace`). Positions are counted in planned steps."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    num_steps: int  # planned: the length of the schedule
    max_minutes: float  # train.max_minutes and train.max_epochs for which it was planned
    max_epochs: int
    steps_by_epochs: int  # steps in max_epochs; 0 if these do not limit the training
    rdrop_cost: float  # time of a step with R-Drop relative to one without, if R-Drop starts late; otherwise 1
    validate_every: int  # positions between validations; 0: train.validate_every gives the number of steps
    position: float = 0.0  # of the last step

    def is_for(self, settings: TrainSettings, steps_by_epochs: int) -> bool:
        """Return whether the schedule was planned for these limits and as many steps in train.max_epochs."""
        mine = self.max_minutes, self.max_epochs, self.steps_by_epochs
        return mine == (settings.max_minutes, settings.max_epochs, steps_by_epochs)


@dataclass(frozen=True)
class Progress:
    """Training progress, which also determines the batch order, the learning rate and dropout."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    step: int = 0  # completed steps
    epoch: int = 0  # current epoch, counted from 0
    batches: int = 0  # batches used so far in this epoch, by all processes
    seconds: float = 0.0  # training time, excluding validation
    best: float | None = None  # best validation score so far (lower is better)
    stale_validations: int = 0  # validations since the best one
    precision: str | None = None  # of matrix products; with train.precision "auto", the chosen precision
    workers: int | None = None  # number of shares into which steps are divided; None if an older version did not do so
    products: str | None = None  # library of float32 products on a CPU, see `translate.system.products`
    speed: float | None = None  # steps per second over about the last minute; those with R-Drop count by their cost
    schedule: TimedSchedule | None = None  # if the schedule follows the time left


class _Record(NamedTuple):
    """Contents of PROGRESS."""

    progress: Progress
    files: dict[str, str]  # checksums by file name
    seed: int | None = None  # train.seed; None if an older version wrote the checkpoint


class TrainingState(NamedTuple):
    """Contents of a checkpoint, except for the progress."""

    model: nn.Module
    optimizer: AdamW
    ema: ExponentialMovingAverage | None
    identity: ModelIdentity
    seed: int  # train.seed, which differs between runs of the same text


def save_checkpoint(folder: Path, state: TrainingState, progress: Progress, keep: int) -> Path:
    """Write `folder`/step-NNNNNNNN atomically, and keep only the newest `keep` checkpoints up to this step.

    Any checkpoint of a later step is damaged, because training would have resumed from it otherwise. It is kept until
    training reaches its step again.
    """
    final = folder / f"step-{progress.step:08d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with naming_disk_errors(final):
        partial.mkdir(parents=True)
        try:
            tensors = {MODEL: parameters_of(state.model)}
            if state.ema:
                tensors[EMA] = state.ema.weights
            if state.optimizer.state:  # empty before the first update
                tensors[OPTIMIZER] = {  # names like "exp_avg.encoder_norm.weight"
                    f"{moment}.{name}": tensor
                    for name, parameter in state.model.named_parameters()
                    for moment, tensor in state.optimizer.state[parameter].items()
                }
            checksums = {name: save_tensors(partial / name, each, state.identity) for name, each in tensors.items()}
            record = _Record(progress, checksums, state.seed)
            write_record(partial / PROGRESS, {**record._asdict(), "progress": asdict(progress)}, FORMAT)
            sync(partial)
            _discard(final)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync(folder)
    steps = step_folders(folder)
    for step in sorted(step for step in steps if step <= progress.step)[:-keep]:
        _discard(steps[step])
    return final


def load_checkpoint(folder: Path, state: TrainingState, warn: Callable[[str], None]) -> Progress | None:
    """Load the newest intact checkpoint into `state`. Returns its progress, or None if no checkpoint exists.

    warn: function to call with a message for each damaged checkpoint. Raises UserError if all checkpoints are damaged.
    """
    damaged = []
    for _, checkpoint in sorted(step_folders(folder).items(), reverse=True):
        try:
            progress, tensors = _read(checkpoint, state)
        except UserError as error:
            warn(f"warning: checkpoint skipped: {error}")
            damaged.append(checkpoint.name)
        else:
            _apply(tensors, state)
            return progress
    if damaged:
        raise UserError(
            f"{folder}: none of the checkpoints can be used ({', '.join(damaged)}; see the warnings above); "
            "restore one or start a new run"
        )
    return None


def newest_progress(folder: Path) -> Progress | None:
    """Return the progress in the newest checkpoint that has a readable one, even if its other files are damaged."""
    for _, checkpoint in sorted(step_folders(folder).items(), reverse=True):
        with suppress(UserError, OSError):
            return _read_record(checkpoint / PROGRESS).progress
    return None


def step_folders(folder: Path) -> dict[int, Path]:
    """Return the subfolders named step-NNNNNNNN, keyed by step. Symbolic links are ignored."""
    matches = ((STEP_FOLDER.fullmatch(path.name), path) for path in folder.glob("step-*"))
    return {int(match[1]): path for match, path in matches if match and path.is_dir() and not path.is_symlink()}


def _read(checkpoint: Path, state: TrainingState) -> tuple[Progress, Tensors]:
    """Read a checkpoint into memory. Raises UserError if any file is damaged or does not match `state`."""
    if (checkpoint / PICKLED_OPTIMIZER).exists():
        raise UserError(
            f"{checkpoint}: written by an older version and cannot be resumed; its weights can still be used to "
            "translate"
        )
    path = checkpoint / PROGRESS
    try:
        progress, checksums, seed = _read_record(path)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; {UNUSABLE}") from None
    if checkpoint.name != f"step-{progress.step:08d}":
        raise UserError(f"{path}: step {progress.step} does not match the folder name; {UNUSABLE}")
    if seed not in (state.seed, None):
        raise UserError(f"{path}: belongs to another run, with train.seed = {seed}; {UNUSABLE}")
    wanted = {MODEL: parameters_of(state.model)}
    if state.ema and EMA in checksums:
        wanted[EMA] = state.ema.weights
    if OPTIMIZER in checksums:
        wanted[OPTIMIZER] = {
            f"{moment}.{name}": like
            for name, parameter in state.model.named_parameters()
            for moment, like in state.optimizer.moments(parameter).items()
        }
    tensors = {}
    for name, like in wanted.items():
        weights = read_checked_weights(checkpoint / name, state.identity, shapes_of(like), UNUSABLE)
        if weights.checksum != checksums.get(name):
            raise UserError(f"{checkpoint / name}: does not match {PROGRESS} in the same folder; {UNUSABLE}")
        tensors[name] = as_tensors(weights)
    return progress, tensors


def _read_record(path: Path) -> _Record:
    return typed(_Record, read_record(path, FORMAT, UNUSABLE), path, UNUSABLE)


def _apply(tensors: Tensors, state: TrainingState) -> None:
    copy_tensors(tensors[MODEL], parameters_of(state.model))
    if state.ema:
        # If the checkpoint has no moving average, averaging starts from its weights.
        copy_tensors(tensors.get(EMA, tensors[MODEL]), state.ema.weights)
    moments: dict[int, dict[str, Tensor]] = {}
    in_order = [id(parameter) for group in state.optimizer.param_groups for parameter in group["params"]]
    indices = {name: in_order.index(id(parameter)) for name, parameter in state.model.named_parameters()}
    for name, tensor in tensors.get(OPTIMIZER, {}).items():
        moment, _, parameter = name.partition(".")
        moments.setdefault(indices[parameter], {})[moment] = tensor
    groups = state.optimizer.state_dict()["param_groups"]  # not restored: they depend on the settings and the device
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _discard(path: Path) -> None:
    """Remove a checkpoint if it exists. It is renamed first, so that an interruption leaves no partial checkpoint."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path.rename(path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")))
