"""The training loss: cross-entropy with label smoothing.

Shapes: B sentences, T target pieces, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from translate.batches import Batch

IGNORED = -100


def loss_sum(logits: Tensor, batch: Batch, label_smoothing: float) -> Tensor:
    """The sum over a batch's target pieces, padding apart, of their negative log-likelihood in nats; a scalar.

    logits: (B, T, V). With label smoothing ε the target is the piece with 1 - ε, and ε spread over all V (Szegedy et
    al. 2016, section 7). It is a sum, so that batches of a step can be added up and divided by all their pieces once.
    """
    targets = batch.tgt_out.masked_fill(~batch.tgt_mask, IGNORED)
    return F.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
