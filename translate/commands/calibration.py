"""Fit the confidence of a run's translations from `translate evaluate --calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import Translation
from translate.run.folder import Run
from translate.system.terminal_text import print_message
from translate.training.calibrate import described, fit_to


def store_confidence(
    path: Path, translator: LineTranslator, found: Sequence[Translation], references: Sequence[Sequence[str]]
) -> None:
    """Fit the confidence to the translations, and write it to the run. Raises UserError if that is not possible."""
    run, penalty = Run.open(path), translator.settings.length_penalty
    model = fit_to(run, translator.vocabs, translator.engine.weights[0], found, references, penalty)
    print_message(f"{run.confidence_path}: confidence of translations, {described(model)}")
