"""Sampling: draw translations piece by piece from the model's distribution.

Shapes: B sentences, K samples per sentence (1 in the first step), V vocabulary size, L pieces so far, including `<s>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.decoding.beam_search import State, Step, ended
from translate.decoding.engine import Hypothesis, SearchStep, Sentence, Watch, check_finite
from translate.decoding.logit_rules import LogitRules

S = TypeVar("S", bound=State)


@torch.no_grad()
def sample(
    step: Step[S],
    state: S,
    rules: LogitRules,
    settings: DecodeSettings,
    numbers: Tensor,
    bos_id: int,
    watch: Watch | None,
) -> list[list[Hypothesis]]:
    """Draw K translations of each sentence and return them sorted by score, best first.

    Each piece is drawn from softmax(logits / temperature), restricted to the top_k most probable pieces and to the
    smallest set with a total probability of top_p (Holtzman et al. 2020). Scores are computed as in beam search, from
    the unmodified probabilities. numbers: (B, K, limit), from `random_numbers`. watch: called after each step with
    the pieces of the first sample, without candidates.
    """
    pieces = torch.full_like(numbers[:, :, :1], bos_id, dtype=torch.long)
    totals = torch.zeros_like(numbers[:, :, 0])
    scores, is_done = totals.clone(), torch.zeros_like(totals, dtype=torch.bool)
    state = state.reorder(torch.zeros_like(pieces[:, :, 0]))
    while not is_done.all():
        logits_of, state = step(pieces[:, :, -1], state)
        logits = logits_of(slice(None))
        log_norm = logits.logsumexp(dim=2)
        check_finite([float(log_norm.sum())])
        rules.forbid(logits, pieces)
        length = pieces.size(2)
        drawn = _draw(logits / settings.temperature, numbers[:, :, length - 1], settings)
        drawn = drawn.masked_fill(is_done, rules.eos_id)
        log_probs = logits.gather(2, drawn[:, :, None]).squeeze(2) - log_norm
        totals = totals + log_probs.masked_fill(is_done, 0.0)
        final = totals / length**settings.length_penalty
        if (penalty := state.penalty()) is not None:
            final = final - penalty
        ends_now = (drawn == rules.eos_id) & ~is_done
        scores = torch.where(ends_now, final, scores)
        is_done = is_done | ends_now
        pieces = torch.cat([pieces, drawn[:, :, None]], dim=2)
        if watch:
            first = [piece for piece in pieces[0, 0, 1:].tolist() if piece != rules.eos_id]
            watch(SearchStep(first, [], [], [], [], [], []))
    samples = [zip(*each, strict=True) for each in zip(pieces.tolist(), scores.tolist(), strict=True)]
    return [sorted((ended(*pair, rules.eos_id) for pair in each), key=lambda sample: -sample.score) for each in samples]


def random_numbers(sentences: Sequence[Sentence], seed: int, num_samples: int, limit: int) -> Tensor:
    """Return random numbers from 0 to 1, (B, K, limit), which depend only on the seed and the line numbers."""
    numbers = [np.random.default_rng((seed, sentence.number)).random((limit, num_samples)).T for sentence in sentences]
    return torch.tensor(np.stack(numbers), dtype=torch.float32)


def _draw(logits: Tensor, numbers: Tensor, settings: DecodeSettings) -> Tensor:
    """Draw pieces: (B, K, V) logits, (B, K) random numbers from 0 to 1 -> (B, K) pieces.

    A number chooses from the pieces in the order of the vocabulary. In the order of their probabilities, equally
    probable pieces would change places if another batch or processor rounds otherwise, and so would the samples.
    """
    probabilities = _restricted(logits, settings).softmax(dim=2)
    exact = torch.device("cpu") if logits.device.type == "mps" else logits.device  # MPS has no float64
    # A GPU's sums of float32 can fall from one piece to the next, and rise at one whose probability is 0.
    cumulative = probabilities.to(exact).double().cumsum(dim=2)
    totals = cumulative[:, :, -1:]
    below = torch.nextafter(totals, torch.zeros_like(totals))  # rounding must not lead past the last possible piece
    drawn = torch.minimum(numbers.to(exact)[:, :, None] * totals, below)
    return torch.searchsorted(cumulative, drawn, right=True).squeeze(2).to(logits.device)


def _restricted(logits: Tensor, settings: DecodeSettings) -> Tensor:
    """Return the logits, (B, K, V), with -inf for the pieces that top_k and top_p exclude."""
    if not settings.top_k and settings.top_p == 1:
        return logits
    best, pieces = logits.topk(min(settings.top_k or logits.size(2), logits.size(2)))
    probabilities = best.softmax(dim=2)
    before = probabilities.cumsum(dim=2) - probabilities  # total probability of the more probable pieces
    kept = best.masked_fill(before >= settings.top_p, -torch.inf)
    return torch.full_like(logits, -torch.inf).scatter(2, pieces, kept)
