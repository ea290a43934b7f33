"""Terms that a translation has to hold: beam search that keeps a place for each state of their completion.

This is the dynamic beam allocation of Post and Vilar 2018. The candidates of a sentence are put into banks by how many
of the required pieces they hold; the banks take turns in filling the beam. To what the model proposes anyway come, for
each hypothesis, the pieces that a term needs next.

Shapes: B sentences, K hypotheses of each, C candidates, E those that are added, L pieces so far with `<s>`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from translate.decoding.engine import Pieces

Terms = Sequence[Pieces]  # of one sentence


class Candidates(NamedTuple):
    """The C ways in which a sentence's hypotheses may go on by one piece, the most wanted first. Each (B, C)."""

    log_probs: Tensor
    beam: Tensor  # the hypothesis that it goes on from
    piece: Tensor


def keep_to_terms(
    candidates: Candidates,
    log_probs: Tensor,
    prefixes: Tensor,
    terms: Sequence[Terms],
    may_miss: Sequence[bool],
    eos: int,
) -> Candidates:
    """Candidates with those that the terms need, in the order of the banks; none ends without its terms.

    log_probs: (B, K, V) of each hypothesis with each next piece. prefixes: (B, K, L). is_last_chance: whether a
    sentence is at its limit and nothing has ended yet; then one without its terms may end, if there is none with them.
    """
    num_hypotheses = prefixes.size(1)
    num_more = num_hypotheses * max(2 * len(each) for each in terms)
    rows = [
        _of_sentence(
            Candidates(*(each[b] for each in candidates)), log_probs[b], prefixes[b], terms[b], may_miss[b], eos
        )
        for b in range(len(terms))
    ]
    width = candidates.piece.size(1) + num_more
    filled = [[*row, *[(-torch.inf, 0, eos)] * (width - len(row))] for row in rows]
    table = torch.tensor(filled, dtype=torch.float64)  # which holds every piece id exactly
    columns = Candidates(table[:, :, 0].float(), table[:, :, 1].long(), table[:, :, 2].long())
    return Candidates(*(column.to(log_probs.device) for column in columns))


def num_held(pieces: Pieces, terms: Terms) -> int:
    """How many pieces of the terms a hypothesis holds: of whole ones all, of another those it has begun with last."""
    return sum(len(term) if _holds(pieces, term) else _num_begun(pieces, term) for term in terms)


def _of_sentence(
    candidates: Candidates, log_probs: Tensor, prefixes: Tensor, terms: Terms, is_last_chance: bool, eos: int
) -> list[tuple[float, int, int]]:
    if not terms:
        return list(zip(*(each.tolist() for each in candidates), strict=True))
    pieces_of = [prefix[1:] for prefix in prefixes.tolist()]
    proposed = set(zip(candidates.beam.tolist(), candidates.piece.tolist(), strict=True))
    for beam, pieces in enumerate(pieces_of):
        proposed |= {(beam, piece) for piece in _needed(pieces, terms)}
    num_required = sum(map(len, terms))
    scored = []
    for beam, piece in proposed:
        held = num_held([*pieces_of[beam], piece], terms)
        log_prob = float(log_probs[beam, piece])
        if log_prob > -torch.inf and (piece != eos or held == num_required or is_last_chance):
            scored.append((log_prob, held, beam, piece))
    if is_last_chance:
        most = max((held for _, held, _, _ in scored), default=0)
        scored = [each for each in scored if each[1] == most]
    scored.sort(reverse=True)
    rank_in_bank: Counter[int] = Counter()
    turns = []
    for log_prob, held, beam, piece in scored:
        turns.append((rank_in_bank[held], -held, log_prob, beam, piece))
        rank_in_bank[held] += 1
    turns.sort()
    return [(log_prob, beam, piece) for *_, log_prob, beam, piece in turns]


def _needed(pieces: Pieces, terms: Terms) -> set[int]:
    """What goes on with a term that is begun, and what begins one."""
    missing = [term for term in terms if not _holds(pieces, term)]
    return {term[i] for term in missing for i in (0, _num_begun(pieces, term))}


def _holds(pieces: Pieces, term: Pieces) -> bool:
    return any(list(pieces[i : i + len(term)]) == list(term) for i in range(len(pieces) - len(term) + 1))


def _num_begun(pieces: Pieces, term: Pieces) -> int:
    """The longest beginning of the term, not all of it, with which the pieces end."""
    longest = min(len(term) - 1, len(pieces))
    return next(n for n in range(longest, -1, -1) if list(pieces[len(pieces) - n :]) == list(term[:n]))
