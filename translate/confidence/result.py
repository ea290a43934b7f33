"""The confidence of a translation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GOOD = 50.0  # chrF from which a translation counts as good


@dataclass(frozen=True)
class Confidence:
    """How far to trust a translation, as far as the validation text of the run shows."""

    chance: float  # estimated probability that its chrF with a reference is at least GOOD
    chrf: float  # estimated chrF, from 0 to 100
    reasons: tuple[str, ...] = ()  # why it is unsure; empty if it is not
    unseen: tuple[str, ...] = ()  # words of the source that the training text does not have


def least(confidences: Iterable[Confidence | None]) -> Confidence | None:
    """Return the confidence of a text of several lines: that of the least sure one, or None if none has any."""
    known = [each for each in confidences if each]
    return min(known, key=lambda each: (not each.reasons, each.chance), default=None)
