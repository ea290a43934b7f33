"""A confidence without a training that is long enough to be fitted to."""

from __future__ import annotations

from pathlib import Path
from random import Random

from translate.confidence.count_source import count_source
from translate.confidence.features import Features
from translate.confidence.fit import Observed, fit
from translate.confidence.source_text import SourceText, read_tables
from translate.confidence.stored import Estimator, packed
from translate.data.encoded_corpus import open_corpus
from translate.run.folder import Run


def made_up_estimator(run: Path) -> Estimator:
    """An estimator with the run's training text, fitted to made-up translations of it."""
    vocabs = Run(run).load_vocabs()
    corpus = open_corpus(run / "corpus" / "train", vocabs)
    assert corpus
    source = SourceText(read_tables(packed(count_source(corpus, vocabs.src))), vocabs.src)
    random, observed = Random(1), []
    for row in range(60):
        signals = source.signals(corpus.src[row].tolist())
        log_prob = -10 * random.random()
        figures = Features(log_prob, 2 + random.random(), 0.1, signals.affinity, signals.surprisal)
        observed.append(Observed(figures, signals, 80 + 6 * log_prob + 20 * random.random()))
    return Estimator(fit(observed), source, "made up")
