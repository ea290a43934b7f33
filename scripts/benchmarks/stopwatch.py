"""One clock for training in all systems: it counts the steps of any PyTorch optimizer, and ends training itself."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any
from unittest.mock import patch

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.products import PieceCounts, products_alone, training_operations, weight_products
from benchmarks.report import gpu_name, versions
from benchmarks.training import Measured
from benchmarks.work import Work
from translate.system.device import peak_memory
from translate.training.step import StepResult, Trainer


class Stopwatch:
    """Time a training from the end of update `warm_up` to the end of update `warm_up + steps`, then stop it.

    Wrap any training loop in `with Stopwatch(...) as watch:`. The block ends after the last update, so neither time nor
    memory includes a validation or a checkpoint.
    """

    def __init__(self, warm_up: int, steps: int, device: str) -> None:
        self.pieces = PieceCounts()  # of the timed updates, counted by `add`
        self._warm_up = warm_up
        self._steps = steps
        self._device = device
        self._updates = 0

    def add(self, pieces: PieceCounts) -> None:
        """Count the batch of the next update if that is timed."""
        if self._warm_up <= self._updates < self._warm_up + self._steps:
            self.pieces += pieces

    def measured(self, work: Work, pieces: PieceCounts, package: str) -> Measured:
        """Return the figures of the finished training, and time the products alone.

        pieces: of the timed updates. package: the distribution whose version is reported with PyTorch's.
        """
        config = work.config
        shape = (pieces.src_slots // work.steps, pieces.tgt_slots // work.steps)
        products = weight_products(config.model, config.vocab.size, *shape)
        rate = products_alone(products, work.device, config.train.precision)
        operations = training_operations(config.model, config.vocab.size, pieces)
        return Measured(
            tokens_per_second=pieces.tgt / self._seconds,
            padding=pieces.padding,
            updates_per_second=work.steps / self._seconds,
            cores_used=self._processor_seconds / self._seconds,
            peak_share=operations / self._seconds / rate,
            products_gflops=rate / 1e9,
            peak_memory_bytes=self._peak_memory_bytes,
            parameters=self._num_parameters,
            device_name=gpu_name(work.device),
            versions=versions("torch", package),
        )

    def __enter__(self) -> Stopwatch:
        self._hook = register_optimizer_step_post_hook(self._after_update)
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> bool:
        self._hook.remove()
        return self._is_over(kind)

    def _is_over(self, kind: type[BaseException] | None) -> bool:
        assert kind is not None, "training ended before the last timed update"
        return kind is _AllTimedError

    def _after_update(self, optimizer: Optimizer, *_: Any) -> None:
        self._updates += 1
        if self._updates == self._warm_up:
            self._started, self._processor_started = self._now(), time.process_time()
        elif self._updates == self._warm_up + self._steps:
            self._seconds = self._now() - self._started
            self._processor_seconds = time.process_time() - self._processor_started
            self._peak_memory_bytes = peak_memory(torch.device(self._device))
            groups = optimizer.param_groups
            weights = (weight for group in groups for weight in group["params"])
            self._num_parameters = sum(weight.numel() for weight in weights if weight.requires_grad)
            raise _AllTimedError

    def _now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class TrainerStopwatch(Stopwatch):
    """Times our training by its trainer, because a step that is a CUDA graph does not call the optimizer."""

    def __enter__(self) -> TrainerStopwatch:
        step = Trainer.step

        def timed_step(trainer: Trainer, *arguments: Any) -> StepResult:
            result = step(trainer, *arguments)
            self._after_update(trainer.optimizer)
            return result

        self._patch = patch.object(Trainer, "step", timed_step)
        self._patch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> bool:
        self._patch.stop()
        return self._is_over(kind)


class _AllTimedError(Exception):
    """Ends the training after the last timed update; not an error."""
