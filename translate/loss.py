"""The training loss: cross-entropy with label smoothing, computed together with the output layer.

Where a head is guided by given word alignments, there is a second one: of its attention (Garg et al. 2019).

Shapes: B sentences, S source pieces, T target pieces, N target pieces without padding, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from translate.batches import Batch, Links
from translate.linear import as_factor
from translate.model import Transformer
from translate.recording import recording_head

# Logits that exist at a time: all N x V would be by far the largest tensor of a small model's step. On a CPU these stay
# in its cache; a GPU needs large products to be busy.
MAX_LOGITS, MAX_LOGITS_ON_GPU = 2**22, 2**27


class Losses(NamedTuple):
    """Scalars in nats, sums over target pieces; padding does not count."""

    translation: Tensor
    alignment: Tensor | None = None  # where attention is guided


def total(losses: Sequence[Losses]) -> Losses:
    """Of several batches, with a loss of alignment in all of them or in none."""
    alignments = [each.alignment for each in losses if each.alignment is not None]
    translation = torch.stack([each.translation for each in losses]).sum()
    return Losses(translation, torch.stack(alignments).sum() if alignments else None)


class GuidedHead(NamedTuple):
    """The head of encoder-decoder attention that learns from given alignments."""

    layer: int
    head: int


class SummedLoss(nn.Module):
    """A model with its loss: the sum over a batch's target pieces, so that batches of a step can be added up."""

    def __init__(self, model: Transformer, label_smoothing: float, guided: GuidedHead | None = None) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing
        self.guided = guided
        self.features: Callable[[Tensor, Tensor, Tensor], Tensor] = model.features  # what may be compiled

    def forward(self, batch: Batch) -> Losses:
        """The losses of the batch; that of alignment if there is a guided head."""
        if not self.guided:
            return Losses(self._translation(batch))
        assert batch.links
        with recording_head(self.model, *self.guided) as maps:
            translation = self._translation(batch)
        return Losses(translation, alignment_sum(maps[0], batch.links))

    def _translation(self, batch: Batch) -> Tensor:
        features = self.features(batch.src, batch.src_mask, batch.tgt_in).flatten(0, 1)
        features = features.index_select(0, batch.places)
        return cross_entropy_sum(features, self.model.output.weight, batch.targets, self.label_smoothing)


def alignment_sum(weights: Tensor, links: Links) -> Tensor:
    """The cross-entropy of a head's map (B, T, S) against the links, summed; a scalar in nats.

    For each target piece that has links, the wanted distribution is uniform over the source pieces that it is linked to
    (Garg et al. 2019). The others, `</s>` among them, are free.
    """
    linked = weights.flatten(0, 1)[links.places, links.sources]
    log_weights = linked.clamp(min=torch.finfo(linked.dtype).tiny).log()  # a weight may be rounded to 0
    return -(links.shares * log_weights).sum()


def cross_entropy_sum(features: Tensor, weight: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """The cross-entropy of softmax(features weightᵀ) against the targets, summed; a scalar in nats.

    features: (N, D); weight: (V, D); targets: (N,). With label smoothing ε the wanted distribution q is 1 - ε for the
    target and ε spread over all V (Szegedy et al. 2016, section 7).
    """
    apply = cast("Callable[..., Tensor]", _LinearCrossEntropy.apply)
    return apply(features, weight, targets, label_smoothing, torch.is_grad_enabled())


class _LinearCrossEntropy(torch.autograd.Function):
    """Output layer and loss in one, a few rows at a time.

    The gradient of the loss by the logits is p - q, softmax less what is wanted, and at hand in the forward pass: there
    it is multiplied through to `features` and `weight`, so no (N, V) tensor outlives its rows. PyTorch's own functions
    make five.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, targets: Tensor, label_smoothing: float, wants_gradient: bool
    ) -> Tensor:
        device = features.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        kernel = weight.to(dtype)
        total = torch.zeros((), device=features.device)
        features_grad = torch.empty_like(features)
        weight_grad: Tensor | None = None
        num_rows = max(1, (MAX_LOGITS if device == "cpu" else MAX_LOGITS_ON_GPU) // weight.size(0))
        with torch.autocast(device, enabled=False):
            for start in range(0, features.size(0), num_rows):
                part = slice(start, start + num_rows)
                rows, wanted = as_factor(features[part], dtype), targets[part, None]
                log_probs = (rows @ kernel.t())[: len(wanted)].float().log_softmax(dim=-1)
                total += _loss(log_probs, wanted, label_smoothing)
                if not wants_gradient:
                    continue
                logits_grad = as_factor(_gradient(log_probs, wanted, label_smoothing), dtype)
                features_grad[part] = (logits_grad @ kernel)[: len(wanted)]
                product = (logits_grad.t() @ rows).to(weight.dtype)
                weight_grad = product if weight_grad is None else weight_grad.add_(product)
        ctx.save_for_backward(features_grad, weight_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        features_grad, weight_grad = ctx.saved_tensors
        return features_grad * grad_outputs[0], weight_grad * grad_outputs[0], None, None, None


def _loss(log_probs: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """-Σ q log p over (N, V), where q is 1 - ε for the target and ε spread over all; a scalar. targets: (N, 1)."""
    loss = (label_smoothing - 1) * log_probs.gather(1, targets).sum()
    return loss - label_smoothing / log_probs.size(1) * log_probs.sum() if label_smoothing else loss


def _gradient(log_probs: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """By the logits: p - q, (N, V), in the memory of `log_probs`."""
    gradient = log_probs.exp_().sub_(label_smoothing / log_probs.size(1))
    return gradient.scatter_add_(1, targets, gradient.new_full(targets.shape, label_smoothing - 1))
