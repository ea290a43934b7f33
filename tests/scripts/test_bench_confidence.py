"""How `scripts/bench confidence` damages lines, and what it reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from benchmarks import confidence

from tests.helpers.confidence import made_up_estimator
from translate.api import load_translator
from translate.errors import UserError


def test_damaged_lines_keep_what_they_should() -> None:
    line = "I love apples and pears."
    shuffled, one, every = (change(line) for change in confidence.changes(Random(1)).values())
    assert sorted(shuffled.rstrip(".").split()) == sorted(line.rstrip(".").split())
    assert shuffled != line
    assert sum(a != b for a, b in zip(one.split(), line.split(), strict=True)) == 1
    assert [a == b for a, b in zip(every.split(), line.split(), strict=True)] == [True, False, False, True, False]
    assert {text[-1] for text in (shuffled, one, every)} == {"."}


def test_the_report_has_the_figures(tiny_run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = corpus / "valid.en", corpus / "valid.fr"
    with pytest.raises(UserError, match="has no confidence"):
        confidence.measured(tiny_run, *texts, "cpu")
    translator = load_translator(tiny_run, "cpu")
    translator.estimator = made_up_estimator(tiny_run)
    monkeypatch.setattr(confidence, "load_translator", lambda *_: translator)
    monkeypatch.setattr(confidence, "MAX_CHANGED", 3)
    report = confidence.measured(tiny_run, *texts, "cpu")
    assert "| lines" in report
    found = list(translator.translations(["bedaku"]))
    assert found[0].confidence
    rows = dict(
        confidence._quality([replace(found[0].confidence, chrf=chrf) for chrf in (20, 30)], np.array([40.0, 60.0]))
    )
    error = (abs(2 * found[0].confidence.chance - 1)) / 2
    assert rows["expected calibration error of the chance"] == f"{error:.3f}"
    assert rows["unsure of good lines"] == "100.0%"
