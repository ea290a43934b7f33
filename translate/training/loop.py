"""The training loop.

All randomness is derived from counters: the order of the pairs from (seed, epoch), dropout from (seed, step, part).
Training that is interrupted and resumed therefore ends with exactly the same weights as uninterrupted training.
"""

from __future__ import annotations

import itertools
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import NamedTuple, NoReturn

import torch
from tqdm import tqdm

from translate.config.settings import Config
from translate.data.text_scan import TextScan
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.model import save_weights
from translate.system.device import describe, explaining_oom, keep_freed_memory
from translate.system.distributed import ALONE, World
from translate.system.signals import Stop, stopping_at_signals
from translate.training.advice import advise_at_start
from translate.training.checkpoint import Progress, save_checkpoint
from translate.training.estimate import plan_steps, reached_limit
from translate.training.feed import StepData, feed, first_step
from translate.training.log import (
    MAX_BAD_STEPS,
    Meter,
    log_advice,
    log_end,
    log_start,
    log_steps,
    log_validation,
    why_diverged,
    why_given_up,
    why_unused,
)
from translate.training.optimizer import learning_rate
from translate.training.prepare import Prepared, prepare_together
from translate.training.resume import init_from_run, restore_checkpoint
from translate.training.snapshots import record_snapshots
from translate.training.step import WHY_HALVED, StepResult, Trainer, named_lines
from translate.training.validation import validate


def train(
    run: Run,
    config: Config,
    device: torch.device,
    world: World = ALONE,
    reasons: Sequence[str] = (),
    scan: TextScan | None = None,
) -> None:
    """Train the model of a run folder from its newest checkpoint, or from scratch if there is none.

    The run folder keeps the weights that score best on the validation text. A signal ends training after the current
    step: the state is saved, and SystemExit(128 + signal) raised. The processes of a `world` train one model together,
    each on its share of every step; only the first process writes files. reasons: why the settings were chosen, to be
    logged. scan: scan of the training text, if it was read before.
    """
    if world.is_first:
        init_from_run(run, config)
    prepared = prepare_together(run, config, world, scan)
    for reason in reasons:
        run.log(reason)
    keep_freed_memory()
    advice = (
        f"start a new run with a lower train.batch_tokens ({config.train.batch_tokens}) or a higher train.accumulate"
    )
    with explaining_oom(advice):
        config, precision = _with_planned_steps(run, config, prepared, device, world)
    with explaining_oom("lower model.d_model, model.d_ff or the number of layers"):
        trainer = Trainer(config, prepared, device, world)
    progress = restore_checkpoint(run, trainer)
    with explaining_oom(advice):
        first = partial(first_step, prepared, config.train, progress, device, world)
        trainer.settle_precision(progress.precision or precision, first)
    progress = replace(progress, precision=trainer.precision)
    if world.is_first:
        run.update_config(config)
        run.forget_metrics_after(progress.step or -1)
        place = f"{world.describe(describe(device))}, {trainer.precision}"
        log_start(run, config.train, trainer.num_parameters, prepared.vocabs.tgt.size, progress, place)
        if not progress.step:
            log_advice(run, advise_at_start(prepared, config, world.size))
    with stopping_at_signals() as stop, explaining_oom(advice):
        end = _loop(run, config, prepared, trainer, progress, stop)
    if world.is_first:
        log_end(run, end.reason, signal.Signals(end.signal).name if end.signal else None)
    if end.signal:
        raise SystemExit(128 + end.signal)


def _with_planned_steps(
    run: Run, config: Config, prepared: Prepared, device: torch.device, world: World
) -> tuple[Config, str | None]:
    """Return the settings with the number of steps and, if that had to be planned, the precision used for timing."""
    if not config.train.is_open:
        return config, None
    plan = plan_steps(config, prepared, device, world)
    if world.is_first:
        run.log(f"training will take {plan}")
    return plan.config, plan.precision


class _End(NamedTuple):
    """Why training ended: a limit that was reached, or a signal."""

    reason: str | None
    signal: int  # 0: none


def _loop(run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress, stop: Stop) -> _End:
    """Run steps until a limit is reached or a signal arrives. All processes decide alike."""
    settings, world = config.train, trainer.world
    if settings.init_from and not progress.step:
        progress = _validate(run, config, prepared, trainer, progress)
    meter = Meter(progress)
    kept = progress  # progress of the trainer's state, which skipped steps do not change
    saved = progress if progress.step else None  # progress of the newest checkpoint
    reason, signal_seen = reached_limit(progress, settings), 0
    bar_off = None if world.is_first else True
    with (
        closing(feed(prepared, settings, progress, trainer.device, world)) as steps,
        tqdm(total=settings.max_steps or None, initial=progress.step, unit="step", disable=bar_off) as bar,
    ):
        while not reason and not signal_seen:
            was_halving = trainer.is_halving
            data, result, progress, signal_seen = _step(steps, trainer, progress, stop)
            if trainer.is_halving and not was_halving:
                run.log(WHY_HALVED.format(settings=settings))
            meter.add(result, data.num_tokens)
            bar.update()
            if not result.is_used:
                _log_skipped(run, config, prepared, data, progress, world)
                if progress.step - kept.step == MAX_BAD_STEPS:
                    _give_up(run, trainer, kept, saved)
            reason = reached_limit(progress, settings)
            if reason or progress.step % settings.log_every == 0:
                bar.set_postfix_str(_log(run, trainer, progress, meter))
                meter = Meter(progress)
            if reason or progress.step % settings.validate_every == 0:
                progress = _validate(run, config, prepared, trainer, progress)
                reason = reason or reached_limit(progress, settings)
            if result.is_used:
                kept = progress
            if reason or signal_seen or progress.step % settings.save_every == 0:
                saved = _save_once(run, trainer, kept, saved)
    return _End(reason, signal_seen)


class _Step(NamedTuple):
    """A completed step, and the progress after it."""

    data: StepData
    result: StepResult
    progress: Progress
    signal: int  # received by any process; 0: none


def _step(steps: Iterator[StepData], trainer: Trainer, progress: Progress, stop: Stop) -> _Step:
    started = time.monotonic()
    data = next(steps)
    result = trainer.step(data, progress.step + 1)
    seconds = time.monotonic() - started
    # Share what only one process knows: a signal, and the time in the first process. The time in the others includes
    # waiting while the first one saves.
    seconds, signal_number = trainer.world.largest(seconds if trainer.world.is_first else 0.0, stop.signal)
    progress = replace(
        progress,
        step=progress.step + 1,
        epoch=data.next_epoch,
        batches=data.next_batch,
        seconds=progress.seconds + seconds,
    )
    return _Step(data, result, progress, int(signal_number))


def _log_skipped(
    run: Run, config: Config, prepared: Prepared, data: StepData, progress: Progress, world: World
) -> None:
    rows = list(itertools.chain.from_iterable(world.gather(data.rows)))
    if world.is_first:
        run.log(why_unused(progress.step, named_lines(rows, prepared.train, config.data)))


def _give_up(run: Run, trainer: Trainer, kept: Progress, saved: Progress | None) -> NoReturn:
    """Save the state before the skipped steps, and raise UserError."""
    _save_once(run, trainer, kept, saved)
    trainer.world.gather(None)  # wait: torchrun ends all processes when one ends, and the first has to save
    raise UserError(why_given_up(kept, trainer.settings, trainer.precision))


def _log(run: Run, trainer: Trainer, progress: Progress, meter: Meter) -> str:
    """Log the most recent steps. Returns the text for the progress bar."""
    losses = [sum(shares) for shares in zip(*trainer.world.gather(meter.losses()), strict=True)]
    if not trainer.world.is_first:
        return ""
    rate = learning_rate(progress.step, trainer.settings)
    return log_steps(run, trainer.settings, progress, losses, meter, rate)


def _validate(run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress) -> Progress:
    """Score the model, keep its weights if they are the best so far, and log the result."""
    _check_weights(trainer, progress.step)
    with trainer.weights_to_use():
        result = validate(trainer.model, prepared, config, trainer.device, trainer.world)
        score = {"valid_loss": result.loss, "bleu": -(result.bleu or 0.0), "chrf": -(result.chrf or 0.0)}
        now = score[config.train.best_by]
        is_best = math.isfinite(now) and (progress.best is None or now < progress.best)
        if trainer.world.is_first:
            if is_best:
                save_weights(run.weights_path, trainer.model, trainer.identity)
            with run.tolerating_disk_errors("attention snapshots"):
                record_snapshots(run, trainer.model, prepared, config, trainer.device, progress.step)
    if is_best:
        progress = replace(progress, best=now, stale_validations=0)
    else:
        progress = replace(progress, stale_validations=progress.stale_validations + 1)
    if trainer.world.is_first:
        log_validation(run, config, prepared.vocabs.tgt.size, progress, result, is_best)
    return progress


def _save_once(run: Run, trainer: Trainer, progress: Progress, saved: Progress | None) -> Progress:
    """Save unless the newest checkpoint has this progress, so that it is not rewritten. Returns `progress`."""
    if progress != saved:
        _save(run, trainer, progress)
    return progress


def _save(run: Run, trainer: Trainer, progress: Progress) -> None:
    _check_weights(trainer, progress.step)
    if not trainer.world.is_first:
        return
    save_checkpoint(run.checkpoints_path, trainer.state, progress, trainer.settings.keep_checkpoints)
    if progress.best is None:  # before the first validation there are no other weights
        with trainer.weights_to_use():
            save_weights(run.weights_path, trainer.model, trainer.identity)


def _check_weights(trainer: Trainer, step: int) -> None:
    """Raise UserError if a weight is not finite, so that such weights are neither validated nor saved."""
    if not all(weight.isfinite().all() for weight in trainer.model.parameters()):
        raise UserError(why_diverged(step))
