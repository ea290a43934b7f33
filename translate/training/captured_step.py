"""Training steps as CUDA graphs: one for the gradients of each batch shape, and one for the update of the weights.

A step of a small model on a GPU consists of thousands of operations that take less time than Python needs to start
them. A graph starts them together. Its shapes, addresses and Python numbers are those of its capture, so batches are
padded to few shapes and copied into static tensors, and numbers that change are tensors.

Everything stays on the device: the gradient norm, clipping and whether the step is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from translate.config.train_settings import TrainSettings
from translate.data.batches import Batch
from translate.system.cuda_graphs import Capture
from translate.training.feed import Part, StepData
from translate.training.loss import Losses, SummedLoss
from translate.training.optimizer import AdamW, ExponentialMovingAverage, learning_rate, rdrop_weight
from translate.training.static_batches import Shape, empty_batch, fill

MAX_GRAPHS = 128  # each takes some memory, and as much time to capture as a few steps; other shapes are run without
TOLERANCE = 0.01  # of the gradient's norm; sums on a GPU are not always added in the same order


class Outcome(NamedTuple):
    """Result of a step, on the device."""

    losses: Losses  # per target piece of the step
    gradient_norm: Tensor  # scalar, before clipping; not finite if the step was skipped


class _Static:
    """The static batch of a shape, and its graph once it has one."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.replay: Callable[[], None] | None = None
        self.has_run = False


class CapturedStep:
    """Performs the training steps of a single process. Its results equal those of `Trainer.step` up to rounding.

    Dropout masks differ, because they are drawn for padded batches. They depend on the same seeds, and do not depend on
    which batches have a graph.
    """

    def __init__(
        self,
        loss: SummedLoss,
        optimizer: AdamW,
        ema: ExponentialMovingAverage | None,
        settings: TrainSettings,
        precision: str,
        capture: Capture,
    ) -> None:
        self._loss, self._optimizer, self._ema, self._settings = loss, optimizer, ema, settings
        self._precision, self._capture = precision, capture
        self._weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._device = self._weights[0].device
        self._static: dict[tuple[Shape, float], _Static] = {}  # by shape and weight of R-Drop
        self._replay_update: Callable[[], None] | None = None
        self._has_updated = False
        self._scale, self._learning_rate, self._ema_share, self._norm = (
            torch.zeros((), device=self._device) for _ in range(4)
        )
        self._losses = torch.zeros(2, device=self._device)  # translation, alignment
        optimizer.zero_grad()

    @property
    def num_graphs(self) -> int:
        """The number of batch shapes with a graph, counting those with R-Drop apart."""
        return sum(static.replay is not None for static in self._static.values())

    def step(self, data: StepData, step: int, position: float) -> Outcome:
        """Perform update number `step`. position: its position in the schedule.

        If a loss or gradient is not finite, the weights, optimizer state and moving average stay unchanged. The same
        holds if the device or a capture fails, which raises RuntimeError.
        """
        for group in self._optimizer.param_groups:
            group["lr"], group["capturable"] = self._learning_rate, self._has_updated  # the first update has no graph
        self._learning_rate.fill_(learning_rate(position, self._settings))
        if self._ema:
            self._ema_share.fill_(self._ema.share(step))
        self._losses.zero_()
        rdrop = rdrop_weight(position, self._settings)
        for part in data.parts:
            self.add_gradients(part, data.num_tokens, step, rdrop)
        if self._has_updated and not self._replay_update:
            self._replay_update = self._capture.capture(self._update)
        if self._replay_update:
            self._replay_update()
        else:  # the first update allocates the optimizer's state, which a graph would do at each repetition
            self._capture.run(self._update)
            self._has_updated = True
        translation, alignment = self._losses.clone()
        return Outcome(Losses(translation, alignment if self._loss.guided else None), self._norm.clone())

    def add_gradients(self, part: Part, num_tokens: int, step: int, rdrop: float) -> None:
        """Add the gradients of a part, which are divided by the target pieces of the step, to those of the step."""
        shape = Shape.of(part.batch)
        if (shape, rdrop) not in self._static:
            self._static[shape, rdrop] = _Static(empty_batch(shape, self._device))
        static = self._static[shape, rdrop]
        fill(static.batch, part.batch)
        self._scale.fill_(part.weight / num_tokens)
        torch.manual_seed(part.seed(self._settings.seed, step))
        backward = partial(self._backward, static.batch, rdrop)
        # The first run prepares the libraries and allocates the gradients. Many shapes are met only once.
        if static.has_run and not static.replay and self.num_graphs < MAX_GRAPHS:
            static.replay = self._capture.capture(backward)
        if static.replay:
            static.replay()
        else:
            self._capture.run(backward)
            static.has_run = True

    def add_first_gradients(self, data: StepData) -> None:
        """Add the gradients of the first part of the first step, to time them."""
        self.add_gradients(data.parts[0], data.num_tokens, 1, rdrop_weight(1, self._settings))

    def check(self, data: StepData) -> None:
        """Capture the first part's gradients. Raises RuntimeError if the graph computes others than without it."""
        self.add_first_gradients(data)  # allocates the gradients; all further passes add to them, like a graph
        for static in self._static.values():
            static.has_run = False
        found = []
        for _ in range(3):  # without a graph, with a new one, and with the same again
            self._optimizer.zero_grad(set_to_none=False)
            self.add_first_gradients(data)
            found.append([weight.grad.clone() for weight in self._weights if weight.grad is not None])
        norm = float(torch.nn.utils.get_total_norm(found[0]))
        for other in found[1:]:
            error = float(torch.nn.utils.get_total_norm(torch._foreach_sub(other, found[0])))
            if not error <= TOLERANCE * norm:
                raise RuntimeError(f"a graph computes other gradients: norm {norm:g}, difference {error:g}")
        self._optimizer.zero_grad(set_to_none=False)

    def discard(self) -> None:
        """Free the graphs and the gradients, and let the optimizer take its numbers from Python again."""
        self._static.clear()
        self._replay_update = None
        self._optimizer.found_inf = None
        for group in self._optimizer.param_groups:
            group["lr"], group["capturable"] = 0.0, False  # each step sets the rate
        self._optimizer.zero_grad()

    def _backward(self, batch: Batch, rdrop: float) -> None:
        """Add the gradients and losses of a static batch to those of the step."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
            losses = self._loss(batch, rdrop)
        (losses.combined(self._settings.alignment_weight) * self._scale).backward()
        both = [torch.zeros_like(losses.translation) if each is None else each.detach() for each in losses]
        self._losses.add_(torch.stack(both) * self._scale)

    def _update(self) -> None:
        """Update the weights and their average unless a loss or the gradient is not finite. Clear the gradients."""
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) + 0 * self._losses.sum()
        self._norm.copy_(norm)
        is_finite = norm.isfinite().float()
        if self._settings.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self._weights, self._settings.clip_norm, norm)
        self._optimizer.found_inf = 1 - is_finite
        self._optimizer.step()
        if self._ema:
            self._ema.include(self._ema_share * is_finite)
        torch._foreach_zero_(gradients)
