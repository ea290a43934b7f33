"""AdamW against PyTorch's."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from translate.training.optimizer import AdamW


def steps(optimizer: torch.optim.Optimizer, model: nn.Module, count: int) -> list[Tensor]:
    """The weights after each step of a training that is the same for both, with a gradient missing at times."""
    weights = []
    for step in range(count):
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (step + 1)
        model(torch.randn(4, 5)).square().sum().backward()
        if step == 1:
            model.bias.grad = None
        optimizer.step()
        optimizer.zero_grad()
        weights += [weight.detach().clone() for weight in model.parameters()]
    return weights


def test_updates_are_those_of_pytorch_also_from_a_stored_state() -> None:
    torch.manual_seed(1)
    models = [model := nn.Linear(5, 3), copy.deepcopy(model)]
    found: list[list[Tensor]] = []
    for model, kind in zip(models, (AdamW, torch.optim.AdamW), strict=True):

        def build(kind: type[torch.optim.AdamW] = kind, model: nn.Linear = model) -> torch.optim.AdamW:
            groups = [{"params": [model.weight], "weight_decay": 0.5}, {"params": [model.bias], "weight_decay": 0.0}]
            return kind(groups, betas=(0.9, 0.98), eps=1e-9, fused=True)

        optimizer = build()
        weights = steps(optimizer, model, 4)
        resumed = build()
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        found.append(weights + steps(resumed, model, 4))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(found[0][0], found[0][-2])
