"""Fit the confidence of a run's translations, at the end of training or later, to their chrF on other text."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from translate.confidence.count_source import count_source
from translate.confidence.features import features, joined
from translate.confidence.fit import MIN_LINES, Observed, fit
from translate.confidence.model import ConfidenceModel
from translate.confidence.result import GOOD
from translate.confidence.source_text import SourceText, read_tables
from translate.confidence.stored import fitted_to, inherited_words, packed, store
from translate.config.settings import Config
from translate.data.encoded_corpus import open_corpus
from translate.data.parallel_text import Pair
from translate.data.vocab import VocabPair
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import Translation
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.evaluation.metrics import sentence_chrf
from translate.report.progress import announced
from translate.run.folder import Run
from translate.run.model import load_model
from translate.training.prepare import Prepared

MAX_LINES = 500  # validation lines that are translated again, with the run's search


def calibrate_at_end(run: Run, config: Config, prepared: Prepared, device: torch.device) -> None:
    """Fit the confidence of the run's best weights on its validation text, and log the result or why there is none."""
    pairs = prepared.valid_pairs
    if not config.data.valid_src and not (run.corpus_path / "valid.src.txt").exists():
        run.log("no confidence.json: the validation text is the training text, which the model may have memorized")
        return
    if len(pairs) < MIN_LINES:
        reason = f"{len(pairs)} translated validation pairs are too few ({MIN_LINES} are needed)"
        run.log(f"no confidence.json: {reason}; translations will have no confidence")
        return
    if fitted_to(run) == run.digest_of_weights():
        return  # training was resumed and found nothing better
    started = time.monotonic()
    pairs = pairs[:: max(1, len(pairs) // MAX_LINES)][:MAX_LINES]
    if config.train.init_from and inherited_words(run) is None:
        run.log(
            f"note: words of the training text of {config.train.init_from} count as never seen, as it has no tables"
        )
    with run.tolerating_disk_errors("confidence.json"), announced("fitting the confidence of translations"):
        model = calibrate(run, config, prepared.vocabs, pairs, device)
        run.log(f"confidence of translations: {described(model)}; fitted in {time.monotonic() - started:.1f} s")


def calibrate(
    run: Run, config: Config, vocabs: VocabPair, pairs: Sequence[Pair], device: torch.device
) -> ConfidenceModel:
    """Translate the sources with the run's weights and search, fit the confidence, and write it to the run folder."""
    loaded = load_model(run, vocabs)
    engine = TorchEngine([loaded.model.to(device).eval()], vocabs, device)
    search = config.decode.model_copy(update={"sample": False})
    found = LineTranslator(engine, vocabs, config).translations([pair.src for pair in pairs], search)
    return fit_to(run, vocabs, loaded.weights, list(found), [[pair.tgt] for pair in pairs], search.length_penalty)


def fit_to(
    run: Run,
    vocabs: VocabPair,
    weights: str,
    translations: Sequence[Translation],
    references: Sequence[Sequence[str]],
    length_penalty: float,
) -> ConfidenceModel:
    """Fit the confidence to translations of the run, and write it to the run folder.

    weights: SHA-256 of the weights that translated. references: of each line. Raises UserError if there are too few
    lines, or if the run folder no longer has its encoded training text.
    """
    pairs = [(each, refs) for each, refs in zip(translations, references, strict=True) if each.parts]
    if len(pairs) < MIN_LINES:
        raise UserError(f"at least {MIN_LINES} lines are needed to fit the confidence, not {len(pairs)}")
    corpus = open_corpus(run.corpus_path / "train", vocabs)
    if corpus is None:
        raise UserError(f"{run.corpus_path}: has no encoded training text, which shows what words the model has seen")
    counts = count_source(corpus, vocabs.src)
    if run.load_config().train.init_from:  # the weights have seen the words of another text, too
        counts["words"] = np.union1d(counts["words"], np.array(inherited_words(run) or (), np.uint32))
    tables = packed(counts)
    source = SourceText(read_tables(tables), vocabs.src)
    model = fit([_observed(source, each, refs, length_penalty) for each, refs in pairs])
    store(run, model, tables, weights)
    return model


def described(model: ConfidenceModel) -> str:
    """Return the figures of a fit as text."""
    fit = model.fit
    correlation = "" if fit.pearson is None else f"Pearson {fit.pearson:.2f} with sentence chrF, "
    figures = f"{correlation}calibration error {fit.calibration_error:.3f}"
    return f"{figures} (cross-validation on {fit.num_lines:,} lines, {fit.share_good:.0%} with chrF {GOOD:g} or more)"


def _observed(source: SourceText, found: Translation, references: Sequence[str], length_penalty: float) -> Observed:
    src, tgt = (joined(side) for side in zip(*found.parts, strict=True))
    signals = source.signals(src)
    figures = features(found.translations[0].score, length_penalty, len(src), len(tgt), signals)
    return Observed(figures, signals, sentence_chrf(found.text, references))
