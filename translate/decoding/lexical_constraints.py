"""Lexical constraints: beam search with terms that a translation must contain.

The algorithm is dynamic beam allocation (Post and Vilar 2018). Each sentence's candidates are sorted into banks by the
number of required pieces that they contain, and the banks take turns filling the beam. In addition to the model's best
candidates, each hypothesis may be extended by a piece that begins or continues a term.

Shapes: B sentences, K hypotheses per sentence, C candidates, L pieces so far, including `<s>`, V vocabulary size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor

from translate.decoding.engine import Pieces

Constraints = Sequence[Pieces]  # required terms of one sentence


class Candidates(NamedTuple):
    """The C best one-piece extensions of each sentence's hypotheses, best first. Each field has shape (B, C)."""

    log_probs: Tensor
    beam: Tensor  # index of the extended hypothesis
    piece: Tensor


def apply_constraints(
    best: Candidates, log_probs: Tensor, prefixes: Tensor, terms: Sequence[Constraints], at_limit: Tensor, eos_id: int
) -> Candidates:
    """Add candidates that advance a term, and order all by bank. No hypothesis may end before it contains all terms.

    best: the model's best candidates. log_probs: log-probability of each hypothesis after each next piece, (B, K, V).
    prefixes: pieces so far, (B, K, L). at_limit: (B,) whether a sentence has reached its length limit with no finished
    hypothesis; the hypotheses with the most required pieces may then end even if some are missing.
    """
    rows = [
        _extend_sentence(Candidates(*(each[b] for each in best)), log_probs[b], prefixes[b], required, is_last, eos_id)
        for b, (required, is_last) in enumerate(zip(terms, at_limit.tolist(), strict=True))
    ]
    # Each hypothesis adds at most two pieces per term: the first piece of the term and the next one.
    width = best.piece.size(1) + prefixes.size(1) * max(2 * len(required) for required in terms)
    filled = [[*row, *[(-torch.inf, 0, eos_id)] * (width - len(row))] for row in rows]
    table = torch.tensor(filled, dtype=torch.float64)  # float64 represents every piece id exactly
    columns = table[:, :, 0].float(), table[:, :, 1].long(), table[:, :, 2].long()
    return Candidates(*(column.to(log_probs.device) for column in columns))


def _extend_sentence(
    best: Candidates, log_probs: Tensor, prefixes: Tensor, terms: Constraints, at_limit: bool, eos_id: int
) -> list[tuple[float, int, int]]:
    """Return the candidates of one sentence as (log-probability, hypothesis, piece)."""
    if not terms:
        return list(zip(*(each.tolist() for each in best), strict=True))
    pieces_of = [prefix[1:] for prefix in prefixes.tolist()]
    proposed = set(zip(best.beam.tolist(), best.piece.tolist(), strict=True))
    proposed |= {(beam, piece) for beam, pieces in enumerate(pieces_of) for piece in _next_pieces(pieces, terms)}
    num_required = sum(map(len, terms))
    scored = []
    for beam, piece in proposed:
        num_met = _num_met([*pieces_of[beam], piece], terms)
        log_prob = float(log_probs[beam, piece])
        if log_prob > -torch.inf and (piece != eos_id or num_met == num_required or at_limit):
            scored.append((log_prob, num_met, beam, piece))
    if at_limit:
        most = max((num_met for _, num_met, _, _ in scored), default=0)
        scored = [each for each in scored if each[1] == most]
    ranks: defaultdict[int, Iterator[int]] = defaultdict(count)  # rank counter of each bank
    turns = [
        (next(ranks[num_met]), -num_met, log_prob, beam, piece)
        for log_prob, num_met, beam, piece in sorted(scored, reverse=True)
    ]
    return [(log_prob, beam, piece) for *_, log_prob, beam, piece in sorted(turns)]


def _num_met(pieces: Pieces, terms: Constraints) -> int:
    """Count the required pieces in a hypothesis: complete terms anywhere, and partial terms at its end."""
    return sum(len(term) if _contains(pieces, term) else _num_begun(pieces, term) for term in terms)


def _next_pieces(pieces: Pieces, terms: Constraints) -> set[int]:
    """Return the pieces that begin or continue a missing term."""
    missing = [term for term in terms if not _contains(pieces, term)]
    return {term[i] for term in missing for i in (0, _num_begun(pieces, term))}


def _contains(pieces: Pieces, term: Pieces) -> bool:
    return any(list(pieces[i : i + len(term)]) == list(term) for i in range(len(pieces) - len(term) + 1))


def _num_begun(pieces: Pieces, term: Pieces) -> int:
    """Return the length of the longest proper prefix of the term that is a suffix of the pieces."""
    longest = min(len(term) - 1, len(pieces))
    return next(n for n in range(longest, -1, -1) if list(pieces[len(pieces) - n :]) == list(term[:n]))
