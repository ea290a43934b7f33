"""An exponential moving average of the weights: steadier than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """The mean of a model's parameters over the last steps, each step weighing `decay` times as much as the next.

    About the last 1 / (1 - decay) steps count (Polyak & Juditsky 1992; as an exponential mean, Szegedy et al. 2016).
    """

    def __init__(self, model: nn.Module, decay: float, num_before: int = 0) -> None:
        """num_before: 1 where the weights of now are trained ones, and count as those of a step; 0 where random."""
        self.decay = decay
        self._num_before = num_before
        self.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        self._parameters = [parameter.detach() for parameter in model.parameters()]  # the same memory

    def update(self, step: int) -> None:
        """Take in the weights after update `step`, counted from 1."""
        # At first the mean of all steps: the first weights, mostly random, would be felt for long.
        num_steps = step + self._num_before
        decay = min(self.decay, (num_steps - 1) / num_steps)
        torch._foreach_lerp_(list(self.weights.values()), self._parameters, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model has the average for its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, weight in zip(self._parameters, self.weights.values(), strict=True):
            trained = parameter.clone()
            parameter.copy_(weight)
            weight.copy_(trained)
