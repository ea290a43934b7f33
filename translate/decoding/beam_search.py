"""Model-independent beam search over a step function and a reorderable state.

Shapes: B unfinished sentences, K hypotheses per sentence (fewer than the beam size in the first step), C candidates,
V vocabulary size, L pieces so far, including `<s>`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.config.settings import DecodeSettings
from translate.decoding.engine import Hypothesis, SearchStep, Watch, check_finite
from translate.decoding.lexical_constraints import Candidates, apply_constraints
from translate.decoding.logit_rules import LogitRules
from translate.model.seq2seq import DecoderState

REMOVE_AT = 1 / 8  # share of finished sentences above which they are removed; removal copies the remaining state
ON_CPU, ON_GPU = 128, 8192  # hypotheses ranked together; on a CPU, their logits should fit in the cache
LOG2_E = math.log2(math.e)
GROUP = 64  # pieces per group in the top-k search


class State(DecoderState, Protocol):
    """State of the step function between steps, for B sentences with K hypotheses each."""

    def penalty(self) -> Tensor | None:
        """Return the penalty (B, K) on the score of a hypothesis that ends at the next piece; None means 0."""


S = TypeVar("S", bound=State)
Logits = Callable[[slice], Tensor]
Step = Callable[[Tensor, S], tuple[Logits, S]]


class _Beams(NamedTuple):
    """The hypotheses of B sentences. Empty slots have a score of -inf."""

    sentences: Tensor  # (B,) index of each sentence in the input
    prefixes: Tensor  # (B, K, L) unfinished hypotheses, best first
    log_probs: Tensor  # (B, K)
    finished: Tensor  # (B, beam_size, L) finished hypotheses, best first, padded with </s>
    scores: Tensor  # (B, beam_size)
    is_done: Tensor  # (B,)

    def select(self, rows: Tensor) -> _Beams:
        return _Beams(*(field[rows] for field in self))


@torch.no_grad()
def beam_search(
    step: Step[S], state: S, rules: LogitRules, settings: DecodeSettings, bos_id: int, watch: Watch | None = None
) -> list[list[Hypothesis]]:
    """Return up to beam_size translations of each sentence, best first. A beam size of 1 is greedy search.

    step: function that takes the last pieces (B, K) and the state. It returns a function that computes the next-piece
    logits (B', K, V) for a slice of the sentences, and the next state. The search overwrites the logits and does not
    use them after requesting the next slice. state: initial state, with one hypothesis per sentence. watch: callback
    that receives each step of the search for the first unfinished sentence.

    The score of a hypothesis is log-probability / length ** length_penalty minus the state's penalty. The search for a
    sentence stops once it has beam_size finished hypotheses and the best unfinished hypothesis, if it ended now, would
    not outscore the worst of them. It also stops at the length limit, where every hypothesis must end.
    """
    results: list[list[Hypothesis]] = [[] for _ in rules.limits]
    beams = _start(rules, settings.beam_size, bos_id)
    while len(beams.sentences):
        logits, state = step(beams.prefixes[:, :, -1], state)
        candidates = _candidates(logits, beams, rules)
        end_scores = _scores(candidates, beams.prefixes.size(2), state.penalty(), settings.length_penalty)
        beams, index = _advance(beams, candidates, end_scores, rules, settings.length_penalty)
        state = state.reorder(candidates.beam.gather(1, index))
        if watch:
            observed = (*candidates, end_scores, candidates.piece == rules.eos_id, index)
            watch(SearchStep(beams.prefixes[0, 0, 1:].tolist(), *(each[0].tolist() for each in observed)))
        if int(beams.is_done.sum()) > REMOVE_AT * len(beams.sentences):
            done = beams.select(beams.is_done)
            columns = done.sentences.tolist(), done.finished.tolist(), done.scores.tolist()
            for sentence, finished, scores in zip(*columns, strict=True):
                pairs = zip(finished, scores, strict=True)
                results[sentence] = [ended(*pair, rules.eos_id) for pair in pairs if pair[1] > -torch.inf]
            left = (~beams.is_done).nonzero().flatten()
            beams, state, rules = beams.select(left), state.select(left), rules.select(left)
    return results


def ended(pieces: list[int], score: float, eos_id: int) -> Hypothesis:
    """Return the hypothesis up to the first `</s>` after position 0, which holds `<s>`."""
    return Hypothesis(pieces[1 : pieces.index(eos_id, 1) + 1], score)  # `<s>` and `</s>` may share an id


def gather_rows(sequences: Tensor, rows: Tensor) -> Tensor:
    """Select sequences by row: (B, K, L) sequences, (B, N) indices into K -> (B, N, L)."""
    return sequences.gather(1, rows[:, :, None].expand(-1, -1, sequences.size(2)))


def _start(rules: LogitRules, beam_size: int, bos_id: int) -> _Beams:
    limits, num_sentences = rules.limits, len(rules.limits)
    sentences = torch.arange(num_sentences, device=limits.device)
    prefixes = limits.new_full((num_sentences, 1, 1), bos_id)
    finished = limits.new_full((num_sentences, beam_size, 1), rules.eos_id)
    log_probs = torch.zeros(num_sentences, 1, device=limits.device)
    scores = torch.full((num_sentences, beam_size), -torch.inf, device=limits.device)
    return _Beams(sentences, prefixes, log_probs, finished, scores, torch.zeros_like(limits, dtype=torch.bool))


def _candidates(logits: Logits, beams: _Beams, rules: LogitRules) -> Candidates:
    """Return twice as many candidates as the beam holds, to keep it full even if all of the best ones end."""
    num_sentences, num_hypotheses = beams.log_probs.shape
    size = max(1, (ON_CPU if beams.log_probs.device.type == "cpu" else ON_GPU) // num_hypotheses)
    parts = [slice(start, start + size) for start in range(0, num_sentences, size)]
    candidates = [_part_candidates(logits(part), beams, part, rules.select(part)) for part in parts]
    return Candidates(*map(torch.cat, zip(*candidates, strict=True)))


def _part_candidates(logits: Tensor, beams: _Beams, part: slice, rules: LogitRules) -> Candidates:
    maxima = _group_maxima(logits)
    log_probs = beams.log_probs[part] - _log_sum_exp(logits, maxima)
    if rules.forbid(logits, beams.prefixes[part]):
        maxima = _group_maxima(logits)
    best = _top_k(logits, maxima, log_probs, 2 * beams.scores.size(1))
    if not any(each.terms for each in rules.constraints):
        return best
    room = rules.limits - beams.prefixes.size(2)
    room = torch.where((room <= 0) & (beams.scores[part, 0] == -torch.inf), -1, room.clamp(min=0))
    totals = logits + log_probs[:, :, None]
    return apply_constraints(best, totals, beams.prefixes[part], rules.constraints, room, rules.eos_id)


def _scores(candidates: Candidates, length: int, penalty: Tensor | None, length_penalty: float) -> Tensor:
    """Return the scores that the candidates (B, C) of this length in pieces would have if they ended."""
    scores = candidates.log_probs / length**length_penalty
    return scores if penalty is None else scores - penalty.gather(1, candidates.beam)


def _advance(
    beams: _Beams, candidates: Candidates, scores: Tensor, rules: LogitRules, length_penalty: float
) -> tuple[_Beams, Tensor]:
    """Extend the hypotheses by one piece; also return the candidate index of each new hypothesis, (B, K)."""
    beam_size, length = beams.scores.size(1), beams.prefixes.size(2)  # L counts <s>, so L is the new length without <s>
    best, beam, piece = candidates
    pieces = torch.cat([gather_rows(beams.prefixes, beam), piece[:, :, None]], dim=2)  # (B, C, L + 1)
    ends = piece == rules.eos_id

    # Only the first beam_size candidates may end a hypothesis, so a beam size of 1 is equivalent to greedy search.
    rank = torch.arange(best.size(1), device=best.device)
    scores = scores.masked_fill(~ends | (rank >= beam_size) | beams.is_done[:, None], -torch.inf)
    all_finished = torch.cat([F.pad(beams.finished, (0, 1), value=rules.eos_id), pieces], dim=1)
    scores, index = torch.cat([beams.scores, scores], dim=1).topk(beam_size)
    finished = gather_rows(all_finished, index)

    # Keep the unfinished hypotheses in candidate order.
    index = (rank + ends * len(rank)).topk(min(beam_size, len(rank)), largest=False).indices
    log_probs = best.masked_fill(ends, -torch.inf).gather(1, index)
    is_enough = (scores[:, -1] >= log_probs.amax(dim=1) / length**length_penalty) & (scores[:, 0] > -torch.inf)
    is_done = beams.is_done | is_enough | (rules.limits <= length)
    return _Beams(beams.sentences, gather_rows(pieces, index), log_probs, finished, scores, is_done), index


def _top_k(logits: Tensor, maxima: Tensor, offsets: Tensor, count: int) -> Candidates:
    """Return each sentence's `count` (at most K * V) best candidates by logits (B, K, V) + offsets (B, K).

    A top-k over K * V values is slow. The group maxima (B, K, G) are fast to compute, and the `count` largest values
    lie in the `count` groups with the largest maxima.
    """
    num_groups, vocab_size = maxima.size(2), logits.size(2)
    count = min(count, logits.size(1) * vocab_size)
    totals = (maxima + offsets[:, :, None]).flatten(1)  # (B, K * G)
    group = totals.topk(min(count, totals.size(1)), sorted=False).indices  # (B, C)
    beam, group = group // num_groups, group % num_groups
    members = group[:, :, None] * GROUP + torch.arange(GROUP, device=logits.device)  # (B, C, GROUP)
    positions = (beam[:, :, None] * vocab_size + members.clamp(max=vocab_size - 1)).flatten(1)
    totals = logits.flatten(1).gather(1, positions).view_as(members) + offsets.gather(1, beam)[:, :, None]
    best, index = totals.masked_fill(members >= vocab_size, -torch.inf).flatten(1).topk(count)
    position = positions.gather(1, index)
    return Candidates(best, position // vocab_size, position % vocab_size)


def _group_maxima(logits: Tensor) -> Tensor:
    """Return the largest logit in each group of GROUP pieces: (B, K, V) -> (B, K, G). The last group may be smaller."""
    num_full = logits.size(2) // GROUP
    full, rest = logits.split([num_full * GROUP, logits.size(2) - num_full * GROUP], dim=2)
    maxima = [full.unflatten(2, (num_full, GROUP)).amax(dim=3)] if num_full else []
    return torch.cat([*maxima, rest.amax(dim=2, keepdim=True)], dim=2) if rest.size(2) else maxima[0]


def _log_sum_exp(logits: Tensor, maxima: Tensor) -> Tensor:
    """Return the log-sum-exp: (B, K, V) logits, (B, K, G) maxima -> (B, K). torch.logsumexp is 3x slower on a CPU."""
    largest = maxima.amax(dim=2, keepdim=True)
    check_finite([float(largest.abs().max())])
    powers = (logits - largest).mul_(LOG2_E).exp2_()  # on a CPU, torch.exp is 3x slower than torch.exp2
    return powers.sum(dim=2).log_() + largest.squeeze(2)
