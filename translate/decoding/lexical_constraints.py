"""Lexical constraints: beam search with terms that a translation must contain.

The algorithm is dynamic beam allocation (Post and Vilar 2018). Each sentence's candidates are sorted into banks by the
number of required pieces that they contain, and the banks take turns filling the beam. In addition to the model's best
candidates, each hypothesis may be extended by a piece that begins or continues a term. Unlike in the paper, a
hypothesis that was made to begin an improbable term must complete it, and no candidate may use up the terms' room.

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

NATURAL = 5.0  # nats below a hypothesis's best next piece at which another piece could still be the model's own choice
MAX_PROPOSED = 10  # begun terms, and new terms, that are tried per hypothesis


class Candidates(NamedTuple):
    """The C best one-piece extensions of each sentence's hypotheses, best first. Each field has shape (B, C)."""

    log_probs: Tensor
    beam: Tensor  # index of the extended hypothesis
    piece: Tensor


class Constraints:
    """Required terms of one sentence, and the hypotheses that must complete a term before anything else."""

    def __init__(self, terms: Sequence[Pieces]) -> None:
        self.terms = [tuple(term) for term in terms]
        self.num_required = sum(map(len, self.terms))
        self.committed: set[tuple[int, ...]] = set()
        self._begun = defaultdict[tuple[int, ...], set[int]](set)  # terms by each of their beginnings
        for number, term in enumerate(self.terms):
            for length in range(1, len(term) + 1):
                self._begun[term[:length]].add(number)
        self._longest = max(map(len, self.terms), default=0)
        # Terms may share pieces: "a b" and "b c" fit into three.
        ends = ((i, term[len(term) - n :]) for i, term in enumerate(self.terms) for n in range(1, len(term) + 1))
        shared = {i: len(end) for i, end in ends if self._begun.get(end, {i}) - {i}}  # the longest end comes last
        self.num_needed = self.num_required - sum(shared.values())

    def missing(self, pieces: tuple[int, ...]) -> set[int]:
        """Return the terms that a hypothesis does not contain."""
        text = f" {' '.join(map(str, pieces))} "
        return {i for i, term in enumerate(self.terms) if f" {' '.join(map(str, term))} " not in text}

    def begun(self, pieces: tuple[int, ...], missing: set[int]) -> Iterator[tuple[int, set[int]]]:
        """Yield the lengths of beginnings of missing terms at the end of a hypothesis, longest first, and the terms."""
        for length in range(min(self._longest, len(pieces)), 0, -1):
            if terms := self._begun.get(pieces[len(pieces) - length :], set()) & missing:
                yield length, terms

    def num_met(self, pieces: tuple[int, ...], missing: set[int]) -> int:
        """Count the required pieces in a hypothesis. missing: terms that it lacked before its last piece."""
        longest = next(self.begun(pieces, missing), (0, set[int]()))
        complete = {i for n, terms in self.begun(pieces, missing) for i in terms if len(self.terms[i]) == n}
        num_begun = longest[0] if longest[1] - complete else 0
        return self.num_required - sum(len(self.terms[i]) for i in missing - complete) + num_begun

    def next_pieces(self, pieces: tuple[int, ...], missing: set[int], log_probs: Tensor) -> set[int]:
        """Return the most probable pieces that begin or continue a missing term. log_probs: (V,)."""
        starts = {self.terms[i][0] for i in missing}
        continued = {self.terms[i][n] for n, terms in self.begun(pieces, missing) for i in terms}
        return _best(starts, log_probs) | _best(continued, log_probs)


def apply_constraints(
    best: Candidates, log_probs: Tensor, prefixes: Tensor, terms: Sequence[Constraints], room: Tensor, eos_id: int
) -> Candidates:
    """Add candidates that advance a term, and order all by bank. No hypothesis may end before it contains all terms.

    best: the model's best candidates. log_probs: log-probability of each hypothesis after each next piece, (B, K, V).
    prefixes: pieces so far, (B, K, L). room: (B,) number of pieces that may follow the next one, including `</s>`. If
    it is negative, no hypothesis is finished, and those with the most required pieces may end though some are missing;
    so may they if the other rules allow no other piece.
    """
    rows = [
        _extend_sentence(Candidates(*(each[b] for each in best)), log_probs[b], prefixes[b], required, left, eos_id)
        for b, (required, left) in enumerate(zip(terms, room.tolist(), strict=True))
    ]
    width = max(map(len, rows))
    filled = [[*row, *[(-torch.inf, 0, eos_id)] * (width - len(row))] for row in rows]
    table = torch.tensor(filled, dtype=torch.float64)  # float64 represents every piece id exactly
    columns = table[:, :, 0].float(), table[:, :, 1].long(), table[:, :, 2].long()
    return Candidates(*(column.to(log_probs.device) for column in columns))


def _extend_sentence(
    best: Candidates, log_probs: Tensor, prefixes: Tensor, constraints: Constraints, room: int, eos_id: int
) -> list[tuple[float, int, int]]:
    """Return the candidates of one sentence as (log-probability, hypothesis, piece)."""
    if not constraints.terms:
        return list(zip(*(each.tolist() for each in best), strict=True))
    proposed = set(zip(best.beam.tolist(), best.piece.tolist(), strict=True))
    hypotheses = [tuple(prefix[1:]) for prefix in prefixes.tolist()]
    missing = [constraints.missing(pieces) for pieces in hypotheses]
    for beam, pieces in enumerate(hypotheses):
        proposed |= {(beam, piece) for piece in constraints.next_pieces(pieces, missing[beam], log_probs[beam])}
    natural = (log_probs.amax(dim=1) - NATURAL).tolist()
    committed, scored, others = set(), [], []
    for beam, piece in proposed:
        before, pieces, log_prob = hypotheses[beam], (*hypotheses[beam], piece), float(log_probs[beam, piece])
        num_met = constraints.num_met(pieces, missing[beam])
        is_committed = before in constraints.committed
        if log_prob == -torch.inf:
            continue
        if is_committed and num_met <= constraints.num_met(before, missing[beam]):
            others.append((log_prob, num_met, beam, piece))
            continue
        is_begun = any(constraints.begun(pieces, constraints.missing(pieces)))
        if is_begun and (is_committed or log_prob < natural[beam]):
            committed.add(pieces)
        scored.append((log_prob, num_met, beam, piece))
    constraints.committed = committed
    return _in_banks(_allowed(scored or others, constraints, room, eos_id))


def _allowed(
    scored: list[tuple[float, int, int, int]], constraints: Constraints, room: int, eos_id: int
) -> list[tuple[float, int, int, int]]:
    """Keep candidates with room for the missing pieces, or all that do not end, or if all end, the fullest."""
    ended = [each for each in scored if each[3] == eos_id and each[1] == constraints.num_required]
    going = [each for each in scored if each[3] != eos_id]
    fitting = ended + [each for each in going if room - 1 >= constraints.num_needed - each[1]]
    if fitting or (going and room >= 0):
        return fitting or going
    most = max((num_met for _, num_met, _, _ in scored), default=0)
    return [each for each in scored if each[1] == most]


def _in_banks(scored: list[tuple[float, int, int, int]]) -> list[tuple[float, int, int]]:
    """Order candidates so that the banks take turns, each with its most probable candidate."""
    ranks: defaultdict[int, Iterator[int]] = defaultdict(count)  # rank counter of each bank
    turns = [
        (next(ranks[num_met]), -num_met, log_prob, beam, piece)
        for log_prob, num_met, beam, piece in sorted(scored, reverse=True)
    ]
    return [(log_prob, beam, piece) for *_, log_prob, beam, piece in sorted(turns)]


def _best(pieces: set[int], log_probs: Tensor) -> set[int]:
    """Return the most probable pieces, at most MAX_PROPOSED."""
    if len(pieces) <= MAX_PROPOSED:
        return pieces
    given = torch.tensor(sorted(pieces), device=log_probs.device)
    return set(given[log_probs[given].topk(MAX_PROPOSED).indices].tolist())
