"""Sampling: translations drawn piece by piece from the model's distribution.

Shapes: B sentences, K samples of each (1 in the first step), V vocabulary size, L pieces so far, including `<s>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.decoding.beam_search import Ids, State, Step
from translate.decoding.engine import Hypothesis, Sentence
from translate.decoding.logit_rules import LogitRules

S = TypeVar("S", bound=State)


@torch.no_grad()
def sample(
    step: Step[S],
    state: S,
    rules: LogitRules,
    sentences: Sequence[Sentence],
    settings: DecodeSettings,
    num_samples: int,
    ids: Ids,
) -> list[list[Hypothesis]]:
    """Draw num_samples translations of each sentence and return them sorted by score, best first.

    Each piece is drawn from softmax(logits / temperature), restricted to the top_k most probable pieces and to the
    smallest set with a total probability of top_p (Holtzman et al. 2020). Scores are computed as in beam search, from
    the unmodified probabilities. The samples depend on the seed and the line number, not on the rest of the batch.
    """
    device = rules.limits.device
    numbers = _random_numbers(sentences, settings.seed, num_samples, int(rules.limits.max())).to(
        device
    )  # (B, K, limit)
    pieces = torch.full((len(sentences), num_samples, 1), ids.bos, device=device)
    totals = torch.zeros(len(sentences), num_samples, device=device)
    scores = totals.clone()
    is_done = torch.zeros_like(totals, dtype=torch.bool)
    state = state.reorder(torch.zeros_like(pieces[:, :, 0]))
    while not is_done.all():
        logits_of, state = step(pieces[:, :, -1], state)
        logits = logits_of(slice(None))
        log_norm = logits.logsumexp(dim=2)
        rules.forbid(logits, pieces)
        drawn = _draw(logits / settings.temperature, numbers[:, :, pieces.size(2) - 1], settings)
        drawn = drawn.masked_fill(is_done, ids.eos)
        log_probs = logits.gather(2, drawn[:, :, None]).squeeze(2) - log_norm
        totals = totals + log_probs.masked_fill(is_done, 0.0)
        length = pieces.size(2)
        ended = totals / length**settings.length_penalty
        if (penalty := state.penalty()) is not None:
            ended = ended - penalty
        ends_now = (drawn == ids.eos) & ~is_done
        scores = torch.where(ends_now, ended, scores)
        is_done = is_done | ends_now
        pieces = torch.cat([pieces, drawn[:, :, None]], dim=2)
    return [_hypotheses(*each, ids.eos) for each in zip(pieces.tolist(), scores.tolist(), strict=True)]


def _draw(logits: Tensor, numbers: Tensor, settings: DecodeSettings) -> Tensor:
    """(B, K, V) logits, (B, K) random numbers from 0 to 1 -> (B, K) pieces."""
    count = min(settings.top_k or logits.size(2), logits.size(2))
    best, piece = logits.topk(count)
    probabilities = best.softmax(dim=2)
    before = probabilities.cumsum(dim=2) - probabilities  # total probability of the more probable pieces
    kept = probabilities.masked_fill(before >= settings.top_p, 0.0)
    cumulative = kept.cumsum(dim=2)
    index = (cumulative < numbers[:, :, None] * cumulative[:, :, -1:]).sum(dim=2)
    last = (kept > 0).sum(dim=2) - 1  # guards against rounding errors
    return piece.gather(2, torch.minimum(index, last)[:, :, None]).squeeze(2)


def _random_numbers(sentences: Sequence[Sentence], seed: int, num_samples: int, length: int) -> Tensor:
    """Return random numbers from 0 to 1, (B, K, length), seeded by `seed` and the line number."""
    rows = [np.random.default_rng((seed, sentence.number)).random((length, num_samples)).T for sentence in sentences]
    return torch.tensor(np.stack(rows), dtype=torch.float32)


def _hypotheses(samples: list[list[int]], scores: list[float], eos_id: int) -> list[Hypothesis]:
    hypotheses = [
        Hypothesis(pieces[1 : pieces.index(eos_id, 1) + 1], score)
        for pieces, score in zip(samples, scores, strict=True)
    ]
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)
