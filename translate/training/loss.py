"""Compute the training loss: cross-entropy with label smoothing, fused with the output layer.

If word alignments guide a head, an alignment loss is added (Garg et al. 2019). With R-Drop (Liang et al. 2021), each
batch passes through the model twice, and the two predictions, made with different dropout, are trained to agree.

Shapes: B sentences, S source pieces, T target pieces, N target pieces without padding, D width, V vocabulary size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from translate.data.batches import Batch, PieceLinks
from translate.model.attention_kinds import Head
from translate.model.hooks import recording_head
from translate.model.linear_weights import as_factor
from translate.model.seq2seq import Seq2Seq
from translate.system.products import input_gradient, product, weight_gradient

# Maximum number of logits in memory. All N x V logits would be by far the largest tensor in a step of a small model.
# On a CPU, this many fit in the cache; a GPU needs large matrix products for full utilization.
MAX_LOGITS, MAX_LOGITS_ON_GPU = 2**22, 2**27
ROWS_AT_ONCE = 128  # rows of logits whose loss is computed at once on a CPU, in its cache

# Arguments: float32 logits (P, N, V) of P passes, (N, 1) targets, whether the gradient is needed. Returns the scalar
# loss and its gradient with respect to the logits, (P, N, V). May overwrite the logits.
RowsLoss = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]


class Losses(NamedTuple):
    """Losses as scalars in nats, summed over target pieces without padding."""

    translation: Tensor  # with R-Drop, this includes the divergence of the two passes
    alignment: Tensor | None = None  # None if no head is guided

    def combined(self, alignment_weight: float) -> Tensor:
        """Return the loss to minimize."""
        return self.translation if self.alignment is None else self.translation + alignment_weight * self.alignment

    def map(self, function: Callable[[Tensor], Tensor]) -> Losses:
        """Apply a function to each loss."""
        return Losses(function(self.translation), None if self.alignment is None else function(self.alignment))


def total(losses: Sequence[Losses]) -> Losses:
    """Add up the losses of several batches, of which either all or none have an alignment loss."""
    alignments = [each.alignment for each in losses if each.alignment is not None]
    translation = torch.stack([each.translation for each in losses]).sum()
    return Losses(translation, torch.stack(alignments).sum() if alignments else None)


class SummedLoss(nn.Module):
    """A model with its loss, summed over target pieces so that the losses of a step's batches can be added up."""

    def __init__(self, model: Seq2Seq, label_smoothing: float, guided: Head | None = None) -> None:
        """guided: cross-attention head to train on the given alignments, if any."""
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing
        self.guided = guided
        # May be replaced by a compiled version.
        self.features: Callable[[Tensor, Tensor, Tensor], Tensor] = model.features

    def forward(self, batch: Batch, rdrop: float = 0.0) -> Losses:
        """Return the losses of the batch. The alignment loss is averaged over the passes. rdrop: weight of R-Drop."""
        if not self.guided:
            return Losses(self._translation(batch, rdrop))
        assert batch.links
        with recording_head(self.model, self.guided) as maps:
            translation = self._translation(batch, rdrop)
        passes = torch.cat(maps, dim=1).chunk(2 if rdrop else 1)
        return Losses(translation, torch.stack([alignment_sum(each, batch.links) for each in passes]).mean())

    def _translation(self, batch: Batch, rdrop: float) -> Tensor:
        weight, arguments = self.model.output.weight, (batch.src, batch.src_mask, batch.tgt_in)
        if not rdrop:
            features = _of_real(self.features(*arguments).flatten(0, 1).index_select(0, batch.places), batch)
            loss = cross_entropy_sum(features, weight, batch.targets, self.label_smoothing)
            return _without_padding(loss, batch, len(weight))
        # Dropout is sampled independently for each row, so both passes are computed as one with twice the rows.
        features = self.features(*(each.repeat(2, 1) for each in arguments))
        features = _of_real(features.reshape(2, -1, features.size(2)).index_select(1, batch.places), batch)
        loss = r_drop_sum(features, weight, batch.targets, self.label_smoothing, rdrop)
        return _without_padding(loss, batch, len(weight))


def _of_real(features: Tensor, batch: Batch) -> Tensor:
    """Return the features (..., N, D) with zeros for targets that are padding, which then change no gradient."""
    return features if batch.is_real is None else features * batch.is_real[:, None]


def _without_padding(loss: Tensor, batch: Batch, num_pieces: int) -> Tensor:
    """Subtract the loss of padding: zeros as features predict all V pieces alike, so each adds ln V, as in R-Drop."""
    return loss if batch.is_real is None else loss - math.log(num_pieces) * (1 - batch.is_real).sum()


def alignment_sum(weights: Tensor, links: PieceLinks) -> Tensor:
    """Return the cross-entropy of a head's map, (B, T, S), against the links, summed to a scalar in nats.

    The target distribution of a linked target piece is uniform over the source pieces that it is linked to (Garg et al.
    2019). Target pieces without links, such as `</s>`, are ignored.
    """
    linked = weights.flatten(0, 1)[links.places, links.sources]
    log_weights = linked.clamp(min=torch.finfo(linked.dtype).tiny).log()  # a weight may be rounded to 0
    return -(links.shares * log_weights).sum()


def cross_entropy_sum(features: Tensor, weight: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Return the cross-entropy of softmax(features weightᵀ) against the targets, summed to a scalar in nats.

    features: (N, D); weight: (V, D); targets: (N,). With label smoothing ε, the target distribution q is 1 - ε for
    the target plus ε spread over all V (Szegedy et al. 2016, section 7).
    """
    rows_loss = partial(_smoothed_loss, label_smoothing=label_smoothing)
    return _linear_loss(features[None], weight, targets, rows_loss, torch.is_grad_enabled())


def r_drop_sum(features: Tensor, weight: Tensor, targets: Tensor, label_smoothing: float, rdrop: float) -> Tensor:
    """Return half the R-Drop loss (Liang et al. 2021, equations 2 to 4), summed to a scalar in nats.

    features: (2, N, D), from two passes with different dropout; weight: (V, D); targets: (N,). With cross-entropies C₁
    and C₂, distributions P₁ and P₂ and α = `rdrop`, it is (C₁ + C₂ + α/2 (KL(P₁‖P₂) + KL(P₂‖P₁))) / 2 for each target
    piece. Halving keeps it on the scale of a single pass, so the same learning rates work.
    """
    rows_loss = partial(_r_drop, label_smoothing=label_smoothing, rdrop=rdrop)
    return _linear_loss(features, weight, targets, rows_loss, torch.is_grad_enabled())


class _LinearLoss(torch.autograd.Function):
    """Fused output layer and loss, computed a few rows at a time.

    The forward pass already computes the gradient with respect to the logits (for cross-entropy p - q, the softmax
    minus the target distribution) and propagates it to `features` and `weight`. A full (N, V) tensor is therefore never
    allocated; PyTorch's own functions allocate five.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, targets: Tensor, rows_loss: RowsLoss, wants_gradient: bool
    ) -> Tensor:
        """Map features (P, N, D) of P passes, weight (V, D) and targets (N,) to the scalar loss."""
        device = features.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        kernel = weight.to(dtype)
        total = torch.zeros((), device=features.device)
        features_grad, weight_grad = torch.empty_like(features), None
        max_logits = MAX_LOGITS if device == "cpu" else MAX_LOGITS_ON_GPU
        num_rows = max(1, max_logits // (weight.size(0) * features.size(0)))
        with torch.autocast(device, enabled=False):
            for part in _slices(features.size(1), num_rows):
                flat = features[:, part].flatten(0, 1)
                rows, wanted = as_factor(flat, dtype), targets[part, None]
                all_logits = product(rows, kernel)
                logits = all_logits[: len(flat)].view(features.size(0), -1, len(kernel))
                for few in _slices(logits.size(1), ROWS_AT_ONCE if device == "cpu" else num_rows):
                    loss, gradient = rows_loss(logits[:, few].float(), wanted[few], wants_gradient)
                    total += loss
                    if gradient is not None:
                        logits[:, few] = gradient
                if wants_gradient:  # `all_logits` holds their gradient, and zeros in rows that `as_factor` has added
                    features_grad[:, part] = input_gradient(all_logits, kernel)[: len(flat)].view_as(features[:, part])
                    added = weight_gradient(all_logits, rows).to(weight.dtype)
                    weight_grad = added if weight_grad is None else weight_grad.add_(added)
        ctx.save_for_backward(features_grad, weight_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        features_grad, weight_grad = ctx.saved_tensors
        return features_grad * grad_outputs[0], weight_grad * grad_outputs[0], None, None, None


_linear_loss = cast("Callable[[Tensor, Tensor, Tensor, RowsLoss, bool], Tensor]", _LinearLoss.apply)


def _slices(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _smoothed_loss(
    logits: Tensor, targets: Tensor, wants_gradient: bool, label_smoothing: float
) -> tuple[Tensor, Tensor | None]:
    """RowsLoss for a single pass: cross-entropy with label smoothing."""
    logits, num_pieces = logits[0], logits.size(2)
    probs = logits.softmax(dim=1)
    # The logarithm of the sum of all exponentials, from the largest probability, which never underflows.
    log_sums = logits.amax(dim=1) - probs.amax(dim=1).log()
    loss = (1 - label_smoothing) * (log_sums - logits.gather(1, targets)[:, 0]).sum()
    if label_smoothing:
        loss += label_smoothing * (log_sums.sum() - logits.sum() / num_pieces)
    return loss, _minus_target(probs, targets, label_smoothing)[None] if wants_gradient else None


def _r_drop(
    logits: Tensor, targets: Tensor, wants_gradient: bool, label_smoothing: float, rdrop: float
) -> tuple[Tensor, Tensor | None]:
    """RowsLoss for two passes P and Q with R-Drop.

    With respect to the logits of P, KL(P‖Q) has the gradient P (log P/Q - KL(P‖Q)), and KL(Q‖P) has the gradient P - Q.
    For the logits of Q, swap P and Q.
    """
    alpha, both = rdrop / 4, targets.repeat(2, 1)
    log_probs = logits.log_softmax(dim=2)
    loss = _loss(log_probs.flatten(0, 1), both, label_smoothing) / 2
    log_p, log_q = log_probs
    log_ratio = log_p - log_q
    p, q = log_probs.exp_()
    p_to_q = torch.linalg.vecdot(p, log_ratio)[:, None]  # (N, 1)
    q_to_p = -torch.linalg.vecdot(q, log_ratio)[:, None]
    loss += alpha * (p_to_q + q_to_p).sum()
    if not wants_gradient:
        return loss, None
    by_p, by_q = gradient = torch.empty_like(log_probs)
    scaled = log_ratio.mul_(alpha)
    torch.add(scaled, 0.5 + alpha * (1 - p_to_q), out=by_p)  # 0.5 because the cross-entropy is halved
    torch.sub(0.5 + alpha * (1 - q_to_p), scaled, out=by_q)
    by_p.mul_(p).sub_(q, alpha=alpha)
    by_q.mul_(q).sub_(p, alpha=alpha)
    _minus_target(gradient.flatten(0, 1), both, label_smoothing, 0.5)
    return loss, gradient


def _loss(log_probs: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Return -Σ q log p over (N, V), where q is 1 - ε for the target plus ε spread over all V. targets: (N, 1)."""
    loss = (label_smoothing - 1) * log_probs.gather(1, targets).sum()
    return loss - label_smoothing / log_probs.size(1) * log_probs.sum() if label_smoothing else loss


def _minus_target(probs: Tensor, targets: Tensor, label_smoothing: float, share: float = 1.0) -> Tensor:
    """Subtract `share` times the target distribution from `probs`, (N, V), in place."""
    probs.sub_(share * label_smoothing / probs.size(1))
    return probs.scatter_add_(1, targets, probs.new_full(targets.shape, share * (label_smoothing - 1)))
