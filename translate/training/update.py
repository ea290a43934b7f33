"""The end of a step: the norm of the gradients, clipping, the optimizer and the moving average, divided among threads.

Each thread has some of the weights, because a single core cannot use all of the memory's speed, which limits these
operations. The results do not depend on the number of threads: they are computed for each weight by itself, and the
norm is that of the norms of all weights, in the order of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from translate.training.optimizer import AdamW, ExponentialMovingAverage
from translate.training.workers import Workers


class Update:
    """Updates the weights of a model, and their moving average, by their gradients."""

    def __init__(
        self, model: nn.Module, optimizer: AdamW, ema: ExponentialMovingAverage | None, clip_norm: float
    ) -> None:
        """clip_norm: maximum norm of the gradients; 0 disables clipping."""
        self._weights = list(model.parameters())
        self._optimizer, self._ema, self._clip_norm = optimizer, ema, clip_norm
        self._sizes = [weight.numel() for weight in self._weights]
        self._costs = [optimizer.cost(weight) for weight in self._weights]

    def gradient_norm(self, workers: Workers) -> float:
        """Return the norm of all gradients together."""

        def norms(numbers: Sequence[int]) -> dict[int, Tensor]:
            gradients = {number: grad for number in numbers if (grad := self._weights[number].grad) is not None}
            return dict(zip(gradients, torch._foreach_norm([*gradients.values()]), strict=True)) if gradients else {}

        found = {key: norm for each in workers.map(norms, workers.divide(self._sizes)) for key, norm in each.items()}
        return float(torch.linalg.vector_norm(torch.stack([found[number] for number in sorted(found)])))

    def apply(self, gradient_norm: float, step: int, workers: Workers) -> None:
        """Perform update number `step`, after clipping."""

        def update(numbers: Sequence[int]) -> None:
            weights = [self._weights[number] for number in numbers]
            if 0 < self._clip_norm < gradient_norm:
                norm = torch.tensor(gradient_norm, device=weights[0].device)
                torch.nn.utils.clip_grads_with_norm_(weights, self._clip_norm, norm)
            self._optimizer.of(weights).step()
            if self._ema:
                self._ema.update(step, numbers)

        workers.map(update, workers.divide(self._costs))
