"""Fit the confidence of translations to the chrF that they have on validation text.

Shapes: N translations, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from translate.confidence.features import Features
from translate.confidence.model import Chance, ConfidenceModel, Fit, Limits, Term
from translate.confidence.result import GOOD
from translate.confidence.source_text import SourceSignals

MIN_LINES = 30  # with fewer, a fit would say more about the lines than about the model
RIDGE = 3.0  # lines' worth of evidence that a feature tells nothing
NUM_FOLDS = 10
NUM_BINS = 10
MAX_UNSURE = 0.025  # maximum share of good validation lines that the limits call unsure; others may have more
STEP = 0.9  # by which the share of each limit is lowered until all together keep to the maximum

Array = npt.NDArray[Any]


class Observed(NamedTuple):
    """A validation line: what is known of its translation, and the chrF of it."""

    features: Features
    signals: SourceSignals
    chrf: float


def fit(lines: Sequence[Observed]) -> ConfidenceModel:
    """Fit a ridge regression of chrF, its calibration and the limits.

    The calibration and the limits rest on estimates by cross-validation, because those of the lines that a regression
    was fitted to are too good.
    """
    x, y = np.array([each.features for each in lines]), np.array([each.chrf for each in lines])
    estimates = _cross_validated(x, y)
    is_good = y >= GOOD
    chance = _calibrated(estimates, is_good)
    # Where hardly any translation is good, the better half of them stands for the good ones.
    usual = y >= min(GOOD, float(np.median(y)))
    limits = _limits(estimates, lines, usual)
    is_foreign, is_unsure = _beyond(limits, estimates, lines)
    chances = 1 / (1 + np.exp(-(chance.intercept + chance.slope * estimates)))
    figures = Fit(
        len(lines),
        _correlation(estimates, y),
        round(calibration_error(np.where(is_foreign, chances.clip(max=0.5), chances), is_good), 4),
        round(float(y.mean()), 2),
        round(float(is_good.mean()), 4),
        round(float(is_unsure[is_good].mean()) if is_good.any() else 0.0, 4),
    )
    intercept, weights, means, deviations = _ridge(x, y)
    terms = zip(Features._fields, weights.tolist(), means.tolist(), deviations.tolist(), strict=True)
    return ConfidenceModel(intercept, {name: Term(*term) for name, *term in terms}, chance, limits, figures)


def calibration_error(chances: Array, is_good: Array) -> float:
    """Return the expected calibration error of chances (N,): the mean gap to the share of good ones, in ten bins."""
    bins = np.minimum((chances * NUM_BINS).astype(int), NUM_BINS - 1)
    sums = np.bincount(bins, chances - is_good, NUM_BINS)
    return float(abs(sums).sum() / len(chances))


def _ridge(x: Array, y: Array) -> tuple[float, Array, Array, Array]:
    """Return the intercept, the weights (F,), means and deviations of the features (N, F)."""
    means, deviations = x.mean(axis=0), x.std(axis=0)
    deviations = np.where(deviations > 1e-6, deviations, 1.0)
    z = (x - means) / deviations
    weights = np.linalg.solve(z.T @ z + RIDGE * np.eye(x.shape[1]), z.T @ (y - y.mean()))
    return float(y.mean()), weights, means, deviations


def _cross_validated(x: Array, y: Array) -> Array:
    """Return estimates (N,), each from a regression that was not fitted to its line."""
    folds, estimates = np.arange(len(y)) % NUM_FOLDS, np.empty(len(y))
    for fold in range(NUM_FOLDS):
        intercept, weights, means, deviations = _ridge(x[folds != fold], y[folds != fold])
        estimates[folds == fold] = intercept + ((x[folds == fold] - means) / deviations) @ weights
    return estimates


def _calibrated(estimates: Array, is_good: Array) -> Chance:
    """Return the logistic regression of good on estimates, with the targets of Platt (1999), by Newton's method."""
    num_good = int(is_good.sum())
    targets = np.where(is_good, (num_good + 1) / (num_good + 2), 1 / (len(is_good) - num_good + 2))
    mean, deviation = estimates.mean(), max(float(estimates.std()), 1e-6)
    z = np.stack([np.ones(len(estimates)), (estimates - mean) / deviation], axis=1)
    weights = np.zeros(2)
    for _ in range(30):
        chances = 1 / (1 + np.exp(-z @ weights))
        curvature = z.T @ (z * (chances * (1 - chances))[:, None]) + 1e-3 * np.eye(2)
        weights += np.linalg.solve(curvature, z.T @ (targets - chances) - 1e-3 * weights)
    slope = float(weights[1] / deviation)
    return Chance(float(weights[0] - slope * mean), slope)


def _limits(estimates: Array, lines: Sequence[Observed], usual: Array) -> Limits:
    """Return limits of equal strictness, beyond at least one of which are at most MAX_UNSURE of the usual lines."""
    affinities = np.array([each.signals.affinity for each in lines])
    unseen = np.array([each.signals.unseen_share for each in lines])
    share = MAX_UNSURE
    while True:
        limits = Limits(
            float(np.quantile(estimates[usual], share)),
            float(np.quantile(affinities[usual], share)),
            float(np.quantile(unseen[usual], 1 - share)),
        )
        if share < 1e-3 or _beyond(limits, estimates, lines)[1][usual].mean() <= MAX_UNSURE:
            return limits
        share *= STEP


def _beyond(limits: Limits, estimates: Array, lines: Sequence[Observed]) -> tuple[Array, Array]:
    """Return for each line whether its source, and whether anything, is beyond the limits."""
    signals = [each.signals for each in lines]
    is_foreign = np.array([s.unseen_share > limits.unseen or s.affinity < limits.affinity for s in signals])
    return is_foreign, is_foreign | (estimates < limits.chrf)


def _correlation(estimates: Array, y: Array) -> float | None:
    if min(estimates.std(), y.std()) < 1e-6:
        return None
    return round(float(np.corrcoef(estimates, y)[0, 1]), 4)
