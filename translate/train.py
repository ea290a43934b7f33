"""Training: the loop, the step, the learning rate.

Everything random follows from numbers: the order of the pairs from (seed, epoch), dropout from (seed, step, part). So a
training that was stopped and resumed ends with the very weights of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from translate.batches import Batch, epoch_order, make_batch
from translate.checkpoint import Progress, load_checkpoint, save_checkpoint, save_weights
from translate.config import Config, TrainSettings
from translate.decode import build_model
from translate.device import autocast, describe, explaining_memory, keep_freed_memory
from translate.errors import UserError
from translate.journal import Meter, tell_steps, tell_validation
from translate.loss import loss_sum
from translate.model import Transformer
from translate.prepare import Prepared, prepare
from translate.run import Run
from translate.signals import Stop, stopping_at_signals
from translate.validate import validate


def train(run: Run, config: Config, device: torch.device) -> None:
    """Train the model of a run folder from its newest checkpoint, or from the start where there is none.

    The weights that were best on the validation text are left in the run folder. A signal ends training after the
    step that is going on, once the state is saved, with SystemExit(128 + signal).
    """
    prepared = prepare(run, config)
    run.write_config(config)
    keep_freed_memory()
    with explaining_memory("lower model.d_model, model.d_ff or the number of layers"):
        trainer = Trainer(config, prepared, device)
    run.log(f"training on {describe(device)}")
    run.log(f"model: {trainer.num_parameters:,} parameters, {prepared.vocabs.tgt.size:,} pieces")
    progress = load_checkpoint(run.checkpoints_path, trainer.model, trainer.optimizer, device) or Progress()
    if progress.step:
        run.log(f"resumed after step {progress.step}")
    else:
        run.log("starting from step 0")
    run.forget_metrics_after(progress.step)
    advice = f"lower train.batch_tokens ({config.train.batch_tokens}) or raise train.accumulate"
    with stopping_at_signals() as stop, explaining_memory(advice):
        reason = _loop(run, config, prepared, trainer, progress, stop)
    if reason:
        run.log(f"training ended: {reason}; the weights to use are in {run.weights_path}")
    if stop.signal:
        run.log(f"stopped by {stop.name} with everything saved; to go on: translate train --resume --out {run.path}")
        raise SystemExit(128 + stop.signal)


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Of an update, counted from 1: linear warm-up to the highest rate, then the schedule's shape.

    inverse_sqrt is that of Vaswani et al. 2017, section 5.3, with the highest rate given instead of following from the
    width; cosine is that of Loshchilov & Hutter 2017, without restarts.
    """
    warmup = settings.warmup_steps
    if step <= warmup:
        return settings.learning_rate * step / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "inverse_sqrt":
        return settings.learning_rate * math.sqrt(max(warmup, 1) / step)
    done = min(1.0, (step - warmup) / (settings.max_steps + 1 - warmup))
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


class Trainer:
    """A model and its optimizer, with one thing to do: a step."""

    def __init__(self, config: Config, prepared: Prepared, device: torch.device) -> None:
        self.settings = config.train
        self.device = device
        torch.manual_seed(config.train.seed)
        self.model: Transformer = build_model(config, prepared.vocabs).to(device).train()
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), betas=(0.9, config.train.adam_beta2), eps=1e-9, fused=device.type != "mps"
        )
        self._forward = torch.compile(self.model, dynamic=True) if config.train.compile == "on" else self.model

    def step(self, batches: list[Batch], step: int) -> Tensor:
        """Update the weights, for the `step`th time, by the mean gradient over all target pieces of the batches.

        Returns that mean loss, a scalar on the device.
        """
        num_tokens = sum(batch.num_tokens for batch in batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.settings)
        total = torch.zeros((), device=self.device)
        for part, batch in enumerate(batches):
            torch.manual_seed(_dropout_seed(self.settings.seed, step, part))
            batch = batch.to(self.device)
            with autocast(self.device, self.settings.precision):
                logits = self._forward(batch.src, batch.src_mask, batch.tgt_in)
            # Divided by the pieces of the whole step: each piece weighs alike, however the step is split.
            loss = loss_sum(logits, batch, self.settings.label_smoothing) / num_tokens
            loss.backward()
            total += loss.detach()
        if self.settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total


class _Group(NamedTuple):
    """The batches of one step, and where in the data the next step starts."""

    batches: list[Batch]
    next_epoch: int
    next_batch: int


def _loop(run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress, stop: Stop) -> str | None:
    """Steps until there is a reason to end, which is returned, or a signal to stop."""
    settings = config.train
    meter = Meter(progress)
    groups = _groups(prepared, settings, progress)
    reason = _reason_to_end(progress, settings)
    with tqdm(total=settings.max_steps or None, initial=progress.step, unit="step", disable=None) as bar:
        while not reason and not stop.signal:
            started = time.monotonic()
            group = next(groups)
            loss = trainer.step(group.batches, progress.step + 1)
            if _is_due(progress.step + 1, settings):
                loss.item()  # waits for the device, so that the clock shows what the steps took
            progress = replace(
                progress,
                step=progress.step + 1,
                epoch=group.next_epoch,
                batches=group.next_batch,
                seconds=progress.seconds + time.monotonic() - started,
            )
            meter.add(loss, group.batches)
            bar.update()
            reason = _reason_to_end(progress, settings)
            if reason or progress.step % settings.log_every == 0:
                _check_finite([loss], progress.step)
                rate = learning_rate(progress.step, settings)
                bar.set_postfix_str(tell_steps(run, settings, progress, meter, rate))
                meter = Meter(progress)
            if reason or progress.step % settings.validate_every == 0:
                progress = _validate(run, config, prepared, trainer, progress)
                reason = reason or _reason_to_end(progress, settings)
            if reason or stop.signal or progress.step % settings.save_every == 0:
                _save(run, trainer, progress)
    return reason


def _is_due(step: int, settings: TrainSettings) -> bool:
    return any(step % every == 0 for every in (settings.log_every, settings.validate_every, settings.save_every))


def _groups(prepared: Prepared, settings: TrainSettings, progress: Progress) -> Iterator[_Group]:
    """The steps' data from where training stands, epoch after epoch, without end."""
    corpus, bos_id = prepared.train, prepared.vocabs.tgt.bos_id
    budget = settings.part_tokens
    epoch, start = progress.epoch, progress.batches
    while True:
        order = epoch_order(corpus.src.lengths, corpus.tgt.lengths, budget, settings.seed, epoch)
        for first in range(start, len(order), settings.accumulate):
            after = min(first + settings.accumulate, len(order))
            cursor = (epoch, after) if after < len(order) else (epoch + 1, 0)
            yield _Group([make_batch(corpus, order[i], bos_id) for i in range(first, after)], *cursor)
        epoch, start = epoch + 1, 0


def _reason_to_end(progress: Progress, settings: TrainSettings) -> str | None:
    if settings.max_steps and progress.step >= settings.max_steps:
        return f"train.max_steps ({settings.max_steps:,}) reached"
    if settings.max_epochs and progress.epoch >= settings.max_epochs:
        return f"train.max_epochs ({settings.max_epochs}) reached"
    if settings.max_minutes and progress.seconds >= 60 * settings.max_minutes:
        return f"train.max_minutes ({settings.max_minutes:g}) reached"
    if settings.patience and progress.stale_validations >= settings.patience:
        return f"no better {settings.best_by} in {settings.patience} validations (train.patience)"
    return None


def _validate(run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress) -> Progress:
    """Score the model, keep its weights if they are the best so far, and say so."""
    _check_finite(trainer.model.parameters(), progress.step)
    result = validate(trainer.model, prepared, config, trainer.device)
    score = {"valid_loss": result.loss, "bleu": -(result.bleu or 0.0), "chrf": -(result.chrf or 0.0)}
    now = score[config.train.best_by]
    is_best = progress.best is None or now < progress.best
    if is_best:
        save_weights(run.weights_path, trainer.model)
        progress = replace(progress, best=now, stale_validations=0)
    else:
        progress = replace(progress, stale_validations=progress.stale_validations + 1)
    tell_validation(run, progress, result, is_best)
    return progress


def _save(run: Run, trainer: Trainer, progress: Progress) -> None:
    _check_finite(trainer.model.parameters(), progress.step)
    save_checkpoint(run.checkpoints_path, trainer.model, trainer.optimizer, progress, trainer.settings.keep_checkpoints)
    if progress.best is None:  # stopped before the first validation: these are the only weights there are
        save_weights(run.weights_path, trainer.model)


def _check_finite(tensors: Iterable[Tensor], step: int) -> None:
    """Before a loss or weights are used for anything that stays."""
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise UserError(
            f"training went astray: a loss or weight at step {step} is not a number; lower train.learning_rate or "
            "raise train.warmup_steps, and start anew, or --resume from the last checkpoint"
        )


def _dropout_seed(seed: int, step: int, part: int) -> int:
    return int(np.random.SeedSequence((seed, step, part)).generate_state(1, np.uint64)[0] >> 1)
