"""Add up the gradients of a training step: part by part, and within each part from the shares of several threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from translate.config.train_settings import TrainSettings
from translate.data.batches import Batch
from translate.errors import UserError
from translate.model.layers import drawing_from
from translate.system.device import is_out_of_memory
from translate.system.distributed import World
from translate.training.feed import Part, StepData
from translate.training.loss import Losses, SummedLoss, total
from translate.training.workers import Workers, usual_number


class Gradients:
    """Adds the gradients of steps to those of a model's parameters."""

    def __init__(
        self,
        loss: SummedLoss,
        settings: TrainSettings,
        device: torch.device,
        world: World,
        lines_of: Callable[[Sequence[int]], str],
        is_divisible: bool,
    ) -> None:
        """lines_of: function that names rows of the corpus. is_divisible: whether threads can compute shares."""
        self._settings, self._device, self._world, self._lines_of = settings, device, world, lines_of
        self._weights = list(loss.parameters())
        self._sizes = [weight.numel() for weight in self._weights]
        self._too_large = math.inf  # size of the smallest part that did not fit in memory
        self._is_divisible = is_divisible and device.type == "cpu" and world.size == 1
        self.workers = Workers(usual_number(settings.part_tokens) if self._is_divisible else 1)
        self._loss: Callable[[Batch, float], Losses] = loss
        self.without_exchange: Callable[[], AbstractContextManager[None]] = nullcontext
        if world.size > 1:
            device_ids = None if device.index is None else [device.index]
            parallel = DistributedDataParallel(loss, device_ids, gradient_as_bucket_view=True)
            self._loss, self.without_exchange = parallel, parallel.no_sync

    @property
    def is_halving(self) -> bool:
        """Whether large parts are halved because one did not fit in memory."""
        return math.isfinite(self._too_large)

    def resume(self, num_workers: int | None) -> None:
        """Divide parts into as many shares as when the run started, because the dropout masks depend on it.

        num_workers: the number in the checkpoint; None if an older version wrote it, which did not divide parts.
        """
        if self._is_divisible:
            self.workers = Workers(num_workers or 1)

    def add(self, data: StepData, step: int, rdrop: float, precision: str) -> list[Losses]:
        """Add the gradients of a step's parts. Returns each part's contribution to the step's losses.

        If a part does not fit in memory, parts of its size or larger are halved, now and in later steps. Losses are
        sums, so only the dropout masks change. With multiple processes, the out-of-memory error is raised instead.
        rdrop: weight of R-Drop.
        """

        def backward(part: Part) -> Losses:
            return self._backward(part, data.num_tokens, step, rdrop, precision)

        parts = data.parts
        while True:
            parts = [each for part in parts for each in part.split_below(self._too_large)]
            losses: list[Losses] = []
            try:
                with self.without_exchange():
                    for part in parts[:-1]:
                        losses.append(backward(part))
                # During this last pass, the processes exchange all gradients accumulated so far.
                return [*losses, backward(parts[-1])]
            except (RuntimeError, MemoryError) as error:
                if self._world.size > 1 or not is_out_of_memory(error):
                    raise
            # Free memory outside the `except` block, where the error still references the tensors.
            for weight in self._weights:
                weight.grad = None
            torch.cuda.empty_cache()
            failed = parts[len(losses)]
            if len(failed.rows) == 1:
                raise UserError(
                    f"out of memory on a single sentence pair, {self._lines_of(failed.rows.tolist())}; shorten it, or "
                    "start a new run with a lower data.max_pieces or model.d_model"
                )
            self._too_large = failed.batch.num_places

    def _backward(self, part: Part, num_tokens: int, step: int, rdrop: float, precision: str) -> Losses:
        """Add a part's gradients to those of the step. Returns the part's contribution to the step's losses."""
        shares = part.shares(self.workers.count)
        if len(shares) == 1:
            torch.manual_seed(part.seed(self._settings.seed, step))
            loss, losses = self._loss_of(part, num_tokens, rdrop, precision)
            loss.backward()
            return losses

        def gradients(share: Part) -> tuple[Losses, Sequence[Tensor | None]]:
            with drawing_from(torch.Generator().manual_seed(share.seed(self._settings.seed, step))):
                loss, losses = self._loss_of(share, num_tokens, rdrop, precision)
            return losses, torch.autograd.grad(loss, self._weights, allow_unused=True)

        results = self.workers.map(gradients, shares)

        def add_up(numbers: Sequence[int]) -> None:
            for number in numbers:
                weight = self._weights[number]
                for _, found in results:
                    if (gradient := found[number]) is not None:
                        weight.grad = gradient.contiguous() if weight.grad is None else weight.grad.add_(gradient)

        self.workers.map(add_up, self.workers.divide(self._sizes))
        return total([losses for losses, _ in results])

    def _loss_of(self, share: Part, num_tokens: int, rdrop: float, precision: str) -> tuple[Tensor, Losses]:
        """Return the loss of a part, or of a worker's share of it, and its contribution to the step's losses."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            losses = self._loss(share.batch, rdrop)
        # Divide by the number of pieces in the step, so that each piece has the same weight however the step is split.
        losses = losses.map(lambda each: each * share.weight / num_tokens)
        loss = losses.combined(self._settings.alignment_weight)
        # Multiply by the number of processes, because their gradients are averaged instead of added. A loss that is not
        # finite gives NaN when multiplied by 0, which makes the gradients of all processes NaN after the exchange.
        loss = loss * (self._world.size + 0 * loss.detach())
        return loss, losses.map(Tensor.detach)
