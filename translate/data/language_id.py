"""Identify the language of a line among the two of a parallel text, by character trigrams.

The two languages are learned from the text itself: trigrams as in Cavnar and Trenkle 1994, weighted by naive Bayes.

Shapes: N characters, L lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from translate.data.characters import LINE_FEED, Array, Characters, characters_of

NUM_BUCKETS = 2**16  # trigrams are counted by their hash
MIXERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)
MIN_LINES = 500  # to learn two languages
MAX_EVIDENCE = 4.0  # nats of a single trigram, however rare
CLEAR = 20.0  # minimum nats of a line that belongs to the other side, and
CLEAR_PER_CHARACTER = 0.5  # minimum nats per character
MIN_RIGHT = 0.95  # share of the lines that must look like their own side
MOSTLY_RIGHT = 0.55  # share of the pairs, if the sides of many are exchanged
ROUNDS = 10


@dataclass(frozen=True)
class LanguageProfile:
    """The log-odds of each trigram for the source side against the target side."""

    evidence: Array  # (NUM_BUCKETS,) float32, nats

    def leaning(self, characters: Characters) -> Array:
        """(L,) float, nats: positive for lines like the source side, negative for lines like the target side."""
        return characters.sums(np.where(_inside(characters), self.evidence[_sequences(characters)], 0))

    def is_like_source(self, characters: Characters) -> Array:
        """(L,) bool: lines that are clearly in the source language."""
        return _is_clear(self.leaning(characters), characters)

    def is_like_target(self, characters: Characters) -> Array:
        """(L,) bool: lines that are clearly in the target language."""
        return _is_clear(-self.leaning(characters), characters)


def learn_languages(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile | None:
    """Learn the languages of two sides; None if they are too short or too similar to be distinguished.

    The sides of many pairs may be exchanged, as long as most are not.
    """
    if len(src) < MIN_LINES:
        return None
    profile = _profile(src, tgt)
    leanings = [profile.leaning(characters_of(lines)) for lines in (src, tgt)]
    num_right = (leanings[0] > 0).sum() + (leanings[1] < 0).sum()
    return profile if num_right >= MIN_RIGHT * 2 * len(src) else _despite_exchanges(src, tgt)


def _despite_exchanges(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile | None:
    """Learn from every second pair, iteratively exchanging the sides of pairs that look exchanged.

    The other pairs test the result: their sides must look like different languages, which two sides in one language
    never do.
    """
    pairs = list(zip(src, tgt, strict=True))
    learnt_from, proof = pairs[::2], pairs[1::2]
    for _ in range(ROUNDS):
        profile = _profile(*zip(*learnt_from, strict=True))
        src_leaning, tgt_leaning = (profile.leaning(characters_of(lines)) for lines in zip(*learnt_from, strict=True))
        is_exchanged = (src_leaning < tgt_leaning).tolist()
        learnt_from = [pair[::-1] if back else pair for pair, back in zip(learnt_from, is_exchanged, strict=True)]
        if not any(is_exchanged):
            break
    src_leaning, tgt_leaning = (profile.leaning(characters_of(lines)) for lines in zip(*proof, strict=True))
    num_right = ((src_leaning > 0) & (tgt_leaning < 0)).sum()
    num_exchanged = ((src_leaning < 0) & (tgt_leaning > 0)).sum()
    is_proven = num_right + num_exchanged >= MIN_RIGHT * len(proof) and num_right >= MOSTLY_RIGHT * len(proof)
    return profile if is_proven else None


def _profile(src: Sequence[str], tgt: Sequence[str]) -> LanguageProfile:
    sides = [characters_of(lines) for lines in (src, tgt)]
    counts = [np.bincount(_sequences(side)[_inside(side)], minlength=NUM_BUCKETS) + 0.5 for side in sides]
    src_logs, tgt_logs = (np.log(count / count.sum()) for count in counts)
    return LanguageProfile((src_logs - tgt_logs).clip(-MAX_EVIDENCE, MAX_EVIDENCE).astype(np.float32))


def _is_clear(leaning: Array, characters: Characters) -> Array:
    return leaning > np.maximum(CLEAR, CLEAR_PER_CHARACTER * characters.lengths)


def _sequences(characters: Characters) -> Array:
    """(N,): the bucket of each character's trigram; the line feeds around a line mark its start and end."""
    codes = characters.codes
    mixed = codes * MIXERS[1]
    mixed[1:] += codes[:-1] * MIXERS[0]
    mixed[:-1] += codes[1:] * MIXERS[2]
    mixed ^= mixed >> 15
    return (mixed * MIXERS[0]) >> 16


def _inside(characters: Characters) -> Array:
    """(N,) bool: which characters are not line feeds; those have neighbours in two lines."""
    return characters.codes != LINE_FEED
