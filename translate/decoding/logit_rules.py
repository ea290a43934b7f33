"""What a translation must be and must not be; most of it told to a search by forbidding pieces.

Shapes: B sentences, K hypotheses of each, L pieces so far with `<s>`, F places that are forced, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from translate.config.settings import DecodeSettings
from translate.decoding.engine import Sentence, length_limit
from translate.decoding.lexical_constraints import Terms

FREE = -1  # a place where any piece may come


@dataclass(frozen=True)
class Rules:
    """A forbidden piece gets the logit -inf; the log-probabilities of the others stay what the model says.

    Where rules leave nothing, a later one of these wins: no repetition and least length, longest length, what is
    forced. Where repetition and least length alone leave nothing, the translation ends.
    """

    eos_id: int
    limits: Tensor  # (B,) the most pieces, `</s>` included
    soonest_limit: int  # none of them is less; of part of the sentences it stays that of all
    forced: Tensor  # (B, F) what has to come at each place, or FREE
    min_length: int  # pieces, `</s>` not counted
    no_repeat_ngram: int  # pieces of a run that may come once only; 0 for no such rule
    terms: Sequence[Terms]  # what each translation has to hold

    @classmethod
    def of(cls, sentences: Sequence[Sentence], settings: DecodeSettings, eos_id: int, device: torch.device) -> Rules:
        """The rules that the settings and each sentence ask for."""
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

    def select(self, sentences: Tensor | slice) -> Rules:
        """The rules of those sentences."""
        rows = range(len(self.limits))[sentences] if isinstance(sentences, slice) else sentences.tolist()
        terms = [self.terms[row] for row in rows]
        return replace(self, limits=self.limits[sentences], forced=self.forced[sentences], terms=terms)

    def forbid(self, logits: Tensor, prefixes: Tensor) -> bool:
        """Change the logits (B, K, V) of the pieces that come behind the prefixes (B, K, L); tell whether any did."""
        length = prefixes.size(2)  # `<s>` counted: so many pieces the hypotheses have with the next one
        must_go_on, has_to_end = length <= self.min_length, length >= self.soonest_limit
        if not (self.no_repeat_ngram or must_go_on or has_to_end or length <= self.forced.size(1)):
            return False
        end = logits[:, :, self.eos_id].clone()
        is_forcing = length <= self.forced.size(1)
        forced = self.forced[:, length - 1] if is_forcing else torch.full_like(self.limits, FREE)
        at_forced = logits.gather(2, _everywhere(forced.clamp(min=0), logits)).squeeze(2)
        if self.no_repeat_ngram:
            self._forbid_repetition(logits, prefixes[:, :, 1:])
        if must_go_on:
            logits[:, :, self.eos_id] = -torch.inf
        if self.no_repeat_ngram or must_go_on:
            is_stuck = logits.amax(dim=2) == -torch.inf
            logits[:, :, self.eos_id] = torch.where(is_stuck, end, logits[:, :, self.eos_id])
        if has_to_end:
            _leave_one(logits, self.limits <= length, torch.full_like(self.limits, self.eos_id), end)
        if is_forcing:
            _leave_one(logits, forced != FREE, forced.clamp(min=0), at_forced)
        return True

    def _forbid_repetition(self, logits: Tensor, pieces: Tensor) -> None:
        """Forbid each piece that, behind the last n - 1, would make a run of n pieces that was there before."""
        n = self.no_repeat_ngram
        if pieces.size(2) < n:
            return
        runs = pieces.unfold(2, n, 1)  # (B, K, L - n, n)
        last = pieces[:, :, pieces.size(2) - n + 1 :]
        is_begun = (runs[..., :-1] == last[:, :, None]).all(dim=-1)
        sentence, hypothesis, run = is_begun.nonzero(as_tuple=True)
        logits[sentence, hypothesis, runs[sentence, hypothesis, run, -1]] = -torch.inf


def _leave_one(logits: Tensor, where: Tensor, piece: Tensor, value: Tensor) -> None:
    """In the sentences `where` (B,) forbid all but `piece` (B,), which gets `value` (B, K)."""
    places = _everywhere(piece, logits)
    values = torch.where(where[:, None, None], value[:, :, None], logits.gather(2, places))
    logits.masked_fill_(where[:, None, None], -torch.inf).scatter_(2, places, values)


def _everywhere(piece: Tensor, logits: Tensor) -> Tensor:
    """(B,) pieces as places in logits (B, K, V): the same for all hypotheses of a sentence, (B, K, 1)."""
    return piece[:, None, None].expand(-1, logits.size(1), 1)
