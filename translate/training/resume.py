"""Initialization from another run's weights, and resumption from the newest intact checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from translate.confidence.stored import inherit_words
from translate.config.settings import Config
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.model import load_model, read_weights, save_weights
from translate.run.weights import ModelIdentity
from translate.system.products import library_to_resume, preferred_library
from translate.training.checkpoint import Progress, TrainingState, load_checkpoint, save_checkpoint
from translate.training.optimizer import AdamW
from translate.training.step import Trainer


def init_from_run(run: Run, config: Config) -> None:
    """Copy the vocabulary and weights of train.init_from into a new run, as a checkpoint at step 0.

    The other run is not needed afterward. Raises UserError if its files are missing, damaged or inconsistent.
    """
    has_begun = run.metrics_path.exists() or any(run.checkpoints_path.glob("step-*"))
    if has_begun or not config.train.init_from:
        return
    other = Run.open(Path(config.train.init_from))
    vocabs = other.load_vocabs()
    model, digest = load_model(other, vocabs)
    run.write_vocabs(vocabs)
    # No moving average is stored: averaging starts from the weights.
    identity = ModelIdentity.of(config.model, vocabs)
    state = TrainingState(model, AdamW(model.parameters()), None, identity, config.train.seed)
    save_checkpoint(run.checkpoints_path, state, Progress(), keep=1)
    inherit_words(run, other)
    run.log(f"starting from the weights in {other.weights_path} (SHA-256: {digest})")


def library_of_products(run: Run, trainer: Trainer, progress: Progress) -> str | None:
    """Return the library of float32 products, the same in all processes, or None if the device is not a CPU.

    A resumed training keeps the recorded library, if all processes can use it. A new one takes the preferred library.
    """
    if trainer.device.type != "cpu":
        return None
    mine = library_to_resume(progress.products) if progress.step else preferred_library()
    common = min(trainer.world.gather(mine))  # MKL, unless all processes use oneDNN
    if progress.products not in (None, common) and trainer.world.is_first:
        run.log("warning: oneDNN, which multiplied matrices so far, cannot be used; the results will differ slightly")
    return common


def restore_checkpoint(run: Run, trainer: Trainer) -> Progress:
    """Load the newest intact checkpoint into the trainer. Returns its progress, or initial progress if there is none.

    Missing or damaged best weights are replaced with the current weights, and the best score is reset. Raises UserError
    if no checkpoint is usable although training must have saved one.
    """
    world = trainer.world
    progress = load_checkpoint(run.checkpoints_path, trainer.state, run.log if world.is_first else lambda line: None)
    if progress is None and world.is_first:
        reached = max((line["step"] for line in run.metrics()), default=0)
        if reached > run.load_config().train.save_every or trainer.settings.init_from:
            raise UserError(
                f"{run.checkpoints_path}: no checkpoint found, although this run reached step {reached}; restore "
                "a checkpoint or start a new run"
            )
    if len(set(world.gather(progress))) > 1:
        raise UserError(f"{run.checkpoints_path}: not the same on all machines, which must share one run folder")
    progress, is_lost = progress or Progress(), False
    if progress.best is not None and world.is_first:
        try:
            read_weights(run, run.load_vocabs())
        except UserError as error:
            is_lost = True
            run.log(f"warning: the best weights so far were lost and are replaced with the current ones: {error}")
            with trainer.weights_to_use():
                save_weights(run.weights_path, trainer.model, trainer.identity)
    return replace(progress, best=None, stale_validations=0) if world.gather(is_lost)[0] else progress
