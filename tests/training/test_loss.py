"""The fused output layer and loss, compared with PyTorch's and with the formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from translate.config.model_settings import ModelSettings
from translate.data.batches import Batch, pad
from translate.run.model import ARCHITECTURES
from translate.training import loss
from translate.training.loss import SummedLoss, cross_entropy_sum, r_drop_sum


def some_rows() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    features, weight = torch.randn(7, 6), torch.randn(11, 6)
    return features.requires_grad_(), weight.requires_grad_(), torch.randint(11, (7,))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("max_logits", [1, 33, 10_000])
def test_loss_and_gradients_match_pytorch(
    monkeypatch: pytest.MonkeyPatch, label_smoothing: float, max_logits: int
) -> None:
    monkeypatch.setattr(loss, "MAX_LOGITS", max_logits)
    features, weight, targets = some_rows()
    expected = F.cross_entropy(features @ weight.t(), targets, reduction="sum", label_smoothing=label_smoothing)
    wanted = torch.autograd.grad(expected / 3, (features, weight))
    ours = cross_entropy_sum(features, weight, targets, label_smoothing)
    found = torch.autograd.grad(ours / 3, (features, weight))
    assert ours.item() == pytest.approx(expected.item(), rel=1e-6)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_loss_matches_the_label_smoothing_formula() -> None:
    features, weight, targets = some_rows()
    expected = 0.0
    for row, target in zip(features, targets, strict=True):
        log_probs = (weight @ row).log_softmax(0)
        expected -= 0.9 * log_probs[target].item() + 0.1 * log_probs.mean().item()
    assert cross_entropy_sum(features, weight, targets, 0.1).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("num_passes", [1, 2])
def test_bfloat16_loss_and_gradients_are_close_to_float32(num_passes: int) -> None:
    features, weight, targets = some_rows()
    if num_passes == 2:
        features = torch.stack([features.detach(), torch.randn(7, 6)]).requires_grad_()

    def loss_of_rows() -> Tensor:
        if num_passes == 2:
            return r_drop_sum(features, weight, targets, 0.1, 3.0)
        return cross_entropy_sum(features, weight, targets, 0.1)

    exact = loss_of_rows()
    wanted = torch.autograd.grad(exact, (features, weight))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss_of_rows()
    found = torch.autograd.grad(rounded, (features, weight))
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() < 0.02 * other.norm()


def test_without_gradients_the_loss_is_the_same() -> None:
    features, weight, targets = some_rows()
    with torch.inference_mode():
        alone = cross_entropy_sum(features, weight, targets, 0.1)
    assert torch.equal(alone, cross_entropy_sum(features, weight, targets, 0.1).detach())


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("max_logits", [1, 66, 10_000])
def test_r_drop_loss_and_gradients_match_the_formula_of_the_paper(
    monkeypatch: pytest.MonkeyPatch, label_smoothing: float, max_logits: int
) -> None:
    monkeypatch.setattr(loss, "MAX_LOGITS", max_logits)
    _, weight, targets = some_rows()
    features = torch.randn(2, 7, 6).requires_grad_()
    logits = features @ weight.t()
    p, q = logits.softmax(dim=2)
    entropies = [F.cross_entropy(each, targets, reduction="sum", label_smoothing=label_smoothing) for each in logits]
    divergence = F.kl_div(q.log(), p, reduction="sum") / 2 + F.kl_div(p.log(), q, reduction="sum") / 2
    expected = (sum(entropies) + 5 * divergence) / 2
    wanted = torch.autograd.grad(expected / 3, (features, weight))
    ours = r_drop_sum(features, weight, targets, label_smoothing, 5.0)
    found = torch.autograd.grad(ours / 3, (features, weight))
    assert ours.item() == pytest.approx(expected.item(), rel=1e-6)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_r_drop_with_equal_passes_equals_the_loss_of_one_pass() -> None:
    features, weight, targets = some_rows()
    one = cross_entropy_sum(features, weight, targets, 0.1)
    twice = r_drop_sum(torch.stack([features, features]), weight, targets, 0.1, 5.0)
    assert twice.item() == pytest.approx(one.item(), rel=1e-6)
    for found, wanted in zip(*(torch.autograd.grad(each, (features, weight)) for each in (twice, one)), strict=True):
        assert torch.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("model", [{"architecture": "recurrent", "attention": "none"}, {"architecture": "recurrent"},
                                   {"architecture": "decoder-only", "num_heads": 2}])  # fmt: skip
def test_r_drop_of_a_model_without_dropout_equals_the_loss_of_one_pass(model: dict[str, object]) -> None:
    settings = ModelSettings.model_validate({"d_model": 8, "dropout": 0.0, **model})
    src, src_mask = pad([[3, 4, 2], [5, 2]])
    tgt_in, places = torch.tensor([[1, 6, 4], [1, 3, 0]]), torch.tensor([0, 1, 2, 3, 4])
    batch = Batch(src, src_mask, tgt_in, torch.tensor([6, 4, 2, 3, 2]), places, None)
    summed = SummedLoss(ARCHITECTURES[settings.architecture](settings, 7, 7, True), 0.1)
    once, twice = (summed(batch, rdrop).translation for rdrop in (0.0, 5.0))
    assert twice.item() == pytest.approx(once.item(), rel=1e-5)
