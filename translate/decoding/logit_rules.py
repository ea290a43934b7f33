"""Logit rules: constraints on translations, enforced by forbidding pieces.

Shapes: B sentences, K hypotheses per sentence, L pieces so far, including `<s>`, F forced positions, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from translate.config.settings import DecodeSettings
from translate.decoding.engine import Sentence, length_limit
from translate.decoding.lexical_constraints import Constraints

FREE = -1  # marks a position without a forced piece


@dataclass(frozen=True)
class LogitRules:
    """Rules that set the logits of forbidden pieces to -inf. Other pieces keep their log-probabilities.

    If rules conflict, the last in this order wins: n-gram blocking and minimum length, maximum length, forced pieces.
    If n-gram blocking and minimum length together forbid every piece, the translation ends.
    """

    eos_id: int
    limits: Tensor  # (B,) maximum length in pieces, including `</s>`
    min_limit: int  # lower bound on the limits; `select` does not update it
    forced: Tensor  # (B, F) the piece required at each position, or FREE
    min_length: int  # in pieces, without `</s>`
    no_repeat_ngram: int  # length of the n-grams that may occur only once; 0 disables this rule
    constraints: Sequence[Constraints]  # the terms that each translation must contain

    @classmethod
    def of(cls, sentences: Sequence[Sentence], settings: DecodeSettings, eos_id: int, device: torch.device) -> Self:
        """Create the rules from the decode settings and the sentences."""
        limits = torch.tensor([length_limit(sentence, settings) for sentence in sentences])
        prefixes = [torch.tensor(sentence.prefix, dtype=torch.long) for sentence in sentences]
        forced = pad_sequence(prefixes, batch_first=True, padding_value=FREE).to(device)
        terms, min_length, ngram = (
            [Constraints(each.required) for each in sentences],
            settings.min_length,
            settings.no_repeat_ngram,
        )
        return cls(eos_id, limits.to(device), int(limits.min()), forced, min_length, ngram, terms)

    def select(self, sentences: Tensor | slice) -> Self:
        """Return the rules for a subset of the sentences."""
        rows = range(len(self.limits))[sentences] if isinstance(sentences, slice) else sentences.tolist()
        constraints = [self.constraints[row] for row in rows]
        return replace(self, limits=self.limits[sentences], forced=self.forced[sentences], constraints=constraints)

    def forbid(self, logits: Tensor, prefixes: Tensor) -> bool:
        """Apply the rules in place to logits (B, K, V) after prefixes (B, K, L). Returns whether any rule applied."""
        length = prefixes.size(2)  # counts `<s>`, so it equals the number of pieces after this step
        must_continue, is_forcing = length <= self.min_length, length <= self.forced.size(1)
        must_end = length >= self.min_limit
        if not (self.no_repeat_ngram or must_continue or must_end or is_forcing):
            return False
        required = torch.where(self.limits <= length, self.eos_id, FREE)  # (B,)
        if is_forcing:
            forced = self.forced[:, length - 1]
            required = torch.where(forced == FREE, required, forced)
        index = required.clamp(min=0)[:, None, None].expand(-1, logits.size(1), 1)
        end, value = logits[:, :, self.eos_id].clone(), logits.gather(2, index)
        if self.no_repeat_ngram:
            self._forbid_repetition(logits, prefixes[:, :, 1:])
        if must_continue:
            logits[:, :, self.eos_id] = -torch.inf
        if self.no_repeat_ngram or must_continue:
            is_stuck = logits.amax(dim=2) == -torch.inf
            logits[:, :, self.eos_id] = torch.where(is_stuck, end, logits[:, :, self.eos_id])
        if must_end or is_forcing:
            is_required = (required != FREE)[:, None, None]
            value = torch.where(is_required, value, logits.gather(2, index))
            logits.masked_fill_(is_required, -torch.inf).scatter_(2, index, value)
        return True

    def _forbid_repetition(self, logits: Tensor, pieces: Tensor) -> None:
        """Forbid each piece that would repeat an n-gram of the hypothesis."""
        n = self.no_repeat_ngram
        if pieces.size(2) < n:
            return
        ngrams = pieces.unfold(2, n, 1)  # (B, K, L - n, n)
        last = pieces[:, :, pieces.size(2) - n + 1 :]
        is_begun = (ngrams[..., :-1] == last[:, :, None]).all(dim=-1)
        sentence, hypothesis, ngram = is_begun.nonzero(as_tuple=True)
        logits[sentence, hypothesis, ngrams[sentence, hypothesis, ngram, -1]] = -torch.inf
