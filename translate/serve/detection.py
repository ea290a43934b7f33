"""Detect which of the served languages a text is in, by the character trigrams of their validation texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from translate.data.characters import characters_of
from translate.data.language_id import LanguageProfile, profile_of

OVERLAP = 3  # trigrams that share a character; they are not independent evidence


class LanguageDetector:
    """Detects served languages. The confidence assumes that a text is in one of them."""

    def __init__(self, samples: Mapping[str, Sequence[str]]) -> None:
        """Learn the languages from samples. If one has none, nothing is known about any of them."""
        self._codes = list(samples)
        first = samples[self._codes[0]]
        self._profiles: list[LanguageProfile] = []  # of the first language and each of the others
        if all(samples.values()):
            self._profiles = [profile_of(first, samples[code]) for code in self._codes[1:]]

    def detect(self, texts: Sequence[str], among: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return `{"confidence": 0 to 100, "language": code}` of each language, or of those in `among`, best first.

        The confidence of languages in `among` counts the others, too: it may be low for all of them.
        """
        characters = characters_of([line for text in texts for line in text.split("\n")])
        odds = [-float(profile.log_odds(characters).sum()) / OVERLAP for profile in self._profiles]
        logits = np.array([0.0, *odds] if odds else [0.0] * len(self._codes))
        shares = np.exp(logits - logits.max())
        confidences = (100 * shares / shares.sum()).round(1).tolist()
        found = [
            {"confidence": confidence, "language": code}
            for code, confidence in zip(self._codes, confidences, strict=True)
            if not among or code in among
        ]
        return sorted(found, key=lambda each: -each["confidence"])
