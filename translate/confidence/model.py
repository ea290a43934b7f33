"""The fitted estimate of confidence as it is stored in a run, and what it says of a translation.

This module does not import numpy, so that the ctranslate2 engine starts faster. The counterpart in JavaScript is
`report/page/engine/confidence.js`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from translate.confidence.features import Features
from translate.confidence.result import GOOD, Confidence
from translate.confidence.source_text import SourceSignals

MAX_NAMED = 3  # unseen words that a reason names
MAX_LETTERS = 30  # of a named word
ORDER = "unsure: these words hardly ever follow each other like this in training"
IMPROBABLE = "unsure: the model gives its translation a low probability"


@dataclass(frozen=True)
class Term:
    """A term of the estimate: weight * (feature - mean) / deviation."""

    weight: float  # chrF points per standard deviation
    mean: float
    deviation: float


@dataclass(frozen=True)
class Chance:
    """The chance that a translation is good: 1 / (1 + exp(-(intercept + slope * estimated chrF))) (Platt 1999)."""

    intercept: float
    slope: float


@dataclass(frozen=True)
class Limits:
    """Beyond these, a translation is unsure."""

    chrf: float  # minimum of the estimate
    affinity: float  # minimum
    unseen: float  # maximum share of the letters in words that were never seen


@dataclass(frozen=True)
class Fit:
    """Figures of the fit by cross-validation on the validation text."""

    num_lines: int
    pearson: float | None  # correlation of estimated and true chrF; None if either is constant
    calibration_error: float  # expected, in ten bins
    mean_chrf: float
    share_good: float
    share_good_unsure: float  # of the good lines, those that are called unsure


@dataclass(frozen=True)
class ConfidenceModel:
    """A linear estimate of a translation's chrF, its calibration, and limits beyond which it is unsure."""

    intercept: float
    terms: dict[str, Term]  # by feature
    chance: Chance
    limits: Limits
    fit: Fit

    def estimate(self, features: Features) -> float:
        """Return the estimated chrF, which may lie outside 0 to 100."""
        values = features._asdict()
        terms = (term.weight * (values[name] - term.mean) / term.deviation for name, term in self.terms.items())
        return self.intercept + sum(terms)

    def is_foreign(self, signals: SourceSignals) -> bool:
        """Return whether a source differs more from the training text than almost all validation lines."""
        return signals.unseen_share > self.limits.unseen or signals.affinity < self.limits.affinity

    def confidence(self, features: Features, signals: SourceSignals) -> Confidence:
        """Return the confidence of a translation."""
        chrf = self.estimate(features)
        chance = logistic(self.chance.intercept + self.chance.slope * chrf)
        is_foreign = self.is_foreign(signals)
        reasons = (reason(signals, self.limits),) if is_foreign or chrf < self.limits.chrf else ()
        if is_foreign:
            # No validation line shows how such lines are translated, so they are at most as likely good as not.
            chance, chrf = min(chance, 0.5), min(chrf, GOOD)
        return Confidence(round(chance, 3), round(min(100.0, max(0.0, chrf)), 1), reasons, signals.unseen)


def reason(signals: SourceSignals, limits: Limits) -> str:
    """Return why a translation is unsure."""
    if not signals.unseen:
        return ORDER if signals.affinity < limits.affinity else IMPROBABLE
    words = [word if len(word) <= MAX_LETTERS else f"{word[: MAX_LETTERS - 1]}…" for word in signals.unseen]
    named = ", ".join(f"'{word}'" for word in words[:MAX_NAMED])
    others = f" and {len(words) - MAX_NAMED} more" if len(words) > MAX_NAMED else ""
    return f"unsure: {named}{others} {'were' if len(words) > 1 else 'was'} never seen in training"


def logistic(number: float) -> float:
    """Return 1 / (1 + exp(-number))."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, number))))
