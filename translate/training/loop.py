"""The training loop.

Random choices are functions of counters: the order of pairs depends on (seed, epoch), dropout on (seed, step, part).
Interrupted and resumed training therefore ends with exactly the same weights as uninterrupted training.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import NoReturn

import torch

from translate.config.settings import Config
from translate.data.text_scan import TextScan
from translate.errors import UserError
from translate.report.progress import announced
from translate.run.folder import Run
from translate.run.model import SMALLER_BATCHES, save_weights
from translate.system.device import explaining_oom, flushing_denormals, keep_freed_memory
from translate.system.distributed import ALONE, World
from translate.system.products import using_library
from translate.system.signals import Stop, stopping_at_signals
from translate.training.calibrate import calibrate_at_end
from translate.training.checkpoint import Progress, newest_progress, save_checkpoint
from translate.training.estimate import StepPlan, plan_steps, reached_limit
from translate.training.feed import StepData, feed, first_step
from translate.training.log import Meter, log_end, log_start, log_steps, log_validation, progress_bar, update_bar
from translate.training.pace import after_step, follow, is_to_validate, next_position
from translate.training.prepare import Prepared, prepare_together
from translate.training.resume import init_from_run, library_of_products, restore_checkpoint
from translate.training.snapshots import record_snapshots
from translate.training.step import AFTER_DIVERGENCE, WHY_HALVED, StepResult, Trainer
from translate.training.tensorboard import check_tensorboard, tensorboard_events
from translate.training.validation import settle_criterion, validate

MAX_BAD_STEPS = 3  # number of consecutive skipped steps that ends training


@flushing_denormals()
def train(
    run: Run,
    config: Config,
    device: torch.device,
    world: World = ALONE,
    reasons: Sequence[str] = (),
    scan: TextScan | None = None,
) -> None:
    """Train the model of a run, starting from its newest checkpoint if it has one.

    The run folder keeps the weights with the best validation score. On a signal, training finishes the current step,
    saves its state and raises SystemExit(128 + signal). All processes of `world` train one model together, each on its
    share of every step; only the first process writes files. reasons: explanations of the chosen settings, to be
    logged. scan: result of an earlier scan of the training text, if available.
    """
    check_tensorboard(config.train.tensorboard)
    if world.is_first:
        init_from_run(run, config)
    prepared = prepare_together(run, config, world, scan)
    for reason in reasons:
        run.log(reason)
    config = settle_criterion(config, prepared, run.log if world.is_first else lambda line: None)
    keep_freed_memory()
    advice = SMALLER_BATCHES.format(settings=config.train)
    with explaining_oom(advice):
        newest = newest_progress(run.checkpoints_path) if config.train.is_timed else None
        recorded = world.gather(newest.schedule if newest else None)[0]
        has_plan = config.train.validate_every and not config.train.is_open
        plan = StepPlan(config, 0) if has_plan else plan_steps(config, prepared, device, world, recorded)
    # The plan of a schedule that follows the time left belongs to the progress, not to the settings.
    written, config = config if plan.schedule else plan.config, plan.config
    if plan.seconds and world.is_first:
        run.log(f"training will take {plan}")
    with explaining_oom("lower model.d_model, model.d_ff or the number of layers"), announced("building the model"):
        trainer = Trainer(config, prepared, device, world)
    with announced("looking for a checkpoint"):
        progress = follow(restore_checkpoint(run, trainer), plan.schedule, plan.speed, config.train)
    products = library_of_products(run, trainer, progress)
    with using_library(products), explaining_oom(advice):
        first = partial(first_step, prepared, config.train, progress, device, world)
        if progress.step:
            trainer.gradients.resume(progress.workers)
        trainer.settle_precision(progress.precision or plan.precision, first)
        trainer.settle_method(first, run.log if world.is_first else lambda line: None)
    num_workers = trainer.gradients.workers.count
    progress = replace(progress, precision=trainer.precision, workers=num_workers, products=products)
    if world.is_first:
        run.update_config(written)
        run.forget_metrics_after(progress.step or -1)
        log_start(run, config, prepared, trainer, progress)
    events = tensorboard_events(run, config.train.tensorboard and world.is_first)
    with using_library(products), stopping_at_signals() as stop, explaining_oom(advice), events:
        progress, end, signal_number = _loop(run, config, prepared, trainer, progress, stop)
    if world.is_first:
        if end:
            calibrate_at_end(run, config, prepared, device)
        log_end(run, config, prepared, progress, end, signal_number)
    if signal_number:
        raise SystemExit(128 + signal_number)


def _loop(
    run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress, stop: Stop
) -> tuple[Progress, str | None, int]:
    """Run steps until a limit is reached or a signal arrives. Returns the progress, the limit (or None) and the signal.

    All processes stop after the same step.
    """
    settings, world = config.train, trainer.world
    if settings.init_from and not progress.step:
        progress = _validate(run, config, prepared, trainer, progress)
    meter = Meter(progress)
    kept = progress  # progress after the last step that was not skipped
    saved = progress if progress.step else None  # progress recorded in the newest checkpoint
    reason, signal_number = reached_limit(progress, settings), 0
    text = ""  # last logged
    with (
        closing(feed(prepared, settings, progress, trainer.device, world)) as steps,
        progress_bar(progress, trainer) as bar,
    ):
        while not reason and not signal_number:
            was_halving, before = trainer.gradients.is_halving, progress
            data, result, progress, signal_number = _step(steps, trainer, progress, stop)
            if trainer.gradients.is_halving and not was_halving:
                run.log(WHY_HALVED.format(settings=settings))
            meter.add(result, data.num_tokens)
            if not result.is_used:
                _log_skipped(run, trainer, data, progress.step)
                if progress.step - kept.step == MAX_BAD_STEPS:
                    _give_up(run, trainer, kept, saved)
            reason = reached_limit(progress, settings)
            if reason or progress.step % settings.log_every == 0:
                text, meter = log_steps(run, trainer, progress, meter), Meter(progress)
            update_bar(bar, progress, trainer, text)
            if reason or is_to_validate(before, progress, settings):
                progress = _validate(run, config, prepared, trainer, progress)
                reason = reason or reached_limit(progress, settings)
            if result.is_used:
                kept = progress
            if kept != saved and (reason or signal_number or progress.step % settings.save_every == 0):
                _save(run, trainer, kept)
                saved = kept
    return progress, reason, signal_number


def _step(
    steps: Iterator[StepData], trainer: Trainer, progress: Progress, stop: Stop
) -> tuple[StepData, StepResult, Progress, int]:
    """Perform a step. Returns its data, its result, the new progress, and a signal sent to any process (0 if none)."""
    started, position = time.monotonic(), next_position(progress, trainer.settings)
    data = next(steps)
    result = trainer.step(data, progress.step + 1, position)
    seconds = max(time.monotonic() - started, 0.0)
    # Share a signal received by any process, and the step time of the first process. The step times of the others
    # include waiting for the first process to save.
    seconds, signal_number = trainer.world.largest(seconds if trainer.world.is_first else 0.0, stop.signal)
    progress = after_step(progress, trainer.settings, position, seconds)
    progress = replace(progress, epoch=data.next_epoch, batches=data.next_batch)
    return data, result, progress, int(signal_number)


def _log_skipped(run: Run, trainer: Trainer, data: StepData, step: int) -> None:
    rows = [row for share in trainer.world.gather(data.rows) for row in share]
    if trainer.world.is_first:
        lines = trainer.lines_of(rows)
        run.log(f"step {step:,} skipped: its loss or gradient is not finite; its batch contains {lines}")


def _give_up(run: Run, trainer: Trainer, kept: Progress, saved: Progress | None) -> NoReturn:
    """Save the state from before the skipped steps and raise UserError."""
    if kept != saved:
        _save(run, trainer, kept)
    trainer.world.gather(None)  # wait for the first process to save: torchrun stops all processes when one exits
    settings = trainer.settings
    by_muon = f" and train.muon_learning_rate ({settings.muon_learning_rate:g})" * (settings.optimizer == "muon")
    changes = [
        f"lower train.learning_rate ({settings.learning_rate:g}){by_muon}",
        f"raise train.warmup_steps ({settings.warmup_steps:,})",
        f"{'lower' if settings.clip_norm else 'set'} train.clip_norm ({settings.clip_norm:g})",
    ]
    if trainer.precision != "float32":
        changes.append('set train.precision to "float32"')
    raise UserError(
        f"training diverged: the loss or gradient was not finite in {MAX_BAD_STEPS} consecutive steps after step "
        f"{kept.step:,}; {', '.join(changes[:-1])} or {changes[-1]}, then add --resume to continue from that step "
        "(delete its checkpoint first to continue from an earlier one)"
    )


def _validate(run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress) -> Progress:
    """Validate the model, save its weights if they are the best so far, and log the scores."""
    _check_weights(trainer, progress.step)
    with trainer.weights_to_use(), announced(f"validation at step {progress.step:,}"):
        result = validate(trainer.model, prepared, config, trainer.device, trainer.world)
        scores = {"valid_loss": result.loss, "bleu": -(result.bleu or 0.0), "chrf": -(result.chrf or 0.0)}
        score = scores[config.train.best_by]
        is_best = progress.best is None or score < progress.best
        if trainer.world.is_first:
            if is_best:
                save_weights(run.weights_path, trainer.model, trainer.identity)
            with run.tolerating_disk_errors("attention snapshots"):
                record_snapshots(run, trainer, prepared, config, progress.step, result)
    best, num_stale = (score, 0) if is_best else (progress.best, progress.stale_validations + 1)
    progress = replace(progress, best=best, stale_validations=num_stale)
    if trainer.world.is_first:
        log_validation(run, config, prepared.vocabs.tgt.size, progress, result, is_best)
    return progress


def _save(run: Run, trainer: Trainer, progress: Progress) -> None:
    _check_weights(trainer, progress.step)
    if not trainer.world.is_first:
        return
    save_checkpoint(run.checkpoints_path, trainer.state, progress, trainer.settings.keep_checkpoints)
    if progress.best is None:  # before the first validation, there are no best weights yet
        with trainer.weights_to_use():
            save_weights(run.weights_path, trainer.model, trainer.identity)


def _check_weights(trainer: Trainer, step: int) -> None:
    """Raise UserError if any weight is not finite. Such weights must not be validated or saved."""
    if not all(weight.isfinite().all() for weight in trainer.model.parameters()):
        raise UserError(f"training diverged: weights at step {step} are not finite; {AFTER_DIVERGENCE}")
