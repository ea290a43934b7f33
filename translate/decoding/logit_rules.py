"""Logit rules: constraints on translations, enforced by forbidding pieces.

Shapes: B sentences, K hypotheses of each, L pieces so far, including `<s>`, F forced positions, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.decoding.engine import Sentence, length_limit
from translate.decoding.lexical_constraints import Constraints

FREE = -1  # marks a position without a forced piece


@dataclass(frozen=True)
class LogitRules:
    """Rules that set the logits of forbidden pieces to -inf. The log-probabilities of the other pieces do not change.

    If rules conflict, the later one wins: n-gram blocking and minimum length, then maximum length, then forced pieces.
    If n-gram blocking and minimum length together forbid every piece, the translation ends.
    """

    eos_id: int
    limits: Tensor  # (B,) maximum length in pieces, including `</s>`
    min_limit: int  # lower bound of the limits; `select` does not update it
    forced: Tensor  # (B, F) the piece required at each position, or FREE
    min_length: int  # in pieces, without `</s>`
    no_repeat_ngram: int  # length of the n-grams that may occur only once; 0 disables this rule
    constraints: Sequence[Constraints]  # the terms that each translation has to contain

    @classmethod
    def of(
        cls, sentences: Sequence[Sentence], settings: DecodeSettings, eos_id: int, device: torch.device
    ) -> LogitRules:
        """Create the rules from the decode settings and the sentences."""
        limits = [length_limit(sentence, settings) for sentence in sentences]
        num_forced = max(len(sentence.prefix) for sentence in sentences)
        forced = [[*sentence.prefix, *[FREE] * (num_forced - len(sentence.prefix))] for sentence in sentences]
        return cls(
            eos_id,
            torch.tensor(limits, device=device),
            min(limits),
            torch.tensor(forced, dtype=torch.long, device=device).view(len(sentences), num_forced),
            settings.min_length,
            settings.no_repeat_ngram,
            [sentence.required for sentence in sentences],
        )

    def select(self, sentences: Tensor | slice) -> LogitRules:
        """Return the rules for the given sentences."""
        rows = range(len(self.limits))[sentences] if isinstance(sentences, slice) else sentences.tolist()
        constraints = [self.constraints[row] for row in rows]
        return replace(self, limits=self.limits[sentences], forced=self.forced[sentences], constraints=constraints)

    def forbid(self, logits: Tensor, prefixes: Tensor) -> bool:
        """Apply the rules in place to the logits (B, K, V) after prefixes (B, K, L). Returns whether any applied."""
        length = prefixes.size(2)  # including `<s>`: equals the number of pieces after this step
        must_continue, has_to_end = length <= self.min_length, length >= self.min_limit
        if not (self.no_repeat_ngram or must_continue or has_to_end or length <= self.forced.size(1)):
            return False
        end = logits[:, :, self.eos_id].clone()
        is_forcing = length <= self.forced.size(1)
        forced = self.forced[:, length - 1] if is_forcing else torch.full_like(self.limits, FREE)
        at_forced = logits.gather(2, _per_hypothesis(forced.clamp(min=0), logits)).squeeze(2)
        if self.no_repeat_ngram:
            self._forbid_repetition(logits, prefixes[:, :, 1:])
        if must_continue:
            logits[:, :, self.eos_id] = -torch.inf
        if self.no_repeat_ngram or must_continue:
            is_stuck = logits.amax(dim=2) == -torch.inf
            logits[:, :, self.eos_id] = torch.where(is_stuck, end, logits[:, :, self.eos_id])
        if has_to_end:
            _force_piece(logits, self.limits <= length, torch.full_like(self.limits, self.eos_id), end)
        if is_forcing:
            _force_piece(logits, forced != FREE, forced.clamp(min=0), at_forced)
        return True

    def _forbid_repetition(self, logits: Tensor, pieces: Tensor) -> None:
        """Forbid each piece that would repeat an n-gram of the hypothesis."""
        n = self.no_repeat_ngram
        if pieces.size(2) < n:
            return
        runs = pieces.unfold(2, n, 1)  # (B, K, L - n, n)
        last = pieces[:, :, pieces.size(2) - n + 1 :]
        is_begun = (runs[..., :-1] == last[:, :, None]).all(dim=-1)
        sentence, hypothesis, run = is_begun.nonzero(as_tuple=True)
        logits[sentence, hypothesis, runs[sentence, hypothesis, run, -1]] = -torch.inf


def _force_piece(logits: Tensor, where: Tensor, piece: Tensor, value: Tensor) -> None:
    """Where `where` (B,) is true, forbid all pieces except `piece` (B,), whose logits become `value` (B, K)."""
    indices = _per_hypothesis(piece, logits)
    values = torch.where(where[:, None, None], value[:, :, None], logits.gather(2, indices))
    logits.masked_fill_(where[:, None, None], -torch.inf).scatter_(2, indices, values)


def _per_hypothesis(piece: Tensor, logits: Tensor) -> Tensor:
    """(B,) pieces -> (B, K, 1) indices into logits (B, K, V), the same for all hypotheses of a sentence."""
    return piece[:, None, None].expand(-1, logits.size(1), 1)
