"""A training step: learning rate, loss, gradients, update."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from translate.config.settings import Config, DataSettings
from translate.data.batches import Batch
from translate.data.encoded_corpus import EncodedCorpus
from translate.errors import UserError
from translate.model.transformer import Transformer
from translate.run.model import build_model, check_fits
from translate.run.weights import ModelIdentity
from translate.system.device import autocast, is_out_of_memory, multiplies_bfloat16
from translate.system.distributed import ALONE, World
from translate.system.out_of_memory import free_memory
from translate.training.checkpoint import TrainingState
from translate.training.feed import Part, StepData
from translate.training.loss import GuidedHead, Losses, SummedLoss, total
from translate.training.optimizer import ExponentialMovingAverage, adam, learning_rate, rdrop_weight
from translate.training.prepare import Prepared

MAX_NAMED = 20  # lines of bad steps
NUM_TIMED = 4  # passes in each precision, of which the fastest counts
COMPILED_FROM_STEPS, COMPILED_FROM_MINUTES = 10_000, 15
WORTHWHILE = 0.9  # of float32's time: for less, bfloat16's rounding is not worth it
WHY_HALVED = (
    "out of memory: from here on parts of steps that are too large are computed in halves, which is slower; "
    "a new run could lower train.batch_tokens ({settings.batch_tokens}) or raise train.accumulate"
)


class StepResult(NamedTuple):
    """How a step went."""

    losses: Losses  # means over its target pieces, scalars on the device, or this process's share of them
    gradient_norm: float  # before it was clipped, the same in all processes; not finite if any of the losses is not

    @property
    def is_used(self) -> bool:
        """Whether the weights were updated. They stay as they are where loss or gradient is not a finite number."""
        return math.isfinite(self.gradient_norm)


class Trainer:
    """A model and its optimizer, with one thing to do: a step."""

    def __init__(self, config: Config, prepared: Prepared, device: torch.device, world: World = ALONE) -> None:
        self.settings = config.train
        self.device = device
        self.world = world
        check_fits(config, prepared.vocabs, device)
        torch.manual_seed(config.train.seed)
        self.model: Transformer = build_model(config, prepared.vocabs).to(device).train()
        self.identity = ModelIdentity.of(config.model, prepared.vocabs)
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.optimizer = adam(self.model, config.train, device)
        decay, num_before = config.train.ema_decay, int(bool(config.train.init_from))
        self.average = ExponentialMovingAverage(self.model, decay, num_before) if decay else None
        self.precision: str = "float32" if self.settings.precision == "auto" else self.settings.precision
        loss = SummedLoss(self.model, config.train.label_smoothing, guided_head(config))
        if _is_compiled(config, device):
            loss.features = torch.compile(loss.features, dynamic=True)
        self._too_large = math.inf  # the fewest places of a part that did not fit into memory
        self._where = partial(named_lines, corpus=prepared.train, data=config.data)
        self._loss: Callable[[Batch, float], Losses] = loss
        self._without_exchange: Callable[[], AbstractContextManager[None]] = nullcontext
        if world.size > 1:
            device_ids = None if device.index is None else [device.index]
            parallel = DistributedDataParallel(loss, device_ids, gradient_as_bucket_view=True)
            self._loss, self._without_exchange = parallel, parallel.no_sync

    @property
    def state(self) -> TrainingState:
        """What a checkpoint holds of the training."""
        return TrainingState(self.model, self.optimizer, self.average, self.identity)

    def weights_to_use(self) -> AbstractContextManager[None]:
        """Within the block the model has the weights to validate and to keep: the average, if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def settle_precision(self, recorded: str | None, first_step: Callable[[], StepData]) -> None:
        """Decide what "auto" is: for bfloat16, that it multiplies faster does not yet mean that it trains faster.

        On a GPU it does. On a CPU that has the instructions, some passes over the first step's data are timed, unless
        the training has `recorded` what it began with.
        """
        if self.settings.precision != "auto" or not multiplies_bfloat16(self.device):
            return
        if self.device.type == "cpu":
            self.precision = recorded or self.world.gather(self._faster_precision(first_step()))[0]
        else:
            self.precision = "bfloat16"

    def step(self, data: StepData, step: int) -> StepResult:
        """Update the weights, for the `step`th time, by the mean gradient over all target pieces of the step.

        Where the gradient is not finite nothing is updated: not the weights, nor the optimizer's state or the average.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.settings)
        stepped = StepResult(total(self._gradients(data, step)), self._gradient_norm())
        if stepped.is_used:
            self._update(step, stepped.gradient_norm)
        self.optimizer.zero_grad()
        return stepped

    def _gradients(self, data: StepData, step: int) -> list[Losses]:
        """Add up the gradients of a step's parts. Returns their shares of its losses.

        If a part does not fit into memory, all as large are halved, now and in steps to come: the losses are sums, so
        the gradient is the same but for what dropout draws. Several processes could not do so alike: there it raises.
        """
        parts = data.parts
        while True:
            parts = [each for part in parts for each in part.fitting(self._too_large)]
            losses: list[Losses] = []
            try:
                with self._without_exchange():
                    for part in parts[:-1]:
                        losses.append(self._backward(part, data.num_tokens, step))
                # In this pass the processes exchange all gradients that have come together.
                return [*losses, self._backward(parts[-1], data.num_tokens, step)]
            except (RuntimeError, MemoryError) as error:
                if self.world.size > 1 or not is_out_of_memory(error):
                    raise
            # Outside of `except`, where the error still holds what was computed.
            self.optimizer.zero_grad()
            free_memory()
            failed = parts[len(losses)]
            if len(failed.rows) == 1:
                raise UserError(
                    f"out of memory for a single pair, {self._where(failed.rows.tolist())}; shorten it, or start anew "
                    "with a lower data.max_pieces or model.d_model"
                )
            self._too_large = failed.batch.num_places

    @property
    def is_halving(self) -> bool:
        """Whether some part did not fit into memory so far."""
        return math.isfinite(self._too_large)

    def _gradient_norm(self) -> float:
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def _update(self, step: int, gradient_norm: float) -> None:
        if self.settings.clip_norm:
            norm = torch.tensor(gradient_norm, device=self.device)
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.settings.clip_norm, norm)
        self.optimizer.step()
        if self.average:
            self.average.update(step)

    def _backward(self, part: Part, num_tokens: int, step: int) -> Losses:
        """Add a part's gradients to those of the step. Returns its share of the step's losses."""
        torch.manual_seed(_dropout_seed(self.settings.seed, step, part.number, *part.halves))
        with autocast(self.device, self.precision):
            losses = self._loss(part.batch, rdrop_weight(step, self.settings))
        # Divided by the pieces of the whole step: each piece weighs alike, however the step is split.
        loss = translation = losses.translation * part.weight / num_tokens
        alignment = None
        if losses.alignment is not None:
            alignment = losses.alignment * part.weight / num_tokens
            loss = translation + self.settings.alignment_weight * alignment
        # Times the processes, because the exchange takes the mean over them, not the sum. A loss that is not finite
        # makes the gradient so, for 0 times infinity is not a number: thus the exchange tells all processes of it.
        loss.backward(self.world.size + 0 * loss.detach())
        return Losses(translation.detach(), None if alignment is None else alignment.detach())

    def _faster_precision(self, data: StepData) -> str:
        first = data._replace(parts=data.parts[:1])
        seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        with self._without_exchange():
            for _ in range(NUM_TIMED):  # in turn, so that what else the machine does for a while slows down both
                for self.precision in seconds:
                    started = time.perf_counter()
                    self._gradients(first, step=1)
                    seconds[self.precision].append(time.perf_counter() - started)
        self.optimizer.zero_grad()
        return "bfloat16" if min(seconds["bfloat16"]) < WORTHWHILE * min(seconds["float32"]) else "float32"


def guided_head(config: Config) -> GuidedHead | None:
    """Whose attention the settings have guided by alignments. None: no head's."""
    settings = config.train
    if not (config.data.train_align and settings.alignment_weight):
        return None
    # The last but one, as in Garg et al. 2019, but not the first of two: its queries know nothing of the source yet.
    num_layers = config.model.num_decoder_layers
    default = num_layers - 2 if num_layers > 2 else num_layers - 1
    return GuidedHead(default if settings.alignment_layer < 0 else settings.alignment_layer, settings.alignment_head)


def _is_compiled(config: Config, device: torch.device) -> bool:
    """auto: on CUDA, if the training is long enough to earn the minutes back that compiling takes.

    Not with a guided head: what is compiled would leave out the hook that records it.
    """
    settings = config.train
    if guided_head(config):
        return False
    has_steps = not settings.max_steps or settings.max_steps >= COMPILED_FROM_STEPS
    has_time = not settings.max_minutes or settings.max_minutes >= COMPILED_FROM_MINUTES
    is_long = has_steps and has_time
    return settings.compile == "on" or (settings.compile == "auto" and device.type == "cuda" and is_long)


def _dropout_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def named_lines(rows: Sequence[int], corpus: EncodedCorpus, data: DataSettings) -> str:
    """Where the training text has these rows of its corpus, in words: files and numbers of lines, the first ones."""
    lines = sorted(corpus.lines.numbers(rows).tolist())
    files = " and ".join(dict.fromkeys([data.train_src, data.train_tgt]))
    numbers = ", ".join(map(str, lines[:MAX_NAMED]))
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {numbers}{more} of {files}"
