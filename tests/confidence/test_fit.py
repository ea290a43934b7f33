"""The fit of confidence to observed translations."""

from __future__ import annotations

import numpy as np
import pytest

from translate.confidence.features import Features, features
from translate.confidence.fit import RIDGE, Observed, calibration_error, fit
from translate.confidence.model import ORDER, Limits, logistic, reason
from translate.confidence.result import GOOD
from translate.confidence.source_text import SourceSignals

KNOWN = SourceSignals((), 0.0, 2.0, 5.0)


def observed(num_lines: int, seed: int, noise: float = 8.0, level: float = 60.0) -> list[Observed]:
    """Translations whose chrF depends on their log-probability and on whether the source has an unseen word."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(num_lines):
        log_prob, is_unseen = -random.gamma(2, 0.3), random.random() < 0.05
        signals = SourceSignals(("x",) * is_unseen, 0.4 * is_unseen, random.normal(2, 0.5), random.normal(5, 0.5))
        chrf = level + 20 * log_prob - 30 * is_unseen + random.normal(0, noise)
        lines.append(Observed(Features(log_prob, 2, 0, signals.affinity, signals.surprisal), signals, chrf))
    return lines


def test_the_estimate_is_the_ridge_regression() -> None:
    lines = observed(60, 1)
    x, y = np.array([each.features for each in lines]), np.array([each.chrf for each in lines])
    deviations = np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    z = (x - x.mean(axis=0)) / deviations
    # Ridge regression is least squares with further lines, in which each feature alone is RIDGE ** 0.5 and chrF is 0.
    rows = np.concatenate([z, RIDGE**0.5 * np.eye(5)])
    weights = np.linalg.lstsq(rows, np.concatenate([y - y.mean(), np.zeros(5)]), rcond=None)[0]
    model = fit(lines)
    assert [model.estimate(each.features) for each in lines] == pytest.approx((y.mean() + z @ weights).tolist())


def test_chances_are_right_on_other_lines_and_few_good_ones_are_unsure() -> None:
    model, others = fit(observed(500, 1)), observed(4000, 2)
    found = [model.confidence(each.features, each.signals) for each in others]
    is_good = np.array([each.chrf >= GOOD for each in others])
    assert calibration_error(np.array([each.chance for each in found]), is_good) < 0.05
    known = [each for each in others if not each.signals.unseen]
    correlation = np.corrcoef([model.estimate(each.features) for each in known], [each.chrf for each in known])[0, 1]
    deviation = 20 * 0.3 * 2**0.5  # of the part of chrF that can be known; the noise adds a deviation of 8
    assert correlation == pytest.approx(deviation / (deviation**2 + 8**2) ** 0.5, abs=0.02)
    is_unsure = np.array([bool(each.reasons) for each in found])
    assert is_unsure[is_good].mean() < 0.05
    assert all(each.reasons for each, line in zip(found, others, strict=True) if line.signals.unseen)
    assert model.fit.num_lines == 500
    assert model.fit.pearson is not None
    assert 0.55 < model.fit.pearson < correlation


def test_any_unseen_word_is_unsure_where_the_validation_text_has_none() -> None:
    lines = [each for each in observed(100, 3) if not each.signals.unseen]
    model = fit(lines)
    signals = SourceSignals(("pizza",), 0.01, 2.0, 5.0)
    confidence = model.confidence(lines[0].features._replace(log_prob=-0.01), signals)
    assert confidence.reasons == ("unsure: 'pizza' was never seen in training",)
    assert confidence.chance <= 0.5


@pytest.mark.parametrize("level", [0.0, 500.0])
def test_a_run_whose_translations_are_all_bad_or_good_is_fitted_too(level: float) -> None:
    model = fit(observed(40, 4, level=level))
    confidence = model.confidence(Features(-0.5, 2, 0, 2, 5), KNOWN)
    assert confidence.chance == pytest.approx(float(level > GOOD), abs=0.1)
    assert 0 <= confidence.chrf <= 100


def test_lines_that_are_all_alike_are_fitted_too() -> None:
    model = fit([Observed(Features(-0.1, 2, 0, 2, 5), KNOWN, 100.0)] * 30)
    assert model.fit.pearson is None
    assert model.confidence(Features(-0.1, 2, 0, 2, 5), KNOWN).reasons == ()


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    chances, is_good = np.array([0.91, 0.93, 0.12, 1.0]), np.array([True, True, False, False])
    gaps = abs(0.91 + 0.93 + 1.0 - 2) + abs(0.12 - 0)
    assert calibration_error(chances, is_good) == pytest.approx(gaps / 4)


def test_reasons_name_a_few_unseen_words() -> None:
    limits = Limits(40, 0.5, 0.2)
    words = ("a", "b", "c", "d", "e" * 40)
    assert reason(KNOWN._replace(unseen=words), limits) == (
        "unsure: 'a', 'b', 'c' and 2 more were never seen in training"
    )
    assert reason(KNOWN._replace(unseen=words[4:]), limits).startswith(f"unsure: '{'e' * 29}…' was never")
    assert reason(KNOWN._replace(affinity=0.4), limits) == ORDER
    assert "low probability" in reason(KNOWN, limits)


def test_features_undo_the_length_penalty() -> None:
    assert features(-6 / 4**0.7, 0.7, 5, 4, KNOWN).log_prob == pytest.approx(-6 / 4)
    assert logistic(-1000) == pytest.approx(0)
    assert logistic(0) == 0.5
