"""BLEU, chrF and TER by sacreBLEU, for all of this project.

The scores and signatures are those of sacreBLEU for the same files (Post 2018, "A Call for Clarity in Reporting BLEU
Scores").
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from translate.errors import UserError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

MetricName = Literal["bleu", "chrf", "ter"]
METRICS: tuple[MetricName, ...] = ("bleu", "chrf", "ter")
QUICK_METRICS: tuple[MetricName, ...] = ("bleu", "chrf")
# Those of sacreBLEU that need no network.
TOKENIZERS = ("13a", "char", "intl", "ja-mecab", "ko-mecab", "none", "zh")
SEED = "SACREBLEU_SEED"  # an environment variable
# Whole texts, aligned by line; None where a line has fewer references than others.
References = Sequence[Sequence[str | None]]


class Score(NamedTuple):
    """BLEU and chrF from 0 to 100, higher is better; TER from 0, lower is better, possibly above 100."""

    value: float
    signature: str


@dataclass(frozen=True)
class MetricConfig:
    """The metrics, and where they differ from sacreBLEU's defaults."""

    metrics: tuple[MetricName, ...] = QUICK_METRICS
    lowercase: bool = False  # for BLEU; TER always ignores case, chrF never
    tokenize: str | None = None  # one of sacreBLEU's tokenizers, for BLEU


DEFAULT_METRICS = MetricConfig()


class Significance(NamedTuple):
    """Significance of the difference of two scores, by paired bootstrap resampling (Koehn 2004)."""

    p_value: float | None  # None if the scores are equal, or there is only one line
    margin: float  # half of the 95 % confidence interval of the score
    other_margin: float
    signature: str


def check(config: MetricConfig) -> None:
    """Raise UserError for an unavailable tokenizer, or a bad value of sacreBLEU's seed variable."""
    _metric("bleu", config)
    seed = os.environ.get(SEED, "none")
    if not (seed.isdecimal() or seed.lower() == "none"):
        raise UserError(f"{SEED}={seed}: the seed of the significance test must be a number or none")


def score(
    translations: Sequence[str], references: References, config: MetricConfig = DEFAULT_METRICS
) -> dict[MetricName, Score]:
    """Score all lines, empty ones too; in the order of `config.metrics`.

    TER takes a minute for a line of a thousand words in the wrong order. Raises UserError for an unavailable tokenizer.
    """
    scores = {}
    for name in config.metrics:
        metric = _metric(name, config)
        value = metric.corpus_score(translations, _plain(references)).score
        scores[name] = Score(value, str(metric.get_signature()))
    return scores


def sentence_chrf(translation: str, references: Sequence[str]) -> float:
    """Return the chrF of one line."""
    return _metric("chrf", DEFAULT_METRICS).sentence_score(translation, references).score


def significance(
    translations: Sequence[str], other: Sequence[str], references: References, config: MetricConfig
) -> dict[MetricName, Significance]:
    """Test the difference in each metric by sacreBLEU: 1,000 samples, seeded by the environment variable SEED."""
    from sacrebleu.significance import PairedTest, Result

    systems = [("other", other), ("translations", translations)]
    metrics: dict[str, Metric] = {name: _metric(name, config) for name in config.metrics}
    signatures, results = PairedTest(systems, metrics, _plain(references), test_type="bs")()
    found = {}
    # Both dictionaries are in the order of the metrics, under sacreBLEU's names.
    for name, (label, signature) in zip(config.metrics, signatures.items(), strict=True):
        theirs, ours = (result for result in results[label] if isinstance(result, Result))
        assert ours.ci is not None
        assert theirs.ci is not None
        # sacreBLEU gives scores that are equal in every sample the smallest p-value of all.
        p_value = ours.p_value if ours.score != theirs.score and len(translations) > 1 else None
        found[name] = Significance(p_value, float(ours.ci), float(theirs.ci), str(signature))
    return found


def _plain(references: References) -> Sequence[Sequence[str]]:
    """Return the same; sacreBLEU accepts None for a missing reference, but its types do not."""
    return cast("Sequence[Sequence[str]]", references)


def _metric(name: MetricName, config: MetricConfig) -> Metric:
    if name == "chrf":
        from sacrebleu.metrics.chrf import CHRF  # in the function, because importing it is slow

        return CHRF()
    if name == "ter":
        from sacrebleu.metrics.ter import TER

        return TER()
    from sacrebleu.metrics.bleu import BLEU

    if config.tokenize not in (None, *TOKENIZERS):
        raise UserError(f"--tokenize {config.tokenize}: choose one of {', '.join(TOKENIZERS)}")
    try:
        # force: we warn of tokenized text ourselves, once.
        return BLEU(lowercase=config.lowercase, tokenize=config.tokenize, force=True)
    except (RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--tokenize {config.tokenize}: not available: {reason}") from None
