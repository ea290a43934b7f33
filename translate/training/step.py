"""Training steps: compute the learning rate, the loss and its gradients, and update the weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch.nn.parallel import DistributedDataParallel

from translate.config.settings import Config, DataSettings
from translate.data.batches import Batch
from translate.data.encoded_corpus import EncodedCorpus
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.model.seq2seq import Seq2Seq
from translate.report.progress import announced
from translate.run.model import build_model, check_fits
from translate.run.weights import ModelIdentity
from translate.system.device import is_out_of_memory, multiplies_bfloat16, seconds_on
from translate.system.distributed import ALONE, World
from translate.training.captured_step import CapturedStep
from translate.training.checkpoint import TrainingState
from translate.training.cuda_graphs import Capture, CudaGraphs
from translate.training.feed import Part, StepData
from translate.training.loss import Losses, SummedLoss, total
from translate.training.optimizer import ExponentialMovingAverage, build_optimizer, learning_rate, rdrop_weight
from translate.training.prepare import Prepared
from translate.training.step_method import COMPILE_SECONDS, COMPILED, GRAPHS, Method, fastest_method, summary

MAX_NAMED = 20  # maximum number of lines listed in a message
NUM_TIMED = 4  # timed passes per precision; only the fastest one counts
MIN_COMPILED_STEPS, MIN_COMPILED_MINUTES = 10_000, 15
WORTHWHILE = 0.9  # maximum ratio to float32's time: a smaller speedup is not worth bfloat16's rounding errors
AFTER_DIVERGENCE = (
    "lower train.learning_rate or raise train.warmup_steps; then start a new run (or add --resume to continue from "
    "the newest checkpoint)"
)
WHY_HALVED = (
    "out of memory: micro-batches that do not fit will be halved from now on, which is slower; in a new run, "
    "lower train.batch_tokens ({settings.batch_tokens}) or raise train.accumulate"
)


class StepResult(NamedTuple):
    """Losses and gradient norm of a training step."""

    losses: Losses  # device scalars, per target piece of the step; with multiple processes, the share of this process
    gradient_norm: float  # before clipping, identical in all processes; not finite if any loss is not finite

    @property
    def is_used(self) -> bool:
        """Whether the weights were updated. A step is skipped if a loss or the gradient is not finite."""
        return math.isfinite(self.gradient_norm)


class Trainer:
    """A model and its optimizer, with methods to perform training steps."""

    def __init__(self, config: Config, prepared: Prepared, device: torch.device, world: World = ALONE) -> None:
        self.settings = config.train
        self.device = device
        self.world = world
        largest = min(config.train.part_tokens, int(prepared.train.tgt.lengths.sum()))
        check_fits(config, prepared.vocabs, device, largest)
        torch.manual_seed(config.train.seed)
        self.model: Seq2Seq = build_model(config, prepared.vocabs).to(device).train()
        self.identity = ModelIdentity.of(config.model, prepared.vocabs)
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.optimizer = build_optimizer(self.model, config.train, device)
        decay, num_before = config.train.ema_decay, int(bool(config.train.init_from))
        self.ema = ExponentialMovingAverage(self.model, decay, num_before) if decay else None
        self.precision: str = "float32" if self.settings.precision == "auto" else self.settings.precision
        loss = self._summed_loss = SummedLoss(self.model, config.train.label_smoothing, guided_head(config))
        if self.settings.compile == "on" and not loss.guided:
            loss.features = torch.compile(loss.features, dynamic=True)
        self._is_worth_compiling = _is_worth_compiling(config)
        self._captured: CapturedStep | None = None
        self._log: Callable[[str], None] = lambda line: None
        self._too_large = math.inf  # size of the smallest part that did not fit in memory
        self.lines_of: Callable[[Sequence[int]], str] = partial(named_lines, corpus=prepared.train, data=config.data)
        self._loss: Callable[[Batch, float], Losses] = loss
        self._without_exchange: Callable[[], AbstractContextManager[None]] = nullcontext
        if world.size > 1:
            device_ids = None if device.index is None else [device.index]
            parallel = DistributedDataParallel(loss, device_ids, gradient_as_bucket_view=True)
            self._loss, self._without_exchange = parallel, parallel.no_sync

    @property
    def state(self) -> TrainingState:
        """Contents of a checkpoint, except for the progress."""
        return TrainingState(self.model, self.optimizer, self.ema, self.identity, self.settings.seed)

    def weights_to_use(self) -> AbstractContextManager[None]:
        """Within the block, use the weights that are validated and saved (the moving average, if it is enabled)."""
        return self.ema.in_place() if self.ema else nullcontext()

    def settle_precision(self, recorded: str | None, first_step: Callable[[], StepData]) -> None:
        """Choose the precision for "auto": bfloat16 on a GPU that supports it, the faster precision on a CPU.

        recorded: precision chosen when the run started, if any. first_step: function that returns the data for timing.
        """
        if self.settings.precision != "auto" or not multiplies_bfloat16(self.device):
            return
        if self.device.type == "cpu":
            with announced("comparing the speed of float32 and bfloat16"):
                self.precision = recorded or self.world.gather(self._faster_precision(first_step()))[0]
        else:
            self.precision = "bfloat16"

    def settle_method(self, first_step: Callable[[], StepData], log: Callable[[str], None]) -> None:
        """Choose the fastest way to compute steps on CUDA, and log it. first_step: returns the data for timing.

        With train.compile = "off", and with multiple processes, it is the plain one of other devices.
        """
        self._log = log
        if self.device.type != "cuda" or self.settings.compile == "off":
            return
        if self.world.size > 1:
            log("training without CUDA graphs: multiple processes share each step")
            return
        with announced("comparing training with and without CUDA graphs"):
            self._captured = self._fastest_method(first_step(), CudaGraphs(self.device))

    def _fastest_method(self, data: StepData, capture: Capture) -> CapturedStep | None:
        def captured(is_compiled: bool) -> CapturedStep:
            loss = copy.copy(self._summed_loss)
            if is_compiled:
                loss.features = torch.compile(self.model.features, dynamic=True)
            return CapturedStep(loss, self.optimizer, self.ema, self.settings, self.precision, capture)

        def plain() -> None:
            self._gradients(data._replace(parts=data.parts[:1]), 1, rdrop_weight(1, self.settings))
            self.optimizer.zero_grad()

        methods = {GRAPHS: Method(partial(captured, is_compiled=False))}
        if self._is_worth_compiling and self.settings.compile == "auto":
            methods[COMPILED] = Method(partial(captured, is_compiled=True), COMPILE_SECONDS)
        return fastest_method(plain, methods, data, partial(seconds_on, self.device), self._log)

    def step(self, data: StepData, step: int, position: float | None = None) -> StepResult:
        """Perform update number `step`, averaging the gradient over all target pieces in the step.

        position: its position in the schedule, if that is not its number. If the gradient is not finite, the weights,
        optimizer state and moving average stay unchanged.
        """
        position = step if position is None else position
        if self._captured and (captured := self._step_with_graphs(self._captured, data, step, position)):
            return captured
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(position, self.settings)
        losses = total(self._gradients(data, step, rdrop_weight(position, self.settings)))
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        result = StepResult(losses, float(torch.nn.utils.get_total_norm(gradients)))
        if result.is_used:
            if self.settings.clip_norm:
                norm = torch.tensor(result.gradient_norm, device=self.device)
                torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.settings.clip_norm, norm)
            self.optimizer.step()
            if self.ema:
                self.ema.update(step)
        self.optimizer.zero_grad()
        return result

    def _step_with_graphs(
        self, captured: CapturedStep, data: StepData, step: int, position: float
    ) -> StepResult | None:
        """Perform a step. Returns None if a graph fails, for example for lack of memory; then no graphs are used."""
        try:
            outcome = captured.step(data, step, position)
            return StepResult(outcome.losses, float(outcome.gradient_norm))
        except (RuntimeError, MemoryError) as error:
            self._log(f"step {step:,}: continuing without CUDA graphs: {summary(error)}")
        captured.discard()
        self._captured = None
        torch.cuda.empty_cache()
        return None

    def _gradients(self, data: StepData, step: int, rdrop: float) -> list[Losses]:
        """Accumulate the gradients of a step's parts. Returns each part's contribution to the step's losses.

        If a part does not fit in memory, parts of its size or larger are halved, now and in later steps. Losses are
        sums, so only the dropout masks change. With multiple processes, the out-of-memory error is raised instead.
        """
        parts = data.parts
        while True:
            parts = [each for part in parts for each in part.split_below(self._too_large)]
            losses: list[Losses] = []
            try:
                with self._without_exchange():
                    for part in parts[:-1]:
                        losses.append(self._backward(part, data.num_tokens, step, rdrop))
                # During this last pass, the processes exchange all gradients accumulated so far.
                return [*losses, self._backward(parts[-1], data.num_tokens, step, rdrop)]
            except (RuntimeError, MemoryError) as error:
                if self.world.size > 1 or not is_out_of_memory(error):
                    raise
            # Free memory outside the `except` block, where the error still references the tensors.
            self.optimizer.zero_grad()
            torch.cuda.empty_cache()
            failed = parts[len(losses)]
            if len(failed.rows) == 1:
                raise UserError(
                    f"out of memory on a single sentence pair, {self.lines_of(failed.rows.tolist())}; shorten it, or "
                    "start a new run with a lower data.max_pieces or model.d_model"
                )
            self._too_large = failed.batch.num_places

    @property
    def is_halving(self) -> bool:
        """Whether large parts are halved because one did not fit in memory."""
        return math.isfinite(self._too_large)

    def _backward(self, part: Part, num_tokens: int, step: int, rdrop: float) -> Losses:
        """Add a part's gradients to those of the step. Returns the part's contribution to the step's losses."""
        torch.manual_seed(part.seed(self.settings.seed, step))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            losses = self._loss(part.batch, rdrop)
        # Divide by the number of pieces in the step, so that each piece has the same weight however the step is split.
        translation = losses.translation * part.weight / num_tokens
        alignment = None if losses.alignment is None else losses.alignment * part.weight / num_tokens
        loss = translation if alignment is None else translation + self.settings.alignment_weight * alignment
        # Multiply by the number of processes, because their gradients are averaged instead of added. A loss that is not
        # finite gives NaN when multiplied by 0, which makes the gradients of all processes NaN after the exchange.
        (loss * (self.world.size + 0 * loss.detach())).backward()
        return Losses(translation.detach(), None if alignment is None else alignment.detach())

    def _faster_precision(self, data: StepData) -> str:
        first = data._replace(parts=data.parts[:1])
        seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        with self._without_exchange():
            for _ in range(NUM_TIMED):  # alternate, so that other load on the machine affects both
                for self.precision in seconds:
                    started = time.perf_counter()
                    self._gradients(first, step=1, rdrop=rdrop_weight(1, self.settings))
                    seconds[self.precision].append(time.perf_counter() - started)
        self.optimizer.zero_grad()
        return "bfloat16" if min(seconds["bfloat16"]) < WORTHWHILE * min(seconds["float32"]) else "float32"


def guided_head(config: Config) -> Head | None:
    """Return the head whose attention is guided by alignments, or None if no head is guided."""
    settings = config.train
    if not (config.data.train_align and settings.alignment_weight):
        return None
    layer, num_layers = settings.alignment_layer, config.model.cross_shape.num_layers
    if layer < 0:
        # Use the penultimate layer (Garg et al. 2019), but not layer 0, whose queries have not yet seen the source.
        layer = num_layers - 2 if num_layers > 2 else num_layers - 1
    return Head("cross", layer, settings.alignment_head)


def _is_worth_compiling(config: Config) -> bool:
    """Return whether training is long enough to make up for compilation, and the model can be compiled.

    A model with a guided head is never compiled: compiled code skips the hook that records the attention of the head.
    """
    settings = config.train
    has_steps = (settings.max_steps or math.inf) >= MIN_COMPILED_STEPS
    has_time = (settings.max_minutes or math.inf) >= MIN_COMPILED_MINUTES
    return has_steps and has_time and config.model.is_compilable and not guided_head(config)


def named_lines(rows: Sequence[int], corpus: EncodedCorpus, data: DataSettings) -> str:
    """Return the training files and the first few line numbers of the given corpus rows, as text."""
    lines = sorted(corpus.line_numbers(rows))
    files = " and ".join(dict.fromkeys([data.train_src, data.train_tgt]))
    numbers = ", ".join(map(str, lines[:MAX_NAMED]))
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {numbers}{more} of {files}"
