"""Identify which of the two languages of a parallel text a line is written in.

The languages are learned from the text itself: character trigrams (Cavnar and Trenkle 1994) with naive Bayes weights.

Shapes: N characters, L lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from translate.data.characters import LINE_FEED, Array, Characters, characters_of

NUM_BUCKETS = 2**16  # number of hash buckets for counting trigrams
MIXERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)
MIN_LINES = 500  # minimum number of pairs for learning two languages
MAX_EVIDENCE = 4.0  # maximum log-odds (nats) of a single trigram, however rare it is
MIN_LOG_ODDS = 20.0  # minimum log-odds (nats) for a line to be clearly in one language
MIN_LOG_ODDS_PER_CHARACTER = 0.5  # additional minimum: log-odds (nats) per character
MIN_RIGHT = 0.95  # minimum share of lines that look like their own side's language
MOSTLY_RIGHT = 0.55  # minimum share of correctly ordered pairs if many pairs are swapped
MAX_ROUNDS = 10


@dataclass(frozen=True)
class LanguageProfile:
    """The log-odds of the source language versus the target language for each trigram."""

    evidence: Array  # (NUM_BUCKETS,) float32, nats

    def log_odds(self, characters: Characters) -> Array:
        """Return the (L,) log-odds of the lines in nats; positive values indicate the source language."""
        evidence = np.where(characters.codes != LINE_FEED, self.evidence[_trigrams(characters)], 0)
        return characters.reduce(np.add, evidence)

    def sides_of(self, characters: Characters) -> Array:
        """Return the (L,) languages of the lines: 1 for source, -1 for target, 0 if unclear."""
        log_odds = self.log_odds(characters)
        is_clear = abs(log_odds) > np.maximum(MIN_LOG_ODDS, MIN_LOG_ODDS_PER_CHARACTER * characters.lengths)
        return np.sign(log_odds) * is_clear


def learn_languages(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile | None:
    """Learn the languages of the two sides. Returns None if the text is too short or the sides are too similar.

    Many pairs may have swapped sides, as long as most pairs do not.
    """
    if len(src) < MIN_LINES:
        return None
    profile = profile_of(src, tgt)
    log_odds = [profile.log_odds(characters_of(lines)) for lines in (src, tgt)]
    num_right = (log_odds[0] > 0).sum() + (log_odds[1] < 0).sum()
    return profile if num_right >= MIN_RIGHT * 2 * len(src) else _learn_with_swaps(src, tgt)


def _learn_with_swaps(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile | None:
    """Learn from every other pair, repeatedly swapping the sides of pairs that look swapped.

    The remaining pairs validate the result: their sides must look like different languages.
    """
    pairs = list(zip(src, tgt, strict=True))
    training_pairs, held_out = pairs[::2], pairs[1::2]
    for _ in range(MAX_ROUNDS):
        profile = profile_of(*zip(*training_pairs, strict=True))
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


def profile_of(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile:
    """Learn from the two sides, without checking that they differ."""
    sides = [characters_of(lines) for lines in (src, tgt)]
    counts = [np.bincount(_trigrams(side)[side.codes != LINE_FEED], minlength=NUM_BUCKETS) + 0.5 for side in sides]
    src_logs, tgt_logs = (np.log(count / count.sum()) for count in counts)
    return LanguageProfile((src_logs - tgt_logs).clip(-MAX_EVIDENCE, MAX_EVIDENCE).astype(np.float32))


def _trigrams(characters: Characters) -> Array:
    """Return the (N,) hash buckets of the trigrams centered on the characters. Values at line feeds are meaningless."""
    codes = characters.codes
    mixed = codes * MIXERS[1]
    mixed[1:] += codes[:-1] * MIXERS[0]
    mixed[:-1] += codes[1:] * MIXERS[2]
    mixed ^= mixed >> 15
    return (mixed * MIXERS[0]) >> 16
