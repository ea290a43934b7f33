"""Muon against singular values, and with AdamW in one optimizer."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from translate.training import muon
from translate.training.muon import MOMENTUM, orthogonalized
from translate.training.optimizer import AdamW, MuonWithAdamW


def matrices(singular_values: Tensor, num_rows: int, num_columns: int) -> Tensor:
    """Three random matrices with the given singular values."""
    size = len(singular_values)
    left, right = (torch.linalg.qr(torch.randn(3, number, size))[0] for number in (num_rows, num_columns))
    return left * singular_values @ right.mT


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
def test_singular_values_become_about_one_and_the_singular_vectors_stay(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(1)
    given = matrices(torch.logspace(0, -1.5, 8), *shape)  # rounding to bfloat16 would blur smaller ones
    found = orthogonalized(1000 * given, dtype).float()
    assert found.shape == given.shape
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.52  # 0.5 in exact arithmetic
    # U Vᵀ and the result have the same singular vectors, so their product is symmetric.
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    product = (left @ right).mT @ found if shape[0] >= shape[1] else found @ (left @ right).mT
    assert torch.allclose(product, product.mT, atol=0.05)


def test_a_matrix_of_zeros_is_not_changed() -> None:
    assert torch.equal(orthogonalized(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


def test_an_update_follows_the_orthogonalized_momentum_with_decay() -> None:
    torch.manual_seed(1)
    weights, gradients, momenta = ([torch.randn(12, 3)] for _ in range(3))
    momentum = MOMENTUM * momenta[0] + (1 - MOMENTUM) * gradients[0]
    ahead = MOMENTUM * momentum + (1 - MOMENTUM) * gradients[0]
    expected = weights[0] * (1 - 0.1 * 0.5) - 0.1 * math.sqrt(12 / 3) * orthogonalized(ahead[None])[0].float()
    muon.update(weights, gradients, momenta, rate=0.1, weight_decay=0.5)
    assert torch.allclose(weights[0], expected, atol=1e-6)
    assert torch.allclose(momenta[0], momentum)


def optimizer_of(model: nn.Linear, scale: float = 2.0) -> MuonWithAdamW:
    groups = [{"params": [model.weight], "weight_decay": 0.5}, {"params": [model.bias], "weight_decay": 0.0}]
    optimizer = MuonWithAdamW(groups, betas=(0.9, 0.98), eps=1e-9, fused=True)
    optimizer.muon_scale = scale
    return optimizer


def take_step(model: nn.Linear, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    model(torch.randn(4, 5)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_matrices_are_updated_by_muon_and_the_other_weights_by_adamw() -> None:
    torch.manual_seed(1)
    model = nn.Linear(5, 3)
    by_muon, by_adamw = copy.deepcopy(model), copy.deepcopy(model)
    expected = model.weight.detach().clone()
    take_step(by_muon, optimizer_of(by_muon), seed=2)
    take_step(by_adamw, AdamW(by_adamw.parameters(), betas=(0.9, 0.98), eps=1e-9, fused=True, weight_decay=0), seed=2)
    assert torch.equal(by_muon.bias, by_adamw.bias)
    torch.manual_seed(2)
    model(torch.randn(4, 5)).square().sum().backward()
    assert model.weight.grad is not None
    muon.update([expected], [model.weight.grad], [torch.zeros(3, 5)], rate=0.2, weight_decay=0.5)
    assert torch.equal(by_muon.weight, expected)


def test_updates_continue_from_a_stored_state() -> None:
    torch.manual_seed(1)
    model = nn.Linear(5, 3)
    optimizer = optimizer_of(model)
    take_step(model, optimizer, seed=2)
    stored = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    take_step(model, optimizer, seed=3)
    resumed = nn.Linear(5, 3)
    resumed.load_state_dict(stored[0])
    again = optimizer_of(resumed)
    again.load_state_dict(stored[1])
    take_step(resumed, again, seed=3)
    assert torch.equal(model.weight, resumed.weight)
    assert torch.equal(model.bias, resumed.bias)
    assert {name: like.shape for name, like in again.moments(resumed.weight).items()} == {
        name: value.shape for name, value in again.state[resumed.weight].items()
    }


def test_a_closure_computes_the_gradients_of_all_weights_before_any_is_updated() -> None:
    torch.manual_seed(1)
    models = [model := nn.Linear(5, 3), copy.deepcopy(model)]
    inputs = torch.randn(4, 5)
    for model, has_closure in zip(models, (True, False), strict=True):
        optimizer = optimizer_of(model)

        def loss_of(model: nn.Linear = model) -> Tensor:
            with torch.enable_grad():
                loss = model(inputs).square().sum()
            loss.backward()
            return loss

        if has_closure:
            assert optimizer.step(loss_of) > 0
        else:
            loss_of()
            optimizer.step()
    assert torch.equal(models[0].weight, models[1].weight)


def test_gradients_that_are_not_finite_change_nothing_where_that_is_marked() -> None:
    torch.manual_seed(1)
    model = nn.Linear(5, 3)
    optimizer = optimizer_of(model)
    take_step(model, optimizer, seed=2)
    before = copy.deepcopy((model.state_dict(), optimizer.state[model.weight]))
    model.weight.grad, model.bias.grad = torch.full((3, 5), math.nan), torch.full((3,), math.inf)
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert torch.equal(model.weight, before[0]["weight"])
    assert torch.equal(model.bias, before[0]["bias"])
    assert torch.equal(optimizer.state[model.weight]["momentum"], before[1]["momentum"])


def test_an_update_of_a_matrix_costs_more_than_one_of_as_many_other_weights() -> None:
    model = nn.Linear(64, 64)
    optimizer = optimizer_of(model)
    assert optimizer.cost(model.weight) / model.weight.numel() > optimizer.cost(model.bias) / model.bias.numel()
