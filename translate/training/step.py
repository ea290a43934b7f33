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

from translate.config.files import has_both_sides, names_of
from translate.config.settings import Config, DataSettings
from translate.data.encoded_corpus import EncodedCorpus
from translate.model.seq2seq import Seq2Seq
from translate.report.progress import announced
from translate.run.guided_head import guided_head
from translate.run.model import build_model, check_fits
from translate.run.weights import ModelIdentity
from translate.system.cuda_graphs import Capture, CudaGraphs, summary
from translate.system.device import multiplies_bfloat16, seconds_on
from translate.system.distributed import ALONE, World
from translate.training.captured_step import CapturedStep
from translate.training.checkpoint import TrainingState
from translate.training.feed import StepData
from translate.training.gradients import Gradients
from translate.training.loss import Losses, SummedLoss, total
from translate.training.optimizer import ExponentialMovingAverage, build_optimizer, learning_rate, rdrop_weight
from translate.training.prepare import Prepared
from translate.training.step_method import COMPILE_SECONDS, COMPILED, GRAPHS, Method, fastest_method
from translate.training.update import Update

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
        self._update = Update(self.model, self.optimizer, self.ema, config.train.clip_norm)
        self.precision: str = "float32" if self.settings.precision == "auto" else self.settings.precision
        loss = self._summed_loss = SummedLoss(self.model, config.train.label_smoothing, guided_head(config))
        if self.settings.compile == "on" and not loss.guided:
            loss.features = torch.compile(loss.features, dynamic=True)
        self._is_worth_compiling = _is_worth_compiling(config)
        self._captured: CapturedStep | None = None
        self._log: Callable[[str], None] = lambda line: None
        self.lines_of: Callable[[Sequence[int]], str] = partial(named_lines, corpus=prepared.train, data=config.data)
        self.gradients = Gradients(loss, config.train, device, world, self.lines_of, can_be_divided(config))

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

    def settle_method(
        self, first_step: Callable[[], StepData], log: Callable[[str], None], is_throwaway: bool = False
    ) -> None:
        """Choose the fastest way to compute steps on CUDA, and log it.

        With train.compile = "off", and with multiple processes, it is the plain one of other devices. first_step:
        returns the data for timing. is_throwaway: whether the model is too short-lived to be compiled.
        """
        self._log = log
        if self.device.type != "cuda" or self.settings.compile == "off":
            return
        if self.world.size > 1:
            log("training without CUDA graphs: multiple processes share each step")
            return
        with announced("comparing training with and without CUDA graphs"):
            can_compile = self._is_worth_compiling and not is_throwaway and self.settings.compile == "auto"
            self._captured = self._fastest_method(first_step(), CudaGraphs(self.device), can_compile)

    def _fastest_method(self, data: StepData, capture: Capture, can_compile: bool) -> CapturedStep | None:
        def captured(is_compiled: bool) -> CapturedStep:
            loss = copy.copy(self._summed_loss)
            if is_compiled:
                loss.features = torch.compile(self.model.features, dynamic=True)
            return CapturedStep(loss, self.optimizer, self.ema, self.settings, self.precision, capture)

        def plain() -> None:
            self.gradients.add(data._replace(parts=data.parts[:1]), 1, rdrop_weight(1, self.settings), self.precision)
            self.optimizer.zero_grad()

        methods = {GRAPHS: Method(partial(captured, is_compiled=False))}
        if can_compile:
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
        workers = self.gradients.workers
        losses = total(self.gradients.add(data, step, rdrop_weight(position, self.settings), self.precision))
        result = StepResult(losses, self._update.gradient_norm(workers))
        if result.is_used:
            self._update.apply(result.gradient_norm, step, workers)
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

    def _faster_precision(self, data: StepData) -> str:
        first = data._replace(parts=data.parts[:1])
        seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        with self.gradients.without_exchange():
            for _ in range(NUM_TIMED):  # alternate, so that other load on the machine affects both
                for precision, times in seconds.items():
                    started = time.perf_counter()
                    self.gradients.add(first, 1, rdrop_weight(1, self.settings), precision)
                    times.append(time.perf_counter() - started)
        self.optimizer.zero_grad()
        return "bfloat16" if min(seconds["bfloat16"]) < WORTHWHILE * min(seconds["float32"]) else "float32"


def _is_worth_compiling(config: Config) -> bool:
    """Return whether training is long enough to make up for compilation, and the model can be compiled.

    A model with a guided head is never compiled: compiled code skips the hook that records the attention of the head.
    """
    settings = config.train
    has_steps = (settings.max_steps or math.inf) >= MIN_COMPILED_STEPS
    has_time = (settings.max_minutes or math.inf) >= MIN_COMPILED_MINUTES
    return has_steps and has_time and config.model.is_compilable and not guided_head(config)


def can_be_divided(config: Config) -> bool:
    """Return whether threads can compute shares of a step on a CPU.

    PyTorch's stacks of recurrent cells draw their dropout from the generator that all threads share. Threads that run
    compiled code at the same time would compile it at the same time.
    """
    return config.train.compile != "on" and config.model.architecture != "recurrent"


def named_lines(rows: Sequence[int], corpus: EncodedCorpus, data: DataSettings) -> str:
    """Return the training files and the first few line (or pair) numbers of the given corpus rows, as text."""
    lines = sorted(corpus.line_numbers(rows))
    names = [*names_of(data.train_src), *names_of(data.train_tgt)]
    files = " and ".join(dict.fromkeys(names))
    is_numbered_by_line = len(names) == 2 and not has_both_sides(names[0])
    unit = ("line" if is_numbered_by_line else "pair") + "s" * (len(lines) > 1)
    numbers = ", ".join(map(str, lines[:MAX_NAMED]))
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return f"{unit} {numbers}{more} of {files}"
