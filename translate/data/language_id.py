"""Identify in which of the two languages of a parallel text a line is written.

They are learned from the text itself: character trigrams as in Cavnar and Trenkle 1994, weighted by naive Bayes.

Shapes: N characters, L lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from translate.data.characters import LINE_FEED, Array, Characters, characters_of

NUM_BUCKETS = 2**16  # number of hash buckets in which trigrams are counted
MIXERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)
MIN_LINES = 500  # minimum number of pairs to learn two languages
MAX_EVIDENCE = 4.0  # maximum nats of a single trigram, however rare
MIN_LOG_ODDS = 20.0  # minimum nats of a line that is clearly in one language
MIN_LOG_ODDS_PER_CHARACTER = 0.5  # minimum nats per character of such a line
MIN_RIGHT = 0.95  # minimum share of lines that look like their own side
MOSTLY_RIGHT = 0.55  # minimum share of pairs in the right order if many are swapped
MAX_ROUNDS = 10


@dataclass(frozen=True)
class LanguageProfile:
    """The log-odds of each trigram: source language against target language."""

    evidence: Array  # (NUM_BUCKETS,) float32, nats

    def log_odds(self, characters: Characters) -> Array:
        """Return the log-odds of each line in nats, (L,) float: positive if it looks like the source language."""
        evidence = np.where(characters.codes != LINE_FEED, self.evidence[_trigrams(characters)], 0)
        return characters.reduce(np.add, evidence)

    def sides_of(self, characters: Characters) -> Array:
        """Return the language of each line: (L,), 1 for the source, -1 for the target, 0 if unclear."""
        log_odds = self.log_odds(characters)
        is_clear = abs(log_odds) > np.maximum(MIN_LOG_ODDS, MIN_LOG_ODDS_PER_CHARACTER * characters.lengths)
        return np.sign(log_odds) * is_clear


def learn_languages(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile | None:
    """Learn the languages of the two sides; None if they are too short or too similar.

    The sides of many pairs may be swapped, as long as those of most pairs are not.
    """
    if len(src) < MIN_LINES:
        return None
    profile = _profile(src, tgt)
    log_odds = [profile.log_odds(characters_of(lines)) for lines in (src, tgt)]
    num_right = (log_odds[0] > 0).sum() + (log_odds[1] < 0).sum()
    return profile if num_right >= MIN_RIGHT * 2 * len(src) else _learn_with_swaps(src, tgt)


def _learn_with_swaps(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile | None:
    """Learn from every second pair, repeatedly swapping the sides of pairs that look swapped.

    The other pairs validate the result: their sides must look like different languages.
    """
    pairs = list(zip(src, tgt, strict=True))
    training_pairs, held_out = pairs[::2], pairs[1::2]
    for _ in range(MAX_ROUNDS):
        profile = _profile(*zip(*training_pairs, strict=True))
        src_odds, tgt_odds = (profile.log_odds(characters_of(lines)) for lines in zip(*training_pairs, strict=True))
        is_swapped = (src_odds < tgt_odds).tolist()
        training_pairs = [pair[::-1] if swap else pair for pair, swap in zip(training_pairs, is_swapped, strict=True)]
        if not any(is_swapped):
            break
    src_odds, tgt_odds = (profile.log_odds(characters_of(lines)) for lines in zip(*held_out, strict=True))
    num_right = ((src_odds > 0) & (tgt_odds < 0)).sum()
    num_swapped = ((src_odds < 0) & (tgt_odds > 0)).sum()
    is_valid = num_right + num_swapped >= MIN_RIGHT * len(held_out) and num_right >= MOSTLY_RIGHT * len(held_out)
    return profile if is_valid else None


def _profile(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile:
    sides = [characters_of(lines) for lines in (src, tgt)]
    counts = [np.bincount(_trigrams(side)[side.codes != LINE_FEED], minlength=NUM_BUCKETS) + 0.5 for side in sides]
    src_logs, tgt_logs = (np.log(count / count.sum()) for count in counts)
    return LanguageProfile((src_logs - tgt_logs).clip(-MAX_EVIDENCE, MAX_EVIDENCE).astype(np.float32))


def _trigrams(characters: Characters) -> Array:
    """Return the bucket of the trigram around each character: (N,). Ignore that of a line feed."""
    codes = characters.codes
    mixed = codes * MIXERS[1]
    mixed[1:] += codes[:-1] * MIXERS[0]
    mixed[:-1] += codes[1:] * MIXERS[2]
    mixed ^= mixed >> 15
    return (mixed * MIXERS[0]) >> 16
