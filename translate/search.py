"""Beam search. It knows a function that steps and a state that can be reordered, not the model behind them.

Shapes: B sentences still searched, K beams, V vocabulary, L pieces so far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.engine import Hypothesis
from translate.settings import DecodeSettings


class State(Protocol):
    """What the step function carries from piece to piece, a row a hypothesis."""

    def select(self, rows: Tensor) -> Self:
        """The rows in that order; a row may come several times, or not at all."""


S = TypeVar("S", bound=State)
Step = Callable[[Tensor, S], tuple[Tensor, S]]


class Ids(NamedTuple):
    """The two ids that search has to know."""

    bos: int
    eos: int


@dataclass(frozen=True)
class _Beams:
    """The hypotheses of B sentences. Those that do not exist have a score of -inf."""

    sentences: Tensor  # (B,) which sentence of the input this is
    limits: Tensor  # (B,) the most pieces it may have
    prefixes: Tensor  # (B, K, L) unfinished, the best first
    log_probs: Tensor  # (B, K)
    finished: Tensor  # (B, K, L) finished, the best first, filled up with </s>
    scores: Tensor  # (B, K)

    def select(self, rows: Tensor) -> _Beams:
        fields = (self.sentences, self.limits, self.prefixes, self.log_probs, self.finished, self.scores)
        return _Beams(*(field[rows] for field in fields))


@torch.no_grad()
def beam_search(step: Step[S], state: S, limits: Tensor, settings: DecodeSettings, ids: Ids) -> list[list[Hypothesis]]:
    """The best translations of each sentence, at most beam_size of them, the best first. A beam of 1 is greedy search.

    step: (N,) last pieces and the state of N hypotheses -> (N, V) log-probabilities of the next, and the next state.
    state: of the B sentences, a row each. limits: (B,) the most pieces a translation may have, `</s>` included; a
    hypothesis that gets there has to end.

    A sentence is done when it has beam_size finished hypotheses and the best unfinished one, ended now, would not beat
    the worst of them.
    """
    results: list[list[Hypothesis]] = [[] for _ in limits]
    beams = _start(limits, settings.beam_size, ids)
    rows = torch.arange(len(limits), device=limits.device).repeat_interleave(settings.beam_size)
    while len(beams.sentences):
        log_probs, state = step(beams.prefixes[:, :, -1].flatten(), state.select(rows))
        beams, origins = _advance(beams, log_probs, settings.length_penalty, ids.eos)
        is_done = _is_done(beams, settings.length_penalty)
        for row in is_done.nonzero().flatten().tolist():
            results[int(beams.sentences[row])] = _hypotheses(beams, row, ids.eos)
        going_on = (~is_done).nonzero().flatten()
        beams, rows = beams.select(going_on), origins[going_on].flatten()
    return results


def _start(limits: Tensor, beam_size: int, ids: Ids) -> _Beams:
    """One beam a sentence holds `<s>`; the others do not exist yet, or all would find the same."""
    shape = (len(limits), beam_size)
    nothing = torch.full(shape, -torch.inf, device=limits.device)
    log_probs = nothing.clone()
    log_probs[:, 0] = 0.0
    sentences = torch.arange(len(limits), device=limits.device)
    prefixes = torch.full((*shape, 1), ids.bos, device=limits.device)
    return _Beams(sentences, limits, prefixes, log_probs, torch.full_like(prefixes, ids.eos), nothing)


def _advance(beams: _Beams, log_probs: Tensor, length_penalty: float, eos_id: int) -> tuple[_Beams, Tensor]:
    """One piece more. Also gives, for each new beam (B, K), the row of the state that it comes from."""
    num_sentences, beam_size, length = beams.prefixes.shape  # with <s>, so the new hypotheses have `length` pieces
    vocab_size = log_probs.size(-1)
    total = beams.log_probs[:, :, None] + log_probs.view(num_sentences, beam_size, vocab_size)
    must_end = beams.limits == length
    is_end = torch.arange(vocab_size, device=total.device) == eos_id
    total.masked_fill_(must_end[:, None, None] & ~is_end, -torch.inf)

    # Twice the beam: even if every best candidate ends, a full beam survives.
    num_candidates = min(2 * beam_size, beam_size * vocab_size)
    best, index = total.flatten(1).topk(num_candidates)  # (B, 2K)
    beam, piece = index // vocab_size, index % vocab_size
    candidates = torch.cat([_rows_of(beams.prefixes, beam), piece[:, :, None]], dim=2)  # (B, 2K, L + 1)
    ends = piece == eos_id

    # An ending counts where it would have had a place in the beam; with a beam of 1 that is greedy search.
    rank = torch.arange(num_candidates, device=total.device)
    ended_scores = (best / length**length_penalty).masked_fill(~ends | (rank >= beam_size), -torch.inf)
    all_scores = torch.cat([beams.scores, ended_scores], dim=1)  # (B, 3K)
    all_finished = torch.cat([F.pad(beams.finished, (0, 1), value=eos_id), candidates], dim=1)
    scores, place = all_scores.topk(beam_size)
    finished = _rows_of(all_finished, place)

    going_on, place = best.masked_fill(ends, -torch.inf).topk(beam_size)
    first_row = torch.arange(num_sentences, device=total.device)[:, None] * beam_size
    origins = first_row + beam.gather(1, place)
    prefixes = _rows_of(candidates, place)
    return _Beams(beams.sentences, beams.limits, prefixes, going_on, finished, scores), origins


def _is_done(beams: _Beams, length_penalty: float) -> Tensor:
    """(B,) whether a sentence needs no more search."""
    length = beams.prefixes.size(2) - 1
    attainable = beams.log_probs[:, 0] / length**length_penalty
    return (beams.scores[:, -1] >= attainable) & (beams.scores[:, 0] > -torch.inf) | (beams.limits == length)


def _hypotheses(beams: _Beams, row: int, eos_id: int) -> list[Hypothesis]:
    found = []
    for pieces, score in zip(beams.finished[row].tolist(), beams.scores[row].tolist(), strict=True):
        if score > -torch.inf:
            end = pieces.index(eos_id, 1)  # the first place holds <s>, which may be the same id
            found.append(Hypothesis(pieces[1 : end + 1], score))
    return found


def _rows_of(sequences: Tensor, rows: Tensor) -> Tensor:
    """(B, K, L) sequences, (B, N) of the K -> (B, N, L)."""
    return sequences.gather(1, rows[:, :, None].expand(-1, -1, sequences.size(2)))
