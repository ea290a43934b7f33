"""A simple, slow beam search: the oracle for the real one.

It uses one sentence at a time, no cache, and Python numbers and lists. As in the real search, a hypothesis scores
log-probability / pieces ** length_penalty, counting `</s>`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.decoding.engine import Hypothesis, Sentence, length_limit
from translate.model.seq2seq import Seq2Seq

NextPiece = Callable[[Sequence[list[int]]], Tensor]  # K prefixes -> (K, V) log-probabilities of the piece after each


class Considered(NamedTuple):
    """A hypothesis that the search considered, and what became of it: kept, dropped or finished."""

    pieces: list[int]
    log_prob: float
    state: str
    behind: float  # dropped: nats below the last place


class Prefix(NamedTuple):
    """An unfinished hypothesis."""

    pieces: list[int]  # without `<s>`
    log_prob: float


@torch.inference_mode()
def translate_one(
    model: Seq2Seq,
    sentence: Sentence,
    settings: DecodeSettings,
    bos_id: int,
    eos_id: int,
    record: list[Considered] | None = None,
) -> list[Hypothesis]:
    """Return up to beam_size translations, best first. Only beam_size, length_penalty and the limits apply.

    record: list to which the hypotheses that the search considers are appended.
    """

    device = model.output.weight.device
    src = torch.tensor([list(sentence.src)], device=device)

    def next_piece(prefixes: Sequence[list[int]]) -> Tensor:
        tgt_in = torch.tensor([[bos_id, *prefix] for prefix in prefixes], device=device)  # (K, L)
        copies = src.expand(len(prefixes), -1)
        features = model.features(copies, torch.ones_like(copies, dtype=torch.bool), tgt_in)  # (K, L, D)
        return model.output(features[:, -1]).double().log_softmax(dim=-1)

    return search(next_piece, length_limit(sentence, settings), settings, eos_id, record)


def search(
    next_piece: NextPiece, limit: int, settings: DecodeSettings, eos_id: int, record: list[Considered] | None = None
) -> list[Hypothesis]:
    """Run the search. limit: maximum pieces; a hypothesis that reaches it must end."""
    beam_size = settings.beam_size
    beam, finished = [Prefix([], 0.0)], list[Hypothesis]()
    for length in range(1, limit + 1):
        divisor = length**settings.length_penalty
        candidates = []
        for prefix, log_probs in zip(beam, next_piece([prefix.pieces for prefix in beam]), strict=True):
            # Of one prefix no more than these can be among the best of all.
            pieces = log_probs.topk(min(2 * beam_size, len(log_probs))).indices.tolist() if length < limit else [eos_id]
            candidates += [Prefix([*prefix.pieces, i], prefix.log_prob + float(log_probs[i])) for i in pieces]
        candidates = sorted(candidates, key=lambda candidate: -candidate.log_prob)[: 2 * beam_size]
        for rank, candidate in enumerate(candidates):
            if candidate.pieces[-1] == eos_id and rank < beam_size:  # an ending counts where it has a place in the beam
                finished.append(Hypothesis(candidate.pieces, candidate.log_prob / divisor))
        finished = sorted(finished, key=lambda hypothesis: -hypothesis.score)[:beam_size]
        beam = [candidate for candidate in candidates if candidate.pieces[-1] != eos_id][:beam_size]
        attainable = beam[0].log_prob / divisor if beam else -math.inf
        is_done = length == limit or (len(finished) == beam_size and finished[-1].score >= attainable)
        if record is not None:
            record += _became(candidates, [] if is_done else beam, beam_size, eos_id)
        if is_done:
            break
    return finished


def _became(candidates: Sequence[Prefix], beam: Sequence[Prefix], beam_size: int, eos_id: int) -> Iterator[Considered]:
    """Yield what became of the candidates of a step. beam: the next beam, empty if the search has stopped."""
    places = {True: beam_size, False: beam_size}  # left for those that end, among all, and for those that do not
    last = {True: -math.inf, False: -math.inf}
    for candidate in candidates:
        is_end = candidate.pieces[-1] == eos_id
        has_place = places[is_end] > 0
        places[True] -= 1
        last[True] = candidate.log_prob if places[True] >= 0 else last[True]
        if not is_end:
            places[False] -= 1
            last[False] = candidate.log_prob if has_place else last[False]
        state = "finished" if is_end and has_place else "kept" if candidate in beam else "dropped"
        behind = 0.0 if has_place else last[is_end] - candidate.log_prob
        yield Considered(*candidate, state, behind)
