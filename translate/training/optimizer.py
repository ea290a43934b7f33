"""Optimizer: learning-rate schedule, AdamW with Muon, and the exponential moving average (EMA) of the weights."""

from __future__ import annotations

import copy
import inspect
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from translate.config.train_settings import TrainSettings
from translate.model.seq2seq import Seq2Seq
from translate.system.device import multiplies_bfloat16
from translate.training import muon


def learning_rate(position: float, settings: TrainSettings) -> float:
    """Return the learning rate at a position in the schedule: linear warm-up, then the schedule.

    position: number of the step, counting from 1, or a fraction between two steps.

    inverse_sqrt follows Vaswani et al. 2017 (section 5.3), except that the peak rate is a setting instead of a function
    of the width. cosine follows Loshchilov & Hutter 2017, without restarts.
    """
    warmup = settings.warmup_steps
    if position <= warmup:
        return settings.learning_rate * position / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "inverse_sqrt":
        return settings.learning_rate * math.sqrt(max(warmup, 1) / position)
    start = settings.steps_before_decay
    done = min(1.0, max(0.0, (position - start) / (settings.max_steps + 1 - start)))
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def rdrop_weight(position: float, settings: TrainSettings) -> float:
    """Return the weight of R-Drop at a position in the schedule (see `learning_rate`); 0 means a single pass."""
    return settings.rdrop if position > settings.steps_before_rdrop else 0.0


class AdamW(torch.optim.AdamW):
    """PyTorch's AdamW, without the wrappers that import PyTorch's compiler when it is first used, which takes a second.

    They matter only where the optimizer itself is compiled.
    """

    found_inf: Tensor | None = None  # scalar on the device of the weights; where it is 1, `step` changes nothing

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))

    def moments(self, weight: nn.Parameter) -> Mapping[str, Tensor]:
        """Return tensors of the shapes of what `step` keeps for a weight, by name."""
        return {"exp_avg": weight, "exp_avg_sq": weight, "step": torch.zeros(())}

    def cost(self, weight: nn.Parameter) -> float:
        """Return the time that it takes to update a weight, relative to that of one element."""
        return weight.numel()

    def of(self, weights: Sequence[nn.Parameter]) -> Self:
        """Return an optimizer of some of the weights, which shares the state of this one."""
        optimizer, chosen = copy.copy(self), {id(weight) for weight in weights}
        optimizer.param_groups = [
            {**group, "params": [weight for weight in group["params"] if id(weight) in chosen]}
            for group in self.param_groups
        ]
        return optimizer


class MuonWithAdamW(AdamW):
    """Muon for the first group of weights, which are matrices, and AdamW for the others.

    muon_scale: Muon's learning rate relative to AdamW's, which is the "lr" of all groups. muon_dtype: of its products.
    """

    muon_scale = 1.0
    muon_dtype = torch.float32

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Accept a state in which the matrices have no "step", which AdamW looks for to convert old states."""
        torch.optim.Optimizer.__setstate__(self, state)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the weights that have gradients. closure: computes them again, as in all of PyTorch's optimizers."""
        matrices, *others = groups = self.param_groups
        self.param_groups = others
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        by_shape = defaultdict[torch.Size, list[Tensor]](list)
        for weight in matrices["params"]:
            if weight.grad is not None:
                by_shape[weight.shape].append(weight)
        for weights in by_shape.values():
            self._step_by_muon(weights, self.muon_scale * matrices["lr"], matrices["weight_decay"])
        return loss

    def moments(self, weight: nn.Parameter) -> Mapping[str, Tensor]:
        """See AdamW."""
        return {"momentum": weight} if self._is_matrix(weight) else super().moments(weight)

    def cost(self, weight: nn.Parameter) -> float:
        """See AdamW. An update by Muon consists of products."""
        return super().cost(weight) * (1 + min(weight.shape) / 32 if self._is_matrix(weight) else 1)

    def _step_by_muon(self, weights: list[Tensor], rate: float | Tensor, weight_decay: float) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum"] for weight in weights]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if self.found_inf is not None:  # then neither the momenta nor the weights change
            are_unused = self.found_inf > 0
            gradients = [torch.where(are_unused, *each) for each in zip(momenta, gradients, strict=True)]
            rate = rate * (1 - self.found_inf)
        muon.update(weights, gradients, momenta, rate, weight_decay, self.muon_dtype)

    def _is_matrix(self, weight: nn.Parameter) -> bool:
        return any(weight is each for each in self.param_groups[0]["params"])


def build_optimizer(model: Seq2Seq, settings: TrainSettings, device: torch.device) -> AdamW:
    """Build the optimizer of the settings: Adam (Kingma & Ba 2015) for all weights, or Muon for the weight matrices.

    The weight matrices decay, decoupled from the gradient (Loshchilov & Hutter 2019). Biases, norms, embeddings and the
    output layer do not: the embedding of a rare piece would shrink too much between its infrequent updates.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    tables.add(id(model.output.weight))
    matrices = [each for each in model.parameters() if each.dim() > 1 and id(each) not in tables]
    others = [each for each in model.parameters() if each.dim() <= 1 or id(each) in tables]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kind = MuonWithAdamW if settings.optimizer == "muon" else AdamW
    optimizer = kind(groups, betas=(0.9, settings.adam_beta2), eps=1e-9, fused=device.type != "mps")
    if isinstance(optimizer, MuonWithAdamW):
        optimizer.muon_scale = settings.muon_learning_rate / settings.learning_rate
        optimizer.muon_dtype = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return optimizer


class ExponentialMovingAverage:
    """Moving average of a model's parameters, in which each step has `decay` times the weight of the next.

    It effectively covers the last 1 / (1 - decay) steps (Polyak & Juditsky 1992; exponential in Szegedy et al. 2016).
    """

    def __init__(self, model: nn.Module, decay: float, num_before: int = 0) -> None:
        """Start with the weights of the model. num_before: 1 if they are trained and count as a step, 0 if random."""
        self.decay = decay
        self._num_before = num_before
        self.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        self._parameters = [parameter.detach() for parameter in model.parameters()]  # share memory with the model

    def update(self, step: int, numbers: Sequence[int] | None = None) -> None:
        """Include the weights after update `step`, counting from 1.

        numbers: the parameters to include, in the order of the model; None: all.
        """
        averages = list(self.weights.values())
        numbers = range(len(averages)) if numbers is None else numbers
        some = [averages[number] for number in numbers], [self._parameters[number] for number in numbers]
        torch._foreach_lerp_(*some, self.share(step))

    def share(self, step: int) -> float:
        """Return the share of the weights after update `step`, counting from 1, in the new average."""
        # Start with the plain mean of all steps; otherwise the random initial weights would dominate for a long time.
        num_steps = step + self._num_before
        return 1 - min(self.decay, (num_steps - 1) / num_steps)

    def include(self, share: Tensor) -> None:
        """Include the current weights with a share that is a scalar on their device; 0 leaves the average unchanged."""
        averages = list(self.weights.values())
        differences = torch._foreach_sub(self._parameters, averages)
        torch._foreach_mul_(differences, share)
        torch._foreach_add_(averages, differences)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model use the averaged weights within the block."""
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
